"""Rules and schedules that are due: EventBridge's and EventBridge Scheduler's, on time.

ministack looks every ten seconds, knows no time zones, and runs a one-time schedule again after a
restart. So its two tickers are replaced by this one, which sleeps until the next occasion. Targets
are ministack's to reach, as for any other event.
"""

import inspect
import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from lampyr.neighbours.child.occasions import Schedule, filled_in, is_one_time, next_occasion
from lampyr.neighbours.child.seams import SeamError

log = logging.getLogger("lampyr.schedules")

LOOK_SECONDS: Final = 0.2
"""How soon a new or changed schedule is seen; none of them is due sooner after its creation."""
THREADS: Final = 16
LATE_SECONDS: Final = 60.0
"""A recurring occasion that was missed by more, as when the machine slept, is left out."""
RELIED_ON: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "eventbridge": {
        "_cron_next_fire": ("fields", "after_dt"),
        "_invoke_target": ("target", "event", "rule", "view"),
        "_parse_cron_fields": ("expr",),
        "start_scheduler": (),
    },
    "scheduler": {"start_scheduler": ()},
}
Key = tuple[str, str, str, str]
"""`rule` or `schedule`, the account, the Region, the name."""


@dataclass(frozen=True, kw_only=True)
class _Entry:
    key: Key
    schedule: Schedule
    record: Any


