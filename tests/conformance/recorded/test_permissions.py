"""Resource-based policies answer what Lambda was recorded to answer."""

import json
from typing import Any

import pytest

from lampyr.api.operations import aliases, functions, permissions, versions
from lampyr.errors import ServiceError
from tests.conformance.recorded.replay import ACTIVE, ARN, Lambda, configuration, found

S3: dict[str, Any] = {
    "Action": "lambda:InvokeFunction",
    "Principal": "s3.amazonaws.com",
    "SourceArn": "arn:aws:s3:::bucket",
}
MISMATCH = "The derived qualifier from the function name does not match the specified qualifier."


def allowed(sid: str = "s3", resource: str = ARN) -> dict[str, Any]:
    return {
        "Action": "lambda:InvokeFunction",
        "Condition": {"ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"}},
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Resource": resource,
        "Sid": sid,
    }


def policy(revision: int, *statements: dict[str, Any]) -> dict[str, Any]:
    document = {"Id": "default", "Statement": list(statements), "Version": "2012-10-17"}
    return {"Policy": document, "RevisionId": f"<RevisionId:{revision}>"}


async def add(aws: Lambda, sid: str = "s3", **request: Any) -> Any:
    answer = await aws(permissions.add_permission, StatementId=sid, **{**S3, **request})
    return json.loads(answer["Statement"])


async def get(aws: Lambda, **request: Any) -> dict[str, Any]:
    answer = await aws(permissions.get_policy, **request)
    return {**answer, "Policy": json.loads(answer["Policy"])}


async def refused(aws: Lambda, operation: Any, **request: Any) -> tuple[str, str]:
    with pytest.raises(ServiceError) as caught:
        await aws(operation, **request)
    return caught.value.code, caught.value.message


@pytest.mark.recorded("TestLambdaPermissions::test_lambda_permission_fn_versioning")
@pytest.mark.recorded("TestLambdaPermissions::test_lambda_permission_versioning")
async def test_a_version_and_an_alias_have_policies_of_their_own(aws: Lambda) -> None:
    await aws.create(Environment={"Variables": {}})
    await aws.settle()
    assert await add(aws) == allowed()
    assert await get(aws) == policy(2, allowed())
    none = ("ResourceNotFoundException", "The resource you requested does not exist.")
    answer = await aws(versions.publish_version)
    shown: dict[str, Any] = {"Environment": {"Variables": {}}}
    assert answer == configuration("1", RevisionId="<RevisionId:3>", **shown, **ACTIVE)
    assert await get(aws) == policy(2, allowed())
    latest = configuration(RevisionId="<RevisionId:4>", **shown, **ACTIVE)
    assert await aws(functions.get_function) == found(**latest)
    assert await refused(aws, permissions.get_policy, Qualifier="1") == none
    await add(aws, Qualifier="1")
    assert await get(aws, Qualifier="1") == policy(5, allowed(resource=f"{ARN}:1"))
    assert await get(aws) == policy(2, allowed())
    made = await aws(aliases.create_alias, Name="live", FunctionVersion="1")
    await add(aws, Qualifier="live")
    assert await aws(aliases.get_alias, Name="live") == made
    assert await get(aws, Qualifier="live") == policy(7, allowed(resource=f"{ARN}:live"))
    wrong = {"StatementId": "s3_2", "Qualifier": "live", "RevisionId": "wrong", **S3}
    assert await refused(aws, permissions.add_permission, **wrong) == (
        "PreconditionFailedException",
        (
            "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy "
            "API to retrieve the latest Revision Id"
        ),
    )
    revision = next(value for value, name in aws.names.items() if name == "<RevisionId:2>")
    await add(aws, "s3_2", RevisionId=revision)
    assert await get(aws) == policy(8, allowed(), allowed("s3_2"))


@pytest.mark.recorded("TestLambdaPermissions::test_create_multiple_lambda_permissions")
async def test_one_policy_with_several_statements(aws: Lambda) -> None:
    await aws.create()
    made = []
    for service in ("logs", "kinesis"):
        answer = await aws(
            permissions.add_permission,
            StatementId=service,
            Action="lambda:InvokeFunction",
            Principal=f"{service}.amazonaws.com",
        )
        made.append(json.loads(answer["Statement"]))
        assert made[-1] == {
            "Action": "lambda:InvokeFunction",
            "Effect": "Allow",
            "Principal": {"Service": f"{service}.amazonaws.com"},
            "Resource": ARN,
            "Sid": service,
        }
    assert await get(aws) == policy(2, *made)


