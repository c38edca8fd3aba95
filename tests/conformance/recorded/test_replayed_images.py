"""Functions of package type Image, replayed: each answer is the one AWS gave.

Lampyr keeps such functions and does not run them yet; here the cluster below says that it does.
"""

from typing import Any

import pytest

from lampyr.testing.builders import a_zip
from tests.conformance.recorded.scenario import HELLO, ROLE, Scenario

REPOSITORY = "111111111111.dkr.ecr.us-east-1.amazonaws.com/one"
OTHER = "111111111111.dkr.ecr.us-east-1.amazonaws.com/two"
FUNCTION: dict[str, Any] = {
    **HELLO,
    "Role": ROLE,
    "PackageType": "Image",
    "Code": {"ImageUri": f"{REPOSITORY}:latest"},
    "Environment": {"Variables": {"CUSTOM_ENV": "test"}},
}
TAG = "what a tag means is not looked up before images are run"


async def look(scenario: Scenario, code: str, configuration: str) -> None:
    await scenario(code, "get_function", **HELLO)
    await scenario(configuration, "get_function_configuration", **HELLO)


@pytest.mark.recorded("TestLambdaImages::test_lambda_image_crud")
async def test_lambda_image_crud(scenario: Scenario) -> None:
    scenario.without("CodeSha256", "ResolvedImageUri", why=TAG)
    await scenario("create-image-response", "create_function", **FUNCTION)
    await scenario.settle()
    await look(scenario, "get-function-code-response", "get-function-config-response")
    zipped = {**HELLO, "ZipFile": a_zip()}
    await scenario("image-to-zipfile-error", "update_function_code", **zipped)
    new = {**HELLO, "ImageUri": f"{OTHER}:latest"}
    await scenario("update-function-code-response", "update_function_code", **new)
    await scenario.settle()
    await look(
        scenario,
        "get-function-code-response-after-update",
        "get-function-config-response-after-update",
    )


@pytest.mark.recorded("TestLambdaImages::test_lambda_image_and_image_config_crud")
async def test_an_image_config_is_given_changed_and_taken_away(scenario: Scenario) -> None:
    scenario.without("CodeSha256", "ResolvedImageUri", why=TAG)
    config = {"Command": ["-c", "echo test"], "EntryPoint": ["sh"], "WorkingDirectory": "/app1"}
    create = {**FUNCTION, "ImageConfig": config}
    await scenario("create-image-with-config-response", "create_function", **create)
    await scenario.settle()
    await look(
        scenario,
        "get-function-code-with-config-response",
        "get-function-config-with-config-response",
    )
    changed = {"Command": ["-c", "echo test1"], "WorkingDirectory": "/app1"}
    await scenario.update("update-function-code-response", ImageConfig=changed)
    await look(
        scenario,
        "get-function-code-response-after-update",
        "get-function-config-response-after-update",
    )
    await scenario.update("update-function-code-delete-imageconfig-response", ImageConfig={})
    await look(
        scenario,
        "get-function-code-response-after-delete-imageconfig",
        "get-function-config-response-after-delete-imageconfig",
    )


@pytest.mark.recorded("TestLambdaImages::test_lambda_zip_file_to_image")
async def test_a_zip_stays_a_zip(scenario: Scenario) -> None:
    await scenario.create("create-image-response")
    await look(scenario, "get-function-code-response", "get-function-config-response")
    new = {**HELLO, "ImageUri": f"{OTHER}:latest"}
    await scenario("zipfile-to-image-error", "update_function_code", **new)
    await look(
        scenario,
        "get-function-code-response-after-update",
        "get-function-config-response-after-update",
    )


@pytest.mark.recorded("TestLambdaImages::test_lambda_image_versions")
async def test_versions_of_an_image(scenario: Scenario) -> None:
    listed, wrong = "list_versions_by_function", "a" * 64
    scenario.leave("invalid_sha_publish", why="it quotes the hash that AWS looked up")
    scenario.without("CodeSha256", "ResolvedImageUri", why=TAG)
    await scenario("create_image_response", "create_function", **FUNCTION, Publish=True)
    await scenario.settle()
    await scenario("get_function_result", "get_function", **HELLO)
    await scenario("list_versions_result", listed, **HELLO)
    refused = await scenario.do("publish_version", **HELLO, CodeSha256=wrong)
    assert refused["Error"]["Code"] == "InvalidParameterValueException"
    for number, name in (("Second", "first"), ("Third", "second")):
        step = f"{name}_update"
        await scenario.update(f"{step}_response", Description=f"{number} version :)")
        await scenario(f"{step}_get_function", "get_function", **HELLO)
        new = {**HELLO, "Description": f"{number} version description :)"}
        await scenario(f"{name}_publish_response", "publish_version", **new)


@pytest.mark.documented(
    "https://docs.aws.amazon.com/lambda/latest/api/API_FunctionCodeLocation.html"
)
async def test_an_image_by_its_digest_is_resolved() -> None:
    """See `test_image_functions`, which asks a whole Lampyr."""
