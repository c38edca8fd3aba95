"""When schedules are due, and what is done then: on time, once, and never twice."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lampyr.neighbours.child.occasions import Schedule, filled_in, next_occasion
from lampyr.neighbours.child.schedules import Schedules
from lampyr.neighbours.child.seams import SeamError

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp()


def daily(expression: str, local: datetime) -> datetime | None:
    """A stand-in for ministack's cron: `cron(M H …)` every day."""
    minute, hour = (int(each) for each in expression[5:-1].split()[:2])
    found = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return found if found > local else found + timedelta(days=1)


def due(expression: str, after: float, **more: Any) -> float | None:
    schedule = Schedule(expression=expression, **{"created": NOON, **more})
    return next_occasion(schedule, after, daily)


@pytest.mark.parametrize(
    ("expression", "after", "more", "expected"),
    [
        ("rate(1 minute)", 0, {}, 60),
        ("rate(1 minute)", 60, {}, 120),
        ("rate(5 minutes)", 301.5, {}, 600),
        ("rate(1 hour)", 0, {"start": NOON + 10}, 10),
        ("rate(1 hour)", 10, {"start": NOON + 10}, 3_610),
        ("rate(1 hour)", 0, {"start": NOON - 99}, 3_600),
        ("rate(1 hour)", 0, {"end": NOON + 3_599}, None),
        ("rate(0 minutes)", 0, {}, None),
        ("at(2026-11-29T12:00:30)", 99, {}, 30),
        ("at(2026-11-29T13:00:30)", 0, {"timezone": "Europe/Berlin"}, 30),
        ("cron(30 12 * * ? *)", 0, {}, 1_800),
        ("cron(30 13 * * ? *)", 0, {"timezone": "Europe/Berlin"}, 1_800),
        ("cron(30 13 * * ? *)", 0, {"timezone": "Nowhere/Else"}, None),
        ("sometimes", 0, {}, None),
    ],
)
def test_the_next_occasion(
    expression: str, after: float, more: dict[str, Any], expected: float | None
) -> None:
    if expression == "sometimes":
        assert next_occasion(Schedule(expression=expression, created=0), 0, lambda *_: None) is None
    else:
        found = due(expression, NOON + after, **more)
        assert found == (None if expected is None else NOON + expected)


def test_a_time_that_the_clock_skips_is_left_out_and_one_that_comes_twice_is_taken_once() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    before = datetime(2026, 3, 28, 12, tzinfo=berlin).timestamp()
    found = due("cron(30 2 * * ? *)", before, timezone="Europe/Berlin", created=0)
    assert found == datetime(2026, 3, 30, 2, 30, tzinfo=berlin).timestamp()
    autumn = datetime(2026, 10, 25, 0, tzinfo=berlin).timestamp()
    first = due("cron(30 2 * * ? *)", autumn, timezone="Europe/Berlin", created=0)
    assert first is not None
    second = due("cron(30 2 * * ? *)", first, timezone="Europe/Berlin", created=0)
    assert second == datetime(2026, 10, 26, 2, 30, tzinfo=berlin).timestamp()


@given(st.integers(1, 500), st.floats(0, 10**7))
def test_a_rate_never_skips_and_never_repeats(minutes: int, after: float) -> None:
    found = due(f"rate({minutes} minutes)", NOON + after)
    assert found is not None
    assert NOON + after < found <= NOON + max(after, 0) + minutes * 60
    assert (found - NOON) % (minutes * 60) == 0


def test_an_input_is_filled_in() -> None:
    assert filled_in('{"a":"<aws.scheduler.x>"}<x>', {"x": 1}) == '{"a":"1"}<x>'


class World:
    """ministack's two modules, as far as they are relied on."""

    def __init__(self, done: Path) -> None:
        self.rules: dict[Any, Any] = {}
        self.schedules: dict[Any, Any] = {}
        self.invoked: list[tuple[Any, Any]] = []
        self.done = done
        self.start()

    def start(self) -> None:
        def invoke(target: Any, event: Any, rule: Any, view: Any = None) -> None:
            self.invoked.append((target, event))

        def no_cron(expr: str) -> None: ...

        def no_fire(fields: Any, after_dt: Any) -> None: ...

        key = ("0", "us-east-1", "default|every")
        eventbridge = SimpleNamespace(
            _rules=SimpleNamespace(_data=self.rules),
            _targets=SimpleNamespace(_data={key: [{"Arn": "a"}, {"Arn": "b"}]}),
            _invoke_target=invoke,
            _parse_cron_fields=no_cron,
            _cron_next_fire=no_fire,
            start_scheduler=lambda: None,
        )
        scheduler = SimpleNamespace(
            _schedules=SimpleNamespace(_data=self.schedules), start_scheduler=lambda: None
        )
        scopes = SimpleNamespace(
            set_request_account_id=lambda _: None, set_request_region=lambda _: None
        )
        self.subject = Schedules(eventbridge, scheduler, scopes, self.done)
        self.subject._since = NOON
        if self.done.exists():
            self.subject._done = set(self.done.read_text().splitlines())

    def turn(self, seconds: float) -> list[Any]:
        """What is invoked at that many seconds after noon."""
        before = len(self.invoked)
        self.subject._turn(NOON + seconds)
        self.subject._threads.shutdown()
        self.subject._threads = type(self.subject._threads)(1)
        return self.invoked[before:]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "done")
    yield made
    made.subject._threads.shutdown()


def test_a_rule_reaches_each_of_its_targets_when_it_is_due_and_not_while_disabled(
    world: World,
) -> None:
    rule = {
        "ScheduleExpression": "rate(1 minute)",
        "State": "ENABLED",
        "CreationTime": NOON,
        "Arn": "r",
    }
    world.rules["0", "us-east-1", "default|every"] = rule
    assert world.turn(59.9) == []
    fired = world.turn(60.0)
    assert [target["Arn"] for target, _ in fired] == ["a", "b"]
    assert (fired[0][1]["Source"], fired[0][1]["Time"]) == ("aws.events", NOON + 60)
    assert world.turn(61) == []
    rule["State"] = "DISABLED"
    assert world.turn(121) == []
    rule["State"] = "ENABLED"
    # Occasions that passed meanwhile are not made up for.
    assert world.turn(170) == []
    assert len(world.turn(180)) == 2


def test_a_one_time_schedule_runs_once_whatever_happens(world: World) -> None:
    once = {
        "ScheduleExpression": "at(2026-11-29T12:01:00)",
        "State": "ENABLED",
        "CreationDate": NOON,
        "Arn": "s",
        "Target": {"Arn": "t"},
    }
    world.schedules["0", "us-east-1", "default/once"] = once
    assert world.turn(59) == []
    fired = world.turn(300)
    assert len(fired) == 1
    payload = json.loads(fired[0][0]["Input"])
    assert (payload["time"], payload["detail"]) == ("2026-11-29T12:01:00Z", "{}")
    assert world.turn(301) == []
    world.start()  # As after a restart.
    assert world.turn(302) == []
    once["ScheduleExpression"] = "at(2026-11-29T12:10:00)"
    assert len(world.turn(600)) == 1


def test_another_ministack_is_refused(world: World) -> None:
    world.subject.check()
    world.subject._eventbridge._invoke_target = lambda target: None
    del world.subject._scheduler.start_scheduler
    with pytest.raises(SeamError, match=r"_invoke_target takes .* scheduler.start_scheduler takes"):
        world.subject.check()
