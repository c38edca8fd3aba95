"""Event invoke configs by boto3: put, updated, found, listed and deleted by qualifier."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.conformance.deployed import function, refusal

API: Final = "https://docs.aws.amazon.com/lambda/latest/api/"
RECORDED: Final = "TestLambdaEventInvokeConfig::test_lambda_eventinvokeconfig_"
ARN: Final = "arn:aws:lambda:us-east-1:000000000000:function"
QUEUE: Final = "arn:aws:sqs:us-east-1:000000000000:queue"
MISMATCH: Final = (
    "The derived qualifier from the function name does not match the specified qualifier."
)


@pytest.fixture(scope="module")
def name(lambda_client: Any) -> Iterator[str]:
    """A function with version 1."""
    with function(lambda_client, "def handler(event, context): return 1", Publish=True) as name:
        yield name


def shown(answer: dict[str, Any]) -> dict[str, Any]:
    """All but what differs from call to call."""
    assert answer.pop("LastModified")
    answer.pop("ResponseMetadata", None)
    return answer


def config(of: str, success: str = "", failure: str = "", **more: Any) -> dict[str, Any]:
    sides = {"OnSuccess": success, "OnFailure": failure}
    destinations = {side: {"Destination": arn} if arn else {} for side, arn in sides.items()}
    return {"FunctionArn": of, "DestinationConfig": destinations, **more}


@pytest.mark.recorded(RECORDED + "lifecycle")
def test_the_life_of_event_invoke_configs(lambda_client: Any, name: str) -> None:
    client, arn = lambda_client, f"{ARN}:{name}"
    latest, first = f"{arn}:$LATEST", f"{arn}:1"
    put = client.put_function_event_invoke_config
    update = client.update_function_event_invoke_config
    get = client.get_function_event_invoke_config
    listed = client.list_function_event_invoke_configs
    retries: dict[str, Any] = {"MaximumRetryAttempts": 0}
    age: dict[str, Any] = {"MaximumEventAgeInSeconds": 60}
    assert shown(put(FunctionName=name, **retries)) == config(latest, **retries)
    assert shown(put(FunctionName=name, **age)) == config(latest, **age)
    assert shown(update(FunctionName=name, **age)) == config(latest, **age)
    both = config(latest, MaximumEventAgeInSeconds=60, MaximumRetryAttempts=1)
    assert shown(update(FunctionName=name, MaximumRetryAttempts=1)) == both
    assert shown(get(FunctionName=name)) == both
    assert shown(get(FunctionName=name, Qualifier="$LATEST")) == both
    missing = (
        404,
        "ResourceNotFoundException",
        f"The function {first} doesn't have an EventInvokeConfig",
    )
    assert refusal(get, FunctionName=name, Qualifier="1") == missing
    other = config(first, MaximumEventAgeInSeconds=120)
    answer = put(FunctionName=name, Qualifier="1", MaximumEventAgeInSeconds=120)
    assert shown(answer) == other
    assert [shown(each) for each in listed(FunctionName=name)["FunctionEventInvokeConfigs"]] == [
        both,
        other,
    ]
    page = listed(FunctionName=name, MaxItems=1)
    assert [shown(each) for each in page["FunctionEventInvokeConfigs"]] == [both]
    page = listed(FunctionName=name, MaxItems=1, Marker=page["NextMarker"])
    assert [shown(each) for each in page["FunctionEventInvokeConfigs"]] == [other]
    assert "NextMarker" not in page
    for qualifier in ("$LATEST", "1"):
        answer = client.delete_function_event_invoke_config(FunctionName=name, Qualifier=qualifier)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert listed(FunctionName=name)["FunctionEventInvokeConfigs"] == []


@pytest.mark.recorded(RECORDED + "exceptions")
def test_what_event_invoke_configs_refuse(lambda_client: Any, name: str) -> None:
    client, arn, gone = lambda_client, f"{ARN}:{name}", f"{ARN}:doesnotexist"
    put = client.put_function_event_invoke_config
    update = client.update_function_event_invoke_config
    no_function = (404, "ResourceNotFoundException", "The function doesn't exist.")
    invalid = (400, "InvalidParameterValueException")

    def missing(arn: str) -> tuple[int, str, str]:
        message = f"The function {arn} doesn't have an EventInvokeConfig"
        return 404, "ResourceNotFoundException", message

    def refused(arn: str, side: str = "OnSuccess") -> tuple[int, str, str]:
        return refusal(put, FunctionName=name, DestinationConfig={side: {"Destination": arn}})

    for call in (put, update):
        for named in ("doesnotexist", gone, f"{name}:7", f"{name}:alias"):
            assert refusal(call, FunctionName=named, MaximumRetryAttempts=1) == no_function
        assert refusal(call, FunctionName=name) == (
            *invalid,
            "You must specify at least one of error handling or destination setting.",
        )
        mismatch = {"FunctionName": f"{name}:1", "Qualifier": "$LATEST"}
        assert refusal(call, **mismatch, MaximumRetryAttempts=1) == (*invalid, MISMATCH)
    assert refusal(update, FunctionName=f"{name}:1", MaximumRetryAttempts=1) == missing(f"{arn}:1")
    for call in (
        client.get_function_event_invoke_config,
        client.delete_function_event_invoke_config,
    ):
        assert refusal(call, FunctionName="doesnotexist") == missing(f"{gone}:$LATEST")
        assert refusal(call, FunctionName=name) == missing(f"{arn}:$LATEST")
        assert refusal(call, FunctionName=name, Qualifier="1221") == missing(f"{arn}:1221")
    listed = client.list_function_event_invoke_configs
    assert refusal(listed, FunctionName="doesnotexist") == no_function
    assert refused(gone) == (*invalid, f"The destination ARN {gone} is invalid.")
    assert refused(arn) == (
        *invalid,
        "You can't specify the function as a destination for itself.",
    )
    role = "arn:aws:iam:us-east-1:000000000000:function:a"
    quoted = f"DestinationConfig(onSuccess=OnSuccess(destination={role}), onFailure=null)"
    assert refused(role) == (*invalid, f"The provided destination config {quoted} is invalid.")
    assert refused("arn:aws:_-/!lambda:us-east-1:a")[:2] == (400, "ValidationException")


@pytest.mark.documented(API + "API_UpdateFunctionEventInvokeConfig.html")
def test_destinations_are_set_apart_and_taken_away(lambda_client: Any, name: str) -> None:
    put = lambda_client.put_function_event_invoke_config
    update = lambda_client.update_function_event_invoke_config
    bucket, arn = "arn:aws:s3:::bucket", f"{ARN}:{name}:1"

    def to(**sides: str) -> dict[str, Any]:
        return {
            "FunctionName": name,
            "Qualifier": "1",
            "DestinationConfig": {side: {"Destination": to} for side, to in sides.items()},
        }

    assert shown(put(**to(OnSuccess=QUEUE))) == config(arn, QUEUE)
    assert shown(update(**to(OnFailure=bucket))) == config(arn, QUEUE, bucket)
    assert shown(update(**to(OnSuccess=""))) == config(arn, "", bucket)
    assert shown(put(**to())) == config(arn)
    for side, to_ in (("OnSuccess", bucket), ("OnFailure", f"{QUEUE}.fifo")):
        assert refusal(put, **to(**{side: to_}))[:2] == (400, "InvalidParameterValueException")
    lambda_client.delete_function_event_invoke_config(FunctionName=name, Qualifier="1")


@pytest.mark.lampyr_only
def test_what_was_configured_for_a_version_goes_with_it(lambda_client: Any) -> None:
    code = "def handler(event, context): return 1"
    with function(lambda_client, code, Publish=True) as name:
        lambda_client.put_function_event_invoke_config(
            FunctionName=f"{name}:1", MaximumRetryAttempts=0
        )
        lambda_client.delete_function(FunctionName=f"{name}:1")
        answer = lambda_client.list_function_event_invoke_configs(FunctionName=name)
        assert answer["FunctionEventInvokeConfigs"] == []
