"""When an event is tried again, and when it is over."""

import json

import pytest

from lampyr.errors import ServiceException, TooManyRequestsException
from lampyr.model.alias import Alias
from lampyr.model.event import Content, Event
from lampyr.model.event_invoke import EventInvokeConfig
from lampyr.model.invocation import InvokeResult
from lampyr.queue import records
from lampyr.queue.rules import (
    Condition,
    Patience,
    backoff_seconds,
    dead_letters,
    destination,
    patience_of,
)
from lampyr.testing.builders import a_function, a_key, a_version

ACCEPTED = 1_000.0


@pytest.mark.parametrize(
    ("patience", "attempts", "now", "then"),
    [
        pytest.param(Patience(), 1, 1_000.0, 1_060.0, id="a minute before the second attempt"),
        pytest.param(Patience(), 2, 1_070.0, 1_190.0, id="two before the third"),
        pytest.param(Patience(), 3, 1_200.0, Condition.RETRIES_EXHAUSTED, id="no fourth"),
        pytest.param(Patience(retries=0), 1, 1_000.0, Condition.RETRIES_EXHAUSTED, id="none"),
        pytest.param(Patience(age_seconds=60), 1, 1_000.0, Condition.AGE_EXCEEDED, id="too old"),
        pytest.param(Patience(age_seconds=90), 1, 1_001.0, 1_061.0, id="old enough for one more"),
        pytest.param(Patience(age_seconds=90), 2, 1_061.0, Condition.AGE_EXCEEDED, id="not two"),
        pytest.param(Patience(speed=60), 1, 1_000.0, 1_001.0, id="compressed"),
        pytest.param(
            Patience(age_seconds=60, speed=60), 1, 1_000.0, Condition.AGE_EXCEEDED, id="-"
        ),
    ],
)
def test_after_an_error_of_the_function(
    patience: Patience, attempts: int, now: float, then: float | Condition
) -> None:
    assert patience.after_error(attempts, ACCEPTED, now) == then


@pytest.mark.parametrize(
    ("setbacks", "now", "then"),
    [
        (1, 1_000.0, 1_001.0),
        (2, 1_001.0, 1_003.0),
        (9, 2_000.0, 2_256.0),
        (10, 2_000.0, 2_300.0),
        (10**6, 2_000.0, 2_300.0),
        (50, 22_500.0, 22_600.0),
        (51, 22_600.0, Condition.AGE_EXCEEDED),
    ],
)
def test_after_a_throttle_it_is_tried_ever_later_for_six_hours(
    setbacks: int, now: float, then: float | Condition
) -> None:
    assert Patience().after_setback(setbacks, ACCEPTED, now) == then
    assert backoff_seconds(setbacks) <= 300


def test_settings_are_those_of_the_qualifier_that_was_invoked() -> None:
    config = EventInvokeConfig(
        last_modified=0.0, retry_attempts=0, event_age_seconds=60, on_success="s", on_failure="f"
    )
    function = a_function(
        event_invoke={"$LATEST": config, "live": EventInvokeConfig(last_modified=0)}
    )
    assert patience_of(function, None) == Patience(retries=0, age_seconds=60)
    assert patience_of(function, "live", 2.0) == Patience(speed=2.0)
    assert patience_of(function, "1") == Patience()
    assert destination(function, None, Condition.SUCCESS) == "s"
    assert destination(function, "$LATEST", Condition.AGE_EXCEEDED) == "f"
    assert destination(function, "live", Condition.AGE_EXCEEDED) is None
    assert destination(function, "1", Condition.SUCCESS) is None


def test_a_dead_letter_queue_is_that_of_the_version_that_was_invoked() -> None:
    function = a_function(
        latest=a_version(dead_letter_arn="latest"),
        published={"1": a_version(version="1", dead_letter_arn="one")},
        aliases={"live": Alias(name="live", version="1", revision_id="r")},
    )
    found = [
        dead_letters(function, name, Condition.RETRIES_EXHAUSTED) for name in (None, "1", "live")
    ]
    assert found == ["latest", "one", "one"]
    assert dead_letters(function, "1", Condition.SUCCESS) is None


def an_event(**members: object) -> Event:
    given = {
        "id": 1,
        "key": a_key(),
        "created": 0.0,
        "qualifier": None,
        "accepted": 0.0,
        "due": 0.0,
    }
    return Event(**given | {"attempts": 3, "content": None} | members)  # type: ignore[arg-type]


CONTENT = Content("11111111-2222-3333-4444-555555555555", b'{"raise_error": 1}', "Root=1")
FAILED = InvokeResult(
    executed_version="$LATEST",
    payload=b'{"errorMessage": "intentional", "errorType": "Exception"}',
    function_error="Unhandled",
)


def test_a_record_of_a_failure_and_its_dead_letter() -> None:
    outcome = records.answered(Condition.RETRIES_EXHAUSTED, FAILED, 1_573_755_365.568)
    assert records.load(outcome.dump()) == outcome
    arn = "arn:aws:lambda:us-east-1:123456789012:function:hello"
    assert records.invocation_record(an_event(), CONTENT, outcome, arn) == {
        "version": "1.0",
        "timestamp": "2019-11-14T18:16:05.568Z",
        "requestContext": {
            "requestId": CONTENT.request_id,
            "functionArn": f"{arn}:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": {"raise_error": 1},
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        },
        "responsePayload": {"errorMessage": "intentional", "errorType": "Exception"},
    }
    assert records.dead_letter_attributes(CONTENT, outcome) == {
        "RequestID": {"DataType": "String", "StringValue": CONTENT.request_id},
        "ErrorCode": {"DataType": "Number", "StringValue": "200"},
        "ErrorMessage": {"DataType": "String", "StringValue": "intentional"},
    }


def test_a_record_of_an_event_that_was_never_run() -> None:
    throttled = TooManyRequestsException("Rate Exceeded.", Reason="x")
    outcome = records.refused(Condition.AGE_EXCEEDED, throttled, 0.0)
    record = records.invocation_record(
        an_event(attempts=0, qualifier="live"), CONTENT, outcome, "arn"
    )
    assert record["requestContext"]["functionArn"] == "arn:live"
    assert not {"responseContext", "responsePayload"} & set(record)
    attributes = records.dead_letter_attributes(CONTENT, outcome)
    assert attributes["ErrorCode"]["StringValue"] == "429"
    assert attributes["ErrorMessage"]["StringValue"] == "Rate Exceeded."
    system = records.refused(Condition.AGE_EXCEEDED, ServiceException("x" * 5_000), 0.0)
    assert len(records.error_message(system)) == 1_024


def test_a_record_in_a_bucket_and_a_success() -> None:
    assert records.s3_key("hello", 1_573_755_365.5, "U") == (
        "aws/lambda/async/hello/2019/11/14/2019-11-14T18.16.05-U"
    )
    done = InvokeResult(executed_version="7", payload=b"null")
    outcome = records.answered(Condition.SUCCESS, done, 0.0)
    record = records.invocation_record(an_event(attempts=1), CONTENT, outcome, "arn")
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "7"}
    assert json.loads(json.dumps(record))["responsePayload"] is None
