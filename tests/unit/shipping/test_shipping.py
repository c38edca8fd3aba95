"""Logs and metrics on their way: what a call may hold, what is sent again, what is bounded."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lampyr.aws.base import AwsError, AwsUnreachableError
from lampyr.model.function import FunctionKey
from lampyr.observe.base import LogEvent, LogGroup
from lampyr.observe.memory import MemoryLogStore
from lampyr.observe.metrics import Counters
from lampyr.shipping import logs as shipped
from lampyr.shipping.logs import LogCopy
from lampyr.shipping.metrics import FIGURES_MAX, MetricBook, send
from lampyr.shipping.rules import (
    BATCH_BYTES_MAX,
    EVENT_BYTES,
    SPAN_MS_MAX,
    VALUES_MAX,
    Figures,
    Metric,
    batches,
    datum,
)
from lampyr.testing.aws import ScriptedAws
from lampyr.testing.clock import ManualClock
from lampyr.worker.environment_log import End
from lampyr.worker.report import LogForm, Report, Status

GROUP = LogGroup("1", "us-east-1", "/aws/lambda/f")
ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"
events = st.builds(
    LogEvent,
    st.integers(0, 3 * SPAN_MS_MAX),
    st.sampled_from("ab"),
    st.text(max_size=20) | st.just("x" * 200_000),
)


@given(st.lists(events, max_size=40))
def test_every_call_is_within_cloudwatchs_limits_and_no_line_is_lost(given: list[LogEvent]) -> None:
    sent = []
    for stream, batch in batches(given):
        times = [event["timestamp"] for event in batch]
        assert times == sorted(times)
        assert times[-1] - times[0] < SPAN_MS_MAX
        sizes = [len(event["message"].encode(errors="replace")) + EVENT_BYTES for event in batch]
        assert sum(sizes) <= BATCH_BYTES_MAX
        assert all(event["message"] for event in batch)
        sent += [(stream, event["timestamp"], event["message"]) for event in batch]
    wanted = [(event.stream, event.timestamp_ms, event.message or " ") for event in given]
    assert sorted(sent) == sorted(wanted)


def test_a_minute_of_many_different_values_is_sent_as_statistics() -> None:
    metric = Metric("1", "us-east-1", 60, "Duration", "Milliseconds", (("FunctionName", "f"),))
    figures = Figures()
    for value in (2.0, 1.0, 2.0):
        figures.add(value)
    found = datum(metric, figures)
    assert (found["Values"], found["Counts"]) == ([2.0, 1.0], [2, 1])
    for number in range(VALUES_MAX):
        figures.add(float(number + 10))
    statistics = datum(metric, figures)["StatisticValues"]
    assert (statistics["SampleCount"], statistics["Minimum"]) == (VALUES_MAX + 3, 1.0)
    assert statistics["Maximum"] == VALUES_MAX + 9.0


def test_figures_of_figures_are_those_of_all_their_values() -> None:
    for few in ([3.0, 1.0], [float(number) for number in range(2 * VALUES_MAX)]):
        alone, more, both = Figures(), Figures(), Figures()
        alone.add_all([2.0, 2.0])
        more.add_all(few)
        more.add_all([0.5])
        both.absorb(alone)
        both.absorb(more)
        assert (both.count, both.total) == (len(few) + 3, sum(few) + 4.5)
        assert (both.least, both.most) == (0.0 if 0.0 in few else 0.5, max(*few, 2.0))
        assert (both.values is None) == (len(few) > VALUES_MAX)
    assert Figures.of({1.0: 2, 0.0: 0}) == Figures(2, 2.0, 1.0, 1.0, {1.0: 2})


def test_a_minute_of_one_function_is_summed_over_batches() -> None:
    book = MetricBook()
    for _ in range(3):
        book.written([(GROUP, ended(), 1), (GROUP, ended(status=Status.ERROR), 1)])
    counts = {
        (metric.name, len(metric.dimensions)): figures.count
        for metric, figures in book.take().items()
    }
    assert counts["Invocations", 1] == counts["Errors", 1] == counts["Duration", 1] == 6
    assert not book.take()


def ended(alias: str = "", status: Status = Status.SUCCESS, at_ms: int = 61_000) -> End:
    form = LogForm(
        stream="s", function_name="f", function_arn=f"{ARN}:1", version="1", memory_mb=128
    )
    arn = f"{ARN}:{alias}" if alias else ARN
    report = Report(
        request_id="r", duration_ms=5.0, max_memory_mb=1, status=status, invoked_arn=arn
    )
    return End(form, at_ms, report, None)


async def test_an_invocation_is_counted_once_in_each_of_its_dimensions() -> None:
    book = MetricBook()
    book.written([(GROUP, ended("live", Status.TIMEOUT), 1), (GROUP, [], 1)])
    book.add(FunctionKey("123456789012", "us-east-1", "f"), ARN, 61.0, "Throttles")
    aws = ScriptedAws({"PutMetricData": {}})
    figures = book.take()
    await send(aws, figures)
    assert not figures
    call = aws.calls[0]
    assert (call.service, call.account_id, call.region) == (
        "cloudwatch",
        "123456789012",
        "us-east-1",
    )
    data = call.members["MetricData"]
    assert {each["Timestamp"] for each in data} == {60}
    errors = [each for each in data if each["MetricName"] == "Errors"]
    assert all(each["Values"] == [1.0] for each in errors)
    named = [{d["Name"]: d["Value"] for d in each["Dimensions"]} for each in errors]
    assert named == [
        {},
        {"FunctionName": "f"},
        {"FunctionName": "f", "Resource": "f:live"},
        {"FunctionName": "f", "Resource": "f:live", "ExecutedVersion": "1"},
    ]
    assert len([each for each in data if each["MetricName"] == "Throttles"]) == 3


async def test_figures_that_are_not_sent_wait_within_bounds() -> None:
    book = MetricBook()
    book.written([(GROUP, ended(at_ms=minute * 60_000), 1) for minute in range(FIGURES_MAX)])
    figures = book.take()
    assert len(figures) == FIGURES_MAX
    with pytest.raises(AwsUnreachableError):
        await send(ScriptedAws(), figures)
    book.give_back(figures)
    assert len(book.take()) == FIGURES_MAX


class CloudWatch:
    """Log groups and streams, as far as they are written to."""

    def __init__(self) -> None:
        self.streams: dict[tuple[str, str], list[str]] = {}
        self.groups: set[str] = set()
        self.aws = ScriptedAws(
            {
                "CreateLogGroup": self.create_group,
                "CreateLogStream": self.create_stream,
                "PutLogEvents": self.put,
                "DeleteLogStream": self.delete,
            }
        )

    def create_group(self, members: dict[str, Any]) -> dict[str, Any]:
        if members["logGroupName"] in self.groups:
            raise AwsError("ResourceAlreadyExistsException", "", status=400, operation="")
        self.groups.add(members["logGroupName"])
        return {}

    def create_stream(self, members: dict[str, Any]) -> dict[str, Any]:
        self.streams.setdefault((members["logGroupName"], members["logStreamName"]), [])
        return {}

    def put(self, members: dict[str, Any]) -> dict[str, Any]:
        place = (members["logGroupName"], members["logStreamName"])
        if place not in self.streams:
            raise AwsError("ResourceNotFoundException", "", status=400, operation="")
        self.streams[place] += [event["message"] for event in members["logEvents"]]
        return {}

    def delete(self, members: dict[str, Any]) -> dict[str, Any]:
        del self.streams[members["logGroupName"], members["logStreamName"]]
        return {}

    def lines(self, stream: str = "s") -> list[str]:
        return self.streams[GROUP.name, stream]


class Copying:
    def __init__(self, path: Path) -> None:
        self.there = CloudWatch()
        self.store = MemoryLogStore()
        self.file = path / "shipped.json"
        self.open()

    def open(self) -> None:
        self.copy = LogCopy(self.there.aws, self.store, ManualClock(), self.file)
        self.copy.load()

    async def log(self, *messages: str, stream: str = "s") -> None:
        self.store.append(GROUP, [LogEvent(1_800_000_000_000, stream, text) for text in messages])
        self.copy.dirty.add(GROUP)
        while await self.copy.send(bounded=True):
            pass


@pytest.fixture
def copying(tmp_path: Path) -> Copying:
    return Copying(tmp_path)


async def test_lines_are_copied_once_also_after_a_restart(copying: Copying) -> None:
    await copying.log("one", "two")
    await copying.log("three")
    copying.copy.save()
    copying.open()
    await copying.log("four")
    assert copying.there.lines() == ["one", "two", "three", "four"]


async def test_what_a_copy_lost_is_sent_again_from_where_it_had_saved(copying: Copying) -> None:
    await copying.log("one")
    copying.copy.save()
    copying.open()
    await copying.log("two")
    copying.there.streams.clear()  # It died, and came back with what it had saved: "one".
    copying.there.streams[GROUP.name, "s"] = ["one"]
    copying.copy.begin_anew()
    await copying.log("three")
    assert copying.there.lines() == ["one", "two", "three"]


async def test_a_group_that_somebody_deleted_is_made_again(copying: Copying) -> None:
    await copying.log("one")
    copying.there.streams.clear()
    copying.there.groups.clear()
    await copying.log("two")
    assert copying.there.lines() == ["two"]


async def test_the_embedded_copy_is_bounded(
    copying: Copying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "EMBEDDED_EVENTS_MAX", 3)
    await copying.log("a", "b", stream="old")
    await copying.log("c", "d", stream="new")
    assert set(copying.there.streams) == {(GROUP.name, "new")}
    await copying.log("e", stream="old")
    assert copying.there.lines("old") == ["e"]


async def test_what_was_not_taken_is_sent_later(copying: Copying) -> None:
    answer = copying.there.aws.answers.pop("PutLogEvents")
    with pytest.raises(AwsUnreachableError):
        await copying.log("one")
    copying.there.aws.answers["PutLogEvents"] = answer
    await copying.log("two")
    assert copying.there.lines() == ["one", "two"]


async def test_what_was_counted_elsewhere_is_sent_once_and_by_minute() -> None:
    clock, book, key = (
        ManualClock(1_700_000_040.0),
        MetricBook(),
        FunctionKey("1", "us-east-1", "f"),
    )
    counters = Counters(clock.now)
    for value in (5.0, 1.0):
        counters.record(key, "AsyncEventAge", value)
    await clock.advance(60)
    counters.record(key, "AsyncEventsDropped", qualifier="live")
    book.counted(counters.take())
    assert not counters.take()
    figures = book.take()
    minutes = {(m.name, m.unit, m.minute) for m in figures}
    assert minutes == {
        ("AsyncEventAge", "Milliseconds", 1_700_000_040),
        ("AsyncEventsDropped", "Count", 1_700_000_100),
    }
    of_function = (("FunctionName", "f"),)
    (age,) = [
        f for m, f in figures.items() if m[3:] == ("AsyncEventAge", "Milliseconds", of_function)
    ]
    assert (age.count, age.total, age.least, age.most, age.values) == (2, 6.0, 1.0, 5.0, None)
    resources = {dict(m.dimensions).get("Resource") for m in figures}
    assert resources == {None, "f", "f:live"}
