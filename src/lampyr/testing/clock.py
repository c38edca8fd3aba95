"""A clock that moves only when a test moves it."""

import asyncio
import heapq


class ManualClock:
    """Time stands still until `advance`; who sleeps is woken at its own time."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = 0

    def now(self) -> float:
        return self._now

    @property
    def sleepers(self) -> list[float]:
        """When those wake who sleep, in no order."""
        return [when for when, _, waiter in self._sleepers if not waiter.done()]

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self._order += 1
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, self._order, waiter))
        await waiter

    async def advance(self, seconds: float) -> None:
        end = self._now + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            self._now, _, waiter = heapq.heappop(self._sleepers)
            if not waiter.done():
                waiter.set_result(None)
            await asyncio.sleep(0)
        self._now = end
