import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from lampyr.errors import ResourceNotFoundException, TooManyRequestsException
from lampyr.sources.base import BatchRules, SourceError, Subscription, Target
from lampyr.sources.queue_poller import QueuePoller
from lampyr.testing.builders import a_key
from lampyr.testing.clock import ManualClock
from tests.unit.sources.fakes import FakeFunction, FakeQueue, failure

TARGET = Target(key=a_key(), qualifier=None)


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not fact():
            await asyncio.sleep(0)


class Bench:
    def __init__(self, **members: Any) -> None:
        self.clock = ManualClock()
        self.queue = FakeQueue(self.clock)
        self.function = FakeFunction()
        self.results: list[str] = []
        batch = BatchRules(
            size=members.pop("size", 10),
            window_seconds=members.pop("window_seconds", 0.0),
            bytes_max=members.pop("bytes_max", 6_000_000),
        )
        subscription = Subscription(id="m", target=TARGET, batch=batch, **members)
        self.poller = QueuePoller(
            subscription, self.queue, self.function, self.clock, result=self.results.append
        )

    async def let_time_pass(self, fact: Callable[[], bool]) -> None:
        for _ in range(10_000):
            if fact():
                return
            await asyncio.sleep(0)
            await self.clock.advance(0.1)
        raise AssertionError("it never came true")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.poller.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_messages_are_run_in_batches_and_removed() -> None:
    bench = Bench(size=3)
    bench.queue.put(*"abcde")
    async with bench.running():
        await until(lambda: sorted(bench.queue.removed) == list("abcde"))
    assert bench.function.ids() == [["a", "b", "c"], ["d", "e"]]
    assert bench.results[-1] == "OK"


async def test_a_failed_batch_stays_in_the_queue() -> None:
    bench = Bench()
    bench.function.answer = lambda _event: failure()
    bench.queue.put("a", "b")
    async with bench.running():
        await until(lambda: bench.queue.returned == ["a", "b"])
    assert bench.queue.removed == []
    assert bench.results == ["PROBLEM: Function call failed"]


@pytest.mark.parametrize("partial", [True, False])
async def test_reported_items_stay_and_the_others_go_when_the_mapping_asks_for_it(
    partial: bool,
) -> None:
    bench = Bench(partial=partial)
    bench.function.answer = lambda _event: {"batchItemFailures": [{"itemIdentifier": "b"}]}
    bench.queue.put(*"abc")
    async with bench.running():
        await until(lambda: "c" in bench.queue.removed)
    assert bench.queue.removed == (["a", "c"] if partial else ["a", "b", "c"])
    assert bench.queue.returned == (["b"] if partial else [])


async def test_a_batching_window_waits_for_more_and_not_longer() -> None:
    bench = Bench(size=100, window_seconds=5.0)
    bench.queue.put("a")
    async with bench.running():
        await until(lambda: bench.queue.taken == ["a"] and bench.queue.receives >= 2)
        bench.queue.put("b")
        await until(lambda: bench.queue.taken == ["a", "b"] and bench.queue.receives >= 3)
        begun = bench.clock.now()
        await bench.let_time_pass(lambda: bench.queue.removed == ["a", "b"])
        assert 5.0 <= bench.clock.now() - begun < 6.0
    assert bench.function.ids() == [["a", "b"]]


async def test_a_batch_larger_than_a_receive_is_gathered_and_cut_at_the_size_of_an_event() -> None:
    bench = Bench(size=25, window_seconds=1.0, bytes_max=200)
    names = [f"{n:02d}" for n in range(25)]
    bench.queue.put(*names)
    async with bench.running():
        await bench.let_time_pass(lambda: len(bench.queue.removed) == 25)
    assert sorted(name for event in bench.function.ids() for name in event) == names
    assert len(bench.function.events) > 1


async def test_what_the_filter_drops_is_removed_and_not_run() -> None:
    bench = Bench(matches=lambda record: record["body"] != "b")
    bench.queue.put(*"abc")
    async with bench.running():
        await until(lambda: sorted(bench.queue.removed) == list("abc"))
    assert bench.function.ids() == [["a", "c"]]


async def test_an_idle_queue_has_one_long_poll() -> None:
    bench = Bench()
    async with bench.running():
        await until(lambda: bench.queue.receives == 1)
        bench.queue.put("a")
        await until(lambda: bench.queue.removed == ["a"])
        for _ in range(20):
            await asyncio.sleep(0)
        before = bench.queue.receives
        for _ in range(50):
            await asyncio.sleep(0)
        assert bench.queue.receives == before <= 3


