"""Code from S3, replayed: each answer is the one AWS gave."""

from typing import Any

import pytest

from lampyr.testing.aws import ScriptedAws
from lampyr.testing.builders import a_zip
from tests.conformance.recorded.scenario import HELLO, Scenario

OBJECTS = {"one.zip": a_zip(), "two.zip": a_zip({"index.py": "2"})}


def place(scenario: Scenario, key: str) -> dict[str, str]:
    """An S3 with the objects, and one of them."""
    aws = scenario.control.plane.aws
    assert isinstance(aws, ScriptedAws)
    aws.answers["GetObject"] = lambda members: {"Body": OBJECTS[members["Key"]]}
    return {"S3Bucket": "bucket", "S3Key": key}


@pytest.mark.recorded("TestLambdaFunction::test_lambda_code_location_s3")
async def test_code_of_one_object_and_then_of_another(scenario: Scenario) -> None:
    one, two = place(scenario, "one.zip"), place(scenario, "two.zip")
    await scenario.create("create_response_s3", Code=one)
    await scenario("get-function-response", "get_function", **HELLO)
    gate: Any = scenario.control.cluster.gate
    gate.clear()
    await scenario("update-function-response", "update_function_code", **HELLO, **two)
    await scenario("get-function-response-updated", "get_function", **HELLO)
    gate.set()


@pytest.mark.recorded("TestLambdaFeatures::test_upload_lambda_from_s3")
async def test_a_function_from_s3(scenario: Scenario) -> None:
    await scenario.create("creation-response", Code=place(scenario, "one.zip"))
    scenario.leave("invocation-response", why="a call, which test_code_in_s3 makes of a server")