EXCEPTIONS: dict[str, tuple[Any, dict[str, Any], str, str]] = {
    "add_permission_conflicting_statement_id": (
        permissions.add_permission,
        {},
        "ResourceConflictException",
        (
            "The statement id (s3) provided already exists. Please provide a new statement id, or "
            "remove the existing statement."
        ),
    ),
    "add_permission_fn_alias_doesnotexist": (
        permissions.add_permission,
        {"Qualifier": "alias-doesnotexist"},
        "ResourceNotFoundException",
        f"Cannot find alias arn: {ARN}:alias-doesnotexist",
    ),
    "add_permission_fn_doesnotexist": (
        permissions.add_permission,
        {"FunctionName": "doesnotexist"},
        "ResourceNotFoundException",
        f"Function not found: {ARN.replace('hello', 'doesnotexist')}",
    ),
    "add_permission_fn_qualifier_latest": (
        permissions.add_permission,
        {"Qualifier": "$LATEST"},
        "InvalidParameterValueException",
        "We currently do not support adding policies for $LATEST.",
    ),
    "add_permission_fn_qualifier_mismatch": (
        permissions.add_permission,
        {"FunctionName": f"{ARN}:alias-not-42", "Qualifier": "42"},
        "InvalidParameterValueException",
        MISMATCH,
    ),
    "add_permission_fn_qualifier_valid_doesnotexist": (
        permissions.add_permission,
        {"Qualifier": "valid-with-$-but-doesnotexist"},
        "ResourceNotFoundException",
        f"Function not found: {ARN}:valid-with-$-but-doesnotexist",
    ),
    "add_permission_fn_version_doesnotexist": (
        permissions.add_permission,
        {"Qualifier": "42"},
        "ResourceNotFoundException",
        f"Function not found: {ARN}:42",
    ),
    "add_permission_principal_invalid": (
        permissions.add_permission,
        {"StatementId": "new", "Principal": "invalid.nonaws.com"},
        "InvalidParameterValueException",
        "The provided principal was invalid. Please check the principal and try again.",
    ),
    "get_policy_fn_doesnotexist": (
        permissions.get_policy,
        {"FunctionName": "doesnotexist"},
        "ResourceNotFoundException",
        "The resource you requested does not exist.",
    ),
    "get_policy_fn_version_doesnotexist": (
        permissions.get_policy,
        {"Qualifier": "42"},
        "ResourceNotFoundException",
        "The resource you requested does not exist.",
    ),
    "remove_permission_fn_alias_doesnotexist": (
        permissions.remove_permission,
        {"Qualifier": "alias-doesnotexist"},
        "ResourceNotFoundException",
        f"Cannot find alias arn: {ARN}:alias-doesnotexist",
    ),
    "remove_permission_fn_doesnotexist": (
        permissions.remove_permission,
        {"FunctionName": "doesnotexist"},
        "ResourceNotFoundException",
        f"No policy found for: {ARN.replace('hello', 'doesnotexist')}",
    ),
    "remove_permission_policy_doesnotexist": (
        permissions.remove_permission,
        {"Qualifier": "live"},
        "ResourceNotFoundException",
        "No policy is associated with the given resource.",
    ),
}


@pytest.mark.recorded("TestLambdaPermissions::test_permission_exceptions")
async def test_what_is_refused(aws: Lambda) -> None:
    await aws.create(Publish=True)
    await aws(aliases.create_alias, Name="live", FunctionVersion="1")
    await add(aws)
    for name, (operation, request, code, message) in EXCEPTIONS.items():
        given = {"StatementId": "s3", **S3, **request}
        assert (name, await refused(aws, operation, **given)) == (name, (code, message))
    await aws(permissions.remove_permission, StatementId="s3")
    assert (await refused(aws, permissions.get_policy))[0] == "ResourceNotFoundException"
