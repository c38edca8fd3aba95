"""The execution environments of each function version, and the way an invocation gets one.

An environment is in `ready`, or belongs to the one caller that took it: taking it out of `ready`
is what reserves it, so two callers cannot hold the same one. A caller who finds none waits, and
has one started; whichever comes first, one that another caller gives back or the new one, goes to
the caller who has waited longest. Last in, first out: after a burst, its surplus stays idle and is
reclaimed.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from lampyr.clock import Clock
from lampyr.cluster.base import Cluster
from lampyr.errors import TooManyRequestsException
from lampyr.invoke.rules import surplus
from lampyr.model.function import FunctionVersion
from lampyr.tasks import Tasks
from lampyr.worker.environment import ExecutionEnvironment
from lampyr.worker.outcomes import Failure
from lampyr.worker.states import OVER

log = logging.getLogger(__name__)

REST_SECONDS: Final = 0.05
"""An environment idle this long is frozen. Not at once: thawing costs as much as a warm call."""

PoolKey = tuple[str, str | None]
"""A deployment and, where the function isolates its tenants, the tenant."""


@dataclass(slots=True, eq=False)
class _Group:
    """The environments of one version (and tenant)."""

    version: FunctionVersion
    tenant_id: str | None
    ready: list[ExecutionEnvironment] = field(default_factory=list)
    waiting: "deque[asyncio.Future[ExecutionEnvironment | Failure]]" = field(default_factory=deque)
    starting: int = 0
    alive: int = 0
    """Environments idle or taken."""
    retired: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    environments_max: int
    starts_at_once: int
    idle_seconds: float
    init_seconds: float


class EnvironmentPool:
    def __init__(
        self, cluster: Cluster, tasks: Tasks, clock: Clock, settings: PoolSettings
    ) -> None:
        self._cluster = cluster
        self._tasks = tasks
        self._clock = clock
        self._settings = settings
        self._groups: dict[PoolKey, _Group] = {}
        self._group_of: dict[str, _Group] = {}
        """Of every living environment, by its id: idle or taken."""
        self._idle_since: dict[str, float] = {}
        """Of every idle environment, in order of time."""
        self._awake: dict[str, ExecutionEnvironment] = {}
        """Idle but not yet frozen."""
        self._starting = 0
        self._starts = asyncio.Semaphore(settings.starts_at_once)
        self._rest: asyncio.TimerHandle | None = None

    def take(
        self, version: FunctionVersion, tenant_id: str | None = None
    ) -> ExecutionEnvironment | None:
        """An idle environment, now the caller's; None when there is none."""
        group = self._groups.get((version.deployment_id, tenant_id))
        while group is not None and group.ready:
            environment = group.ready.pop()
            self._idle_since.pop(environment.id, None)
            self._awake.pop(environment.id, None)
            if environment.state not in OVER:
                return environment
        return None

    async def wait(
        self, version: FunctionVersion, tenant_id: str | None = None
    ) -> ExecutionEnvironment | Failure:
        """The next environment to be had, now the caller's; or how the Init of a new one failed."""
        group = self._group(version, tenant_id)
        waiter: asyncio.Future[ExecutionEnvironment | Failure]
        waiter = asyncio.get_running_loop().create_future()
        group.waiting.append(waiter)
        self._replenish(group)
        if not group.starting and not group.alive:
            group.waiting.remove(waiter)
            raise TooManyRequestsException(
                "Rate Exceeded.", Reason="ConcurrentInvocationLimitExceeded"
            )
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                got = waiter.result()
                if isinstance(got, ExecutionEnvironment):
                    self.idle(got)
            raise

    async def again(
        self, version: FunctionVersion, tenant_id: str | None, seconds: float
    ) -> ExecutionEnvironment | Failure:
        """A second Init, for the caller whose first one failed, within `seconds`."""
        self._starting += 1
        try:
            started = await self._cluster.start(
                version, tenant_id, init_seconds=seconds, again=True
            )
        finally:
            self._starting -= 1
        if isinstance(started, ExecutionEnvironment):
            self._adopt(self._group(version, tenant_id), started)
        return started

    def retire(self, deployment_ids: Sequence[str]) -> None:
        """No new work for these deployments; what runs may end, what is idle is stopped."""
        gone = set(deployment_ids)
        for key in [key for key in self._groups if key[0] in gone]:
            group = self._groups.pop(key)
            group.retired = True
            for environment in group.ready:
                self._discard(environment)
            group.ready.clear()

    @property
    def alive(self) -> int:
        return len(self._group_of)

    def reclaim(self, now: float) -> int:
        """Stop what has been idle for too long; how many that were."""
        due = surplus(self._idle_since, now, self._settings.idle_seconds)
        for environment_id in due:
            self._evict(environment_id)
        return len(due)

    # From the environments --------------------------------------------------------------

    def idle(self, environment: ExecutionEnvironment) -> None:
        """An environment can take work again: to whoever waits longest, else into `ready`."""
        group = self._group_of.get(environment.id)
        if group is None:
            return
        if group.retired and not group.waiting:
            self._discard(environment)
            return
        if not self._hand_over(group, environment):
            group.ready.append(environment)
            self._idle_since[environment.id] = self._clock.monotonic()
            self._awake[environment.id] = environment
            if self._rest is None:
                loop = asyncio.get_running_loop()
                self._rest = loop.call_later(REST_SECONDS, self._freeze_rested)

    def over(self, environment: ExecutionEnvironment) -> None:
        """An environment ended by itself: after a timeout, a crash, an exit."""
        group = self._group_of.get(environment.id)
        if group is not None and environment in group.ready:
            group.ready.remove(environment)
        self._discard(environment)
        if group is not None:
            self._replenish(group)

    # Inside -----------------------------------------------------------------------------

    def _group(self, version: FunctionVersion, tenant_id: str | None) -> _Group:
        key = (version.deployment_id, tenant_id)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(version, tenant_id)
        return group

    def _has_room(self) -> bool:
        """Whether one more may live; the one idle for longest makes room where it must."""
        if len(self._group_of) + self._starting < self._settings.environments_max:
            return True
        oldest = next(iter(self._idle_since), None)
        if oldest is None:
            return False
        self._evict(oldest)
        return True

    def _replenish(self, group: _Group) -> None:
        """Start one more environment where somebody waits for whom none is being started."""
        if group.starting < len(group.waiting) and self._has_room():
            group.starting += 1
            self._starting += 1
            self._tasks.start(self._start(group), "environment start")

    async def _start(self, group: _Group) -> None:
        """Start one environment for a group, unless nobody waits any more by then."""
        outcome: ExecutionEnvironment | Failure | Exception | None = None
        try:
            async with self._starts:
                if len(group.waiting) >= group.starting:
                    outcome = await self._cluster.start(
                        group.version,
                        group.tenant_id,
                        init_seconds=self._settings.init_seconds,
                    )
        except Exception as error:  # noqa: BLE001 - the caller who waits must hear of it
            outcome = error
        finally:
            group.starting -= 1
            self._starting -= 1
        if isinstance(outcome, ExecutionEnvironment):
            self._adopt(group, outcome)
            self.idle(outcome)
        elif outcome is not None:
            self._fail_one(group, outcome)

    def _adopt(self, group: _Group, environment: ExecutionEnvironment) -> None:
        self._group_of[environment.id] = group
        group.alive += 1
        environment.owner = self
        if environment.state in OVER:  # It ended between its Init and now.
            self._discard(environment)

    def _hand_over(self, group: _Group, environment: ExecutionEnvironment) -> bool:
        while group.waiting:
            waiter = group.waiting.popleft()
            if not waiter.done():
                waiter.set_result(environment)
                return True
        return False

    def _fail_one(self, group: _Group, outcome: Failure | Exception) -> None:
        while group.waiting:
            waiter = group.waiting.popleft()
            if waiter.done():
                continue
            if isinstance(outcome, Failure):
                waiter.set_result(outcome)
            else:
                waiter.set_exception(outcome)
            return

    def _evict(self, environment_id: str) -> None:
        group = self._group_of[environment_id]
        for environment in group.ready:
            if environment.id == environment_id:
                group.ready.remove(environment)
                self._discard(environment)
                return

    def _discard(self, environment: ExecutionEnvironment) -> None:
        group = self._group_of.pop(environment.id, None)
        if group is None:
            return
        group.alive -= 1
        self._idle_since.pop(environment.id, None)
        self._awake.pop(environment.id, None)
        self._tasks.start(self._cluster.stop(environment), "environment stop")

    def _freeze_rested(self) -> None:
        """Freeze what has rested; look again as long as something is awake."""
        self._rest = None
        now = self._clock.monotonic()
        for environment_id, environment in list(self._awake.items()):
            if now - self._idle_since[environment_id] < REST_SECONDS:
                break
            del self._awake[environment_id]
            environment.freeze()
        if self._awake:
            loop = asyncio.get_running_loop()
            self._rest = loop.call_later(REST_SECONDS, self._freeze_rested)
