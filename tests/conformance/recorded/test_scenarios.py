"""The control operations answer what Lambda was recorded to answer to the same requests."""

from typing import Any

import pytest

from lampyr.api.operations import account, functions, versions
from lampyr.testing.builders import a_zip
from tests.conformance.recorded.replay import (
    ACCOUNT,
    CREATING,
    IN_PROGRESS,
    Lambda,
    configuration,
)


@pytest.mark.recorded("TestLambdaImages::test_lambda_image_versions")
async def test_a_function_created_with_its_first_version(aws: Lambda) -> None:
    answer = await aws.create(Publish=True, Environment={"Variables": {"CUSTOM_ENV": "test"}})
    assert answer == configuration(
        Version="1",  # With the function's own ARN: so it was recorded.
        RevisionId="<RevisionId:1>",
        Environment={"Variables": {"CUSTOM_ENV": "test"}},
        **CREATING,
    )


@pytest.mark.recorded("TestLambdaAccountSettings::test_account_settings")
async def test_account_settings(aws: Lambda) -> None:
    empty = await account.get_account_settings(aws.call, {})
    assert empty == {
        "AccountLimit": {
            "TotalCodeSize": 80_530_636_800,
            "CodeSizeUnzipped": 262_144_000,
            "CodeSizeZipped": 52_428_800,
            "ConcurrentExecutions": 1_000,
            "UnreservedConcurrentExecutions": 1_000,
        },
        "AccountUsage": {"TotalCodeSize": 0, "FunctionCount": 0},
    }
    await aws.create()
    await aws.settle()
    used = (await account.get_account_settings(aws.call, {}))["AccountUsage"]
    assert used == {"TotalCodeSize": len(a_zip()), "FunctionCount": 1}
    await aws(functions.update_function_configuration, Description="changed")
    await aws.settle()
    assert (await account.get_account_settings(aws.call, {}))["AccountUsage"] == used
    await aws(versions.publish_version)
    used = (await account.get_account_settings(aws.call, {}))["AccountUsage"]
    assert used == {"TotalCodeSize": 2 * len(a_zip()), "FunctionCount": 1}


@pytest.mark.recorded("TestLambdaDLQ::test_dead_letter_queue")
async def test_a_dead_letter_queue_is_shown_until_it_is_taken_away(aws: Lambda) -> None:
    queue: dict[str, Any] = {
        "DeadLetterConfig": {"TargetArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:queue"}
    }
    answer = await aws.create(**queue)
    assert answer == configuration(RevisionId="<RevisionId:1>", **queue, **CREATING)
    await aws.settle()
    answer = await aws(functions.update_function_configuration, DeadLetterConfig={})
    assert answer == configuration(RevisionId="<RevisionId:2>", **queue, **IN_PROGRESS)
    await aws.settle()
    none = {"DeadLetterConfig": {"TargetArn": ""}}
    answer = await aws(functions.update_function_configuration, **none)
    assert answer == configuration(RevisionId="<RevisionId:3>", **IN_PROGRESS)


@pytest.mark.recorded(
    "TestLambdaSnapStart::test_snapstart_update_function_configuration[python3.12]"
)
@pytest.mark.recorded(
    "TestLambdaSnapStart::test_snapstart_update_function_configuration[python3.13]"
)
@pytest.mark.recorded("TestLambdaSnapStart::test_snapstart_update_function_configuration[java11]")
@pytest.mark.parametrize("runtime", ["python3.12", "python3.13", "java11"])
async def test_snap_start_is_put_on_published_versions(aws: Lambda, runtime: str) -> None:
    answer = await aws.create(Runtime=runtime)
    assert answer == configuration(RevisionId="<RevisionId:1>", Runtime=runtime, **CREATING)
    await aws.settle()
    on = {"SnapStart": {"ApplyOn": "PublishedVersions"}}
    answer = await aws(functions.update_function_configuration, **on)
    shown: dict[str, Any] = {
        "SnapStart": {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
    }
    assert answer == configuration(
        RevisionId="<RevisionId:2>", Runtime=runtime, **shown, **IN_PROGRESS
    )


@pytest.mark.recorded("TestLambdaSnapStart::test_snapstart_lifecycle[python3.12]")
@pytest.mark.recorded("TestLambdaSnapStart::test_snapstart_lifecycle[java11]")
@pytest.mark.recorded("TestLambdaSnapStart::test_snapstart_lifecycle[java17]")
@pytest.mark.recorded("TestLambdaSnapStart::test_snapstart_lifecycle[java25]")
@pytest.mark.parametrize("runtime", ["python3.12", "java11", "java17", "java25"])
async def test_without_snap_start_a_published_version_is_not_optimized(
    aws: Lambda, runtime: str
) -> None:
    await aws.create(MemorySize=1024, Timeout=5, Runtime=runtime)
    await aws.settle()
    await aws(versions.publish_version, Description="version1")
    await aws.settle()
    shown = await aws(functions.get_function_configuration, Qualifier="1")
    assert shown["State"] == "Active"
    assert shown["LastUpdateStatus"] == "Successful"
    assert shown["SnapStart"] == {"ApplyOn": "None", "OptimizationStatus": "Off"}
