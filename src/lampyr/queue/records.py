"""How an event's end is told: the record of a destination, the attributes of a dead letter.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
"""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from lampyr.errors import RecursiveInvocationException, TooManyRequestsException
from lampyr.model.event import Content, Event
from lampyr.model.function import LATEST
from lampyr.model.invocation import InvokeResult
from lampyr.queue.rules import Condition

VERSION: Final = "1.0"
ERROR_MESSAGE_BYTES_MAX: Final = 1024
"""Of a dead letter's attribute."""

THROTTLED_CODE: Final = 429
SYSTEM_ERROR_CODE: Final = 500
RECURSION_CODE: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an event came to its end: a function's answer, or the refusal to run it."""

    condition: Condition
    at: float
    """Seconds since the epoch."""
    status: int = 200
    executed_version: str | None = None
    """None where the last attempt did not run the function."""
    function_error: str | None = None
    payload: str | None = None
    """What the function returned, or how it failed: JSON."""
    message: str | None = None
    """Why it was not run."""
    sent: tuple[str, ...] = ()
    """The targets that have it."""

    def dump(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


def load(text: str) -> Outcome:
    members = json.loads(text)
    exact = {"condition": Condition(members["condition"]), "sent": tuple(members["sent"])}
    return Outcome(**members | exact)


def answered(condition: Condition, result: InvokeResult, now: float) -> Outcome:
    return Outcome(
        condition=condition,
        at=now,
        executed_version=result.executed_version,
        function_error=result.function_error,
        payload=result.payload.decode(errors="replace"),
    )


def refused(condition: Condition, error: Exception, now: float) -> Outcome:
    """Of an event that could not be run to the last."""
    return Outcome(condition=condition, at=now, status=_status(error), message=str(error))


def _status(error: Exception) -> int:
    if isinstance(error, TooManyRequestsException):
        return THROTTLED_CODE
    return RECURSION_CODE if isinstance(error, RecursiveInvocationException) else SYSTEM_ERROR_CODE


def stopped(now: float) -> Outcome:
    """Of an event whose function has a reserved concurrency of zero: it is not tried.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    return Outcome(
        condition=Condition.NO_CONCURRENCY,
        at=now,
        status=THROTTLED_CODE,
        message="Function not invoked. It is configured with zero reserved concurrent executions",
    )


def expired(now: float) -> Outcome:
    """Of an event that became too old while it waited."""
    return Outcome(
        condition=Condition.AGE_EXCEEDED,
        at=now,
        status=THROTTLED_CODE,
        message="The event has exceeded its maximum age in the queue",
    )


def invocation_record(event: Event, content: Content, outcome: Outcome, arn: str) -> dict[str, Any]:
    """What a destination gets. `arn`: the function's, unqualified."""
    record: dict[str, Any] = {
        "version": VERSION,
        "timestamp": timestamp(outcome.at),
        "requestContext": {
            "requestId": content.request_id,
            "functionArn": f"{arn}:{event.qualifier or LATEST}",
            "condition": outcome.condition.value,
            "approximateInvokeCount": event.attempts,
        },
        "requestPayload": _value(content.payload.decode(errors="replace")),
    }
    if outcome.executed_version is not None:
        response: dict[str, Any] = {
            "statusCode": outcome.status,
            "executedVersion": outcome.executed_version,
        }
        if outcome.function_error is not None:
            response["functionError"] = outcome.function_error
        record["responseContext"] = response
        record["responsePayload"] = _value(outcome.payload or "null")
    return record


def dead_letter_attributes(content: Content, outcome: Outcome) -> dict[str, dict[str, str]]:
    """The message attributes beside the event itself, as SQS and SNS take them.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html#invocation-dlq
    """
    attributes = {
        "RequestID": {"DataType": "String", "StringValue": content.request_id},
        "ErrorCode": {"DataType": "Number", "StringValue": str(outcome.status)},
    }
    if message := error_message(outcome):
        attributes["ErrorMessage"] = {"DataType": "String", "StringValue": message}
    return attributes


def error_message(outcome: Outcome) -> str:
    """The function's own message, or why it was not run; no longer than AWS lets it be."""
    message = outcome.message
    if message is None and outcome.payload is not None:
        value = _value(outcome.payload)
        found = value.get("errorMessage") if isinstance(value, dict) else None
        message = outcome.payload if found is None else str(found)
    return (message or "").encode()[:ERROR_MESSAGE_BYTES_MAX].decode(errors="ignore")


def s3_key(name: str, at: float, unique: str) -> str:
    """Where a record lies in a bucket."""
    when = datetime.fromtimestamp(at, UTC)
    return f"aws/lambda/async/{name}/{when:%Y/%m/%d}/{when:%Y-%m-%dT%H.%M.%S}-{unique}"


def timestamp(at: float) -> str:
    """Such as `2019-11-14T18:16:05.568Z`."""
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
