"""When what is made ahead is made again: not while the start that took it needs the processor.

Making one more costs about as much as the start that it was taken for. As long as some are left,
that waits until the start is likely to be over. When few are, many start, and nothing waits.
"""

import asyncio
from collections.abc import Callable
from typing import Final

PAUSE_SECONDS: Final = 0.05


class Restock:
    """`fill` starts making what is missing: at once when fewer than `low` are left."""

    def __init__(self, low: int, fill: Callable[[], None]) -> None:
        self._low = low
        self._fill = fill
        self._timer: asyncio.TimerHandle | None = None

    def taken(self, left: int) -> None:
        """One was taken; so many are left."""
        if left < self._low:
            self.cancel()
            self._fill()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._due)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        self._fill()
