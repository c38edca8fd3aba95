"""The line before the environments of a function that is quick.

Processors bound how much is done at once, not environments: when a function takes a fraction of a
millisecond, and as many of its environments are at work as keep every processor busy, one more
would only take its turn on them, with a process of its own to be woken and to be brought into the
caches. So whoever comes then waits in line for the next environment that is through. The line is
for quick functions alone, and dissolves when it does not move: nobody waits for a slow one.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from typing import Final

from lampyr.cluster.base import Environment

AT_ONCE: Final = 3 * (os.cpu_count() or 1)
"""Of one function version: one at work on each processor, one that follows, and one whose answer is
on its way."""
BASE_SECONDS: Final = 0.0004
"""A function that takes longer may wait for something: as many times more of it are at once."""
QUICK_SECONDS: Final = 0.002
"""One that takes longer has no line."""
LOOK_SECONDS: Final = 0.002
STILL_LOOKS: Final = 2
"""A line that has not moved at so many looks dissolves."""
REST_SECONDS: Final = 0.1
REST_SECONDS_MAX: Final = 10.0
"""No line forms for a while then; each time for twice as long."""
MOVES: Final = 100
"""A line that has moved as often was right."""
CROWD: Final = 1_000
CROWD_MAX: Final = 64_000
"""In a crowd nobody can tell whether a function has become quick again: after so many invocations
it is tried; each time after twice as many."""
_RISE: Final = 0.02
_SLOW_SECONDS: Final = 2 * QUICK_SECONDS
"""What an invocation usually takes falls at once, and rises towards one that took longer by this
part of the difference, as if it had taken at most so long: any may have had to wait."""

Turn = Callable[[Environment | None], None]
"""Runs what waits: in this environment, or in whichever can be had."""


class Line:
    __slots__ = (
        "_at_once",
        "_busy",
        "_crowd",
        "_moved",
        "_moves",
        "_off",
        "_rest",
        "_still",
        "_timer",
        "_untold",
        "_usual",
        "waiting",
    )

    def __init__(self) -> None:
        self._at_once = AT_ONCE
        self._busy = 0
        """Invocations that began, and have not ended, since the line last dissolved."""
        self._usual = 0.0
        """Seconds; a function of which nothing is known may be quick."""
        self.waiting: deque[Turn] = deque()
        self._moves = 0
        """Since the last look."""
        self._moved = 0
        """Since it formed."""
        self._crowd = self._untold = CROWD
        self._still = 0
        self._off = False
        self._rest = REST_SECONDS
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_full(self) -> bool:
        """Whether who comes now should wait in line."""
        return self._busy >= self._at_once and self._usual < QUICK_SECONDS and not self._off

    def join(self, turn: Turn) -> None:
        self.waiting.append(turn)
        if self._timer is None:
            self._look_later()

    def began(self) -> None:
        self._busy += 1

    def ended(self, seconds: float) -> None:
        """One that `began` took so long; among many, most of that was waiting for a processor."""
        usual = self._usual
        if seconds < usual:
            self._take_for(seconds)
        elif self._busy <= self._at_once:
            self._take_for(usual + (min(seconds, _SLOW_SECONDS) - usual) * _RISE)
        elif usual >= QUICK_SECONDS:
            self._untold -= 1
            if not self._untold:
                self._take_for(0.0)
                self._crowd = self._untold = min(2 * self._crowd, CROWD_MAX)
        if self._busy:
            self._busy -= 1

    def _take_for(self, usual: float) -> None:
        self._usual = usual
        self._at_once = AT_ONCE if usual < BASE_SECONDS else int(AT_ONCE * usual / BASE_SECONDS)

    def move(self, environment: Environment) -> None:
        """An environment is free for whoever is first in line."""
        self._moves += 1
        self._moved += 1
        if self._moved == MOVES:
            self._rest = REST_SECONDS
            self._crowd = self._untold = CROWD
        self.waiting.popleft()(environment)

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self.waiting:
            return
        self._still = 0 if self._moves else self._still + 1
        self._moves = 0
        if self._still < STILL_LOOKS:
            self._look_later()
        else:
            self._dissolve()

    def _dissolve(self) -> None:
        self._off = True
        asyncio.get_running_loop().call_later(self._rest, self._form)
        self._rest = min(2 * self._rest, REST_SECONDS_MAX)
        self._still = self._busy = self._moved = 0
        waiting, self.waiting = self.waiting, deque()
        for turn in waiting:
            turn(None)

    def _form(self) -> None:
        self._off = False
