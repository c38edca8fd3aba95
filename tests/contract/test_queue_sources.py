"""What every source of messages does for a mapping: SQS, FIFO and not, RabbitMQ and ActiveMQ.

The brokers are real ones, of Debian's packages; SQS is the embedded one, behind a real Lampyr.
"""

# ruff: noqa: F811

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

import pytest

from lampyr.model.mapping import SourceKind
from lampyr.sources import activemq
from lampyr.testing.server import LampyrServer
from tests.brokers import USER, VIRTUAL_HOST
from tests.conformance.deployed import create
from tests.contract.queue_beds import (  # noqa: F401  Some are fixtures.
    BROKER_ARN,
    SECONDS,
    SECRET,
    ActiveBed,
    Bed,
    Bench,
    FifoBed,
    RabbitBed,
    SqsBed,
    bed,
    brokers,
    here,
    mapping_of,
    only,
    until,
)
from tests.unit.sources.fakes import failure

pytestmark = pytest.mark.timeout(300)  # The brokers take their time on a busy machine.


# The contract ----------------------------------------------------------------------------------


async def test_all_messages_are_processed_in_batches_and_removed(bed: Bed) -> None:
    sent = [f"{number:02d}" for number in range(23)]
    await bed.put(*sent)
    bench = Bench(bed)
    async with bench.running():
        await until(lambda: sorted(set(bench.bodies())) == sent and not bench.function.running)
        await until(lambda: bool(bench.results))
        if bed.kind is SourceKind.SQS:
            await bench.drained()
    await bench.drained()
    assert max(len(bed.bodies(event)) for event in bench.function.events) <= 5
    assert set(bench.results) == {"OK"}
    if bed.ordered:
        assert list(dict.fromkeys(bench.bodies())) == sent


async def test_a_batch_that_failed_comes_back_and_order_is_kept_where_it_is_promised(
    bed: Bed,
) -> None:
    sent = [f"{number:02d}" for number in range(12)]
    await bed.put(*sent)
    bench = Bench(bed)
    failing = iter([True, False, True])
    done: list[str] = []

    def answer(event: Any) -> Any:
        if next(failing, False):
            return failure()
        done.extend(bed.bodies(event))
        return None

    bench.function.answer = answer
    async with bench.running():
        await until(lambda: sorted(set(done)) == sent and bench.function.running == 0)
        if bed.kind is SourceKind.SQS:
            await bench.drained()
    await bench.emptied()
    assert "PROBLEM: Function call failed" in bench.results
    if bed.ordered:
        assert list(dict.fromkeys(done)) == sent


async def test_what_the_function_had_when_lampyr_ended_comes_to_the_next(bed: Bed) -> None:
    sent = [f"{number:02d}" for number in range(8)]
    await bed.put(*sent)
    first, second = Bench(bed), Bench(bed)
    first.function.gate.clear()
    async with first.running():
        await until(lambda: first.function.running > 0)
    async with second.running():
        await until(lambda: sorted(set(second.bodies())) == sent and not second.function.running)
        if bed.kind is SourceKind.SQS:
            await second.drained()
    await second.emptied()
    if bed.ordered:
        assert list(dict.fromkeys(second.bodies())) == sent


@only("rabbitmq", "activemq")
async def test_an_opening_that_is_given_up_leaves_no_connection(bed: Bed) -> None:
    queue = bed.queue(mapping_of(bed))
    await queue.open()
    await queue.close()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for given_up_after in range(12):
        given_up = bed.queue(mapping_of(bed))
        opening = asyncio.create_task(given_up.open())
        await asyncio.wait([opening], timeout=given_up_after / 1_000)
        opening.cancel()
        await asyncio.wait([opening])
        if not opening.cancelled():
            await given_up.close()
        del given_up, opening
    assert len(list(Path("/proc/self/fd").iterdir())) == before


async def test_what_the_filter_does_not_want_is_removed(bed: Bed) -> None:
    member = "body" if bed.kind is SourceKind.SQS else "data"
    for number, kind in enumerate(("tea", "order", "tea", "order")):
        await bed.put(json.dumps({"kind": kind, "number": number}))
    bench = Bench(bed, filters=(json.dumps({member: {"kind": ["order"]}}),))
    async with bench.running():
        await until(lambda: len(set(bench.bodies())) == 2 and not bench.function.running)
        if bed.kind is SourceKind.SQS:
            await bench.drained()
    await bench.drained()
    assert {json.loads(body)["number"] for body in bench.bodies()} == {1, 3}


