"""Sandboxes made ahead, whose process waits to be told for which function it was started."""

import json
import logging
import os
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from lampyr.clock import Clock
from lampyr.tasks import Tasks
from lampyr.worker.sandbox import wiring
from lampyr.worker.sandbox.base import SandboxError, SandboxSpec
from lampyr.worker.sandbox.isolated import IsolatedSandbox
from lampyr.worker.stock import PAUSE_SECONDS

log = logging.getLogger(__name__)

READY: Final = 4
"""Of each kind."""
KINDS_MAX: Final = 4
KEPT_SECONDS: Final = 5.0
"""A kind is not given up for another within this time after it was asked for."""
IDLE_SECONDS: Final = 600.0
"""A kind that nobody has asked for in this time is given up."""
RELIEVED_SECONDS: Final = 30.0
"""Where memory was short, nothing is made for so long."""
FIRST_DELAY_SECONDS: Final = 0.5
DELAY_SECONDS_MAX: Final = 30.0

Key = tuple[object, ...]


@dataclass(slots=True, eq=False)
class Parked:
    sandbox: IsolatedSandbox
    stdin: int
    """Where its process hears of its function."""

    def begin(self, variables: Mapping[str, str]) -> None:
        """Let it go on; raise `OSError` when it is gone."""
        stdin, self.stdin = self.stdin, -1
        try:
            os.write(stdin, json.dumps(variables).encode())
        finally:
            os.close(stdin)

    def give_up(self) -> None:
        """Nobody wants it any more; its processes are stopped by whoever owns the sandbox."""
        sandbox = self.sandbox
        wiring.stop_listening(sandbox)
        descriptors = (sandbox.output, sandbox.telemetry, self.stdin)
        # Closed a second time they would be others' by then.
        sandbox.output = sandbox.telemetry = self.stdin = -1
        for fd in descriptors:
            if fd >= 0:
                os.close(fd)


@dataclass(slots=True, eq=False)
class _Kind:
    spec: SandboxSpec
    ready: deque[Parked] = field(default_factory=deque)
    used: float = 0.0
    filling: bool = False
    failures: int = 0


