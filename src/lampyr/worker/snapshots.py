"""Environments of published versions with SnapStart, initialised ahead of need.

A version is initialised when it is published: its code is loaded and its before-snapshot hooks
have run. What then waits, frozen, is restored by whoever needs an environment: the after-restore
hooks run, and it takes invocations. Another is initialised meanwhile. So each has random numbers,
connections, threads and files of its own, and nothing has to be told that it was copied.

Versions that nobody invokes give theirs up, the least recently used first, when there are too many
or when the host has little memory; the next invocation then waits for an Init.
https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html
"""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Final

from lampyr.clock import Clock
from lampyr.limits import MIB
from lampyr.model.function import FunctionVersion
from lampyr.tasks import Tasks
from lampyr.worker.environment import ExecutionEnvironment
from lampyr.worker.outcomes import Failure
from lampyr.worker.sandbox.base import SandboxError
from lampyr.worker.states import OVER

log = logging.getLogger(__name__)

VERSIONS_MAX: Final = 32
MEMORY_LEFT_BYTES: Final = 512 * MIB
"""Below this nothing is initialised ahead, and what waits gives way."""
FIRST_DELAY_SECONDS: Final = 1.0
DELAY_SECONDS_MAX: Final = 300.0

Made = ExecutionEnvironment | Failure


@dataclass(slots=True, eq=False)
class _Kept:
    version: FunctionVersion
    environment: ExecutionEnvironment | None = None
    filling: bool = False
    failures: int = 0


class Snapshots:
    """`initialize` starts an environment and returns when it waits to be restored."""

    def __init__(
        self,
        clock: Clock,
        tasks: Tasks,
        *,
        initialize: Callable[[FunctionVersion], Awaitable[Made]],
        stop: Callable[[ExecutionEnvironment], Coroutine[Any, Any, None]],
        memory_left: Callable[[], int],
    ) -> None:
        self._clock = clock
        self._tasks = tasks
        self._initialize = initialize
        self._stop = stop
        self._memory_left = memory_left
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._closed = False

    async def publish(self, version: FunctionVersion) -> Failure | None:
        """Initialise a version for the first time; how that failed, or None. `SandboxError`."""
        if version.deployment_id in self._kept:
            return None
        made = await self._initialize(version)
        if isinstance(made, Failure):
            return made
        self._keep(self._entry(version), made)
        return None

    async def take(self, version: FunctionVersion) -> Made:
        """An environment that waits to be restored, now the caller's, or one that is made now."""
        kept = self._entry(version)
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
            if kept.environment is not None:
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
        if kept is not None and kept.environment is environment:
            kept.environment = None
            kept.failures += 1
            self._fill(kept)

    # Inside ------------------------------------------------------------------------------

    def _entry(self, version: FunctionVersion) -> _Kept:
        kept = self._kept.get(version.deployment_id)
        if kept is None:
            kept = self._kept[version.deployment_id] = _Kept(version)
            if len(self._kept) > VERSIONS_MAX:
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
        environment.freeze()

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
        try:
            made = await self._initialize(kept.version)
        except SandboxError as error:
            log.warning("no snapshot", extra={"reason": str(error)})
            kept.failures += 1
            return
        if isinstance(made, Failure):
            log.warning("no snapshot", extra={"reason": made.error_type})
            kept.failures += 1
            return
        self._keep(kept, made)

    def _give_up(self, kept: _Kept) -> None:
        environment, kept.environment = kept.environment, None
        if environment is not None:
            environment.owner = None
            self._tasks.start(self._stop(environment), "stop snapshot")
