"""The metrics of functions: summed by minute as invocations end, sent when CloudWatch is there.

The log store's writer tells of invocations that ended, in its own thread and in batches, so the
warm path does nothing for this.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lampyr.aws.base import Aws
from lampyr.model.function import FunctionKey
from lampyr.observe.base import LogEvent, LogGroup, LogRecord
from lampyr.observe.metrics import Fresh, Statistic
from lampyr.shipping.rules import (
    COUNT,
    MILLISECONDS,
    MINUTE,
    NAMESPACE,
    Figures,
    Metric,
    datum,
    dimensions,
)
from lampyr.worker.environment_log import End
from lampyr.worker.report import Status

FIGURES_MAX: Final = 3_000
"""Of minutes that nobody took; then the oldest are forgotten."""
RUNS_MAX: Final = 1_000
"""Functions and minutes whose invocations are summed apart before they are figures."""
DATA_PER_CALL: Final = 200
IN_MILLISECONDS: Final = frozenset({"AsyncEventAge"})
"""Of those that are counted elsewhere."""

_Which = tuple[str, str, int]
"""The version, the ARN that was invoked, and the minute in which it ended."""

Written = tuple[LogGroup, Sequence[LogEvent] | LogRecord, int]


class MetricBook:
    """May be written by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._figures: dict[Metric, Figures] = {}
        self._runs: dict[_Which, _Runs] = {}
        """Invocations that are no figures yet: each is part of a dozen."""

    def written(self, batch: Sequence[Written]) -> None:
        """What the log store wrote; invocations that ended are among it.

        They are only summed here, by function and minute: this thread takes its time from callers.
        """
        ended: dict[_Which, list[End]] = {}
        for _, item, _ in batch:
            if isinstance(item, End):
                minute = item.now_ms // (1_000 * MINUTE)
                which = (item.form.function_arn, item.report.invoked_arn, minute)
                found = ended.get(which)
                if found is None:
                    ended[which] = [item]
                else:
                    found.append(item)
        if ended:
            with self._lock:
                for which, ends in ended.items():
                    runs = self._runs.get(which)
                    if runs is None:
                        runs = self._runs[which] = _Runs(ends[0])
                    runs.add(ends)
                if len(self._runs) > RUNS_MAX:
                    self._sum_up()

    def add(
        self, key: FunctionKey, invoked_arn: str, at: float, name: str, value: float = 1.0
    ) -> None:
        """A count that is no invocation's, such as `Throttles`."""
        with self._lock:
            figures = Figures.of({value: 1})
            self._add(key, (_resource(key, invoked_arn), ""), at, ((name, COUNT, figures),))
            self._make_room()

    def counted(self, statistics: Mapping[Fresh, Statistic]) -> None:
        """What was counted elsewhere, by minute."""
        with self._lock:
            for fresh, statistic in statistics.items():
                self._count(fresh, statistic)
            self._make_room()

    def take(self) -> dict[Metric, Figures]:
        """All figures so far; they are the caller's now."""
        with self._lock:
            self._sum_up()
            found, self._figures = self._figures, {}
        return found

    def give_back(self, figures: dict[Metric, Figures]) -> None:
        """They were not sent; for the next `take`."""
        with self._lock:
            figures.update(self._figures)
            self._figures = figures
            self._make_room()

    def _sum_up(self) -> None:
        """What was summed by function and minute is figures now."""
        ended, self._runs = self._runs, {}
        for runs in ended.values():
            self._ended(runs)
        self._make_room()

    def _ended(self, runs: "_Runs") -> None:
        form = runs.first.form
        parts = form.function_arn.split(":")
        key = FunctionKey(parts[4], parts[3], form.function_name)
        resource = _resource(key, runs.first.report.invoked_arn)
        count, errors = runs.durations.count, runs.errors
        figures = (
            ("Invocations", COUNT, Figures.of({1.0: count})),
            ("Errors", COUNT, Figures.of({0.0: count - errors, 1.0: errors})),
            ("Duration", MILLISECONDS, runs.durations),
        )
        self._add(key, (resource, form.version), runs.first.now_ms / 1_000, figures)

    def _count(self, fresh: Fresh, statistic: Statistic) -> None:
        key, qualifier, name, minute = fresh
        unit = MILLISECONDS if name in IN_MILLISECONDS else COUNT
        resource = key.name if qualifier is None else f"{key.name}:{qualifier}"
        for dims in dimensions(key.name, resource, ""):
            metric = Metric(key.account_id, key.region, minute, name, unit, dims)
            found = self._figures.setdefault(metric, Figures(values=None))
            found.merge(statistic)

    def _add(
        self,
        key: FunctionKey,
        ran: tuple[str, str],
        at: float,
        figures: Sequence[tuple[str, str, Figures]],
    ) -> None:
        minute = int(at) // MINUTE * MINUTE
        for dims in dimensions(key.name, *ran):
            for name, unit, some in figures:
                metric = Metric(key.account_id, key.region, minute, name, unit, dims)
                found = self._figures.get(metric)
                if found is None:
                    found = self._figures[metric] = Figures()
                found.absorb(some)

    def _make_room(self) -> None:
        while len(self._figures) > FIGURES_MAX:
            del self._figures[next(iter(self._figures))]


class _Runs:
    """Invocations of one version, invoked by one ARN, that ended in one minute."""

    def __init__(self, first: End) -> None:
        self.first = first
        self.errors = 0
        self.durations = Figures()

    def add(self, ends: Sequence[End]) -> None:
        reports = [end.report for end in ends]
        self.errors += sum(report.status is not Status.SUCCESS for report in reports)
        self.durations.add_all([round(report.duration_ms, 2) for report in reports])


def _resource(key: FunctionKey, invoked_arn: str) -> str:
    """The function's name, with the qualifier that was invoked."""
    return ":".join(invoked_arn.split(":")[6:]) or key.name


async def send(aws: Aws, figures: dict[Metric, Figures]) -> None:
    """Take out of `figures` what was sent; raises `AwsCallError`."""
    while figures:
        first = next(iter(figures))
        of = (first.account_id, first.region)
        some = [metric for metric in figures if metric[:2] == of][:DATA_PER_CALL]
        data: list[dict[str, Any]] = [datum(metric, figures[metric]) for metric in some]
        await aws.call("cloudwatch", *of, "PutMetricData", Namespace=NAMESPACE, MetricData=data)
        for metric in some:
            del figures[metric]
