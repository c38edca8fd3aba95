import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from lampyr.errors import TooManyRequestsException
from lampyr.model.checkpoint import Position, ShardProgress, Start
from lampyr.sources.base import BatchRules, SourceError, Target
from lampyr.sources.stream_base import IteratorExpiredError, StreamRules
from lampyr.sources.stream_poller import StreamPoller
from lampyr.sources.stream_rules import STATE_BYTES_MAX, discard_record
from lampyr.testing.builders import a_key
from lampyr.testing.clock import ManualClock
from tests.unit.sources.fakes import (
    FakeCheckpoints,
    FakeDiscards,
    FakeFunction,
    FakeStream,
    failure,
)

RULES = StreamRules(
    id="m",
    target=Target(key=a_key(), qualifier=None),
    source_arn="arn:aws:kinesis:us-east-1:123456789012:stream/s",
    function_arn="arn:aws:lambda:us-east-1:123456789012:function:hello",
    batch=BatchRules(size=10),
    start=Start.TRIM_HORIZON,
)


class Bench:
    def __init__(self, *shards: str, **members: Any) -> None:
        self.clock = ManualClock()
        self.stream = FakeStream(self.clock, *(shards or ("s1",)))
        self.function = FakeFunction()
        self.checkpoints = FakeCheckpoints()
        self.discards = FakeDiscards()
        self.results: list[str] = []
        size = members.pop("size", 10)
        window = members.pop("batching_window", 0.0)
        batch = BatchRules(size=size, window_seconds=window)
        self.rules = replace(RULES, batch=batch, **members)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[StreamPoller]:
        poller = StreamPoller(
            rules=self.rules,
            stream=self.stream,
            caller=self.function,
            checkpoints=self.checkpoints,
            discards=self.discards,
            clock=self.clock,
            result=self.results.append,
        )
        task = asyncio.create_task(poller.run())
        try:
            yield poller
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                assert task.exception() is None

    async def let_time_pass(self, fact: Callable[[], bool], step: float = 0.1) -> None:
        for _ in range(10_000):
            if fact():
                return
            for _ in range(10):
                await asyncio.sleep(0)
            await self.clock.advance(step)
        raise AssertionError("it never came true")

    def after(self, shard: str = "s1") -> str | None:
        progress = self.checkpoints.shards.get(shard)
        return None if progress is None else progress.position.after


async def test_records_are_run_in_order_and_checkpointed() -> None:
    bench = Bench(size=2)
    bench.stream.put("s1", *"abc")
    async with bench.running():
        await bench.let_time_pass(lambda: bench.after() == "000003")
    assert bench.function.ids() == [["a", "b"], ["c"]]
    assert bench.results[-1] == "OK"


async def test_a_restart_goes_on_behind_the_last_checkpoint() -> None:
    bench = Bench()
    bench.stream.put("s1", "a", "b")
    async with bench.running():
        await bench.let_time_pass(lambda: bench.after() == "000002")
    bench.stream.put("s1", "c")
    async with bench.running():
        await bench.let_time_pass(lambda: bench.after() == "000003")
    assert bench.function.ids() == [["a", "b"], ["c"]]


async def test_what_was_not_done_when_it_stopped_runs_again() -> None:
    bench = Bench(size=1)
    bench.stream.put("s1", "a", "b")
    bench.function.answer = lambda event: failure() if event["Records"][0]["id"] == "b" else None
    async with bench.running():
        await bench.let_time_pass(lambda: bench.after() == "000001")
        await bench.let_time_pass(lambda: ["b"] in bench.function.ids())
    bench.function.answer = lambda _event: None
    async with bench.running():
        await bench.let_time_pass(lambda: bench.after() == "000002")
    assert bench.function.ids()[-1] == ["b"]


