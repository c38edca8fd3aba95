"""DynamoDB streams as a source.

https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from lampyr.aws.base import Aws
from lampyr.clock import Clock
from lampyr.model.checkpoint import Position
from lampyr.sources.bells import Bells
from lampyr.sources.stream_base import Page, Record, Shard, Window
from lampyr.sources.stream_rules import event, instant, place
from lampyr.sources.streams_call import call


class DynamoDbStream:
    """A `Stream` over the API of DynamoDB streams. `arn`: the stream's."""

    def __init__(self, arn: str, *, aws: Aws, bells: Bells, clock: Clock) -> None:
        self._arn = arn
        _, _, _, self._region, self._account_id, _ = arn.split(":", 5)
        self._aws = aws
        self._clock = clock
        self._bell = bells.bell("dynamodb", self._region)

    async def shards(self) -> Sequence[Shard]:
        found: list[Shard] = []
        members: dict[str, Any] = {"StreamArn": self._arn}
        while True:
            answer = (await self._call("DescribeStream", **members))["StreamDescription"]
            for shard in answer["Shards"]:
                parent = shard.get("ParentShardId")
                found.append(Shard(id=shard["ShardId"], parents=(parent,) if parent else ()))
            if not answer.get("LastEvaluatedShardId"):
                return found
            members["ExclusiveStartShardId"] = answer["LastEvaluatedShardId"]

    async def iterator(self, shard: str, position: Position) -> str:
        """LATEST is read from the beginning on, and the reader leaves out what is older.

        A LATEST iterator would forget, over a restart, what came before the first record was done.
        """
        members: dict[str, Any] = {"ShardIteratorType": "TRIM_HORIZON"}
        if position.after is not None:
            members = {
                "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
                "SequenceNumber": position.after,
            }
        answer = await self._call("GetShardIterator", StreamArn=self._arn, ShardId=shard, **members)
        return str(answer["ShardIterator"])

    async def read(self, shard: str, iterator: str, most: int) -> Page:  # noqa: ARG002
        heard = self._bell.count
        answer = await self._call("GetRecords", ShardIterator=iterator, Limit=most)
        return Page(
            records=[self._record(record) for record in answer["Records"]],
            next=answer.get("NextShardIterator") or None,
            heard=heard,
        )

    def event(self, records: Sequence[Record], window: Window | None) -> bytes:
        return event(records, window)

    def place(self, shard: str, records: Sequence[Record]) -> Mapping[str, Any]:
        return {"DDBStreamBatchInfo": place(shard, records, self._arn, instant)}

    async def rung(self, heard: int, seconds: float) -> None:
        await self._bell.wait(heard, self._clock, seconds)

    async def close(self) -> None: ...

    async def _call(self, operation: str, /, **members: Any) -> dict[str, Any]:
        return await call(
            self._aws, "dynamodbstreams", self._account_id, self._region, operation, **members
        )

    def _record(self, record: Mapping[str, Any]) -> Record:
        change = dict(record["dynamodb"])
        created = change["ApproximateCreationDateTime"].timestamp()
        change["ApproximateCreationDateTime"] = int(created)
        for name in ("Keys", "NewImage", "OldImage"):
            if name in change:
                change[name] = {key: _plain(value) for key, value in change[name].items()}
        shown: dict[str, Any] = {
            "eventID": record["eventID"],
            "eventName": record["eventName"],
            "eventVersion": record.get("eventVersion", "1.1"),
            "eventSource": "aws:dynamodb",
            "awsRegion": self._region,
            "dynamodb": change,
            "eventSourceARN": self._arn,
        }
        if "userIdentity" in record:  # Items that their time to live has removed.
            identity = record["userIdentity"]
            shown["userIdentity"] = {
                "type": identity.get("Type"),
                "principalId": identity.get("PrincipalId"),
            }
        return Record(
            sequence=change["SequenceNumber"],
            partition=json.dumps(change["Keys"], sort_keys=True),
            arrived=created,
            view=shown,
            text=json.dumps(shown, separators=(",", ":")),
        )


def _plain(value: Any) -> Any:
    """DynamoDB's JSON, with binary in base64 as Lambda's events have it."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
