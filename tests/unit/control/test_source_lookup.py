"""Whether a source is there: what its service answers, and what that means for a mapping."""

from typing import Any, Final

import pytest

from lampyr.aws.base import AwsCallError, AwsError, AwsUnreachableError
from lampyr.control.sources.lookup import check_source
from lampyr.errors import InvalidParameterValueException
from lampyr.model.mapping import EventSource, SourceKind
from lampyr.testing.aws import ScriptedAws
from tests.unit.control.test_mappings import ARNS

QUEUE: Final = EventSource(kind=SourceKind.SQS, arn=ARNS[SourceKind.SQS])
STREAM: Final = EventSource(kind=SourceKind.KINESIS, arn=f"{ARNS[SourceKind.KINESIS]}/consumer/c:1")
TABLE: Final = EventSource(kind=SourceKind.DYNAMODB, arn=ARNS[SourceKind.DYNAMODB])


def failing(error: AwsCallError) -> Any:
    def answer(_: dict[str, Any]) -> Any:
        raise error

    return answer


def refusing(code: str) -> Any:
    return failing(AwsError(code, "no", status=400, operation="Look"))


def a_queue(**attributes: str) -> dict[str, Any]:
    return {"GetQueueUrl": {"QueueUrl": "u"}, "GetQueueAttributes": {"Attributes": attributes}}


@pytest.mark.parametrize(
    ("source", "answers", "told"),
    [
        (QUEUE, {"GetQueueUrl": refusing("QueueDoesNotExist")}, "Code: AWS.SimpleQueueService.Non"),
        (QUEUE, {"GetQueueUrl": refusing("AccessDenied")}, "Code: AccessDenied. SQS Error Message"),
        (QUEUE, a_queue(VisibilityTimeout="2"), "2 seconds is less than Function timeout: 3"),
        (STREAM, {"DescribeStreamSummary": refusing("ResourceNotFoundException")}, "Stream not"),
        (STREAM, {"DescribeStreamSummary": refusing("AccessDenied")}, "Cannot access stream"),
        (TABLE, {"DescribeStream": refusing("ResourceNotFoundException")}, "Stream not found"),
    ],
)
async def test_a_source_that_is_not_there_is_refused(
    source: EventSource, answers: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidParameterValueException, match=told):
        await check_source(ScriptedAws(answers), source, 3)


@pytest.mark.parametrize(
    ("source", "answers"),
    [
        (QUEUE, a_queue(VisibilityTimeout="3")),
        (QUEUE, a_queue()),
        (QUEUE, {}),
        (QUEUE, {"GetQueueUrl": failing(AwsUnreachableError("nobody answers"))}),
        (STREAM, {"DescribeStreamSummary": {}}),
        (TABLE, {"DescribeStream": {}}),
        (TABLE, {}),
        (EventSource(kind=SourceKind.MSK, arn=ARNS[SourceKind.MSK]), {}),
        (EventSource(kind=SourceKind.KAFKA, endpoints=("kafka:1",)), {}),
    ],
)
async def test_one_that_is_there_or_cannot_be_asked_is_taken(
    source: EventSource, answers: dict[str, Any]
) -> None:
    aws = ScriptedAws(answers)
    await check_source(aws, source, 3)
    if source is STREAM:
        assert aws.calls[0].members == {"StreamName": "s"}
    if aws.calls:
        assert (aws.calls[0].account_id, aws.calls[0].region) == ("123456789012", "us-east-1")
