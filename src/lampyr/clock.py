"""Time, as something a test can hold still."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for durations and deadlines."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return when that time has passed on `monotonic`, never before."""
        ...


class SystemClock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        """Not a moment too short: uvloop's timers count whole milliseconds of a coarser clock."""
        until = time.monotonic() + seconds
        await asyncio.sleep(seconds)
        while (left := until - time.monotonic()) > 0:  # noqa: ASYNC110 - only time tells it
            await asyncio.sleep(left)
