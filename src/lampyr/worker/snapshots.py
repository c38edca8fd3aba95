"""What environments of published versions with SnapStart are made of.

A version is initialised when it is published: its code is loaded and its before-snapshot hooks
have run. That environment, the origin, takes no invocation; each environment is a fork of it.

Where Init has left what no fork would have (a thread, say), and where forking is not possible,
environments are initialised ahead instead. What then waits, frozen, is restored by whoever needs
an environment, and another is initialised meanwhile.

Versions that nobody invokes give theirs up, the least recently used first, when there are too many
or when the host has little memory; the next invocation then waits for an Init.
https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from lampyr.clock import Clock
from lampyr.limits import MIB, SNAPSHOTS_MAX
from lampyr.model.function import FunctionVersion
from lampyr.tasks import Tasks
from lampyr.worker.environment import ExecutionEnvironment
from lampyr.worker.outcomes import Failure
from lampyr.worker.sandbox.base import SandboxError
from lampyr.worker.states import OVER

log = logging.getLogger(__name__)

MEMORY_LEFT_BYTES: Final = 512 * MIB
"""Below this nothing is initialised ahead, and what waits gives way."""
SPARE_SECONDS: Final = 0.05
FIRST_DELAY_SECONDS: Final = 1.0
DELAY_SECONDS_MAX: Final = 300.0

Made = ExecutionEnvironment | Failure


@dataclass(slots=True, eq=False)
class _Kept:
    version: FunctionVersion
    environment: ExecutionEnvironment | None = None
    """An origin, or what was initialised ahead."""
    forks: bool = True
    """Whether it is an origin, as far as is known."""
    forked: bool = False
    """Whether it has been, ever."""
    spare: ExecutionEnvironment | None = None
    """A fork that nobody has asked for yet: of a burst the first need not wait for one."""
    making: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by who makes an origin: one is enough for all who wait for it."""
    filling: bool = False
    failures: int = 0

    @property
    def ready(self) -> bool:
        return self.environment is not None and self.environment.state not in OVER


