"""The environments of one function version (and tenant), and the callers who wait for one."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from lampyr.cluster.base import Environment
from lampyr.invoke.line import Line
from lampyr.model.function import FunctionVersion
from lampyr.worker.outcomes import Failure

GroupKey = tuple[str, str | None]
"""A deployment and, where the function isolates its tenants, the tenant."""


@dataclass(slots=True, eq=False)
class Waiter:
    turn: int
    """Smaller for who goes before, in whichever group."""
    got: "asyncio.Future[Environment | Failure]"
    patience: asyncio.TimerHandle | None = None


@dataclass(slots=True, eq=False)
class Group:
    version: FunctionVersion
    tenant_id: str | None
    ready: list[Environment] = field(default_factory=list)
    waiting: deque[Waiter] = field(default_factory=deque)
    starting: int = 0
    alive: int = 0
    """Environments idle or taken."""
    retired: bool = False
    line: Line = field(default_factory=Line)

    @property
    def key(self) -> GroupKey:
        return self.version.deployment_id, self.tenant_id

    @property
    def starved(self) -> bool:
        """Somebody waits for whom none is being started."""
        return self.starting < len(self.waiting)

    @property
    def empty(self) -> bool:
        return not (self.alive or self.starting or self.waiting)

    def hand_over(self, environment: Environment) -> bool:
        """Give it to whoever waits longest; false when nobody does."""
        waiter = self._first()
        if waiter is None:
            return False
        waiter.got.set_result(environment)
        return True

    def fail_one(self, outcome: Failure | Exception) -> None:
        """One start failed: one caller hears of it."""
        waiter = self._first()
        if waiter is None:
            return
        if isinstance(outcome, Failure):
            waiter.got.set_result(outcome)
        else:
            waiter.got.set_exception(outcome)

    def refuse_starved(self, error: Exception) -> None:
        """Those who came last, and for whom nothing is started, hear that it will not be."""
        while self.starved:
            waiter = self.waiting.pop()
            if not waiter.got.done():
                waiter.got.set_exception(error)

    def _first(self) -> Waiter | None:
        """Take who waits longest out; one who was cancelled has not left yet, but will."""
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.got.done():
                return waiter
        return None
