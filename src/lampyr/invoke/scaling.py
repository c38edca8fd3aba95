"""How fast a function may get more environments.

Each function has a number of starts that comes back evenly over time. A start costs one; a caller
who is served by an environment that is there already costs none.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html#scaling-rate
"""

from typing import Final

from lampyr.clock import Clock
from lampyr.model.function import FunctionKey

PERIOD_SECONDS: Final = 10.0


class ScalingRate:
    def __init__(self, starts: int, clock: Clock) -> None:
        """`starts`: of each function, in any ten seconds after a rest."""
        self._most = float(starts)
        self._clock = clock
        self._left: dict[FunctionKey, tuple[float, float]] = {}
        """What was left of a function's starts, and when; all of them of one not in here."""

    def spend(self, key: FunctionKey) -> bool:
        """One start; false, and nothing is spent, when the function has none left."""
        now, left = self._now_left(key)
        if left < 1:
            return False
        self._left[key] = left - 1, now
        return True

    def give_back(self, key: FunctionKey) -> None:
        """A start that was not made after all."""
        now, left = self._now_left(key)
        self._left[key] = left + 1, now

    def forget_rested(self) -> None:
        """Functions that have all their starts again need no entry."""
        for key in [key for key in self._left if self._now_left(key)[1] >= self._most]:
            del self._left[key]

    def _now_left(self, key: FunctionKey) -> tuple[float, float]:
        now = self._clock.monotonic()
        left, since = self._left.get(key, (self._most, now))
        return now, min(self._most, left + (now - since) * self._most / PERIOD_SECONDS)