class Snapshots:
    """`initialize` starts an environment and returns when it waits to be restored.

    `initialize_origin` does that with one that can be forked, or returns None; `fork` makes a copy
    of it that waits to be restored.
    """

    def __init__(
        self,
        clock: Clock,
        tasks: Tasks,
        *,
        initialize: Callable[[FunctionVersion], Awaitable[Made]],
        initialize_origin: Callable[[FunctionVersion], Awaitable[Made | None]],
        fork: Callable[[ExecutionEnvironment], Awaitable[ExecutionEnvironment]],
        stop: Callable[[ExecutionEnvironment], Coroutine[Any, Any, None]],
        memory_left: Callable[[], int],
    ) -> None:
        self._clock = clock
        self._tasks = tasks
        self._initialize = initialize
        self._initialize_origin = initialize_origin
        self._fork = fork
        self._stop = stop
        self._memory_left = memory_left
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._closed = False

    async def publish(self, version: FunctionVersion) -> Failure | None:
        """Initialise a version for the first time; how that failed, or None. `SandboxError`."""
        if version.deployment_id in self._kept:
            return None
        kept = self._entry(version)
        failure = await self._make_origin(kept)
        if failure is None and not kept.forks:
            failure = await self._make_ahead(kept)
        if failure is not None and self._is_current(kept):
            del self._kept[version.deployment_id]
        return failure

    async def take(self, version: FunctionVersion) -> Made:
        """An environment that is to be restored, now the caller's. `SandboxError`."""
        kept = self._entry(version)
        spare, kept.spare = kept.spare, None
        made = spare if spare is not None and spare.state not in OVER else await self._copy(kept)
        if made is not None:
            if not isinstance(made, Failure):
                made.owner = None
                self._spare_later(kept)
            return made
        ready, kept.environment = kept.environment, None
        if ready is not None and ready.state not in OVER:
            ready.owner = None
            self._fill(kept)
            return ready
        made = await self._initialize(version)
        if not isinstance(made, Failure):
            self._fill(kept)
        return made

    def close(self) -> None:
        """Initialise nothing any more; what waits is stopped by whoever stops everything."""
        self._kept.clear()
        self._closed = True

    def retire(self, deployment_ids: Iterable[str]) -> None:
        """These versions are gone."""
        for deployment_id in deployment_ids:
            kept = self._kept.pop(deployment_id, None)
            if kept is not None:
                self._give_up(kept)

    def relieve(self) -> None:
        """Where memory is short: give up what is least likely to be needed."""
        for kept in self._kept.values():
            if kept.environment is not None or kept.spare is not None:
                log.info("snapshot given up", extra={"function": kept.version.key.name})
                self._give_up(kept)
                return

    # As the owner of what waits ----------------------------------------------------------

    def idle(self, environment: ExecutionEnvironment) -> None:
        """It runs nothing while it is ours."""

    def over(self, environment: ExecutionEnvironment) -> None:
        """It died while it waited: another takes its place."""
        kept = self._kept.get(environment.version.deployment_id)
        self._tasks.start(self._stop(environment), "stop snapshot")
        if kept is not None and kept.spare is environment:
            kept.spare = None
        elif kept is not None and kept.environment is environment:
            kept.environment = None
            kept.failures += 1
            self._fill(kept)

    # Origins -----------------------------------------------------------------------------

    async def _copy(self, kept: _Kept) -> Made | None:
        """A fork of the origin, which is made now if there is none; None where none can be."""
        while True:
            failure = await self._make_origin(kept)
            if failure is not None or not kept.forks:
                return failure
            origin = kept.environment
            if origin is None:
                raise SandboxError("the snapshot was given up while it was needed")
            try:
                made = await self._fork(origin)
            except SandboxError as error:
                if origin.state not in OVER:
                    if kept.forked:
                        raise
                    self._never_fork(kept, error)
                    return None
                # It died under us; another one may not.
                if kept.environment is origin:
                    kept.environment = None
            else:
                kept.forked = True
                return made

    def _never_fork(self, kept: _Kept, error: SandboxError) -> None:
        """It cannot be done on this host, as it seems."""
        log.warning("snapshots cannot be copied", extra={"reason": str(error)})
        kept.forks = False
        self._give_up(kept)

    async def _make_origin(self, kept: _Kept) -> Failure | None:
        """Where a version may have one and has none, make it; how its Init failed."""
        async with kept.making:
            if not kept.forks or kept.ready:
                return None
            try:
                made = await self._initialize_origin(kept.version)
            except SandboxError as error:
                if kept.forked:
                    raise
                self._never_fork(kept, error)
                return None
            if isinstance(made, Failure):
                return made
            kept.forks = made is not None
            if made is not None:
                self._keep(kept, made)
                self._spare_later(kept)
            return None

    def _spare_later(self, kept: _Kept) -> None:
        if kept.spare is None and not kept.filling and not self._closed:
            kept.filling = True
            self._tasks.start(self._spared(kept), "spare copy")

    async def _spared(self, kept: _Kept) -> None:
        """Make one, when whoever was restored just now has had its turn."""
        try:
            await self._clock.sleep(SPARE_SECONDS)
            origin = kept.environment
            short = self._memory_left() < MEMORY_LEFT_BYTES
            if origin is None or origin.state in OVER or short or not self._is_current(kept):
                return
            spare = await self._fork(origin)
            if kept.spare is not None or kept.environment is not origin:
                await self._stop(spare)
                return
            spare.owner, kept.spare = self, spare
        except SandboxError as error:
            log.warning("no spare copy", extra={"reason": str(error)})
        finally:
            kept.filling = False

    # Ahead -------------------------------------------------------------------------------

    async def _make_ahead(self, kept: _Kept) -> Failure | None:
        made = await self._initialize(kept.version)
        if isinstance(made, Failure):
            return made
        self._keep(kept, made)
        if kept.environment is made:
            made.freeze()
        return None

    def _entry(self, version: FunctionVersion) -> _Kept:
        kept = self._kept.get(version.deployment_id)
        if kept is None:
            kept = self._kept[version.deployment_id] = _Kept(version)
            if len(self._kept) > SNAPSHOTS_MAX:
                self._give_up(self._kept.pop(next(iter(self._kept))))
        self._kept.move_to_end(version.deployment_id)
        return kept

    def _keep(self, kept: _Kept, environment: ExecutionEnvironment) -> None:
        if kept.environment is not None or not self._is_current(kept):
            self._tasks.start(self._stop(environment), "stop snapshot")
            return
        environment.owner = self
        kept.environment = environment
        kept.failures = 0

    def _is_current(self, kept: _Kept) -> bool:
        return self._kept.get(kept.version.deployment_id) is kept

    def _fill(self, kept: _Kept) -> None:
        if not kept.filling and not self._closed:
            kept.filling = True
            self._tasks.start(self._filled(kept), "snapshot")

    async def _filled(self, kept: _Kept) -> None:
        try:
            while self._is_current(kept) and kept.environment is None:
                if kept.failures:
                    delay = FIRST_DELAY_SECONDS * 2.0 ** (kept.failures - 1)
                    await self._clock.sleep(min(delay, DELAY_SECONDS_MAX))
                if self._memory_left() < MEMORY_LEFT_BYTES:
                    return
                await self._fill_once(kept)
        finally:
            kept.filling = False

    async def _fill_once(self, kept: _Kept) -> None:
        make = self._make_origin if kept.forks else self._make_ahead
        try:
            failure = await make(kept)
        except SandboxError as error:
            log.warning("no snapshot", extra={"reason": str(error)})
            kept.failures += 1
            return
        if failure is not None:
            log.warning("no snapshot", extra={"reason": failure.error_type})
            kept.failures += 1

    def _give_up(self, kept: _Kept) -> None:
        held = (kept.spare, kept.environment)
        kept.spare = kept.environment = None
        for environment in held:
            if environment is not None:
                environment.owner = None
                self._tasks.start(self._stop(environment), "stop snapshot")
