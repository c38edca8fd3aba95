"""Kinesis data streams as a source.

https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
"""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from lampyr.aws.base import Aws
from lampyr.clock import Clock
from lampyr.model.checkpoint import Position, Start
from lampyr.sources.bells import Bells
from lampyr.sources.decoding import decoded_bytes
from lampyr.sources.stream_base import Page, Record, Shard, Window
from lampyr.sources.stream_rules import event, milliseconds, place
from lampyr.sources.streams_call import call

CONSUMER: Final = "/consumer/"


class KinesisStream:
    """A `Stream` over Kinesis's API. `arn`: the stream's, or that of a consumer of it."""

    def __init__(self, arn: str, *, role: str, aws: Aws, bells: Bells, clock: Clock) -> None:
        """`role`: the function's execution role, which the event names."""
        self._arn = arn
        self._stream_arn = arn.split(CONSUMER, 1)[0]
        _, _, _, self._region, self._account_id, _ = arn.split(":", 5)
        self._role = role
        self._aws = aws
        self._clock = clock
        self._bell = bells.bell("kinesis", self._region)

    async def shards(self) -> Sequence[Shard]:
        found: list[Shard] = []
        members: dict[str, Any] = {"StreamARN": self._stream_arn}
        while True:
            answer = await self._call("ListShards", **members)
            found += map(_shard, answer["Shards"])
            if not answer.get("NextToken"):
                return found
            members = {"NextToken": answer["NextToken"]}

    async def iterator(self, shard: str, position: Position) -> str:
        members: dict[str, Any] = {"ShardIteratorType": "TRIM_HORIZON"}
        if position.after is not None:
            members = {
                "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
                "StartingSequenceNumber": position.after,
            }
        elif position.start is not Start.TRIM_HORIZON:
            moment = datetime.fromtimestamp(position.timestamp, UTC)
            members = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": moment}
        answer = await self._call(
            "GetShardIterator", StreamARN=self._stream_arn, ShardId=shard, **members
        )
        return str(answer["ShardIterator"])

    async def read(self, shard: str, iterator: str, most: int) -> Page:
        heard = self._bell.count
        answer = await self._call(
            "GetRecords", StreamARN=self._stream_arn, ShardIterator=iterator, Limit=most
        )
        return Page(
            records=[self._record(record, shard) for record in answer["Records"]],
            next=answer.get("NextShardIterator") or None,
            heard=heard,
        )

    def event(self, records: Sequence[Record], window: Window | None) -> bytes:
        return event(records, window)

    def place(self, shard: str, records: Sequence[Record]) -> Mapping[str, Any]:
        return {"KinesisBatchInfo": place(shard, records, self._stream_arn, milliseconds)}

    async def rung(self, heard: int, seconds: float) -> None:
        await self._bell.wait(heard, self._clock, seconds)

    async def close(self) -> None: ...

    async def _call(self, operation: str, /, **members: Any) -> dict[str, Any]:
        return await call(
            self._aws, "kinesis", self._account_id, self._region, operation, **members
        )

    def _record(self, record: Mapping[str, Any], shard: str) -> Record:
        data, arrived = record["Data"], record["ApproximateArrivalTimestamp"].timestamp()
        body = {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": record["PartitionKey"],
            "sequenceNumber": record["SequenceNumber"],
            "data": base64.b64encode(data).decode(),
            "approximateArrivalTimestamp": round(arrived, 3),
        }
        shown = {
            "kinesis": body,
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"{shard}:{record['SequenceNumber']}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": self._role,
            "awsRegion": self._region,
            "eventSourceARN": self._arn,
        }
        return Record(
            sequence=record["SequenceNumber"],
            partition=record["PartitionKey"],
            arrived=arrived,
            view={**body, "data": decoded_bytes(data)},
            text=json.dumps(shown, separators=(",", ":")),
        )


def _shard(shard: Mapping[str, Any]) -> Shard:
    names = ("ParentShardId", "AdjacentParentShardId")
    parents = tuple(shard[name] for name in names if shard.get(name))
    return Shard(id=shard["ShardId"], parents=parents)
