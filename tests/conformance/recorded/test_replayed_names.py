"""Names, ARNs and qualifiers, replayed: right and wrong ones, and what AWS said to them."""

from typing import Any

import pytest
from botocore import xform_name

from lampyr.api.operations import handlers
from lampyr.api.spec import service_model
from tests.conformance.recorded.answers import answers
from tests.conformance.recorded.scenario import ACCOUNT, FUNCTION, HELLO, REGION, Scenario

ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function"
F = "TestLambdaFunction::"
SERVED = {xform_name(name) for name in handlers(service_model().operations)}


def replayed(prefix: str) -> list[Any]:
    """One parameter for each recorded scenario that begins so: the operation in its brackets."""
    return [
        pytest.param(operation, marks=pytest.mark.recorded(key))
        for key in answers()
        if key.startswith(f"{prefix}[") and (operation := key.removeprefix(prefix)[1:-1]) in SERVED
    ]


@pytest.mark.parametrize("operation", replayed(f"{F}test_ops_on_nonexisting_fn"))
async def test_a_function_that_is_not_there(scenario: Scenario, operation: str) -> None:
    await scenario("not_found_exception", operation, FunctionName="nothing")


@pytest.mark.parametrize("operation", replayed(f"{F}test_ops_on_nonexisting_version"))
async def test_a_version_that_is_not_there(scenario: Scenario, operation: str) -> None:
    await scenario.create()
    await scenario("version_not_found_exception", operation, **HELLO, Qualifier="1221")


@pytest.mark.parametrize("operation", replayed(f"{F}test_get_function_wrong_region"))
async def test_a_function_of_another_region(scenario: Scenario, operation: str) -> None:
    await scenario.create()
    there = f"{ARN.replace(REGION, 'eu-west-1')}:hello"
    await scenario("wrong_region_exception", operation, FunctionName=there)


@pytest.mark.parametrize("operation", replayed(f"{F}test_ops_with_arn_qualifier_mismatch"))
async def test_two_qualifiers(scenario: Scenario, operation: str) -> None:
    named = {"FunctionName": f"{ARN}:some-function:$LATEST"}
    await scenario("not_match_exception", operation, **named, Qualifier="1")
    await scenario("match_exception", operation, **named, Qualifier="$LATEST")


NAMES = "TestLambdaFunction::test_function_name_and_qualifier_validation"
LONG, LONGER = "a" * 65, "a" * 129
NAMED: dict[str, tuple[str, str | None]] = {
    "full_arn_and_qualifier_too_long_and_invalid_region": (
        f"{ARN.replace(REGION, 'invalid-region')}:my-function-{'a' * 140}{'a' * 30}:{LONGER}",
        None,
    ),
    "full_arn_with_multiple_qualifiers": (f"{ARN}:my-function:1:2", None),
    "function_name_and_qualifier_too_long": ("my-function", LONG),
    "function_name_is_single_invalid": ("*", None),
    "function_name_too_long": (LONG, None),
    "incomplete_arn": (ARN, None),
    "invalid_account_id_in_partial_arn": ("invalid-account:function:my-function", None),
    "invalid_characters_in_function_name": ("my-function!", None),
    "invalid_characters_in_qualifier": ("my-function", "invalid!"),
    "invalid_region_in_arn": (f"{ARN.replace(REGION, 'invalid-region')}:my-function", None),
    "latest_version_with_additional_qualifier": (f"{ARN}:my-function:$LATEST", "1"),
    "lowercase_latest_qualifier": (f"{ARN}:my-function", "$latest"),
    "missing_account_id_in_arn": (f"{ARN.replace(ACCOUNT, '')}:my-function", None),
    "missing_region_in_arn": (f"{ARN.replace(REGION, '')}:my-function", None),
    "misspelled_latest_in_arn": (f"{ARN}:my-function:$LATES", None),
    "non_lambda_arn": (f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance:i-1234567890abcdef0", None),
    "partial_arn_with_extra_qualifier": ("function:my-function:$LATEST:extra", None),
    "qualifier_too_long": ("my-function", LONGER),
    "qualifier_too_long0": ("my-function", LONGER),
    "qualifier_too_long1": ("my-function", LONG),
}


def named() -> list[Any]:
    """The recorded scenarios in which an operation gets a name, with both."""
    made = []
    for key, steps in answers().items():
        if key.startswith(NAMES) and steps:
            name, _, operation = key.removeprefix(NAMES)[1:-1].rpartition("-")
            mark = pytest.mark.recorded(key)
            made.append(pytest.param(name, operation, marks=mark, id=f"{name}-{operation}"))
    return made


@pytest.mark.parametrize(("name", "operation"), named())
async def test_names_and_qualifiers(scenario: Scenario, name: str, operation: str) -> None:
    function, qualifier = NAMED[name]
    given = {"FunctionName": function}
    if operation == "create_function":
        joint = "" if qualifier is None else f":{qualifier}"
        given = {**FUNCTION, "FunctionName": f"{function}{joint}"}
    elif qualifier is not None:
        given["Qualifier"] = qualifier
    answer = await scenario.do(operation, **given)
    scenario.compare(f"{operation}_exception", told(answer["Error"]))


def told(error: dict[str, Any]) -> dict[str, Any]:
    """An error as these scenarios have it: what was found wrong, one by one."""
    message: str = error["Message"]
    count, _, rest = message.partition(" validation error")
    if not rest:
        return error
    found = rest.partition(" detected: ")[2].split("; Value ")
    errors = [found[0], *(f"Value {one}" for one in found[1:])]
    return {"Code": error["Code"], "Count": int(count), "Errors": sorted(errors)}
