"""What becomes of events, in hours that pass in milliseconds."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from lampyr.aws.base import AwsError, AwsUnreachableError
from lampyr.errors import ServiceError, ServiceException, TooManyRequestsException
from lampyr.invoke.recursion import INVOCATIONS_MAX
from lampyr.model.event import Event
from lampyr.queue import contents
from lampyr.queue.lanes import BURST
from lampyr.store.base import Changes
from lampyr.store.events import MemoryEvents
from lampyr.testing.builders import ACCOUNT, REGION, a_version
from tests.unit.queue.bench import FAILURE, QUEUE, SUCCESS, Bench, configured


async def test_an_event_is_run_once_and_forgotten(bench: Bench) -> None:
    function = await bench.function()
    await bench.accept(function, {"a": 1}, client_context="{}", tenant_id=None)
    await bench.settle()
    (run,) = bench.functions.runs
    assert json.loads(run[2].payload) == {"a": 1}
    assert run[2].client_context == "{}"
    assert run[2].invoked_arn.endswith(":function:hello")
    assert len(bench.queue) == 0
    assert not bench.table.rows
    assert bench.counted() == {"AsyncEventsReceived": 1, "AsyncEventAge": 0}


async def test_a_function_that_fails_is_run_three_times_within_three_minutes(bench: Bench) -> None:
    function = await bench.function()
    bench.functions.answers = [FAILURE] * 3
    await bench.accept(function)
    await bench.advance(59.9)
    assert bench.times() == [0]
    await bench.advance(121)
    assert bench.times() == [0, 60, 180]
    ids = {invocation.request_id for _, _, invocation in bench.functions.runs}
    assert len(ids) == 1
    assert not bench.table.rows
    assert bench.counted() == {
        "AsyncEventsReceived": 1,
        "AsyncEventAge": 240_000,
        "AsyncEventsDropped": 1,
    }


async def test_a_throttled_event_is_tried_ever_later_for_six_hours(bench: Bench) -> None:
    function = await bench.function()
    bench.functions.answers = [TooManyRequestsException("Rate Exceeded.")] * 1_000
    await bench.accept(function)
    await bench.advance(30_000)
    times = bench.times()
    assert times[:9] == [0, 1, 3, 7, 15, 31, 63, 127, 255]
    assert {later - earlier for earlier, later in pairwise(times[9:])} == {300}
    assert 21_000 < times[-1] < 21_600
    assert bench.counted()["AsyncEventsDropped"] == 1
    assert len(bench.queue) == 0


async def test_a_failure_that_is_not_the_functions_is_no_attempt(bench: Bench) -> None:
    function = await bench.function()
    bench.functions.cold = True
    bench.functions.answers = [ServiceException("host"), RuntimeError("bug"), FAILURE, SUCCESS]
    await bench.accept(function)
    await bench.advance(100)
    assert bench.times() == [0, 1, 3, 63]
    assert "AsyncEventsDropped" not in bench.counted()


async def test_a_function_without_concurrency_sends_its_events_on_at_once(bench: Bench) -> None:
    latest = a_version(dead_letter_arn=QUEUE)
    function = await bench.function(latest=latest, reserved_concurrency=0)
    await bench.accept(function, "event")
    await bench.settle()
    assert not bench.functions.runs
    ((operation, members),) = bench.services.sent
    assert operation == "SendMessage"
    assert members["MessageBody"] == '"event"'
    assert members["MessageAttributes"]["ErrorCode"]["StringValue"] == "429"
    assert bench.counted() == {"AsyncEventsReceived": 1, "AsyncEventsDropped": 1}


async def test_records_go_to_both_ends_and_the_event_to_the_dead_letters(bench: Bench) -> None:
    latest = a_version(dead_letter_arn=QUEUE)
    config = configured(retry_attempts=0, on_success=f"{QUEUE}-s", on_failure=f"{QUEUE}-f")
    function = await bench.function(latest=latest, event_invoke=config)
    bench.functions.answers = [SUCCESS, FAILURE]
    await bench.accept(function, 1)
    await bench.settle()
    await bench.accept(function, 2)
    await bench.settle()
    urls = [members["QueueUrl"].rpartition("/")[2] for _, members in bench.services.sent]
    assert urls == ["letters-s", "letters-f", "letters"]
    bodies = [json.loads(members["MessageBody"]) for _, members in bench.services.sent]
    assert [body["requestContext"]["condition"] for body in bodies[:2]] == [
        "Success",
        "RetriesExhausted",
    ]
    assert bodies[2] == 2
    assert not bench.table.rows


async def test_a_function_as_destination_gets_the_record_as_an_event(bench: Bench) -> None:
    await bench.function("next")
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:next"
    function = await bench.function(event_invoke=configured(on_success=arn))
    await bench.accept(function, "in")
    await bench.settle()
    assert [name for _, name, _ in bench.functions.runs] == ["hello", "next"]
    record = json.loads(bench.functions.runs[1][2].payload)
    assert (record["requestPayload"], record["responsePayload"]) == ("in", "yes")
    assert bench.counted("next")["AsyncEventsReceived"] == 1


async def test_a_destination_that_refuses_is_counted_and_not_asked_again(bench: Bench) -> None:
    latest = a_version(dead_letter_arn=QUEUE)
    config = configured(retry_attempts=0, on_failure=f"{QUEUE}.fifo")
    function = await bench.function(latest=latest, event_invoke=config)
    bench.functions.answers = [FAILURE]
    bench.services.errors = [AwsError("NonExistentQueue", "no", status=400, operation="x")]
    await bench.accept(function)
    await bench.advance(10_000)
    assert bench.counted()["DestinationDeliveryFailures"] == 1
    assert bench.counted()["DeadLetterErrors"] == 1
    assert len(bench.functions.runs) == 1
    assert not bench.table.rows


async def test_a_destination_that_is_silent_is_asked_again_and_the_function_not_run_again(
    bench: Bench,
) -> None:
    latest = a_version(dead_letter_arn=QUEUE)
    config = configured(retry_attempts=0, on_failure=f"{QUEUE}-f")
    function = await bench.function(latest=latest, event_invoke=config)
    bench.functions.answers = [FAILURE]
    bench.services.errors = [AwsUnreachableError("down")]
    await bench.accept(function)
    await bench.settle()
    assert len(bench.services.sent) == 1, "the other target was there"
    await bench.advance(2)
    urls = [members["QueueUrl"].rpartition("/")[2] for _, members in bench.services.sent]
    assert urls == ["letters", "letters-f"]
    assert len(bench.functions.runs) == 1
    assert bench.counted()["DestinationDeliveryFailures"] == 1
    assert not bench.table.rows


async def test_events_of_a_function_that_is_gone_are_dropped(bench: Bench) -> None:
    function = await bench.function()
    bench.functions.answers = [FAILURE]
    await bench.accept(function)
    await bench.settle()
    await bench.index.delete(function.key)
    await bench.function(created=1.0)
    await bench.advance(61)
    assert bench.times() == [0], "another function of that name is none of its business"
    assert not bench.table.rows
    assert bench.counted()["AsyncEventsDropped"] == 1


async def test_one_functions_backlog_does_not_stand_before_anothers(bench: Bench) -> None:
    slow, quick = await bench.function("slow"), await bench.function("quick")
    bench.functions.held = []
    for _ in range(50):
        await bench.accept(slow)
    await bench.accept(quick)
    await bench.settle()
    names = [name for _, name, _ in bench.functions.runs]
    assert names == ["slow"] * BURST + ["quick"]
    for _ in range(4):
        await bench.advance(0.11)
    assert len(bench.functions.runs) == 51, "what runs for longer does not hold up the rest"
    bench.functions.let_go()
    await bench.settle()
    assert len(bench.queue) == 0


async def test_where_two_may_run_at_once_few_are_throttled(bench: Bench) -> None:
    function = await bench.function()
    bench.functions.seconds, bench.functions.room = 0.05, 2
    for _ in range(40):
        await bench.accept(function)
    await bench.advance(15)
    assert len(bench.queue) == 0
    assert bench.functions.throttled < 20, "eight of the first ten, and one a second"


async def test_events_whose_contents_do_not_fit_are_read_when_it_is_their_turn(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "HELD_BYTES_MAX", 2_000)
    function = await bench.function()
    bench.functions.held = []
    for number in range(100):
        await bench.accept(function, number)
    for _ in range(12):
        await bench.advance(0.11)
    payloads = [json.loads(invocation.payload) for _, _, invocation in bench.functions.runs]
    assert payloads == list(range(100))
    bench.functions.let_go()


async def test_what_a_process_left_is_taken_up_by_the_next(bench: Bench) -> None:
    function = await bench.function(event_invoke=configured(on_success=QUEUE))
    bench.functions.held = []
    await bench.accept(function, "running")
    await bench.settle()
    bench.services.errors = [AwsUnreachableError("down")] * 3
    bench.functions.held = None
    await bench.accept(function, "answered")
    await bench.settle()
    assert len(bench.table.rows) == 2
    await bench.end()
    bench.services.errors = []
    kept = bench.table

    class Reopened(MemoryEvents):
        """Gives out what the first table held, as a database does."""

        def unfinished(self) -> Sequence[Event]:
            return list(kept.heads())

    reopened = Reopened()
    reopened.rows, reopened.events = kept.rows, kept.events
    bench.table = reopened
    bench.functions.runs.clear()
    bench.open()
    await bench.advance(10)
    assert [json.loads(i.payload) for _, _, i in bench.functions.runs] == ["running"]
    assert len(bench.services.sent) == 2
    assert not reopened.rows


async def test_an_event_that_cannot_be_written_is_not_accepted(bench: Bench) -> None:
    function = await bench.function()
    fails = asyncio.get_running_loop().create_future()
    fails.set_exception(OSError("disk full"))
    write: Callable[[Changes], Any] = bench.table.write
    bench.table.write = lambda _changes: fails
    with pytest.raises(OSError, match="disk full"):
        await bench.accept(function)
    bench.table.write = write
    assert len(bench.queue) == 0
    await bench.advance(2)
    await bench.accept(function)
    await bench.settle()
    assert len(bench.functions.runs) == 1


async def test_closing_lets_what_runs_end_and_begins_nothing_more(bench: Bench) -> None:
    function = await bench.function()
    bench.functions.held = []
    await bench.accept(function, "runs")
    closing = asyncio.create_task(bench.queue.close(30))
    await bench.settle()
    await bench.accept(function, "waits for the next start")
    assert not closing.done()
    bench.functions.let_go()
    await closing
    assert [content.payload for content in bench.table.rows.values()] == [
        b'"waits for the next start"'
    ]


async def test_a_full_queue_refuses(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lampyr.queue.dispatcher.EVENTS_MAX", 1)
    function = await bench.function()
    bench.functions.held = []
    await bench.accept(function)
    with pytest.raises(ServiceError, match="Rate Exceeded"):
        await bench.accept(function)
    bench.functions.let_go()


async def test_time_can_be_compressed(bench: Bench) -> None:
    bench.open(speed=60.0)
    function = await bench.function()
    bench.functions.answers = [FAILURE] * 3
    await bench.accept(function)
    await bench.advance(3.5)
    assert bench.times() == [0, 1, 3]
    assert replace(function, created=2.0) != function


async def test_a_recursive_loop_ends_in_the_dead_letters(bench: Bench) -> None:
    latest = a_version(dead_letter_arn=QUEUE)
    function = await bench.function(latest=latest)
    trace_header = "Root=1"
    for _ in range(INVOCATIONS_MAX):
        await bench.accept(function, trace_header=trace_header)
        await bench.settle()
        trace_header = bench.functions.runs[-1][2].trace_header
    await bench.accept(function, "once too often", trace_header=trace_header)
    await bench.settle()
    assert len(bench.functions.runs) == INVOCATIONS_MAX
    ((_, members),) = bench.services.sent
    assert members["MessageBody"] == '"once too often"'
    assert members["MessageAttributes"]["ErrorCode"]["StringValue"] == "400"
    assert bench.counted()["RecursiveInvocationsDropped"] == 1
    assert bench.counted()["AsyncEventsDropped"] == 1