async def test_a_batching_window_gathers_what_comes_within_it(bed: Bed) -> None:
    if isinstance(bed, FifoBed):
        pytest.skip("FIFO queues have no batching window")
    sent = [str(number) for number in range(10)]
    await bed.put(*sent)
    bench = Bench(bed, batch_size=10, batching_window_seconds=60)
    async with bench.running():
        await until(lambda: sorted(set(bench.bodies())) == sent)
    if bed.kind is SourceKind.MQ:
        assert [len(bed.bodies(event)) for event in bench.function.events] == [10]


# Of brokers ------------------------------------------------------------------------------------


@only("rabbitmq", "activemq")
async def test_a_broker_that_is_not_there_is_said_and_tried_again(bed: Bed) -> None:
    bench = Bench(bed)
    url = bed.url()
    bed.url = lambda: url.rpartition(":")[0] + ":1"  # type: ignore[method-assign]
    async with bench.running():
        await until(lambda: len(bench.results) >= 2)
    name = "RabbitMQ" if isinstance(bed, RabbitBed) else "ActiveMQ"
    assert bench.results[0].startswith(f"PROBLEM: {name} at ")


@only("rabbitmq", "activemq")
async def test_a_connection_that_breaks_is_made_again_and_loses_nothing(bed: Bed) -> None:
    sent = [f"{number:02d}" for number in range(20)]
    await bed.put(*sent)
    bench = Bench(bed)
    bench.function.gate.clear()
    async with wire(bed) as cut:
        async with bench.running():
            await until(lambda: bench.function.running > 0)
            cut()
            bench.function.gate.set()
            await until(lambda: sorted(set(bench.bodies())) == sent and not bench.function.running)
        await bench.emptied()
    if bed.ordered:
        assert list(dict.fromkeys(bench.bodies())) == sent


@asynccontextmanager
async def wire(bed: Bed) -> AsyncIterator[Callable[[], None]]:
    """Between the mapping and its broker, to be cut."""
    scheme, _, port = bed.url().rpartition(":")
    writers: list[asyncio.StreamWriter] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", int(port))
        writers.extend((writer, back))
        await asyncio.gather(pump(reader, back), pump(there, writer))

    def cut() -> None:
        for writer in writers:
            writer.transport.abort()
        writers.clear()

    server = await asyncio.start_server(join, "127.0.0.1", 0)
    here = server.sockets[0].getsockname()[1]
    bed.url = lambda: f"{scheme}:{here}"  # type: ignore[method-assign]
    try:
        yield cut
    finally:
        server.close()
        cut()


@only("rabbitmq")
async def test_rabbitmq_messages_have_lambda_s_shape(bed: Bed) -> None:
    moment = datetime(1970, 1, 1, 0, 33, 41, tzinfo=UTC)
    headers = {"header1": "value\u00e9", "numberInHeader": 10, "deep": {"list": [True, "x"]}}
    await bed.put(
        '{"a": 1}',
        content_type="text/plain",
        headers=headers,
        delivery_mode=1,
        priority=34,
        expiration="600000",
        message_id="m-1",
        timestamp=moment,
        user_id=USER,
    )
    bench = Bench(bed)
    async with bench.running():
        await until(lambda: len(bench.function.events) == 1)
    (event,) = bench.function.events
    (message,) = event["rmqMessagesByQueue"][f"{bed.name}::{VIRTUAL_HOST}"]
    assert (event["eventSource"], event["eventSourceArn"]) == ("aws:rmq", BROKER_ARN)
    value = [118, 97, 108, 117, 101, -61, -87]
    assert message == {
        "basicProperties": {
            "contentType": "text/plain",
            "contentEncoding": None,
            "headers": {
                "header1": {"bytes": value},
                "numberInHeader": 10,
                "deep": {"list": [True, {"bytes": [120]}]},
            },
            "deliveryMode": 1,
            "priority": 34,
            "correlationId": None,
            "replyTo": None,
            "expiration": "600000",
            "messageId": "m-1",
            "timestamp": "Jan 1, 1970, 12:33:41 AM",
            "type": None,
            "userId": USER,
            "appId": None,
            "clusterId": None,
            "bodySize": 8,
        },
        "redelivered": False,
        "data": "eyJhIjogMX0=",
    }


