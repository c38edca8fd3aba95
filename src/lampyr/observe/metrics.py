"""Counts of what happens to functions, under the names that Lambda gives its metrics.

https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from lampyr.model.function import FunctionKey


@dataclass(slots=True)
class Statistic:
    """Of one metric of one function, since the start."""

    count: int = 0
    total: float = 0.0
    greatest: float = 0.0


class Metrics(Protocol):
    def record(self, key: FunctionKey, name: str, value: float = 1.0) -> None: ...


class Counters:
    """`Metrics` in memory: as many as there are functions that something was recorded of."""

    def __init__(self) -> None:
        self._functions: dict[FunctionKey, dict[str, Statistic]] = {}

    def record(self, key: FunctionKey, name: str, value: float = 1.0) -> None:
        of_function = self._functions.get(key)
        if of_function is None:
            of_function = self._functions[key] = {}
        found = of_function.get(name)
        if found is None:
            found = of_function[name] = Statistic()
        found.count += 1
        found.total += value
        found.greatest = max(found.greatest, value)

    def of(self, account_id: str, region: str) -> Mapping[str, Mapping[str, Statistic]]:
        """By function and metric."""
        place = (account_id, region)
        return {key.name: found for key, found in self._functions.items() if key[:2] == place}
