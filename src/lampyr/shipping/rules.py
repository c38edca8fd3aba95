"""How lines become calls of PutLogEvents, and invocations become data of PutMetricData.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from lampyr.observe.base import LogEvent
from lampyr.observe.metrics import Statistic

EVENTS_MAX: Final = 10_000
BATCH_BYTES_MAX: Final = 1_048_576
EVENT_BYTES: Final = 26
"""What each event counts beside its message."""
MESSAGE_BYTES_MAX: Final = 262_144 - EVENT_BYTES
SPAN_MS_MAX: Final = 24 * 3_600 * 1_000
VALUES_MAX: Final = 50
"""Distinct values that are kept of a minute (CloudWatch takes 150); else statistics alone."""
MINUTE: Final = 60
NAMESPACE: Final = "AWS/Lambda"
COUNT: Final = "Count"
MILLISECONDS: Final = "Milliseconds"


def batches(events: Sequence[LogEvent]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Stream and events of each call; within a stream in the order of their times."""
    streams: dict[str, list[LogEvent]] = {}
    for event in events:
        streams.setdefault(event.stream, []).append(event)
    for stream, found in streams.items():
        found.sort(key=lambda event: event.timestamp_ms)
        batch: list[dict[str, Any]] = []
        size = 0
        for event in found:
            message = _cut(event.message)
            needs = len(message.encode(errors="replace")) + EVENT_BYTES
            full = size + needs > BATCH_BYTES_MAX or len(batch) == EVENTS_MAX
            if batch and (full or event.timestamp_ms - batch[0]["timestamp"] >= SPAN_MS_MAX):
                yield stream, batch
                batch, size = [], 0
            batch.append({"timestamp": event.timestamp_ms, "message": message})
            size += needs
        if batch:
            yield stream, batch


def _cut(message: str) -> str:
    """CloudWatch takes no empty message and none above its limit."""
    if len(message) > MESSAGE_BYTES_MAX // 4:
        message = message.encode(errors="replace")[:MESSAGE_BYTES_MAX].decode(errors="ignore")
    return message or " "


class Metric(NamedTuple):
    """What a datum is of: everything but the figures."""

    account_id: str
    region: str
    minute: int
    """Seconds since the epoch."""
    name: str
    unit: str
    dimensions: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Figures:
    count: int = 0
    total: float = 0.0
    least: float = 0.0
    most: float = 0.0
    values: dict[float, int] | None = field(default_factory=dict)
    """How often each value came; None when there were too many different ones."""

    @classmethod
    def of(cls, values: Mapping[float, int]) -> "Figures":
        """`values`: how often each came, if at all."""
        figures = cls()
        for value, times in values.items():
            if times:
                figures.add(value, times)
        return figures

    def add_all(self, values: Sequence[float]) -> None:
        """At least one."""
        if self.values is not None:
            for value, times in Counter(values).items():
                self.add(value, times)
        else:
            self.merge(Statistic(len(values), sum(values), min(values), max(values)))

    def absorb(self, other: "Figures") -> None:
        if other.values is not None:
            for value, times in other.values.items():
                self.add(value, times)
        else:
            self.merge(Statistic(other.count, other.total, other.least, other.most))

    def add(self, value: float, times: int = 1) -> None:
        self.least = value if not self.count else min(self.least, value)
        self.most = value if not self.count else max(self.most, value)
        self.count += times
        self.total += value * times
        if self.values is not None:
            self.values[value] = self.values.get(value, 0) + times
            if len(self.values) > VALUES_MAX:
                self.values = None

    def merge(self, other: Statistic) -> None:
        """Add many values of which only the statistic is known."""
        self.least = other.least if not self.count else min(self.least, other.least)
        self.most = other.greatest if not self.count else max(self.most, other.greatest)
        self.count += other.count
        self.total += other.total
        self.values = None


def datum(metric: Metric, figures: Figures) -> dict[str, Any]:
    found: dict[str, Any] = {
        "MetricName": metric.name,
        "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions],
        "Timestamp": metric.minute,
        "Unit": metric.unit,
    }
    if figures.values is None:
        found["StatisticValues"] = {
            "SampleCount": figures.count,
            "Sum": figures.total,
            "Minimum": figures.least,
            "Maximum": figures.most,
        }
    else:
        found["Values"] = list(figures.values)
        found["Counts"] = list(figures.values.values())
    return found


def dimensions(function: str, resource: str, version: str) -> list[tuple[tuple[str, str], ...]]:
    """Of one invocation: of all functions, the function, what was invoked, what ran for it.

    `resource`: the function's name, or with the qualifier that was invoked.
    """
    name, invoked = ("FunctionName", function), ("Resource", resource)
    found: list[tuple[tuple[str, str], ...]] = [(), (name,), (name, invoked)]
    qualifier = resource.partition(":")[2]
    if version and qualifier and qualifier not in {version, "$LATEST"}:  # An alias.
        found.append((name, invoked, ("ExecutedVersion", version)))
    return found