class Schedules:
    def __init__(self, eventbridge: Any, scheduler: Any, responses: Any, done: Path) -> None:
        """`done`: the file that remembers one-time schedules that have run."""
        self._eventbridge = eventbridge
        self._scheduler = scheduler
        self._responses = responses
        self._done_file = done
        self._done: set[str] = set()
        self._due: dict[Key, tuple[Schedule, float | None]] = {}
        self._since = time.time()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="schedules")
        self._started = False

    def check(self) -> None:
        """Raise `SeamError` for what is not as it was in the version that is pinned."""
        wrong = []
        for module, names in RELIED_ON.items():
            found = {"eventbridge": self._eventbridge, "scheduler": self._scheduler}[module]
            for name, parameters in names.items():
                function = getattr(found, name, None)
                has = tuple(inspect.signature(function).parameters) if function else None
                if has != parameters:
                    wrong.append(f"{module}.{name} takes {has}, not {parameters}")
        stores = (self._eventbridge, "_rules"), (self._eventbridge, "_targets")
        for module, name in (*stores, (self._scheduler, "_schedules")):
            if not isinstance(getattr(getattr(module, name, None), "_data", None), dict):
                wrong.append(f"{name} holds its data in another way")
        if wrong:
            raise SeamError("; ".join(wrong))

    def install(self) -> None:
        self._eventbridge.start_scheduler = self.start
        self._scheduler.start_scheduler = self.start

    def start(self) -> None:
        """Called when what was saved is loaded; by both of ministack's services."""
        if self._started:
            return
        self._started = True
        if self._done_file.exists():
            self._done = set(self._done_file.read_text().splitlines())
        threading.Thread(target=self._run, daemon=True, name="schedules").start()

    def _run(self) -> None:
        while True:
            try:
                wait = self._turn(time.time())
            except Exception:  # One bad record must not end all schedules.
                log.exception("schedules failed")
                wait = LOOK_SECONDS
            threading.Event().wait(wait)

    def _turn(self, now: float) -> float:
        """Start what is due; how long there is nothing to do."""
        seen = {}
        soonest = now + LOOK_SECONDS
        for entry in (*self._rules(), *self._schedules()):
            due = self._next(entry)
            if due is not None and due <= now:
                self._fire(entry, due, now)
                one_time = is_one_time(entry.schedule.expression)
                due = None if one_time else self._after(entry.schedule, max(due, now))
            seen[entry.key] = (entry.schedule, due)
            if due is not None:
                soonest = min(soonest, due)
        self._due = seen
        return max(soonest - time.time(), 0.0)

    def _next(self, entry: _Entry) -> float | None:
        known = self._due.get(entry.key)
        if known is not None and known[0] == entry.schedule:
            return known[1]
        if is_one_time(entry.schedule.expression) and _mark(entry) in self._done:
            return None
        return self._after(entry.schedule, max(entry.schedule.created, self._since))

    def _after(self, schedule: Schedule, after: float) -> float | None:
        return next_occasion(schedule, after, self._cron)

    def _cron(self, expression: str, local: datetime) -> datetime | None:
        fields = self._eventbridge._parse_cron_fields(expression)  # noqa: SLF001
        if fields is None:
            return None
        found: datetime | None = self._eventbridge._cron_next_fire(fields, local)  # noqa: SLF001
        return found

    def _rules(self) -> Iterator[_Entry]:
        for (account, region, name), rule in list(self._eventbridge._rules._data.items()):  # noqa: SLF001
            expression = rule.get("ScheduleExpression")
            if expression and rule.get("State") == "ENABLED":
                created = float(rule.get("CreationTime") or 0)
                schedule = Schedule(expression=expression, created=created)
                yield _Entry(
                    key=("rule", account, region, str(name)), schedule=schedule, record=rule
                )

    def _schedules(self) -> Iterator[_Entry]:
        for (account, region, name), found in list(self._scheduler._schedules._data.items()):  # noqa: SLF001
            if found.get("State") == "ENABLED":
                schedule = Schedule(
                    expression=found.get("ScheduleExpression", ""),
                    created=float(found.get("CreationDate") or 0),
                    timezone=found.get("ScheduleExpressionTimezone") or "UTC",
                    start=_moment(found.get("StartDate")),
                    end=_moment(found.get("EndDate")),
                )
                key = ("schedule", account, region, str(name))
                yield _Entry(key=key, schedule=schedule, record=found)

    def _fire(self, entry: _Entry, due: float, now: float) -> None:
        one_time = is_one_time(entry.schedule.expression)
        if one_time:
            # Noted first: after a crash in between it has not run, rather than twice.
            self._done.add(_mark(entry))
            with self._done_file.open("a") as file:
                file.write(f"{_mark(entry)}\n")
        elif now - due > LATE_SECONDS:
            return
        kind, account, region, name = entry.key
        if one_time and entry.record.get("ActionAfterCompletion") == "DELETE":
            self._scheduler._schedules._data.pop((account, region, name), None)  # noqa: SLF001
        invoke = self._invoke_rule if kind == "rule" else self._invoke_schedule
        self._threads.submit(copy_context().run, self._scoped, account, region, invoke, entry, due)

    def _scoped(
        self,
        account: str,
        region: str,
        invoke: "Callable[[_Entry, float], None]",
        entry: _Entry,
        due: float,
    ) -> None:
        self._responses.set_request_account_id(account)
        self._responses.set_request_region(region)
        try:
            invoke(entry, due)
        except Exception:  # As for any of its events: one target fails.
            log.exception("schedule %s failed", entry.key[3])

    def _invoke_rule(self, entry: _Entry, due: float) -> None:
        rule = entry.record
        _, account, region, name = entry.key
        event = {
            "EventId": str(uuid.uuid4()),
            "Source": "aws.events",
            "DetailType": "Scheduled Event",
            "Detail": "{}",
            "EventBusName": rule.get("EventBusName", "default"),
            "Time": due,
            "Resources": [rule.get("Arn", "")],
            "Account": account,
            "Region": region,
        }
        targets = self._eventbridge._targets._data.get((account, region, name), ())  # noqa: SLF001
        for target in tuple(targets):
            self._eventbridge._invoke_target(target, event, rule)  # noqa: SLF001

    def _invoke_schedule(self, entry: _Entry, due: float) -> None:
        found = entry.record
        _, account, region, _ = entry.key
        execution, arn = str(uuid.uuid4()), found.get("Arn", "")
        moment = datetime.fromtimestamp(due, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        default = {
            "version": "0",
            "id": execution,
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": account,
            "time": moment,
            "region": region,
            "resources": [arn],
            "detail": "{}",
        }
        names = {"schedule-arn": arn, "scheduled-time": moment, "execution-id": execution}
        target = dict(found.get("Target") or {})
        given = target.get("Input") or json.dumps(default)
        target["Input"] = filled_in(given, {**names, "attempt-number": 1})
        event = {"Source": "aws.scheduler", "Time": due, "Account": account, "Region": region}
        self._eventbridge._invoke_target(target, event, found)  # noqa: SLF001


def _mark(entry: _Entry) -> str:
    return json.dumps([*entry.key, entry.schedule.created, entry.schedule.expression])


def _moment(value: Any) -> float | None:
    if value is None or isinstance(value, int | float):
        return value
    return datetime.fromisoformat(str(value)).timestamp()
