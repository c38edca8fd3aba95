"""One invocation on the warm path: it has been let in, and has no task."""

from collections.abc import Callable
from typing import Protocol

from lampyr.cluster.base import Environment
from lampyr.errors import ServiceError, ServiceException
from lampyr.invoke.admission import Pool
from lampyr.invoke.line import Line
from lampyr.model.function import FunctionVersion
from lampyr.model.invocation import Invocation, InvokeResult
from lampyr.worker.told import EnvironmentStoppedError, EventUnreadError

Heard = Callable[[InvokeResult | ServiceError], None]
"""Is told what came of an invocation, once."""


class Elsewhere(Protocol):
    """What an invocation needs whose turn or environment did not come to anything."""

    monotonic: Callable[[], float]

    def idle_environment(self, version: FunctionVersion, tenant: str | None) -> Environment | None:
        """One that is idle, now the caller's; None where there is none."""
        ...

    def anew(self, version: FunctionVersion, invocation: Invocation, heard: Heard) -> None:
        """Run it as one that comes now."""
        ...


class Begun:
    __slots__ = ("_counted", "_elsewhere", "_heard", "_invocation", "_line", "_started", "_version")

    def __init__(
        self, version: FunctionVersion, invocation: Invocation, heard: Heard, elsewhere: Elsewhere
    ) -> None:
        self._version = version
        self._invocation = invocation
        self._heard = heard
        self._elsewhere = elsewhere
        self._counted: Pool | None = None
        self._line: Line | None = None
        self._started = 0.0

    def count(self, pool: Pool, line: Line) -> None:
        """It is one of those in flight, until it has ended."""
        pool.in_flight += 1
        self._counted = pool
        self._line = line

    def start(self, environment: Environment) -> None:
        if self._line is not None:
            self._line.began()
        self._started = now = self._elsewhere.monotonic()
        deadline = now + self._version.timeout_seconds
        environment.begin(self._invocation, started=now, deadline=deadline, tell=self.ended)

    def turn(self, environment: Environment | None) -> None:
        """It stood in line; its turn has come, or the line is no more."""
        if environment is None:
            tenant_id = self._invocation.tenant_id
            environment = self._elsewhere.idle_environment(self._version, tenant_id)
        if environment is not None:
            self.start(environment)
            return
        if self._counted is not None:
            self._counted.in_flight -= 1
        self._elsewhere.anew(self._version, self._invocation, self._heard)

    def ended(self, outcome: InvokeResult | EnvironmentStoppedError) -> None:
        if self._counted is not None:
            self._counted.in_flight -= 1
        if self._line is not None:
            self._line.ended(self._elsewhere.monotonic() - self._started)
        if isinstance(outcome, InvokeResult):
            self._heard(outcome)
        elif isinstance(outcome, EventUnreadError):
            self._elsewhere.anew(self._version, self._invocation, self._heard)
        else:
            self._heard(cut_short(outcome))


def cut_short(error: EnvironmentStoppedError | None = None) -> ServiceException:
    """What the caller hears whose environment was stopped around the invocation."""
    return ServiceException(str(error or "") or "Lampyr is stopping; the invocation was cut short")
