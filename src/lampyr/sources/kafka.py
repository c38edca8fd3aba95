"""Kafka topics as a source: one's own clusters and MSK.

A partition is read as a shard of a stream is: in order, from a place that is kept. Places are kept
in Lampyr's store and committed to the consumer group as well, where other tools look for the lag;
a group that has committed before is gone on with. Lampyr takes all partitions itself and joins no
group, so that no rebalance stops it; two readers of one group would both get everything.

https://docs.aws.amazon.com/lambda/latest/dg/with-kafka.html
https://docs.aws.amazon.com/lambda/latest/dg/with-msk.html
"""

import asyncio
import base64
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from lampyr.aws.base import Aws
from lampyr.clock import Clock
from lampyr.model.checkpoint import Position, ShardProgress, Start
from lampyr.model.mapping import EventSourceMapping, SourceKind
from lampyr.sources.base import SourceError
from lampyr.sources.bells import Bell
from lampyr.sources.decoding import decoded_bytes, signed
from lampyr.sources.kafka_access import brokers, security
from lampyr.sources.stream_base import (
    Checkpoints,
    IteratorExpiredError,
    Page,
    Record,
    Shard,
    Window,
)
from lampyr.sources.stream_rules import milliseconds

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer

log = logging.getLogger(__name__)

FETCH_MS: Final = 500
FETCH_MAX: Final = 1_000
_TYPES: Final = ("CREATE_TIME", "LOG_APPEND_TIME")
_NAMES: Final = {SourceKind.MSK: "aws:kafka", SourceKind.KAFKA: "SelfManagedKafka"}


