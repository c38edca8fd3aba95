"""What every stream does for a mapping: Kinesis, DynamoDB, Kafka and DocumentDB.

Kinesis and DynamoDB are the embedded ones, behind a real Lampyr. Kafka is librdkafka's mock cluster
and Tansu, a broker that speaks its protocol. DocumentDB is SecantusDB, which speaks MongoDB's, and,
for what no server does when it is told to, a stand-in for the driver.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import Producer
from pymongo.errors import ServerSelectionTimeoutError

from lampyr.model.mapping import DocumentDatabase
from lampyr.sources import documentdb
from lampyr.sources.brokers import Broker, Credentials
from lampyr.testing.server import LampyrServer
from tests import servers
from tests.contract.stream_beds import (
    CLUSTER_ARN,
    Bed,
    Bench,
    DocumentDbBed,
    DynamoDbBed,
    KafkaBed,
    KinesisBed,
    MockKafkaBed,
    MongoBed,
)
from tests.unit.sources.fakes import failure


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LampyrServer]:
    server = LampyrServer(tmp_path_factory.mktemp("streams"), arguments=("--neighbours", "on"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def kafka() -> Iterator[tuple[str, ...]]:
    cluster = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 0})
    found = cluster.list_topics(timeout=30).brokers.values()
    yield tuple(f"{broker.host}:{broker.port}" for broker in found)
    del cluster


@pytest.fixture(scope="module")
def tansu() -> Iterator[tuple[str, ...]]:
    with_reason(servers.missing())
    server = servers.kafka()
    yield (f"127.0.0.1:{server.port}",)
    server.stop()


@pytest.fixture(scope="module")
def mongodb() -> Iterator[int]:
    with_reason(servers.missing())
    server = servers.documents()
    yield server.port
    server.stop()


def with_reason(missing: str | None) -> None:
    if missing is not None:
        pytest.skip(missing)


BEDS: dict[str, Callable[[pytest.FixtureRequest], Bed]] = {
    "kinesis": lambda request: KinesisBed(request.getfixturevalue("here")),
    "dynamodb": lambda request: DynamoDbBed(request.getfixturevalue("here")),
    "kafka": lambda request: MockKafkaBed(request.getfixturevalue("kafka")),
    "tansu": lambda request: KafkaBed(request.getfixturevalue("tansu")),
    "documentdb": lambda _request: DocumentDbBed(),
    "mongodb": lambda request: MongoBed(request.getfixturevalue("mongodb")),
}


@pytest.fixture(params=BEDS)
async def bed(request: pytest.FixtureRequest) -> AsyncIterator[Bed]:
    bed = BEDS[request.param](request)
    await bed.open()
    yield bed
    await bed.close()


def only(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("bed", kinds, indirect=True)


# The contract ----------------------------------------------------------------------------------


async def test_records_are_processed_in_order_and_in_batches(bed: Bed) -> None:
    sent = [f"{number:02d}" for number in range(23)]
    await bed.put(*sent)
    bench = Bench(bed)
    async with bench.running():
        await bench.heard(sent)
    assert max(len(bed.bodies(event)) for event in bench.function.events) <= 10


async def test_a_restart_goes_on_where_it_was(bed: Bed) -> None:
    await bed.put("a", "b")
    bench = Bench(bed)
    async with bench.running():
        await bench.heard(["a", "b"])
    await bed.put("c", "d")
    async with bench.running():
        await bench.heard(["a", "b", "c", "d"])


async def test_what_the_function_had_when_lampyr_ended_is_read_again(bed: Bed) -> None:
    sent = ["a", "b", "c"]
    await bed.put(*sent)
    first = Bench(bed)
    first.function.gate.clear()
    async with first.running():
        await first.until(lambda: first.function.running > 0)
    second = Bench(bed)
    second.checkpoints = first.checkpoints
    async with second.running():
        await second.heard(sent)


async def test_a_batch_that_failed_is_tried_again_before_what_comes_after_it(bed: Bed) -> None:
    sent = [f"{number:02d}" for number in range(15)]
    await bed.put(*sent)
    bench = Bench(bed)
    failing = iter([True, True])
    done: list[str] = []

    def answer(event: Any) -> Any:
        if next(failing, False):
            return failure()
        done.extend(bed.bodies(event))
        return None

    bench.function.answer = answer
    async with bench.running():
        await bench.until(lambda: len(done) >= len(sent))
        await bench.until(lambda: bench.results[-1] == "OK")
    assert done == sent
    assert bench.results[0] == "PROBLEM: Function call failed"
    assert bench.discards.sent == []


async def test_what_the_filter_does_not_want_is_passed_over(bed: Bed) -> None:
    await bed.put("tea-1", "order", "tea-2")
    bench = Bench(bed, filters=(bed.pattern("order"),))
    async with bench.running():
        await bench.heard(["order"])
    # What was passed over is behind the checkpoint as well, once it is saved.
    bench.mapping = Bench(bed).mapping
    await bed.put("after")
    async with bench.running():
        await bench.until(lambda: bench.bodies()[-1] == "after" and not bench.function.running)
    assert [body for body in bench.bodies() if body != "tea-2"] == ["order", "after"]


@only("kinesis", "dynamodb")
async def test_a_partial_failure_goes_on_from_the_record_that_is_reported(bed: Bed) -> None:
    """Kafka and DocumentDB have other reports, or none."""
    await bed.put("a", "b", "c")
    bench = Bench(bed, response_types=("ReportBatchItemFailures",), batching_window_seconds=2)
    name = "kinesis" if isinstance(bed, KinesisBed) else "dynamodb"
    number = "sequenceNumber" if name == "kinesis" else "SequenceNumber"
    reported: list[str] = []

    def answer(event: Any) -> Any:
        if reported or "b" not in bed.bodies(event):
            return None
        reported.append(event["Records"][bed.bodies(event).index("b")][name][number])
        return {"batchItemFailures": [{"itemIdentifier": reported[0]}]}

    bench.function.answer = answer
    async with bench.running():
        await bench.until(lambda: bench.bodies().count("c") == 2)
    assert (bench.bodies().count("a"), bench.bodies()[-2:]) == (1, ["b", "c"])


# DocumentDB ------------------------------------------------------------------------------------


@only("documentdb")
async def test_changes_have_lambda_s_shape(bed: DocumentDbBed) -> None:
    await bed.put("hello")
    bench = Bench(
        bed, document_database=DocumentDatabase(database="shop", full_document="UpdateLookup")
    )
    async with bench.running():
        await bench.heard(["hello"])
    assert bed.cluster.names.count("orders") == 0
    assert set(bed.cluster.names) == {"shop"}
    assert {options["full_document"] for options in bed.cluster.watched} == {"updateLookup"}
    assert bed.cluster.open_cursors == 0
    (event,) = bench.function.events
    identity = {"$oid": "0" * 24}
    assert event == {
        "eventSourceArn": CLUSTER_ARN,
        "events": [
            {
                "event": {
                    "_id": {"_data": "00000000"},
                    "operationType": "insert",
                    "clusterTime": {"$timestamp": {"t": bed.cluster.now, "i": 1}},
                    "ns": {"db": "shop", "coll": "orders"},
                    "documentKey": {"_id": identity},
                    "fullDocument": {"_id": identity, "body": "hello", "count": 0},
                }
            }
        ],
        "eventSource": "aws:docdb",
    }


@only("documentdb")
async def test_the_oldest_change_is_found_to_the_second(bed: DocumentDbBed) -> None:
    bed.cluster.oldest = bed.cluster.now - 7_777
    bed.cluster.put("old")
    bench = Bench(bed)
    async with bench.running():
        await bench.heard(["old"])
    starts = [options.get("start_at_operation_time") for options in bed.cluster.watched]
    assert starts[-1] is not None
    assert starts[-1].time == bed.cluster.oldest


@only("documentdb")
async def test_a_place_that_the_cluster_no_longer_has_is_said_and_skips_nothing(
    bed: DocumentDbBed,
) -> None:
    await bed.put("a")
    bench = Bench(bed)
    async with bench.running():
        await bench.heard(["a"])
    await bed.put("b")
    bed.cluster.oldest = bed.cluster.now + 1
    async with bench.running():
        await bench.until(lambda: "no longer has the changes" in bench.results[-1])
    assert bench.bodies() == ["a"]


@only("documentdb")
async def test_after_a_collection_is_dropped_its_stream_goes_on_with_the_next(
    bed: DocumentDbBed,
) -> None:
    await bed.put("a")
    bed.cluster.put("gone", operation="invalidate")
    await bed.put("b")
    bench = Bench(bed)
    async with bench.running():
        await bench.heard(["a", "gone", "b"])
    tokens = [json.dumps(options.get("resume_after")) for options in bed.cluster.watched]
    assert not any("00000001" in token for token in tokens), "no stream resumes there"


@only("mongodb")
async def test_a_server_s_stream_goes_on_when_its_collection_is_dropped(bed: MongoBed) -> None:
    await bed.put("a")
    bench = Bench(bed)
    async with bench.running():
        await bench.heard(["a"])
        await bed.collection.drop()
        await bench.until(lambda: "invalidate" in bench.changes())
        await bed.put("b")
        await bench.until(lambda: bench.changes()[-1] == "insert")
    assert bench.changes() == ["insert", "drop", "invalidate", "insert"]


async def test_the_driver_is_told_what_a_cluster_of_aws_needs() -> None:
    broker = Broker(protocol="mongodb", host="docs.here", port=27017, tls=True, managed=True)
    client = documentdb.connect(broker, Credentials(user="u", password="p@/:"))
    options = client.options
    assert (options.replica_set_name, options.retry_writes) == ("rs0", False)
    assert options.pool_options._ssl_context is not None
    await client.close()


@only("documentdb")
async def test_a_cluster_that_is_not_there_is_said_and_tried_again(bed: DocumentDbBed) -> None:
    bed.cluster.errors.append(ServerSelectionTimeoutError("127.0.0.1:1: refused"))
    await bed.put("a")
    bench = Bench(bed)
    async with bench.running():
        await bench.heard(["a"])
    said = "PROBLEM: DocumentDB: ServerSelectionTimeoutError: 127.0.0.1:1: refused"
    assert bench.results[0].startswith(said)
    assert bed.cluster.connects == 2, "it connects anew"
