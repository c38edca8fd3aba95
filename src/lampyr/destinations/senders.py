"""One message to one queue, topic, event bus or bucket, as Lambda sends it.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from lampyr.aws.base import Aws, AwsCallError
from lampyr.model.function import FunctionKey

Attributes = Mapping[str, Mapping[str, str]]


class UndeliverableError(AwsCallError):
    """The target is of a kind that Lambda does not send to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    body: str
    sender: FunctionKey
    trace_header: str
    attributes: Attributes = field(default_factory=dict)
    detail_type: str = ""
    """For event buses."""
    resources: Sequence[str] = ()
    """For event buses, beside the bus itself."""
    object_key: str = ""
    """For buckets."""


@dataclass(frozen=True, slots=True)
class Target:
    """An ARN in its parts."""

    arn: str
    service: str
    region: str
    account_id: str
    resource: str

    @classmethod
    def of(cls, arn: str) -> "Target":
        """Raises `UndeliverableError` for what is no ARN."""
        parts = arn.split(":", 5)
        if len(parts) != _ARN_PARTS or parts[0] != "arn":
            raise UndeliverableError(f"{arn} is no ARN")
        _, _, service, region, account_id, resource = parts
        return cls(arn, service, region, account_id, resource)


_ARN_PARTS: Final = 6


async def send(aws: Aws, message: Message, target: Target) -> None:
    """Returns when the service has taken it; raises an `AwsCallError` when it has not."""
    sender = _SENDERS.get(target.service)
    if sender is None:
        raise UndeliverableError(f"Lambda sends no records to {target.arn}")
    await sender(aws, message, target)


async def _to_queue(aws: Aws, message: Message, target: Target) -> None:
    _refuse_fifo(target)
    account_id, region = target.account_id, target.region
    found = await aws.call(
        "sqs",
        account_id,
        region,
        "GetQueueUrl",
        QueueName=target.resource,
        QueueOwnerAWSAccountId=account_id,
    )
    trace = {"DataType": "String", "StringValue": message.trace_header}
    await aws.call(
        "sqs",
        account_id,
        region,
        "SendMessage",
        QueueUrl=found["QueueUrl"],
        MessageBody=message.body,
        MessageAttributes=message.attributes,
        MessageSystemAttributes={"AWSTraceHeader": trace},
    )


async def _to_topic(aws: Aws, message: Message, target: Target) -> None:
    _refuse_fifo(target)
    await aws.call(
        "sns",
        target.account_id,
        target.region,
        "Publish",
        TopicArn=target.arn,
        Message=message.body,
        MessageAttributes=message.attributes,
    )


async def _to_bus(aws: Aws, message: Message, target: Target) -> None:
    entry = {
        "Source": "lambda",
        "DetailType": message.detail_type,
        "Detail": message.body,
        "Resources": [target.arn, *message.resources],
        "EventBusName": target.arn,
    }
    answer = await aws.call(
        "events", target.account_id, target.region, "PutEvents", Entries=[entry]
    )
    if answer.get("FailedEntryCount"):
        raise UndeliverableError(f"{target.arn} did not take it: {json.dumps(answer['Entries'])}")


async def _to_bucket(aws: Aws, message: Message, target: Target) -> None:
    """A bucket's ARN names neither account nor Region: they are the function's."""
    await aws.call(
        "s3",
        message.sender.account_id,
        message.sender.region,
        "PutObject",
        Bucket=target.resource,
        Key=message.object_key,
        Body=message.body.encode(),
        ContentType="application/json",
    )


def _refuse_fifo(target: Target) -> None:
    if target.resource.endswith(".fifo"):
        raise UndeliverableError(f"{target.arn} is a FIFO, to which Lambda sends no records")


_Sender = Callable[[Aws, Message, Target], Awaitable[None]]
_SENDERS: Final[Mapping[str, _Sender]] = {
    "sqs": _to_queue,
    "sns": _to_topic,
    "events": _to_bus,
    "s3": _to_bucket,
}