class KafkaStream:
    """A `Stream` and the `Checkpoints` of one topic; `kept` are those of the store."""

    def __init__(
        self, mapping: EventSourceMapping, *, aws: Aws, clock: Clock, kept: Checkpoints
    ) -> None:
        self._mapping = mapping
        self._topic = mapping.source.topic or ""
        self._aws = aws
        self._clock = clock
        self._kept = kept
        self._brokers: list[str] = []
        self._consumer: AIOKafkaConsumer | None = None
        self._admin: Any = None
        self._connecting = asyncio.Lock()
        self._fetching = asyncio.Lock()
        self._bell = Bell()
        self._buffers: dict[str, list[Any]] = {}
        self._committed: dict[str, str] = {}
        self._placed: set[str] = set()
        """Partitions whose place the consumer has been told; a new consumer knows none."""

    # Stream -----------------------------------------------------------------------------

    async def shards(self) -> Sequence[Shard]:
        await self._connect()
        try:
            (topic,) = await self._admin.describe_topics([self._topic])
        except Exception as error:
            raise await self._lost(error) from error
        if topic["error_code"] or not topic["partitions"]:
            raise SourceError(f"there is no topic {self._topic}")
        numbers = sorted(partition["partition"] for partition in topic["partitions"])
        found = [Shard(id=f"{self._topic}-{number}") for number in numbers]
        self._assign(found)
        return found

    async def iterator(self, shard: str, position: Position) -> str:
        consumer = await self._connect()
        partition = self._partition(shard)
        try:
            if position.after is not None:
                offset = int(position.after) + 1
            elif position.start is Start.TRIM_HORIZON:
                offset = (await consumer.beginning_offsets([partition]))[partition]
            else:
                moment = {partition: int(position.timestamp * 1_000)}
                found = (await consumer.offsets_for_times(moment))[partition]
                ends = await consumer.end_offsets([partition])
                offset = ends[partition] if found is None else found.offset
        except Exception as error:
            raise await self._lost(error) from error
        self._buffers[shard] = []
        consumer.seek(partition, offset)
        self._placed.add(shard)
        return str(offset)

    async def read(self, shard: str, iterator: str, most: int) -> Page:
        heard = self._bell.count
        if shard not in self._placed:
            raise IteratorExpiredError(shard)
        if not self._buffers.get(shard):
            await self._fetch()
        buffer = self._buffers.get(shard, [])
        came, self._buffers[shard] = buffer[:most], buffer[most:]
        return Page(
            records=[self._record(message) for message in came],
            next=str(came[-1].offset + 1) if came else iterator,
            heard=heard,
        )

    async def _fetch(self) -> None:
        """Into the buffers of all partitions; one at a time, as the client wants it."""
        if self._fetching.locked():
            return
        async with self._fetching:
            consumer = await self._connect()
            empty = [self._partition(name) for name in self._placed if not self._buffers[name]]
            if not empty:
                return
            try:
                found = await consumer.getmany(*empty, timeout_ms=FETCH_MS, max_records=FETCH_MAX)
            except Exception as error:
                raise await self._lost(error) from error
            for partition, messages in found.items():
                name = f"{partition.topic}-{partition.partition}"
                if name in self._placed:
                    self._buffers[name] += messages
            if found:
                self._bell.ring()

    def event(self, records: Sequence[Record], window: Window | None) -> bytes:  # noqa: ARG002
        name = f"{self._topic}-{records[0].partition}"
        head: dict[str, Any] = {"eventSource": _NAMES[self._mapping.source.kind]}
        if self._mapping.source.arn is not None:
            head["eventSourceArn"] = self._mapping.source.arn
        head["bootstrapServers"] = ",".join(self._brokers)
        texts = ",".join(record.text for record in records)
        return f'{json.dumps(head)[:-1]}, "records": {{{json.dumps(name)}: [{texts}]}}}}'.encode()

    def place(self, shard: str, records: Sequence[Record]) -> Mapping[str, Any]:
        """See https://docs.aws.amazon.com/lambda/latest/dg/kafka-on-failure.html ."""
        first, last = records[0], records[-1]
        info: dict[str, Any] = {"batchSize": len(records)}
        if self._mapping.source.arn is not None:
            info["eventSourceArn"] = self._mapping.source.arn
        info["bootstrapServers"] = ",".join(self._brokers)
        info["payloadSize"] = sum(len(record.text) for record in records)
        info["recordsInfo"] = {
            shard: {
                "firstRecordOffset": first.sequence,
                "lastRecordOffset": last.sequence,
                "firstRecordTimestamp": milliseconds(first.arrived),
                "lastRecordTimestamp": milliseconds(last.arrived),
            }
        }
        return {"KafkaBatchInfo": info}

    async def rung(self, heard: int, seconds: float) -> None:
        """Fetching waits at the broker already: others' fetches alone are waited for."""
        if self._fetching.locked():
            await self._bell.wait(heard, self._clock, seconds)

    async def close(self) -> None:
        self._placed.clear()
        consumer, self._consumer = self._consumer, None
        admin, self._admin = self._admin, None
        if consumer is not None:
            await consumer.stop()
        if admin is not None:
            await admin.close()

    # Checkpoints ------------------------------------------------------------------------

    async def load(self) -> Mapping[str, ShardProgress]:
        kept = await self._kept.load()
        return kept or await self._of_group()

    async def _of_group(self) -> Mapping[str, ShardProgress]:
        """Where the consumer group was left by whoever read with it before."""
        found = {}
        try:
            consumer = await self._connect()
            for shard in await self.shards():
                offset = await consumer.committed(self._partition(shard.id))
                if offset:
                    position = Position(after=str(offset - 1))
                    found[shard.id] = ShardProgress(position=position)
        except SourceError:
            return {}
        except Exception as error:  # noqa: BLE001 - of whatever kind; it is asked again when it reads
            log.warning("the consumer group is not known: %s", error)
            return {}
        return found

    async def save(self, shards: Mapping[str, ShardProgress]) -> None:
        await self._kept.save(shards)
        moved = {
            name: progress.position.after
            for name, progress in shards.items()
            if progress.position.after is not None
            and self._committed.get(name) != progress.position.after
        }
        if not moved or self._consumer is None:
            return
        try:
            await self._consumer.commit(
                {self._partition(name): int(after) + 1 for name, after in moved.items()}
            )
            self._committed |= moved
        except Exception as error:  # noqa: BLE001 - ours is what counts; the next one carries it
            log.warning("offsets were not committed: %s", error)

    # Connection -------------------------------------------------------------------------

    async def _connect(self) -> "AIOKafkaConsumer":
        async with self._connecting:
            if self._consumer is not None:
                return self._consumer
            from aiokafka import AIOKafkaConsumer  # noqa: PLC0415 - slow to import, rarely needed
            from aiokafka.admin import AIOKafkaAdminClient  # noqa: PLC0415

            self._brokers = await brokers(self._mapping, self._aws)
            shared = {
                "bootstrap_servers": self._brokers,
                **await security(self._mapping, self._brokers, self._aws),
            }
            group = self._mapping.source.consumer_group or self._mapping.key.id
            consumer = AIOKafkaConsumer(group_id=group, enable_auto_commit=False, **shared)
            admin = AIOKafkaAdminClient(**shared)
            try:
                await consumer.start()
                await admin.start()
            except Exception as error:
                await consumer.stop()
                await admin.close()
                raise SourceError(f"Kafka at {', '.join(self._brokers)}: {error}") from error
            self._consumer, self._admin = consumer, admin
            return consumer

    async def _lost(self, error: Exception) -> SourceError:
        """Connect anew at the next call."""
        if isinstance(error, SourceError):
            return error
        await self.close()
        return SourceError(f"Kafka: {type(error).__name__}: {error}")

    def _assign(self, shards: Iterable[Shard]) -> None:
        partitions = {self._partition(shard.id) for shard in shards}
        if self._consumer is not None and self._consumer.assignment() != partitions:
            self._consumer.assign(list(partitions))
            self._placed.clear()

    def _partition(self, shard: str) -> Any:
        from aiokafka import TopicPartition  # noqa: PLC0415

        topic, _, number = shard.rpartition("-")
        return TopicPartition(topic, int(number))

    def _record(self, message: Any) -> Record:
        shown = {
            "topic": message.topic,
            "partition": message.partition,
            "offset": message.offset,
            "timestamp": message.timestamp,
            "timestampType": _TYPES[message.timestamp_type or 0],
            **_body("key", message.key),
            **_body("value", message.value),
            "headers": [{name: signed(value)} for name, value in message.headers],
        }
        view = {**shown, "key": decoded_bytes(message.key), "value": decoded_bytes(message.value)}
        return Record(
            sequence=str(message.offset),
            partition=str(message.partition),
            arrived=message.timestamp / 1_000,
            view=view,
            text=json.dumps(shown, separators=(",", ":")),
        )


def _body(name: str, value: bytes | None) -> dict[str, str]:
    return {} if value is None else {name: base64.b64encode(value).decode()}