class Parking:
    """`make` starts a sandbox for such a spec, with a stdin that is held open."""

    def __init__(
        self,
        clock: Clock,
        tasks: Tasks,
        make: Callable[[SandboxSpec], Awaitable[Parked]],
        is_crowded: Callable[[], bool],
    ) -> None:
        """`is_crowded`: so many starts are under way that none should be made ahead."""
        self._is_crowded = is_crowded
        self._clock = clock
        self._tasks = tasks
        self._make = make
        self._kinds: OrderedDict[Key, _Kind] = OrderedDict()
        self._made = 0
        self._relieved: float | None = None
        """When memory was last short."""
        self._closed = False

    def take(self, spec: SandboxSpec) -> Parked | None:
        """One that waits, now the caller's; more are made, for whoever comes next."""
        kind = self._expect(spec)
        if kind is None or not kind.ready:
            return None
        return kind.ready.popleft()

    def expect(self, spec: SandboxSpec) -> None:
        """Somebody may want one like this."""
        self._expect(spec)

    def count(self) -> int:
        return sum(len(kind.ready) for kind in self._kinds.values())

    def relieve(self) -> bool:
        """Memory is short: drop the kind asked for longest ago; whether any of one waited."""
        self._relieved = self._clock.monotonic()
        for key, kind in self._kinds.items():
            if kind.ready:
                self._drop(key)
                return True
        return False

    def close(self) -> None:
        self._closed = True
        for kind in self._kinds.values():
            while kind.ready:
                kind.ready.popleft().give_up()
        self._kinds.clear()

    def _expect(self, spec: SandboxSpec) -> _Kind | None:
        if spec.park is None or self._closed:
            return None
        own = parked_spec(spec, "")
        key = _key(own)
        kind = self._kinds.get(key)
        if kind is None:
            if self._is_short() or not self._has_place():
                return None
            if not self._kinds:
                self._tasks.start(self._reclaim(), "reclaim parked")
            kind = self._kinds[key] = _Kind(own)
        self._kinds.move_to_end(key)
        kind.used = self._clock.monotonic()
        self._fill(key, kind)
        return kind

    def _is_short(self) -> bool:
        """Whether memory was, a moment ago."""
        since = self._relieved
        return since is not None and self._clock.monotonic() - since < RELIEVED_SECONDS

    def _has_place(self) -> bool:
        """For one more kind; the one asked for longest ago gives way, unless that was just now.

        Where more kinds are in use than can be kept, nothing would be made but what is dropped.
        """
        if len(self._kinds) < KINDS_MAX:
            return True
        key, oldest = next(iter(self._kinds.items()))
        if self._clock.monotonic() - oldest.used < KEPT_SECONDS:
            return False
        self._drop(key)
        return True

    async def _reclaim(self) -> None:
        """Give up the kinds that nobody has asked for in a long time, as long as there are any."""
        while self._kinds:
            await self._clock.sleep(IDLE_SECONDS / 4)
            since = self._clock.monotonic() - IDLE_SECONDS
            for key in [key for key, kind in self._kinds.items() if kind.used < since]:
                self._drop(key)

    def _fill(self, key: Key, kind: _Kind) -> None:
        if not kind.filling and not self._closed and not self._is_short():
            kind.filling = True
            self._tasks.start(self._filled(key, kind), "park")

    async def _filled(self, key: Key, kind: _Kind) -> None:
        """Make those that are missing, once whoever took one is likely to have started."""
        try:
            await self._clock.sleep(PAUSE_SECONDS)
            while self._wants(key, kind):
                if self._is_crowded():
                    await self._clock.sleep(PAUSE_SECONDS)
                else:
                    await self._add(key, kind)
        finally:
            kind.filling = False

    def _wants(self, key: Key, kind: _Kind) -> bool:
        kept = self._kinds.get(key) is kind and not self._is_short()
        return kept and len(kind.ready) < READY

    async def _add(self, key: Key, kind: _Kind) -> None:
        self._made += 1
        name = f"parked-{self._made}"
        try:
            parked = await self._make(replace(kind.spec, environment_id=name))
        except SandboxError as error:
            log.warning("nothing parked", extra={"reason": str(error)})
            kind.failures += 1
            await self._clock.sleep(_delay(kind.failures))
            return
        kind.failures = 0
        if self._closed or self._kinds.get(key) is not kind:
            self._discard(parked)
            return
        kind.ready.append(parked)
        parked.sandbox.exited.add_done_callback(lambda _: self._ended(key, kind, parked))

    def _ended(self, key: Key, kind: _Kind, parked: Parked) -> None:
        """It died while it waited: another takes its place."""
        if parked in kind.ready:
            kind.ready.remove(parked)
            parked.give_up()
            if not self._closed and self._kinds.get(key) is kind:
                self._fill(key, kind)

    def _drop(self, key: Key) -> None:
        """None of its kind is among the ready any more when it ends: it is given up once."""
        kind = self._kinds.pop(key)
        while kind.ready:
            self._discard(kind.ready.popleft())

    def _discard(self, parked: Parked) -> None:
        parked.give_up()
        self._tasks.start(parked.sandbox.stop(), "stop parked")


def parked_spec(spec: SandboxSpec, name: str) -> SandboxSpec:
    """What is known of a sandbox before its function is."""
    park = spec.park
    if park is None:
        raise ValueError("nothing to be parked")
    mounts = {target: source for target, source in spec.mounts.items() if target != spec.cwd}
    return replace(
        spec,
        environment_id=name,
        argv=park.argv,
        variables=park.variables,
        mounts=mounts,
        template=park.template,
    )


def _key(spec: SandboxSpec) -> Key:
    mappings = (spec.variables, spec.mounts, spec.rlimits)
    return (spec.argv, spec.memory_mb, spec.tmp_mb, *(tuple(each.items()) for each in mappings))


def _delay(failures: int) -> float:
    return min(FIRST_DELAY_SECONDS * float(2 ** (failures - 1)), DELAY_SECONDS_MAX)
