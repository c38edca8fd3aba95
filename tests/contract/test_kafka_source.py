"""Kafka topics as a source, over a broker that speaks Kafka's own protocol.

It is librdkafka's mock cluster, in memory. TLS and SASL are in `test_kafka_access.py`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from confluent_kafka import Producer

from lampyr.aws.base import Aws
from lampyr.clock import SystemClock
from lampyr.model.mapping import (
    EventSource,
    EventSourceMapping,
    MappingSettings,
    MappingState,
    SourceKind,
)
from lampyr.model.resource import ResourceKey
from lampyr.sources.kafka import KafkaStream
from lampyr.sources.settings import stream_rules
from lampyr.sources.stream_poller import StreamPoller
from lampyr.testing.builders import ACCOUNT, REGION, a_key
from tests.unit.sources.fakes import FakeCheckpoints, FakeDiscards, FakeFunction, failure

GROUP: Final = "the-group"


@pytest.fixture(scope="module")
def brokers() -> Iterator[tuple[str, ...]]:
    cluster = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 2, "log_level": 0})
    found = cluster.list_topics(timeout=30).brokers.values()
    yield tuple(f"{broker.host}:{broker.port}" for broker in found)
    del cluster


@pytest.fixture
async def producer(brokers: tuple[str, ...]) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=list(brokers))
    await producer.start()
    yield producer
    await producer.stop()


class Bench:
    def __init__(self, brokers: tuple[str, ...], topic: str, **settings: Any) -> None:
        self.topic = topic
        self.function = FakeFunction()
        self.checkpoints = FakeCheckpoints()
        self.discards = FakeDiscards()
        self.results: list[str] = []
        self.mapping = EventSourceMapping(
            key=ResourceKey(ACCOUNT, REGION, "the-mapping"),
            source=EventSource(
                kind=SourceKind.KAFKA,
                endpoints=brokers,
                topic=topic,
                consumer_group=GROUP,
                starting_position="TRIM_HORIZON",
            ),
            function=a_key(),
            qualifier=None,
            settings=MappingSettings(
                **{"batch_size": 100, "batching_window_seconds": 0, **settings}
            ),
            state=MappingState.ENABLED,
            state_reason="",
            last_modified=0.0,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        clock = SystemClock()
        stream = KafkaStream(
            self.mapping, aws=cast("Aws", None), clock=clock, kept=self.checkpoints
        )
        poller = StreamPoller(
            rules=stream_rules(self.mapping),
            stream=stream,
            caller=self.function,
            checkpoints=stream,
            discards=self.discards,
            clock=clock,
            result=self.results.append,
        )
        task = asyncio.create_task(poller.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def until(self, count: int) -> list[Any]:
        """The records of that many, in the order in which the function got them."""
        async with asyncio.timeout(60):
            while len(self.records()) < count:
                await asyncio.sleep(0.01)
        return self.records()

    def records(self) -> list[Any]:
        return [
            record
            for event in self.function.events
            for records in event["records"].values()
            for record in records
        ]


async def test_records_come_by_partition_in_order_in_lambda_s_shape(
    brokers: tuple[str, ...], producer: AIOKafkaProducer
) -> None:
    for number in range(20):
        await producer.send_and_wait(
            "shape", b"value-%d" % number, key=b"key", headers=[("h", b"hi")]
        )
    bench = Bench(brokers, "shape")
    async with bench.running():
        records = await bench.until(20)
    event = bench.function.events[0]
    assert event["eventSource"] == "SelfManagedKafka"
    assert event["bootstrapServers"] == ",".join(brokers)
    first = records[0]
    (name,) = event["records"]
    assert name == f"shape-{first['partition']}"
    assert first["topic"] == "shape"
    assert first["timestampType"] == "CREATE_TIME"
    assert (first["key"], first["value"]) == ("a2V5", "dmFsdWUtMA==")
    assert first["headers"] == [{"h": [104, 105]}]
    assert [record["offset"] for record in records] == list(range(20))


async def test_a_restart_goes_on_and_the_group_is_told_how_far(
    brokers: tuple[str, ...], producer: AIOKafkaProducer
) -> None:
    await producer.send_and_wait("restart", b"one", partition=0)
    bench = Bench(brokers, "restart")
    async with bench.running():
        await bench.until(1)
        async with asyncio.timeout(60):
            while bench.checkpoints.shards["restart-0"].position.after != "0":
                await asyncio.sleep(0.01)
    await producer.send_and_wait("restart", b"two", partition=0)
    async with bench.running():
        records = await bench.until(2)
        async with asyncio.timeout(60):
            while bench.checkpoints.shards["restart-0"].position.after != "1":
                await asyncio.sleep(0.01)
    assert [record["offset"] for record in records] == [0, 1]
    other = AIOKafkaConsumer(
        bootstrap_servers=list(brokers), group_id=GROUP, enable_auto_commit=False
    )
    await other.start()
    assert await other.committed(TopicPartition("restart", 0)) == 2
    await other.stop()
    # A mapping that is made anew with that group goes on as well.
    anew = Bench(brokers, "restart")
    await producer.send_and_wait("restart", b"three", partition=0)
    async with anew.running():
        assert [record["offset"] for record in await anew.until(1)] == [2]


async def test_a_failing_batch_is_given_up_with_its_offsets(
    brokers: tuple[str, ...], producer: AIOKafkaProducer
) -> None:
    for value in (b"a", b"b"):
        await producer.send_and_wait("failing", value, partition=1)
    bench = Bench(brokers, "failing", retry_attempts=1, batching_window_seconds=1)
    bench.function.answer = lambda _event: failure()
    async with bench.running(), asyncio.timeout(60):
        while not bench.discards.sent:
            await asyncio.sleep(0.01)
    (discard,) = bench.discards.sent
    info = discard.place["KafkaBatchInfo"]
    assert info["recordsInfo"]["failing-1"]["firstRecordOffset"] == "0"
    assert info["recordsInfo"]["failing-1"]["lastRecordOffset"] == "1"
    assert (info["batchSize"], discard.attempts) == (2, 2)


async def test_filters_look_into_keys_and_values(
    brokers: tuple[str, ...], producer: AIOKafkaProducer
) -> None:
    for kind in ("tea", "order", "tea"):
        value = json.dumps({"kind": kind}).encode()
        await producer.send_and_wait("filters", value, partition=0)
    pattern = json.dumps({"value": {"kind": ["order"]}})
    bench = Bench(brokers, "filters", filters=(pattern,))
    async with bench.running():
        records = await bench.until(1)
        async with asyncio.timeout(60):
            while bench.checkpoints.shards["filters-0"].position.after != "2":
                await asyncio.sleep(0.01)
    assert [record["offset"] for record in records] == [1]


async def test_a_cluster_that_is_not_there_is_said_and_tried_again() -> None:
    bench = Bench(("127.0.0.1:1",), "nowhere")
    async with bench.running(), asyncio.timeout(60):
        while len(bench.results) < 2:
            await asyncio.sleep(0.01)
    assert bench.results[0].startswith("PROBLEM: Kafka at 127.0.0.1:1: ")