@pytest.mark.parametrize(("concurrency_max", "most"), [(None, 5), (2, 2), (3, 3)])
async def test_a_backlog_is_run_by_as_many_lanes_as_are_allowed(
    concurrency_max: int | None, most: int
) -> None:
    bench = Bench(size=1, concurrency_max=concurrency_max)
    bench.function.gate.clear()
    bench.queue.put(*(str(n) for n in range(40)))
    async with bench.running():
        await until(lambda: bench.function.running == most)
        for _ in range(50):
            await asyncio.sleep(0)
        assert bench.function.running == most
        bench.function.gate.set()
        await until(lambda: len(bench.queue.removed) == 40)
    assert bench.function.most_running == most
    assert len(bench.function.events) == 40


async def test_a_message_alone_is_run_at_once_and_in_a_backlog_the_queue_is_asked_first() -> None:
    bench = Bench(size=1)
    order: list[str] = []
    receive, call = bench.queue.receive, bench.function.call

    async def noted_receive(most: int, wait_seconds: float) -> Any:
        order.append("ask")
        return await receive(most, wait_seconds)

    async def noted_call(target: Target, payload: bytes, **options: Any) -> Any:
        order.append(f"run {json.loads(payload)['Records'][0]['id']}")
        return await call(target, payload, **options)

    bench.queue.receive = noted_receive  # type: ignore[method-assign]
    bench.function.call = noted_call  # type: ignore[method-assign]
    bench.function.gate.clear()
    bench.queue.put(*"abc")
    async with bench.running():
        await until(lambda: "run c" in order)
    assert order == ["ask", "run a", "ask", "ask", "run b", "ask", "run c"]


async def test_a_throttled_batch_is_tried_again_while_it_is_ours_and_then_left() -> None:
    bench = Bench()
    refusals = iter([TooManyRequestsException("Rate Exceeded.")] * 3)
    bench.function.answer = lambda _event: next(refusals, None)
    bench.queue.put("a")
    async with bench.running():
        await bench.let_time_pass(lambda: bool(bench.queue.removed))
    assert len(bench.function.events) == 4
    hopeless = Bench()
    hopeless.function.answer = lambda _event: TooManyRequestsException("Rate Exceeded.")
    hopeless.queue.put("a")
    async with hopeless.running():
        await hopeless.let_time_pass(lambda: bool(hopeless.queue.returned))
    assert (hopeless.queue.returned, hopeless.queue.failures) == (["a"], [0])
    assert "PROBLEM: Rate Exceeded." in hopeless.results


async def test_a_function_that_is_gone_is_said_and_loses_nothing() -> None:
    bench = Bench()
    bench.function.answer = lambda _event: ResourceNotFoundException("Function not found: x")
    bench.queue.put("a")
    async with bench.running():
        await bench.let_time_pass(lambda: bool(bench.queue.returned))
    assert bench.results == ["PROBLEM: Function not found: x"]
    assert bench.queue.removed == []


async def test_a_queue_that_cannot_be_read_is_tried_again() -> None:
    bench = Bench()
    bench.queue.errors = [SourceError("no such queue"), SourceError("still none")]
    bench.queue.put("a")
    async with bench.running():
        await bench.let_time_pass(lambda: bool(bench.queue.removed))
    assert bench.results[:2] == ["PROBLEM: no such queue", "PROBLEM: still none"]


async def test_finishing_waits_for_the_function_and_lets_go_of_what_was_only_gathered() -> None:
    bench = Bench(size=2, window_seconds=60.0)
    bench.function.gate.clear()
    bench.queue.put(*"abc")
    async with bench.running():
        await until(lambda: bench.function.running == 1 and bench.queue.taken == ["a", "b", "c"])
        finishing = asyncio.create_task(bench.poller.finish())
        await until(lambda: bench.queue.waiting == ["c"])
        assert not finishing.done()
        bench.function.gate.set()
        await finishing
    assert bench.queue.removed == ["a", "b"]


async def test_a_defect_in_one_batch_does_not_stop_the_mapping(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(size=1)
    answers = iter([ZeroDivisionError("ours")])
    bench.function.answer = lambda _event: next(answers, None)
    bench.queue.put("a", "b")
    async with bench.running():
        await until(lambda: bench.queue.removed == ["b"])
    assert "a batch failed" in caplog.text


async def test_failures_in_a_row_are_counted_and_a_source_may_allow_fewer_lanes() -> None:
    bench = Bench(size=1)
    bench.queue.lanes_max = 1
    outcomes = iter([failure(), failure(), None, failure()])
    bench.function.answer = lambda _event: next(outcomes)
    bench.queue.put(*"abcd")
    async with bench.running():
        await until(lambda: len(bench.queue.failures) == 3)
    assert bench.queue.failures == [1, 2, 1]
    assert bench.function.most_running == 1
