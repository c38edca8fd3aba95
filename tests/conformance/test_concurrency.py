"""Concurrency: reserved, and what callers hear when it is used up."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError

from tests.conformance.deployed import function, invoke, refusal, unique_name, value

RECORDED: Final = "lambda:TestLambdaConcurrency::"
API: Final = "https://docs.aws.amazon.com/lambda/latest/api/"
GUIDE: Final = "https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html"
RESERVED: Final = "ReservedFunctionConcurrentInvocationLimitExceeded"

NESTED: Final = """
import json, os, urllib.error, urllib.request
def handler(event, context):
    if not event:
        return os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]
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
