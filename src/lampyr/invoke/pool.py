"""The execution environments of each function version, and the way an invocation gets one.

An environment is in `ready`, or belongs to the one caller that took it: taking it out of `ready`
is what reserves it, so two callers cannot hold the same one. A caller who finds none waits, and
has one started; whichever comes first, one that another caller gives back or the new one, goes to
the caller who has waited longest. Last in, first out: after a burst, its surplus stays idle and is
reclaimed.

When as many live as may, whoever needs one more waits for room: the one idle for longest makes
it, else the next to come back, for the group whose caller has waited longest.
"""

import asyncio
import itertools
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence

from lampyr.clock import Clock
from lampyr.cluster.base import Cluster, Environment
from lampyr.invoke.admission import ACCOUNT_REASON, RATE_REASON, throttled
from lampyr.invoke.group import Group, GroupKey, Waiter
from lampyr.invoke.pool_settings import PoolSettings
from lampyr.invoke.rest import Rest
from lampyr.invoke.rules import surplus
from lampyr.invoke.scaling import ScalingRate
from lampyr.invoke.slots import StartSlots
from lampyr.model.function import FunctionVersion
from lampyr.model.invocation import Invocation
from lampyr.tasks import Tasks
from lampyr.worker import outcomes
from lampyr.worker.outcomes import Failure
from lampyr.worker.sandbox.base import Exit
from lampyr.worker.states import OVER

log = logging.getLogger(__name__)