async def test_children_are_read_after_their_parents_and_from_their_beginning() -> None:
    bench = Bench(start=Start.LATEST, size=1)
    bench.stream.put("s1", "old")
    await bench.clock.advance(10)
    bench.function.gate.clear()
    async with bench.running():
        await bench.let_time_pass(lambda: "s1" in bench.checkpoints.shards)
        bench.stream.put("s1", "a", "b")
        bench.stream.split("s1", "s2", "s3")
        bench.stream.put("s2", "c")
        bench.stream.put("s3", "d")
        await bench.let_time_pass(lambda: bench.function.running == 1)
        assert {shard for shard, _ in bench.stream.iterators} == {"s1"}
        bench.function.gate.set()
        await bench.let_time_pass(lambda: len(bench.function.events) == 4)
        await bench.let_time_pass(lambda: None not in (bench.after("s2"), bench.after("s3")))
    assert bench.function.ids()[:2] == [["a"], ["b"]]
    assert sorted(bench.function.ids()[2:]) == [["c"], ["d"]]
    assert bench.checkpoints.shards["s1"].ended


async def test_latest_is_since_the_mapping_began_also_after_a_crash() -> None:
    bench = Bench(start=Start.LATEST)
    bench.stream.put("s1", "old")
    await bench.clock.advance(10)
    began = bench.clock.now()
    async with bench.running():
        await bench.let_time_pass(lambda: bool(bench.stream.iterators))
    _, position = bench.stream.iterators[0]
    assert (position.start, position.timestamp) == (Start.LATEST, began)
    await bench.clock.advance(10)
    bench.stream.put("s1", "new")
    # As a crash leaves it: nothing but what was saved at the beginning.
    bench.checkpoints.shards = {"s1": ShardProgress(position=position)}
    async with bench.running():
        await bench.let_time_pass(lambda: bench.after() == "000002")
    assert bench.function.ids() == [["new"]]


