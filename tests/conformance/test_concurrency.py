"""Concurrency: reserved and provisioned, and what callers hear when it is used up."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import create, function, invoke, refusal, unique_name, value

RECORDED: Final = "lambda:TestLambdaConcurrency::"
API: Final = "https://docs.aws.amazon.com/lambda/latest/api/"
PROVISIONED: Final = "https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html"
REQUESTED: Final = "RequestedProvisionedConcurrentExecutions"
RESERVED: Final = "ReservedFunctionConcurrentInvocationLimitExceeded"

NESTED: Final = """
import json, os, urllib.error, urllib.request
def handler(event, context):
    if not event:
        return os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]
    if event == ["exit"]:
        os._exit(3)
    url = os.environ["AWS_ENDPOINT_URL"] + "/2015-03-31/functions/" + event.pop(0) + "/invocations"
    call = urllib.request.Request(url, json.dumps(event).encode(), method="POST")
    try:
        with urllib.request.urlopen(call, timeout=60) as answer:
            return [answer.status, json.load(answer)]
    except urllib.error.HTTPError as error:
        return [error.code, json.load(error)]
"""
"""Invokes the first of the functions that it is sent, while its own environment is taken."""


@pytest.fixture(scope="module")
def nested(lambda_client: Any) -> Iterator[str]:
    with function(lambda_client, NESTED, Timeout=90, Publish=True) as name:
        yield name


def throttle(client: Any, name: str) -> tuple[int, str, str]:
    """Status, message and reason of an Invoke that is throttled."""
    with pytest.raises(ClientError) as caught:
        invoke(client, name)
    answer: Any = caught.value.response
    assert answer["Error"]["Code"] == "TooManyRequestsException"
    return (
        answer["ResponseMetadata"]["HTTPStatusCode"],
        answer["Error"]["Message"],
        answer["Reason"],
    )


@pytest.mark.recorded(RECORDED + "test_lambda_concurrency_crud")
def test_reserved_concurrency_is_put_got_and_deleted(lambda_client: Any, nested: str) -> None:
    def shown() -> Any:
        answer = lambda_client.get_function_concurrency(FunctionName=nested)
        assert answer.pop("ResponseMetadata")["HTTPStatusCode"] == 200
        return answer

    assert shown() == {}
    put = lambda_client.put_function_concurrency(
        FunctionName=nested, ReservedConcurrentExecutions=0
    )
    assert put["ReservedConcurrentExecutions"] == 0
    assert shown() == {"ReservedConcurrentExecutions": 0}
    whole = lambda_client.get_function(FunctionName=nested)
    assert whole["Concurrency"] == {"ReservedConcurrentExecutions": 0}
    assert throttle(lambda_client, nested) == (429, "Rate Exceeded.", RESERVED)
    gone = lambda_client.delete_function_concurrency(FunctionName=nested)
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert shown() == {}
    assert value(lambda_client, nested, []) == "on-demand"


@pytest.mark.recorded(RECORDED + "test_reserved_concurrency_async_queue")
def test_no_more_run_at_once_than_are_reserved(lambda_client: Any, nested: str) -> None:
    lambda_client.put_function_concurrency(FunctionName=nested, ReservedConcurrentExecutions=1)
    assert value(lambda_client, nested, [nested]) == [
        429,
        {"Reason": RESERVED, "Type": "User", "message": "Rate Exceeded."},
    ]
    lambda_client.put_function_concurrency(FunctionName=nested, ReservedConcurrentExecutions=2)
    assert value(lambda_client, nested, [nested]) == [200, "on-demand"]
    assert value(lambda_client, nested, [nested, nested])[1][0] == 429
    lambda_client.delete_function_concurrency(FunctionName=nested)


@pytest.mark.recorded(
    "lambda_api:TestLambdaProvisionedConcurrency::test_provisioned_concurrency_limits"
)
def test_an_account_keeps_a_hundred_for_functions_that_reserve_nothing(
    lambda_client: Any, nested: str
) -> None:
    put = lambda_client.put_function_concurrency
    limit = lambda_client.get_account_settings()["AccountLimit"]
    left = limit["UnreservedConcurrentExecutions"]
    too_many = refusal(put, FunctionName=nested, ReservedConcurrentExecutions=left + 1)
    too_few = refusal(put, FunctionName=nested, ReservedConcurrentExecutions=left - 99)
    assert too_many[:2] == too_few[:2] == (400, "InvalidParameterValueException")
    assert too_many[2] == (
        "Specified ConcurrentExecutions for function is greater than account's unreserved "
        f"concurrency [{left}]."
    )
    assert too_few[2] == (
        "Specified ConcurrentExecutions for function decreases account's "
        "UnreservedConcurrentExecution below its minimum value of [100]."
    )
    put(FunctionName=nested, ReservedConcurrentExecutions=left - 100)
    limit = lambda_client.get_account_settings()["AccountLimit"]
    assert limit["UnreservedConcurrentExecutions"] == 100
    lambda_client.delete_function_concurrency(FunctionName=nested)


@pytest.mark.documented(API + "API_PutFunctionConcurrency.html")
def test_concurrency_is_of_a_function_that_is_there(lambda_client: Any, nested: str) -> None:
    name = unique_name()
    for operation, more in (
        (lambda_client.get_function_concurrency, {}),
        (lambda_client.delete_function_concurrency, {}),
        (lambda_client.put_function_concurrency, {"ReservedConcurrentExecutions": 1}),
    ):
        missing = refusal(operation, FunctionName=name, **more)
        assert missing[:2] == (404, "ResourceNotFoundException")
        assert missing[2].endswith(f":function:{name}")


def provision(client: Any, name: str, wanted: int, qualifier: str = "1") -> Any:
    return client.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier=qualifier, ProvisionedConcurrentExecutions=wanted
    )


def shown(client: Any, name: str, qualifier: str = "1") -> dict[str, Any]:
    answer: dict[str, Any] = client.get_provisioned_concurrency_config(
        FunctionName=name, Qualifier=qualifier
    )
    del answer["ResponseMetadata"]
    return answer


def ready(client: Any, name: str, qualifier: str = "1") -> dict[str, Any]:
    """The config once its environments are all there, and none of them works."""
    end = time.monotonic() + 60
    while True:
        answer = shown(client, name, qualifier)
        available = answer["AvailableProvisionedConcurrentExecutions"]
        if answer["Status"] == "READY" and available == answer[REQUESTED]:
            return answer
        assert time.monotonic() < end, answer
        time.sleep(0.05)


def unprovision(client: Any, name: str, qualifier: str = "1") -> None:
    client.delete_provisioned_concurrency_config(FunctionName=name, Qualifier=qualifier)


@pytest.mark.recorded(RECORDED + "test_provisioned_concurrency")
def test_provisioned_environments_are_initialised_ahead(lambda_client: Any, nested: str) -> None:
    put = provision(lambda_client, nested, 2)
    assert put["ResponseMetadata"]["HTTPStatusCode"] == 202
    asked = ("Requested", "Allocated", "Available")
    members = [f"{word}ProvisionedConcurrentExecutions" for word in asked]
    assert [put[name] for name in members] == [2, 0, 0]
    assert put["Status"] == "IN_PROGRESS"
    answer = ready(lambda_client, nested)
    assert sorted(answer) == sorted([*members, "LastModified", "Status"])
    assert [answer[name] for name in members] == [2, 2, 2]
    assert value(lambda_client, f"{nested}:1", []) == "provisioned-concurrency"
    assert value(lambda_client, nested, []) == "on-demand"
    listed = lambda_client.list_provisioned_concurrency_configs(FunctionName=nested)
    (found,) = listed["ProvisionedConcurrencyConfigs"]
    assert found.pop("FunctionArn").endswith(f":function:{nested}:1")
    assert found["Status"] == "READY"
    unprovision(lambda_client, nested)
    missing = refusal(
        lambda_client.get_provisioned_concurrency_config, FunctionName=nested, Qualifier="1"
    )
    assert missing == (
        404,
        "ProvisionedConcurrencyConfigNotFoundException",
        "No Provisioned Concurrency Config found for this function",
    )
    assert value(lambda_client, f"{nested}:1", []) == "on-demand"


@pytest.mark.documented(PROVISIONED)
def test_what_is_more_than_provisioned_runs_on_demand(lambda_client: Any, nested: str) -> None:
    lambda_client.create_alias(FunctionName=nested, Name="live", FunctionVersion="1")
    provision(lambda_client, nested, 1, "live")
    ready(lambda_client, nested, "live")
    inner = value(lambda_client, f"{nested}:live", [f"{nested}:live"])
    assert inner == [200, "on-demand"]
    ready(lambda_client, nested, "live")
    assert value(lambda_client, f"{nested}:live", []) == "provisioned-concurrency"
    lambda_client.delete_alias(FunctionName=nested, Name="live")
    listed = lambda_client.list_provisioned_concurrency_configs(FunctionName=nested)
    assert listed["ProvisionedConcurrencyConfigs"] == []


@pytest.mark.documented(PROVISIONED)
def test_a_provisioned_environment_that_crashed_is_initialised_anew(
    lambda_client: Any, nested: str
) -> None:
    provision(lambda_client, nested, 1)
    ready(lambda_client, nested)
    assert invoke(lambda_client, f"{nested}:1", ["exit"]).error == "Unhandled"
    ready(lambda_client, nested)
    assert value(lambda_client, f"{nested}:1", []) == "provisioned-concurrency"
    unprovision(lambda_client, nested)


@pytest.mark.recorded(RECORDED + "test_reserved_provisioned_overlap")
def test_what_is_provisioned_comes_out_of_what_is_reserved(lambda_client: Any, nested: str) -> None:
    reserve = lambda_client.put_function_concurrency
    provision(lambda_client, nested, 2)
    lower = refusal(reserve, FunctionName=nested, ReservedConcurrentExecutions=1)
    assert lower[2] == (
        " ReservedConcurrentExecutions  1 should not be lower than function's total provisioned "
        "concurrency [2]."
    )
    reserve(FunctionName=nested, ReservedConcurrentExecutions=2)
    ready(lambda_client, nested)
    assert throttle(lambda_client, nested) == (429, "Rate Exceeded.", RESERVED)
    assert value(lambda_client, f"{nested}:1", []) == "provisioned-concurrency"
    with pytest.raises(ClientError, match="should not be greater than the reservedConcurrent"):
        provision(lambda_client, nested, 3)
    lambda_client.delete_function_concurrency(FunctionName=nested)
    unprovision(lambda_client, nested)


@pytest.mark.documented(PROVISIONED)
def test_what_is_set_for_a_function_survives_a_crash_of_lampyr(
    new_server: Callable[..., LampyrServer],
) -> None:
    server = new_server()
    server.start()
    name = create(server.client(), NESTED, Publish=True)
    provision(server.client(), name, 1)
    server.client().put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    server.kill()
    server.start()
    ready(server.client(), name)
    assert throttle(server.client(), name)[2] == RESERVED
    assert value(server.client(), f"{name}:1", []) == "provisioned-concurrency"
