"""Answers that leave together, while many callers wait for theirs.

Every write to a caller wakes him, and a caller with many connections, as a busy client is, goes
back to sleep after each. Where answers follow each other closely some are held for a moment, so
that he wakes once for several; alone, or among few, nobody waits for anybody.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Final

CROWD: Final = 4 * (os.cpu_count() or 1)
"""So many who wait are many: twice as many as are served at once, of a quick function."""
TURNS: Final = 4
"""Of the event loop, for which an answer is held: what is ready meanwhile goes with it."""
HELD_MAX: Final = 16

Tell = Callable[[bytes], None]

log = logging.getLogger(__name__)


class Together:
    """For one event loop."""

    __slots__ = ("_held", "_turning", "_turns", "waiting")

    def __init__(self) -> None:
        self.waiting = 0
        """Callers whose answer is not known yet."""
        self._held: list[tuple[Tell, bytes]] = []
        self._turns = 0
        """For which what is held has still to wait."""
        self._turning = False

    def tell(self, tell: Tell, answer: bytes) -> None:
        """One of those who wait has his answer: give it to `tell`, now or in a moment."""
        self.waiting -= 1
        if self.waiting < CROWD:
            tell(answer)
            return
        self._held.append((tell, answer))
        if len(self._held) >= HELD_MAX:
            self._let_go()
        elif not self._turning:
            self._turning = True
            self._turns = TURNS
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._turns -= 1
        if self._turns > 0:
            asyncio.get_running_loop().call_soon(self._turn)
        else:
            self._turning = False
            self._let_go()

    def _let_go(self) -> None:
        self._turns = TURNS
        held, self._held = self._held, []
        for tell, answer in held:
            try:
                tell(answer)
            except Exception:  # The others wait for theirs.
                log.exception("an answer could not be given")