@only("activemq")
async def test_activemq_messages_have_lambda_s_shape(bed: Bed) -> None:
    properties = {"index": "1", "odd:name": "a\nb", "persistent": "true", "type": "T"}
    more = {"correlation-id": "myJMSCoID", "priority": "1", "reply-to": "/queue/answers"}
    await bed.put("ABC:AAA", **properties, **more)
    await bed.put("BYTES", **{"content-length": "5"})
    bench = Bench(bed, batch_size=2, batching_window_seconds=60)
    async with bench.running():
        await until(lambda: len(bench.bodies()) == 2)
    messages = [m for event in bench.function.events for m in event["messages"]]
    text, binary = messages
    event = bench.function.events[0]
    assert (event["eventSource"], event["eventSourceArn"]) == ("aws:mq", BROKER_ARN)
    assert text["messageID"].startswith("ID:")
    assert text["messageType"] == "jms/text-message"
    assert binary["messageType"] == "jms/bytes-message"
    assert (text["deliveryMode"], binary["deliveryMode"]) == (2, 1)
    assert (text["correlationId"], text["priority"], text["type"]) == ("myJMSCoID", 1, "T")
    assert text["replyTo"] == "/queue/answers"
    assert (text["expiration"], text["redelivered"]) == ("0", False)
    assert text["destination"] == {"physicalName": bed.name}
    assert text["data"] == "QUJDOkFBQQ=="
    assert text["properties"] == {"index": "1", "odd:name": "a\nb"}
    assert text["timestamp"] == text["brokerInTime"] <= text["brokerOutTime"]


@only("activemq")
async def test_a_message_that_fails_seven_times_goes_to_activemq_s_dead_letters(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activemq, "REDELIVERY_SECONDS", 0.02)
    await bed.put("bad", persistent="true")
    dead = ActiveBed(cast("ActiveBed", bed)._broker)
    dead.name = "ActiveMQ.DLQ"
    await dead.open()
    bench = Bench(bed)
    # That Lambda did not run them, throttled or for want of a function, is no failure of theirs.
    refused, queue = 0, bed.queue(bench.mapping)
    await queue.open()
    while refused < 9:
        messages = await queue.receive(1, 30)
        await queue.give_back(messages, 0)
        refused += len(messages)
    await queue.close()
    bench.function.answer = lambda _event: failure()
    async with bench.running(), asyncio.timeout(SECONDS):
        whence = f"/queue/{bed.name}"
        while not any(whence in frame.headers.values() for frame in await dead.looked()):
            await asyncio.sleep(0.05)
    told = [m["redelivered"] for event in bench.function.events for m in event["messages"]]
    assert len(told) == 7
    assert all(told[1:])
    await dead.close()


@only("sqs")
async def test_a_partial_failure_brings_back_that_message_alone(
    bed: Bed,
) -> None:
    """SQS's alone: Lambda has it for no other queue."""
    await bed.put("good", "bad")
    bench = Bench(bed, response_types=("ReportBatchItemFailures",))

    def answer(event: Any) -> Any:
        bad = [
            record["messageId"]
            for record in event["Records"]
            if record["body"] == "bad" and record["attributes"]["ApproximateReceiveCount"] == "1"
        ]
        return {"batchItemFailures": [{"itemIdentifier": item} for item in bad]}

    bench.function.answer = answer
    async with bench.running():
        await until(lambda: bench.bodies().count("bad") == 2)
        await bench.drained()
    assert bench.bodies().count("good") == 1


REPEATS: Final = """
import json, os, boto3
sqs = boto3.client("sqs")
def handler(event, context):
    sqs.send_message(QueueUrl=os.environ["HEARD"], MessageBody=json.dumps(event))
"""


@only("rabbitmq")
async def test_a_mapping_made_through_the_api_reads_a_broker_that_a_setting_names(
    bed: Bed, tmp_path: Path
) -> None:
    """Address from the settings, user and password from Secrets Manager, all in one server."""
    await bed.put("hello")
    server = LampyrServer(tmp_path, arguments=("--broker", f"our-broker={bed.url()}"))
    server.start()
    heard = await asyncio.to_thread(map_and_listen, server, bed)
    assert bed.bodies(heard) == ["hello"]
    await asyncio.to_thread(server.stop)
    assert await bed.left() == 0


def map_and_listen(server: LampyrServer, bed: Bed) -> Any:
    functions, sqs = server.client("lambda"), server.client("sqs")
    secret = server.client("secretsmanager").create_secret(Name="reader", SecretString=SECRET)
    url = sqs.create_queue(QueueName="heard")["QueueUrl"]
    name = create(functions, REPEATS, Environment={"Variables": {"HEARD": url}}, Timeout=60)
    mapping = functions.create_event_source_mapping(
        EventSourceArn=BROKER_ARN,
        FunctionName=name,
        Queues=[bed.name],
        SourceAccessConfigurations=[
            {"Type": "BASIC_AUTH", "URI": secret["ARN"]},
            {"Type": "VIRTUAL_HOST", "URI": VIRTUAL_HOST},
        ],
    )
    heard, deadline = None, time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", ()):
            heard = json.loads(message["Body"])
        found = functions.get_event_source_mapping(UUID=mapping["UUID"])
        if heard and found["LastProcessingResult"] == "OK":
            return heard
    raise AssertionError(f"heard {heard}, {found}")
