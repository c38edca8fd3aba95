"""The journal of an environment, from what is known of its version."""

from typing import Protocol

from lampyr.arn import key_arn, runtime_version_arn
from lampyr.clock import Clock
from lampyr.limits import Limits
from lampyr.model.function import FunctionVersion
from lampyr.observe.base import LogGroup, LogSink
from lampyr.worker.environment_log import EnvironmentLog
from lampyr.worker.journal import Journal
from lampyr.worker.report import Level, LogForm, parse_level
from lampyr.worker.runtimes import Runtime
from lampyr.worker.sandbox.base import Sandbox
from lampyr.worker.variables import Launch


class Parts(Protocol):
    """What of a worker's parts this needs."""

    @property
    def logs(self) -> LogSink: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def limits(self) -> Limits: ...


def open_journal(
    parts: Parts,
    version: FunctionVersion,
    launch: Launch | None,
    sandbox: Sandbox | None,
    *,
    stream: str = "",
    copied: bool = False,
) -> Journal:
    """Without a `launch` and a sandbox: of what was over before it began, under `stream`.

    `copied`: its Init was that of a snapshot.
    """
    key, logging_config = version.key, version.logging
    form = LogForm(
        stream=stream if launch is None else launch.log_stream,
        function_name=key.name,
        function_arn=key_arn(key, version.version),
        version=version.version,
        memory_mb=version.memory_mb,
        json=logging_config.log_format == "JSON",
        application_level=_level(logging_config.application_log_level, Level.TRACE),
        system_level=_level(logging_config.system_log_level, Level.INFO),
        initialization_type="on-demand" if launch is None else launch.initialization_type,
    )
    group = LogGroup(key.account_id, key.region, logging_config.log_group)
    log = EnvironmentLog(parts.logs, group, form, tail_bytes=parts.limits.log_tail_bytes)
    runtime = None if launch is None else _runtime_version(launch.runtime, key.region)
    return Journal(log, sandbox, parts.clock, runtime, copied=copied)


def _level(name: str | None, default: Level) -> Level:
    return default if name is None else parse_level(name)


def _runtime_version(runtime: Runtime, region: str) -> tuple[str, str] | None:
    """Version and ARN as INIT_START shows them; None for a runtime of the user's own."""
    if not runtime.managed:
        return None
    language = runtime.name.rstrip("0123456789.x")
    return f"{language}:{runtime.version}", runtime_version_arn(region, runtime.name)
