"""When a schedule is due next: a decision, from its expression and two moments.

Moments are seconds since the epoch. `cron` finds the next minute of a parsed `cron(…)` after a
local time; it is ministack's, which knows L, W and #.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

NextMinute = Callable[[str, datetime], datetime | None]
"""A `cron(…)` expression and a local time to the next time that it names; None: never, or wrong."""
_AT: Final = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_RATE: Final = re.compile(r"rate\((\d+) (second|minute|hour|day)s?\)")
_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
_GAPS_MAX: Final = 4
"""Local times that do not exist, passed over one after the other."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What of a rule or schedule says when it is due."""

    expression: str
    created: float
    timezone: str = "UTC"
    start: float | None = None
    end: float | None = None


def next_occasion(schedule: Schedule, after: float, cron: NextMinute) -> float | None:
    """The first moment after `after`; None when there is none.

    A one-time schedule's moment does not depend on `after`: who is late runs it late.
    """
    zone = _zone(schedule.timezone)
    if zone is None:
        return None
    expression = schedule.expression.strip()
    if (found := _AT.fullmatch(expression)) is not None:
        return datetime.fromisoformat(found[1]).replace(tzinfo=zone).timestamp()
    if schedule.start is not None:
        after = max(after, math.nextafter(schedule.start, 0))
    if (found := _RATE.fullmatch(expression)) is not None:
        moment = _rate(int(found[1]) * _SECONDS[found[2]], schedule, after)
    else:
        moment = _cron(expression, zone, after, cron)
    if moment is None or (schedule.end is not None and moment > schedule.end):
        return None
    return moment


def is_one_time(expression: str) -> bool:
    return _AT.fullmatch(expression.strip()) is not None


def _rate(seconds: int, schedule: Schedule, after: float) -> float | None:
    """Counted from the creation, or from the start, which is itself an occasion."""
    if seconds <= 0:
        return None
    if schedule.start is not None and schedule.start > schedule.created:
        first = schedule.start
    else:
        first = schedule.created + seconds
    if after < first:
        return first
    return first + (math.floor((after - first) / seconds) + 1) * seconds


def _cron(expression: str, zone: tzinfo, after: float, cron: NextMinute) -> float | None:
    local = datetime.fromtimestamp(after, zone)
    for _ in range(_GAPS_MAX):
        found = cron(expression, local)
        if found is None:
            return None
        moment = found.timestamp()
        # A time that the clock skips in spring does not exist: neither does the occasion.
        if datetime.fromtimestamp(moment, zone).replace(fold=0) == found.replace(fold=0):
            return moment
        local = found
    return None


def _zone(name: str) -> tzinfo | None:
    if name in {"", "UTC"}:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return None


def filled_in(text: str, values: dict[str, Any]) -> str:
    """An input with `<aws.scheduler.scheduled-time>` and its like replaced.

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
    """
    for name, value in values.items():
        text = text.replace(f"<aws.scheduler.{name}>", str(value))
    return text
