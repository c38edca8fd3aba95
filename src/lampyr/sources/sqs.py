"""SQS queues, standard and FIFO, as a source.

https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
"""

import asyncio
import base64
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lampyr.aws.base import Aws, AwsCallError, AwsError
from lampyr.clock import Clock
from lampyr.sources.base import Message, SourceError
from lampyr.sources.decoding import decoded
from lampyr.sources.removals import Removals

log = logging.getLogger(__name__)

ENTRIES_MAX: Final = 10
"""Of one batch operation of SQS, and of one receive; a longer batch is made of several."""
MARGIN_SECONDS: Final = 10.0
"""Beyond a long poll, until a receive without an answer is given up."""


class SqsQueue:
    """A `Queue` over SQS's API. `arn`: the queue's."""

    def __init__(self, arn: str, aws: Aws, clock: Clock, *, gathers: bool = False) -> None:
        """`gathers`: the mapping has a batching window."""
        self._arn = arn
        _, _, _, self._region, self._account_id, self._name = arn.split(":", 5)
        self._aws = aws
        self._clock = clock
        self._url = ""
        self._visibility_seconds = 30.0
        self._gathers = gathers
        self.lanes_max: int | None = None
        self._removals = Removals(self._delete, ENTRIES_MAX)

    async def open(self) -> None:
        found = await self._call(
            "GetQueueUrl", QueueName=self._name, QueueOwnerAWSAccountId=self._account_id
        )
        self._url = found["QueueUrl"]
        attributes = await self._call(
            "GetQueueAttributes", QueueUrl=self._url, AttributeNames=["VisibilityTimeout"]
        )
        self._visibility_seconds = float(attributes["Attributes"]["VisibilityTimeout"])

    async def receive(self, most: int, wait_seconds: float) -> Sequence[Message]:
        wait = int(wait_seconds)
        begun = self._clock.monotonic()
        answer = await self._call(
            "ReceiveMessage",
            timeout_seconds=wait + MARGIN_SECONDS,
            QueueUrl=self._url,
            MaxNumberOfMessages=min(most, ENTRIES_MAX),
            WaitTimeSeconds=wait,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        until = self._clock.monotonic() + self._visibility_seconds
        came = [self._message(message, until) for message in answer.get("Messages") or ()]
        if not came and wait_seconds < 1:
            # What is left of a batching window is less than SQS can wait.
            await self._clock.sleep(max(0.0, begun + wait_seconds - self._clock.monotonic()))
        return came

    async def remove(self, messages: Sequence[Message]) -> None:
        await self._removals.remove(messages)

    async def _delete(self, messages: Sequence[Message]) -> None:
        async def delete(some: Sequence[Message]) -> None:
            entries = [
                {"Id": str(number), "ReceiptHandle": message.receipt}
                for number, message in enumerate(some)
            ]
            answer = await self._call("DeleteMessageBatch", QueueUrl=self._url, Entries=entries)
            for failure in answer.get("Failed") or ():
                log.warning("a message was not deleted: %s", failure.get("Message"))

        await asyncio.gather(*(delete(some) for some in _slices(messages)))

    async def give_back(self, messages: Sequence[Message], failures: int) -> None:
        """The visibility timeout brings them back, and counts their receives."""

    async def let_go(self, messages: Sequence[Message]) -> None:
        for some in _slices(messages):
            entries = [
                {"Id": str(number), "ReceiptHandle": m.receipt, "VisibilityTimeout": 0}
                for number, m in enumerate(some)
            ]
            await self._call("ChangeMessageVisibilityBatch", QueueUrl=self._url, Entries=entries)

    def event(self, messages: Sequence[Message]) -> bytes:
        return ('{"Records":[' + ",".join(m.text for m in messages) + "]}").encode()

    async def close(self) -> None:
        await self._removals.close()

    async def _call(self, operation: str, /, **members: Any) -> dict[str, Any]:
        try:
            return await self._aws.call("sqs", self._account_id, self._region, operation, **members)
        except AwsError as error:
            raise SourceError(
                f"Error occurred while {operation}. SQS Error Code: {error.code}. "
                f"SQS Error Message: {error.message}"
            ) from error
        except AwsCallError as error:
            raise SourceError(str(error)) from error

    def _message(self, message: Mapping[str, Any], until: float) -> Message:
        attributes = message.get("Attributes") or {}
        record = {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message.get("Body", ""),
            "attributes": attributes,
            "messageAttributes": {
                name: _attribute(value)
                for name, value in (message.get("MessageAttributes") or {}).items()
            },
            "md5OfBody": message.get("MD5OfBody"),
            "eventSource": "aws:sqs",
            "eventSourceARN": self._arn,
            "awsRegion": self._region,
        }
        digest = message.get("MD5OfMessageAttributes")
        if digest is not None or self._gathers:  # With a window AWS shows also that there is none.
            record["md5OfMessageAttributes"] = digest
        return Message(
            id=message["MessageId"],
            record={**record, "body": decoded(record["body"])},
            text=json.dumps(record, separators=(",", ":")),
            receipt=message["ReceiptHandle"],
            until=until,
            trace=attributes.get("AWSTraceHeader"),
        )


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": value["DataType"],
    }
    if "StringValue" in value:
        found["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        found["binaryValue"] = _base64(value["BinaryValue"])
    return found


def _base64(value: bytes | str) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _slices(messages: Sequence[Message]) -> list[Sequence[Message]]:
    return [messages[at : at + ENTRIES_MAX] for at in range(0, len(messages), ENTRIES_MAX)]
