"""The control operations answer what Lambda was recorded to answer to the same requests."""

from typing import Any

import pytest

from lampyr.api.operations import account, functions, tags, versions
from lampyr.testing.builders import a_zip
from tests.conformance.recorded.replay import (
    ACCOUNT,
    ACTIVE,
    ARN,
    CREATING,
    IN_PROGRESS,
    Lambda,
    configuration,
    found,
)


@pytest.mark.recorded("TestLambdaVersions::test_version_lifecycle")
async def test_version_lifecycle(aws: Lambda) -> None:
    answer = await aws.create(Description="No version :(")
    assert answer == configuration(
        Description="No version :(", RevisionId="<RevisionId:1>", **CREATING
    )
    await aws.settle()
    none: dict[str, Any] = {"Description": "No version :(", "RevisionId": "<RevisionId:2>"}
    assert await aws(functions.get_function) == found(**configuration(**none, **ACTIVE))
    assert await aws(versions.list_versions_by_function) == {
        "Versions": [configuration("$LATEST", listed=True, **none)]
    }
    answer = await aws(functions.update_function_configuration, Description="First version :)")
    first: dict[str, Any] = {"Description": "First version :)"}
    assert answer == configuration(RevisionId="<RevisionId:3>", **first, **IN_PROGRESS)
    await aws.settle()
    assert await aws(functions.get_function) == found(
        **configuration(RevisionId="<RevisionId:4>", **first, **ACTIVE)
    )
    answer = await aws(versions.publish_version, Description="First version description :)")
    one: dict[str, Any] = {
        "Description": "First version description :)",
        "RevisionId": "<RevisionId:5>",
    }
    assert answer == configuration("1", **one, **ACTIVE)
    assert await aws(functions.get_function, Qualifier="1") == found(
        **configuration("1", **one, **ACTIVE)
    )
    assert await aws(functions.get_function_configuration, Qualifier="1") == configuration(
        "1", **one, **ACTIVE
    )
    answer = await aws(functions.update_function_configuration, Description="Second version :))")
    second: dict[str, Any] = {"Description": "Second version :))"}
    assert answer == configuration(RevisionId="<RevisionId:6>", **second, **IN_PROGRESS)
    await aws.settle()
    answer = await aws(versions.publish_version)
    assert answer == configuration("2", RevisionId="<RevisionId:7>", **second, **ACTIVE)
    assert await aws(versions.publish_version) == answer
    two = configuration("2", listed=True, RevisionId="<RevisionId:7>", **second)
    latest = configuration("$LATEST", listed=True, RevisionId="<RevisionId:8>", **second)
    assert await aws(versions.list_versions_by_function) == {
        "Versions": [latest, configuration("1", listed=True, **one), two]
    }
    await aws(functions.delete_function, Qualifier="1")
    assert await aws(versions.list_versions_by_function) == {"Versions": [latest, two]}


@pytest.mark.recorded("TestLambdaVersions::test_publish_with_update")
async def test_publish_with_update(aws: Lambda) -> None:
    answer = await aws.create()
    assert answer == configuration(RevisionId="<RevisionId:1>", **CREATING)
    await aws.settle()
    assert await aws(functions.get_function) == found(
        **configuration(RevisionId="<RevisionId:2>", **ACTIVE)
    )
    aws.control.cluster.gate.clear()
    new: dict[str, Any] = {"CodeSha256": "<CodeSha256:2>"}
    answer = await aws(
        functions.update_function_code, ZipFile=a_zip({"index.py": "2"}), Publish=True
    )
    one = configuration("1", RevisionId="<RevisionId:3>", **new, **CREATING)
    assert answer == one
    assert await aws(functions.get_function, Qualifier="1") == found(**one)
    assert await aws(functions.get_function, Qualifier="$LATEST") == found(
        **configuration("$LATEST", RevisionId="<RevisionId:4>", **new, **IN_PROGRESS)
    )
    aws.control.cluster.gate.set()


@pytest.mark.recorded("TestLambdaFunction::test_redundant_updates")
async def test_redundant_updates(aws: Lambda) -> None:
    empty: dict[str, Any] = {"Environment": {"Variables": {}}}
    answer = await aws.create(Description="Initial description", **empty)
    assert answer == configuration(
        Description="Initial description", RevisionId="<RevisionId:1>", **empty, **CREATING
    )
    await aws.settle()
    for revision in (2, 4):
        answer = await aws(
            functions.update_function_configuration, Description="1st update description"
        )
        same: dict[str, Any] = {"Description": "1st update description", **empty}
        assert answer == configuration(RevisionId=f"<RevisionId:{revision}>", **same, **IN_PROGRESS)
        await aws.settle()
        after = configuration(RevisionId=f"<RevisionId:{revision + 1}>", **same, **ACTIVE)
        assert await aws(functions.get_function_configuration) == after
        assert await aws(functions.get_function) == found(**after)


@pytest.mark.recorded("TestLambdaImages::test_lambda_image_versions")
async def test_a_function_created_with_its_first_version(aws: Lambda) -> None:
    answer = await aws.create(Publish=True, Environment={"Variables": {"CUSTOM_ENV": "test"}})
    assert answer == configuration(
        Version="1",  # With the function's own ARN: so it was recorded.
        RevisionId="<RevisionId:1>",
        Environment={"Variables": {"CUSTOM_ENV": "test"}},
        **CREATING,
    )


@pytest.mark.recorded("TestLoggingConfig::test_advanced_logging_configuration_format_switch")
async def test_switching_the_log_format(aws: Lambda) -> None:
    await aws.create()
    await aws.settle()
    levels = {"LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"}
    group = {"LogGroup": "/aws/lambda/hello"}
    answer = await aws(functions.update_function_configuration, LoggingConfig=levels)
    assert answer["LoggingConfig"] == {**levels, **group}
    await aws.settle()
    answer = await aws(functions.get_function_configuration)
    assert answer["LoggingConfig"] == {**levels, **group}
    answer = await aws(functions.update_function_configuration, LoggingConfig={"LogFormat": "Text"})
    assert answer["LoggingConfig"] == {"LogFormat": "Text", **group}


@pytest.mark.recorded("TestLambdaTags::test_tag_limits")
async def test_tags_are_shown_with_the_function(aws: Lambda) -> None:
    await aws.create()
    await aws.settle()
    before = await aws(functions.get_function)
    assert "Tags" not in before
    fifty = {f"{number}_key": f"{number}_value" for number in range(50)}
    assert await aws(tags.tag_resource, Resource=ARN, Tags=fifty) == {}
    assert await aws(tags.list_tags, Resource=ARN) == {"Tags": fifty}
    assert await aws(functions.get_function) == {**before, "Tags": fifty}
    assert await aws(tags.untag_resource, Resource=ARN, TagKeys=["no_such_key"]) == {}


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
