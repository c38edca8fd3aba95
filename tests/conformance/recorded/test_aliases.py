"""Aliases answer what Lambda was recorded to answer."""

from typing import Any

import pytest

from lampyr.api.operations import aliases, functions, versions
from lampyr.errors import ServiceError
from lampyr.testing.builders import a_zip
from tests.conformance.recorded.replay import (
    ACTIVE,
    ARN,
    CREATING,
    IN_PROGRESS,
    Lambda,
    configuration,
)

DESCRIBED: dict[str, Any] = {"Description": "No version :("}


def alias(version: str, revision: int, name: str = "alias1", **members: Any) -> dict[str, Any]:
    return {
        "AliasArn": f"{ARN}:{name}",
        "Description": "",
        "FunctionVersion": version,
        "Name": name,
        "RevisionId": f"<RevisionId:{revision}>",
        **members,
    }


@pytest.mark.recorded("TestLambdaAliases::test_lambda_alias_moving")
async def test_moving_an_alias(aws: Lambda) -> None:
    answer = await aws.create(**DESCRIBED)
    assert answer == configuration(RevisionId="<RevisionId:1>", **DESCRIBED, **CREATING)
    await aws.settle()
    await aws(versions.publish_version, Description="First version description :)")
    created = await aws(aliases.create_alias, Name="alias1", FunctionVersion="1")
    assert created == alias("1", 3)
    answer = await aws(functions.update_function_code, ZipFile=a_zip({"index.py": "2"}))
    new: dict[str, Any] = {"CodeSha256": "<CodeSha256:2>"}
    assert answer == configuration(RevisionId="<RevisionId:4>", **new, **DESCRIBED, **IN_PROGRESS)
    await aws.settle()
    assert await aws(aliases.get_alias, Name="alias1") == created
    second: dict[str, Any] = {"Description": "Second version description :)"}
    answer = await aws(versions.publish_version, **second)
    assert answer == configuration("2", RevisionId="<RevisionId:5>", **new, **second, **ACTIVE)
    moved = await aws(aliases.update_alias, Name="alias1", FunctionVersion="2")
    assert moved == alias("2", 6)
    # A function is found under the ARN by which it was asked for.
    shown = await aws(functions.get_function_configuration, Qualifier="alias1")
    assert shown == {**answer, "FunctionArn": f"{ARN}:alias1"}


@pytest.mark.recorded("TestLambdaAlias::test_non_existent_alias_update")
async def test_an_alias_that_is_not_there(aws: Lambda) -> None:
    await aws.create(Environment={"Variables": {"testenv": "staging"}})
    with pytest.raises(ServiceError) as refused:
        await aws(aliases.update_alias, Name="non-existent", Description="new-description")
    assert refused.value.code == "ResourceNotFoundException"
    assert refused.value.message == f"Alias not found: {ARN}:non-existent"
