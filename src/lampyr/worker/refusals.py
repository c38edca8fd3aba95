"""The Init of what could not be executed: over before it began, and logged as any other."""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from lampyr.model.function import FunctionVersion
from lampyr.model.invocation import Invocation
from lampyr.worker import journals, outcomes
from lampyr.worker.outcomes import Failure
from lampyr.worker.report import stream_name
from lampyr.worker.runtimes import InvalidEntrypointError


class Parts(journals.Parts, Protocol):
    """What of a worker's parts this needs."""

    @property
    def new_id(self) -> Callable[[], str]: ...


def refused(
    parts: Parts,
    version: FunctionVersion,
    within: Invocation | None,
    error: InvalidEntrypointError,
) -> Failure:
    """`within`: the invocation inside which this Init, a second one, was to take place."""
    failure = outcomes.invalid_entrypoint("", error.error_type, str(error))
    stream = stream_name(parts.clock.now(), version.version, parts.new_id())
    journal = journals.open_journal(parts, version, None, None, stream=stream)
    if within is not None:
        journal.begin(within)
    journal.init_failed(0.0, failure, again=within is not None)
    if within is not None:
        tail = journal.finish(within, seconds=0.0, memory_bytes=0, failure=failure)
        failure = replace(failure, log_tail=tail)
    journal.close()
    return failure
