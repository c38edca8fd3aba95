"""How many environments start at once: more would only make each of them slower.

A slot is for the work of this host. A function whose Init takes longer than that mostly waits for
something, perhaps for another function that needs a slot too, so it gives its own back.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

HOLD_SECONDS: Final = 2.0
"""Many times what a start takes on a busy host: who still holds one works no more, but waits."""


class StartSlots:
    def __init__(self, most: int, hold_seconds: float = HOLD_SECONDS) -> None:
        self._slots = asyncio.Semaphore(most)
        self._hold_seconds = hold_seconds

    @asynccontextmanager
    async def held(self) -> AsyncGenerator[None]:
        """Waits for a slot; keeps it for the block, but not for longer than it is good for."""
        await self._slots.acquire()
        holds = True

        def give_back() -> None:
            nonlocal holds
            if holds:
                holds = False
                self._slots.release()

        timer = asyncio.get_running_loop().call_later(self._hold_seconds, give_back)
        try:
            yield
        finally:
            timer.cancel()
            give_back()
