"""Answers that leave together, while many callers wait for theirs.

Every write to a caller wakes him, and a caller with many connections, as a busy client is, goes
back to sleep after each. Where answers follow each other closely some are held for a moment, so
that he wakes once for several; alone, or among few, nobody waits for anybody.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Final

CROWD: Final = 4 * (os.cpu_count() or 1)
"""So many who wait are many: twice as many as are served at once, of a quick function."""
TURNS: Final = 4
"""Of the event loop, for which an answer is held: what is ready meanwhile goes with it."""
HELD_MAX: Final = 16

Tell = Callable[[bytes], None]


class Together:
    """For one event loop."""

    __slots__ = ("_held", "_turns", "waiting")

    def __init__(self) -> None:
        self.waiting = 0
        """Callers whose answer is not known yet."""
        self._held: list[tuple[Tell, bytes]] = []
        self._turns = 0

    def tell(self, tell: Tell, answer: bytes) -> None:
        """One of those who wait has his answer: give it to `tell`, now or in a moment."""
        self.waiting -= 1
        if self.waiting < CROWD:
            tell(answer)
            return
        held = self._held
        held.append((tell, answer))
        if len(held) == 1:
            self._turns = TURNS
            asyncio.get_running_loop().call_soon(self._turn)
        elif len(held) >= HELD_MAX:
            self._let_go()

    def _turn(self) -> None:
        if not self._held:
            return
        self._turns -= 1
        if self._turns > 0:
            asyncio.get_running_loop().call_soon(self._turn)
        else:
            self._let_go()

    def _let_go(self) -> None:
        held, self._held = self._held, []
        for tell, answer in held:
            tell(answer)
