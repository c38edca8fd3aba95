"""Things that are to happen later, each at its time, with one task asleep for the first of them."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Final

from lampyr.clock import Clock
from lampyr.tasks import Tasks

STEP_SECONDS: Final = 0.001
"""Nothing less is slept: a sleep may end a rounding error too early, again and again."""


class Alarm:
    def __init__(self, clock: Clock, tasks: Tasks) -> None:
        self._clock = clock
        self._tasks = tasks
        self._order = itertools.count()
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._sleeper: asyncio.Task[None] | None = None
        self._wakes_at = 0.0

    def at(self, when: float, do: Callable[[], None]) -> None:
        """`when`: seconds since the epoch."""
        heapq.heappush(self._heap, (when, next(self._order), do))
        self._set()

    def __len__(self) -> int:
        return len(self._heap)

    def _set(self) -> None:
        if not self._heap:
            return
        when = self._heap[0][0]
        if self._sleeper is not None:
            if self._wakes_at <= when:
                return
            self._sleeper.cancel()
        self._wakes_at = when
        self._sleeper = self._tasks.start(self._sleep(when), "alarm")

    async def _sleep(self, when: float) -> None:
        await self._clock.sleep(max(STEP_SECONDS, when - self._clock.now()))
        self._sleeper = None
        now = self._clock.now()
        while self._heap and self._heap[0][0] <= now:
            heapq.heappop(self._heap)[2]()
        self._set()