async def test_a_failing_batch_is_retried_and_then_given_up_with_its_position() -> None:
    bench = Bench(retries_max=2)
    bench.function.answer = lambda _event: failure()
    bench.stream.put("s1", "a", "b")
    async with bench.running():
        await bench.let_time_pass(lambda: bench.after() == "000002")
    assert bench.function.ids() == [["a", "b"]] * 3
    (discard,) = bench.discards.sent
    told = discard_record(discard, RULES.function_arn, bench.clock.now())
    assert told["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert told["requestContext"]["approximateInvokeCount"] == 3
    assert told["responseContext"]["functionError"] == "Unhandled"
    assert told["KinesisBatchInfo"]["startSequenceNumber"] == "000001"
    assert told["KinesisBatchInfo"]["endSequenceNumber"] == "000002"
    assert told["KinesisBatchInfo"]["batchSize"] == 2
    assert "PROBLEM: Function call failed" in bench.results


async def test_bisecting_finds_the_one_bad_record() -> None:
    bench = Bench(bisect=True, retries_max=1)
    bench.function.answer = lambda event: (
        failure() if any(record["id"] == "f" for record in event["Records"]) else None
    )
    bench.stream.put("s1", *"abcdefgh")
    async with bench.running():
        await bench.let_time_pass(lambda: bench.after() == "000008")
    (discard,) = bench.discards.sent
    assert [json.loads(record.text)["id"] for record in discard.records] == ["f"]
    assert discard.attempts == 2
    succeeded = [ids for ids in bench.function.ids() if "f" not in ids]
    assert [name for ids in succeeded for name in ids] == list("abcdegh")


async def test_a_reported_item_is_where_it_goes_on() -> None:
    bench = Bench(partial=True)
    reports = iter([{"batchItemFailures": [{"itemIdentifier": "000003"}]}, None])
    bench.function.answer = lambda _event: next(reports)
    bench.stream.put("s1", *"abcd")
    async with bench.running():
        await bench.let_time_pass(lambda: bench.after() == "000004")
    assert bench.function.ids() == [["a", "b", "c", "d"], ["c", "d"]]


async def test_records_that_are_too_old_are_given_up_without_a_call() -> None:
    bench = Bench(age_max_seconds=60)
    bench.stream.put("s1", "old")
    await bench.clock.advance(61)
    bench.stream.put("s1", "new")
    async with bench.running():
        await bench.let_time_pass(lambda: bench.after() == "000002")
    assert bench.function.ids() == [["new"]]
    (discard,) = bench.discards.sent
    assert discard.condition == "RecordAgeExceeded"
    told = discard_record(discard, "arn:of:f", 0.0)
    assert told["requestContext"]["approximateInvokeCount"] == 1
    assert "responseContext" not in told
    assert len(discard.records) == 1


async def test_throttles_use_up_no_retries() -> None:
    bench = Bench(retries_max=0)
    refusals = iter([TooManyRequestsException("Rate Exceeded.")] * 5)
    bench.function.answer = lambda _event: next(refusals, None)
    bench.stream.put("s1", "a")
    async with bench.running():
        await bench.let_time_pass(lambda: bench.after() == "000001")
    assert len(bench.function.events) == 6
    assert bench.discards.sent == []


async def test_lanes_run_partitions_side_by_side_each_in_order() -> None:
    bench = Bench(size=1, factor=4)
    order: dict[str, list[str]] = {}

    def answer(event: Any) -> None:
        (record,) = event["Records"]
        order.setdefault(record["partition"], []).append(record["id"])

    bench.function.answer = answer
    for number in range(40):
        bench.stream.put("s1", f"{number:02d}", partition=f"p{number % 10}")
    async with bench.running():
        await bench.let_time_pass(lambda: bench.after() == "000040")
    assert 1 < bench.function.most_running <= 4
    assert all(ids == sorted(ids) for ids in order.values())
    assert sum(map(len, order.values())) == 40


async def test_a_checkpoint_never_passes_a_record_that_is_not_done() -> None:
    bench = Bench(size=1, factor=10)
    bench.function.answer = lambda event: failure() if event["Records"][0]["id"] == "bad" else None
    bench.stream.put("s1", "a", partition="x")
    bench.stream.put("s1", "bad", partition="bad")
    bench.stream.put("s1", *(str(n) for n in range(20)), partition="y")
    async with bench.running():
        await bench.let_time_pass(lambda: len(bench.function.events) > 30)
        assert bench.after() == "000001"
    assert bench.after() == "000001"


async def test_what_the_filter_drops_is_passed_over() -> None:
    bench = Bench(matches=lambda view: view["id"] != "b")
    bench.stream.put("s1", *"abc")
    async with bench.running():
        await bench.let_time_pass(lambda: bench.after() == "000003")
    assert bench.function.ids() == [["a", "c"]]


async def test_a_batching_window_gathers() -> None:
    bench = Bench(size=100, batching_window=5.0)
    bench.stream.put("s1", "a")
    async with bench.running():
        await bench.let_time_pass(lambda: bool(bench.stream.iterators))
        bench.stream.put("s1", "b")
        await bench.let_time_pass(lambda: bench.after() == "000002")
    assert bench.function.ids() == [["a", "b"]]


async def test_a_tumbling_window_carries_its_state_and_is_closed() -> None:
    bench = Bench(size=2, window_seconds=30)
    bench.function.answer = counting
    bench.stream.put("s1", *"abc")
    async with bench.running():
        await bench.let_time_pass(lambda: len(bench.function.events) >= 3, step=1.0)
        await bench.clock.advance(60)
        bench.stream.put("s1", "d")
        await bench.let_time_pass(lambda: len(bench.function.events) >= 4, step=1.0)
    states = [event["state"] for event in bench.function.events]
    finals = [event["isFinalInvokeForWindow"] for event in bench.function.events]
    assert states[:3] == [{}, {"n": 2}, {"n": 3}]
    assert finals[:4] == [False, False, True, False]
    assert bench.function.events[3]["state"] == {}
    window = bench.function.events[0]["window"]
    assert window["start"].endswith("Z")
    assert window["start"] < window["end"]
    assert bench.function.events[0]["shardId"] == "s1"


def counting(event: Any) -> Any:
    """A function that counts its window's records."""
    return {"state": {"n": event["state"].get("n", 0) + len(event["Records"])}}


async def test_an_open_window_and_its_state_survive_a_restart() -> None:
    bench = Bench(size=2, window_seconds=900)
    bench.function.answer = counting
    bench.stream.put("s1", "a", "b")
    async with bench.running():
        await bench.let_time_pass(lambda: bench.after() == "000002")
    bench.stream.put("s1", "c")
    async with bench.running():
        await bench.let_time_pass(lambda: bench.after() == "000003")
        await bench.clock.advance(1_800)
        await bench.let_time_pass(lambda: bench.function.events[-1]["isFinalInvokeForWindow"])
    async with bench.running():
        bench.stream.put("s1", "d")
        await bench.let_time_pass(lambda: bench.after() == "000004")
    states = [event["state"] for event in bench.function.events]
    assert bench.function.ids() == [["a", "b"], ["c"], [], ["d"]]
    assert states == [{}, {"n": 2}, {"n": 3}, {}]


async def test_a_window_whose_state_is_too_large_ends_early() -> None:
    bench = Bench(size=1, window_seconds=900)
    bench.function.answer = lambda event: {
        "state": {"all": "x" * (STATE_BYTES_MAX if event["Records"][0]["id"] == "b" else 1)}
        if event["Records"]
        else {}
    }
    bench.stream.put("s1", *"abc")
    async with bench.running():
        await bench.let_time_pass(lambda: bench.after() == "000003")
    told = [
        (event["isFinalInvokeForWindow"], event["isWindowTerminatedEarly"])
        for event in bench.function.events
    ]
    assert bench.function.ids() == [["a"], ["b"], [], ["c"]]
    assert told == [(False, False), (False, False), (True, True), (False, False)]
    assert len(bench.function.events[2]["state"]["all"]) == STATE_BYTES_MAX
    assert bench.function.events[3]["state"] == {}


@pytest.mark.parametrize("answer", [None, "text", {"batchItemFailures": []}])
async def test_an_answer_without_a_state_is_a_failure_and_the_window_keeps_its_own(
    answer: Any,
) -> None:
    bench = Bench(size=1, window_seconds=900, retries_max=1)
    bench.function.answer = lambda event: (
        answer if event["Records"][0]["id"] == "bad" else counting(event)
    )
    bench.stream.put("s1", "a", "bad", "b")
    async with bench.running():
        await bench.let_time_pass(lambda: bench.after() == "000003")
    assert bench.function.ids() == [["a"], ["bad"], ["bad"], ["b"]]
    assert bench.function.events[3]["state"] == {"n": 1}
    assert [discard.condition for discard in bench.discards.sent] == ["RetryAttemptsExhausted"]


async def test_halves_of_a_batch_hand_on_their_window() -> None:
    bench = Bench(size=2, window_seconds=900, bisect=True)
    bench.function.answer = lambda event: (
        failure() if len(event["Records"]) == 2 else counting(event)
    )
    bench.stream.put("s1", "a", "b")
    async with bench.running():
        await bench.let_time_pass(lambda: bench.after() == "000002")
    assert [event["state"] for event in bench.function.events] == [{}, {}, {"n": 1}]


async def test_a_stream_that_cannot_be_read_is_tried_again_and_an_old_iterator_is_renewed() -> None:
    bench = Bench()
    bench.stream.errors = [SourceError("no such stream"), SourceError("still none")]
    bench.stream.put("s1", "a")
    async with bench.running():
        await bench.let_time_pass(lambda: bench.after() == "000001")
        bench.stream.errors = [IteratorExpiredError("old"), SourceError("a hiccup")]
        bench.stream.put("s1", "b")
        await bench.let_time_pass(lambda: bench.after() == "000002")
    assert bench.results[0] == "PROBLEM: no such stream"
    assert bench.function.ids() == [["a"], ["b"]]
    assert bench.stream.iterators[-1] == ("s1", Position(after="000001"))


async def test_a_shard_that_is_gone_is_forgotten() -> None:
    bench = Bench("s1", "s2")
    bench.checkpoints.shards = {"s0": ShardProgress(position=Position(after="000000"), ended=True)}
    async with bench.running():
        await bench.let_time_pass(lambda: set(bench.checkpoints.shards) == {"s1", "s2"})


@pytest.mark.parametrize("ended", [True, False])
async def test_a_shard_that_has_ended_is_not_read_again(ended: bool) -> None:
    bench = Bench("s1", "s2")
    bench.stream.put("s1", "a")
    done = ShardProgress(position=Position(after=None), ended=ended)
    bench.checkpoints.shards = {"s1": done, "s2": ShardProgress(position=Position())}
    bench.stream.put("s2", "b")
    async with bench.running():
        await bench.let_time_pass(lambda: bench.after("s2") == "000002")
        await bench.let_time_pass(lambda: ended or bench.after("s1") == "000001")
    assert (["a"] in bench.function.ids()) is not ended
