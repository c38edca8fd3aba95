"""Whether a source is there, as far as it can be asked.

A queue or stream that its service does not know is refused, as on AWS. When the service gives no
answer, or nobody said where it is, the mapping is taken as it is: reading will show.
"""

import logging
from collections.abc import Awaitable
from typing import Any, Final

from lampyr.aws.base import Aws, AwsCallError, AwsError
from lampyr.errors import InvalidParameterValueException
from lampyr.model.mapping import EventSource, SourceKind

log = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = 20.0
_NO_QUEUE: Final = "AWS.SimpleQueueService.NonExistentQueue"
_NO_QUEUE_CODES: Final = frozenset({_NO_QUEUE, "QueueDoesNotExist"})


async def check_source(aws: Aws, source: EventSource, function_timeout_seconds: int) -> None:
    """Refuse a source that is not there, or that gives a function too little time."""
    look = _LOOKS.get(source.kind)
    if look is None or source.arn is None:
        return
    try:
        await look(aws, source.arn, function_timeout_seconds)
    except AwsCallError as error:
        log.info("event source not looked up", extra={"source": source.arn, "reason": str(error)})


async def _look_for_queue(aws: Aws, arn: str, function_timeout_seconds: int) -> None:
    try:
        url = (await _call(aws, arn, "sqs", "GetQueueUrl", QueueName=arn.split(":")[5]))["QueueUrl"]
        attributes = await _call(
            aws,
            arn,
            "sqs",
            "GetQueueAttributes",
            QueueUrl=url,
            AttributeNames=["VisibilityTimeout"],
        )
    except AwsError as error:
        missing = error.code in _NO_QUEUE_CODES
        code = _NO_QUEUE if missing else error.code
        message = "The specified queue does not exist." if missing else error.message
        raise InvalidParameterValueException(
            f"Error occurred while ReceiveMessage. SQS Error Code: {code}. "
            f"SQS Error Message: {message}"
        ) from error
    given = attributes.get("Attributes", {}).get("VisibilityTimeout", "")
    if given.isdecimal() and int(given) < function_timeout_seconds:
        raise InvalidParameterValueException(
            f"Queue visibility timeout: {given} seconds is less than Function timeout: "
            f"{function_timeout_seconds} seconds"
        )


async def _look_for_stream(aws: Aws, arn: str, _function_timeout_seconds: int) -> None:
    name = arn.split("/")[1]
    await _found(arn, _call(aws, arn, "kinesis", "DescribeStreamSummary", StreamName=name))


async def _look_for_table_stream(aws: Aws, arn: str, _function_timeout_seconds: int) -> None:
    await _found(arn, _call(aws, arn, "dynamodbstreams", "DescribeStream", StreamArn=arn, Limit=1))


async def _found(arn: str, answer: Awaitable[dict[str, Any]]) -> None:
    try:
        await answer
    except AwsError as error:
        if error.code == "ResourceNotFoundException":
            raise InvalidParameterValueException(f"Stream not found: {arn}") from error
        raise InvalidParameterValueException(
            f"Cannot access stream {arn}. {error.code}: {error.message}"
        ) from error


async def _call(aws: Aws, arn: str, service: str, operation: str, **members: Any) -> dict[str, Any]:
    _, _, _, region, account_id, _ = arn.split(":", 5)
    return await aws.call(
        service, account_id, region, operation, timeout_seconds=TIMEOUT_SECONDS, **members
    )


_LOOKS: Final = {
    SourceKind.SQS: _look_for_queue,
    SourceKind.KINESIS: _look_for_stream,
    SourceKind.DYNAMODB: _look_for_table_stream,
}