class EnvironmentPool:
    def __init__(
        self,
        cluster: Cluster,
        tasks: Tasks,
        clock: Clock,
        settings: PoolSettings,
        *,
        pressed: Callable[[], bool] = lambda: False,
    ) -> None:
        """`pressed`: whether the host has too little memory for one more environment."""
        self._pressed = pressed
        self._rate = ScalingRate(settings.scaling_rate, clock)
        self._cluster = cluster
        self._tasks = tasks
        self._clock = clock
        self._settings = settings
        self._groups: dict[GroupKey, Group] = {}
        self._group_of: dict[str, Group] = {}
        """Of every living environment, by its id: idle or taken."""
        self._idle_since: dict[str, float] = {}
        """Of every idle environment, in order of time."""
        self._rest = Rest(clock)
        self._hungry: OrderedDict[Group, None] = OrderedDict()
        """Groups that wait for room, in order; some may have got what they need meanwhile."""
        self._starting = 0
        self._claimed = 0
        """Environments that others keep on this host: the provisioned ones."""
        self._turns = itertools.count(1)
        self.starts = StartSlots(settings.starts_at_once, settings.start_hold_seconds)
        """One is held by whoever starts an environment."""

    def take(self, version: FunctionVersion, tenant_id: str | None = None) -> Environment | None:
        """An idle environment, now the caller's; None when there is none."""
        group = self._groups.get((version.deployment_id, tenant_id))
        return None if group is None else self.take_from(group)

    def group(self, version: FunctionVersion, tenant_id: str | None) -> Group | None:
        """What lives of a version, if anything does."""
        return self._groups.get((version.deployment_id, tenant_id))

    def take_from(self, group: Group) -> Environment | None:
        """An idle environment of a group, now the caller's; None when there is none."""
        while group.ready:
            environment = group.ready.pop()
            self._idle_since.pop(environment.id, None)
            self._rest.end(environment)
            if environment.state not in OVER:
                return environment
        return None

    async def wait(
        self, version: FunctionVersion, tenant_id: str | None = None, *, nested: bool = False
    ) -> Environment | Failure:
        """The next environment to be had, now the caller's; or how the Init of a new one failed.

        Who is `nested`, and so keeps another environment busy until this call ends, goes first.
        Raises `TooManyRequestsException` when there was no room for one in all `room_seconds`, or
        when the function grows too fast; and whatever kept the host from starting one.
        """
        while True:
            got = await self._next(self._group_for(version, tenant_id), nested=nested)
            if isinstance(got, Failure) or got.state not in OVER:
                return got
            # It ended in the moment between being handed over and now: `over` has seen to it.
            if (ready := self.take(version, tenant_id)) is not None:
                return ready

    async def again(
        self, version: FunctionVersion, invocation: Invocation, seconds: float
    ) -> Environment | Failure | None:
        """A second Init, for the caller whose first one failed, within `seconds`.

        None when others have taken the room of the first.
        """
        tenant_id = invocation.tenant_id
        if not self._rate.spend(version.key):
            return None
        if not self._has_room():
            self._rate.give_back(version.key)
            return None
        self._starting += 1
        made: Environment | Failure
        try:
            made = await self._cluster.start(
                version, tenant_id, init_seconds=seconds, within=invocation
            )
        except BaseException:
            self._starting -= 1
            self._feed()
            raise
        self._starting -= 1
        group = self._group_for(version, tenant_id)
        if not isinstance(made, Failure) and not self._adopt(group, made):
            made = _gone(made)
        self._forget_if_empty(group)
        self._feed()
        return made

    def retire(self, deployment_ids: Sequence[str]) -> None:
        """No new work for these deployments; what runs may end, what is idle is stopped."""
        gone = set(deployment_ids)
        for key in [key for key in self._groups if key[0] in gone]:
            group = self._groups.pop(key)
            group.retired = True
            for environment in group.ready:
                self._discard(environment)
            group.ready.clear()
        self._feed()

    @property
    def alive(self) -> int:
        return len(self._group_of)

    def claim(self) -> bool:
        """Room for one environment that is not the pool's; false when the host is full of work."""
        if not self._has_room():
            return False
        self._claimed += 1
        return True

    def release(self) -> None:
        """One of those that were claimed is no more."""
        self._claimed -= 1
        self._feed()

    def reclaim(self, now: float) -> int:
        """Stop what has been idle for too long, or longest when memory is short; how many."""
        due = surplus(self._idle_since, now, self._settings.idle_seconds)
        if self._idle_since and not due and self._pressed():
            due = [next(iter(self._idle_since))]
        for environment_id in due:
            self._evict(environment_id)
        self._rate.forget_rested()
        self._feed()
        return len(due)

    # From the environments --------------------------------------------------------------

    def idle(self, environment: Environment) -> None:
        """An environment can take work again: to whoever waits longest, else into `ready`."""
        group = self._group_of.get(environment.id)
        if group is None:
            return
        if self._hungry and self._yields(group):
            self._discard(environment)
            self._replenish(group)
        elif group.waiting and group.hand_over(environment):
            return
        elif group.line.waiting:
            group.line.move(environment)
        elif group.retired:
            self._discard(environment)
            self._feed()
        else:
            self._rests(group, environment)

    def over(self, environment: Environment) -> None:
        """An environment ended by itself: after a timeout, a crash, an exit."""
        group = self._group_of.get(environment.id)
        if group is None:
            return
        if environment in group.ready:
            group.ready.remove(environment)
        self._discard(environment)
        self._replenish(group)

    # Inside -----------------------------------------------------------------------------

    def _group_for(self, version: FunctionVersion, tenant_id: str | None) -> Group:
        key = (version.deployment_id, tenant_id)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(version, tenant_id)
        return group

    @property
    def _living(self) -> int:
        return len(self._group_of) + self._starting + self._claimed

    def _has_room(self) -> bool:
        """Whether one more may live; the one idle for longest makes room where it must."""
        living = self._living
        if living < self._settings.environments_max and not (living and self._pressed()):
            return True
        oldest = next(iter(self._idle_since), None)
        if oldest is None:
            return False
        self._evict(oldest)
        return True

    async def _next(self, group: Group, *, nested: bool) -> Environment | Failure:
        loop = asyncio.get_running_loop()
        turn = next(self._turns)
        waiter = Waiter(-turn if nested else turn, loop.create_future())
        if nested:
            group.waiting.appendleft(waiter)
        else:
            group.waiting.append(waiter)
        self._replenish(group, first=nested)
        self._be_patient(group, waiter)
        try:
            return await waiter.got
        except asyncio.CancelledError:
            self._leave(group, waiter)
            raise
        finally:
            if waiter.patience is not None:
                waiter.patience.cancel()

    def _be_patient(self, group: Group, waiter: Waiter) -> None:
        loop = asyncio.get_running_loop()
        waiter.patience = loop.call_later(self._settings.room_seconds, self._tire, group, waiter)

    def _tire(self, group: Group, waiter: Waiter) -> None:
        """Throttle a caller for whom there was no room in all that time."""
        if waiter.got.done():
            return
        if group.starting:  # That may take longer, and has limits of its own.
            self._be_patient(group, waiter)
            return
        group.waiting.remove(waiter)
        waiter.got.set_exception(throttled(ACCOUNT_REASON))
        self._forget_if_empty(group)

    def _leave(self, group: Group, waiter: Waiter) -> None:
        """The caller was cancelled; he may have been given something just now."""
        if waiter in group.waiting:
            group.waiting.remove(waiter)
            self._forget_if_empty(group)
        elif waiter.got.done() and not waiter.got.cancelled() and not waiter.got.exception():
            got = waiter.got.result()
            if not isinstance(got, Failure) and got.state not in OVER:
                self.idle(got)

    def _replenish(self, group: Group, *, first: bool = False) -> None:
        """Start what a group needs, when it is its turn and there is room."""
        if group.starved:
            self._hungry.setdefault(group)
            if first:
                self._hungry.move_to_end(group, last=False)
        if self._hungry:
            self._feed()

    def _feed(self) -> None:
        """Start environments for the groups that wait for room, one each in turn."""
        while (group := self._starved()) is not None:
            key = group.version.key
            if not self._rate.spend(key):
                del self._hungry[group]
                group.refuse_starved(throttled(RATE_REASON))
                self._forget_if_empty(group)
                continue
            if not self._has_room():
                self._rate.give_back(key)
                return
            del self._hungry[group]
            group.starting += 1
            self._starting += 1
            self._tasks.start(self._start(group), "environment start")
            if group.starved:
                self._hungry[group] = None

    def _starved(self) -> Group | None:
        """The group whose turn it is."""
        while self._hungry:
            group = next(iter(self._hungry))
            if group.starved:
                return group
            del self._hungry[group]
        return None

    def _yields(self, group: Group) -> bool:
        """Whether another group's caller has waited longer for room than any of this one."""
        first = self._starved()
        if first is None or first is group or not group.waiting:
            return False
        return first.waiting[first.starting].turn < group.waiting[0].turn

    def _rests(self, group: Group, environment: Environment) -> None:
        """Nobody wants it now."""
        group.ready.append(environment)
        now = self._clock.monotonic()
        self._idle_since[environment.id] = now
        self._rest.begin(environment, now)
        if self._hungry:
            self._feed()

    async def _start(self, group: Group) -> None:
        """Start one environment for a group, unless nobody waits any more by then."""
        outcome: Environment | Failure | Exception | None = None
        attempted = False
        try:
            async with self.starts.held():
                if len(group.waiting) >= group.starting:
                    attempted = True
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
            if not attempted:
                self._rate.give_back(group.version.key)
        if isinstance(outcome, (Failure, Exception)):
            group.fail_one(outcome)
        elif outcome is not None:
            if self._adopt(group, outcome):
                self.idle(outcome)
            else:
                group.fail_one(_gone(outcome))
        self._replenish(group)
        self._forget_if_empty(group)

    def _adopt(self, group: Group, environment: Environment) -> bool:
        """False when it ended between its Init and now."""
        self._group_of[environment.id] = group
        group.alive += 1
        environment.owner = self
        if environment.state not in OVER:
            return True
        self._discard(environment)
        return False

    def _forget_if_empty(self, group: Group) -> None:
        if group.empty and self._groups.get(group.key) is group:
            del self._groups[group.key]

    def _evict(self, environment_id: str) -> None:
        group = self._group_of[environment_id]
        for environment in group.ready:
            if environment.id == environment_id:
                group.ready.remove(environment)
                self._discard(environment)
                return

    def _discard(self, environment: Environment) -> None:
        group = self._group_of.pop(environment.id, None)
        if group is None:
            return
        group.alive -= 1
        self._idle_since.pop(environment.id, None)
        self._rest.end(environment)
        self._tasks.start(self._cluster.stop(environment), "environment stop")
        self._forget_if_empty(group)


def _gone(environment: Environment) -> Failure:
    """Of an environment whose processes ended right after their Init."""
    return outcomes.exited(environment.id, Exit())
