"""Counts of what happens to functions, under the names that Lambda gives its metrics.

https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeVar

from lampyr.model.function import FunctionKey

K = TypeVar("K")


FRESH_MAX: Final = 3_000
"""Figures of minutes that nobody took; then the oldest are forgotten."""
MINUTE: Final = 60


@dataclass(slots=True)
class Statistic:
    count: int = 0
    total: float = 0.0
    least: float = math.inf
    greatest: float = -math.inf

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        self.least = min(self.least, value)
        self.greatest = max(self.greatest, value)


class Fresh(NamedTuple):
    """What a statistic of one minute is of."""

    key: FunctionKey
    qualifier: str | None
    name: str
    minute: int
    """Seconds since the epoch."""


class Metrics(Protocol):
    def record(
        self, key: FunctionKey, name: str, value: float = 1.0, *, qualifier: str | None = None
    ) -> None:
        """`qualifier`: the one that was invoked."""
        ...


class Counters:
    """`Metrics` in memory: since the start by function, and by minute until somebody takes them."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._functions: dict[FunctionKey, dict[str, Statistic]] = {}
        self._fresh: dict[Fresh, Statistic] = {}

    def record(
        self, key: FunctionKey, name: str, value: float = 1.0, *, qualifier: str | None = None
    ) -> None:
        _of(self._functions.setdefault(key, {}), name).add(value)
        minute = int(self._now()) // MINUTE * MINUTE
        _of(self._fresh, Fresh(key, qualifier, name, minute)).add(value)
        if len(self._fresh) > FRESH_MAX:
            del self._fresh[next(iter(self._fresh))]

    def of(self, account_id: str, region: str) -> Mapping[str, Mapping[str, Statistic]]:
        """Since the start, by function and metric."""
        place = (account_id, region)
        return {key.name: found for key, found in self._functions.items() if key[:2] == place}

    def take(self) -> Mapping[Fresh, Statistic]:
        """What was recorded since the last time; it is the caller's now."""
        found, self._fresh = self._fresh, {}
        return found


def _of(statistics: dict[K, Statistic], name: K) -> Statistic:
    found = statistics.get(name)
    if found is None:
        found = statistics[name] = Statistic()
    return found
