"""What the queue is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from lampyr.aws.base import Aws
from lampyr.clock import Clock
from lampyr.errors import ServiceError
from lampyr.limits import Limits
from lampyr.model.function import FunctionVersion
from lampyr.model.invocation import Invocation, InvokeResult
from lampyr.observe.metrics import Metrics
from lampyr.store.base import EventTable, FunctionTable
from lampyr.tasks import Tasks

Told = Callable[[InvokeResult | ServiceError], None]
"""Hears what came of an invocation, or why there is none."""


class Runner(Protocol):
    """What the queue needs of the `Invoker`."""

    def begin(self, version: FunctionVersion, invocation: Invocation, tell: Told) -> bool: ...

    async def invoke(self, version: FunctionVersion, invocation: Invocation) -> InvokeResult: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueParts:
    table: EventTable
    functions: FunctionTable
    runner: Runner
    aws: Aws
    clock: Clock
    tasks: Tasks
    metrics: Metrics
    limits: Limits
    new_id: Callable[[], str]
    """A UUID, never the same twice."""
    speed: float = 1.0
    """Waits and ages are so many times shorter than Lambda's."""
