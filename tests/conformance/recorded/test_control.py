"""The control operations answer what Lambda was recorded to answer to the same requests.

Each test makes the requests of one recorded scenario, in its order, and compares whole answers,
with what differs from run to run (ids, hashes, dates) numbered as it first comes.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lampyr.api.call import Call
from lampyr.api.operations import account, functions, tags, versions
from lampyr.errors import ServiceError
from lampyr.testing.builders import a_key, a_zip
from lampyr.testing.control import Control, running_control

ACCOUNT = "111111111111"
ARN = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:hello"
MAPPING = f"arn:aws:lambda:us-east-1:{ACCOUNT}:event-source-mapping:1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/lambda"
CREATING: dict[str, Any] = {
    "State": "Pending",
    "StateReason": "The function is being created.",
    "StateReasonCode": "Creating",
}
IN_PROGRESS: dict[str, Any] = {
    "State": "Active",
    "LastUpdateStatus": "InProgress",
    "LastUpdateStatusReason": "The function is being created.",
    "LastUpdateStatusReasonCode": "Creating",
}
ACTIVE: dict[str, Any] = {"State": "Active", "LastUpdateStatus": "Successful"}
RUNTIME: dict[str, Any] = {"RuntimeVersionConfig": {"RuntimeVersionArn": "<RuntimeVersionArn>"}}
PATTERNS = {
    "CodeSize": r"[1-9]\d*",
    "LastModified": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000",
    "Location": r"http://lampyr\.test/.*",
    "RuntimeVersionArn": r"arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}",
}


@dataclass
class Lambda:
    """The operations, with answers made comparable."""

    control: Control
    call: Call
    names: dict[str, str]

    async def create(self, **request: Any) -> dict[str, Any]:
        given = {
            "FunctionName": "hello",
            "Role": ROLE,
            "Runtime": "python3.12",
            "Handler": "index.handler",
            "Code": {"ZipFile": a_zip()},
            **request,
        }
        return await self(functions.create_function, **given)

    async def __call__(self, operation: Any, **request: Any) -> dict[str, Any]:
        if "Resource" not in request:
            request = {"FunctionName": "hello", **request}
        return cast("dict[str, Any]", self.comparable(await operation(self.call, request)))

    async def settle(self) -> None:
        await self.control.settle(a_key(account_id=ACCOUNT))

    def comparable(self, value: Any, name: str = "") -> Any:
        match value:
            case dict():
                return {key: self.comparable(item, key) for key, item in value.items()}
            case list():
                return [self.comparable(item) for item in value]
        if name in ("RevisionId", "CodeSha256"):
            count = sum(known.startswith(f"<{name}") for known in self.names.values())
            return self.names.setdefault(value, f"<{name}:{count + 1}>")
        if name in PATTERNS:
            assert re.fullmatch(PATTERNS[name], str(value)), value
            return f"<{name}>"
        return value


@pytest.fixture
async def aws() -> AsyncIterator[Lambda]:
    async with running_control() as control:
        services = SimpleNamespace(
            control=control.plane, clock=control.clock, download_secret=b"secret"
        )
        call = Call(
            request_id="id",
            account_id=ACCOUNT,
            region="us-east-1",
            base_url="http://lampyr.test",
            services=cast("Any", services),
        )
        yield Lambda(control, call, {})


def configuration(
    qualifier: str | None = None, *, listed: bool = False, **members: Any
) -> dict[str, Any]:
    """The recorded configuration of a function that was created with nothing optional."""
    shown = {
        "Architectures": ["x86_64"],
        "CodeSha256": "<CodeSha256:1>",
        "CodeSize": "<CodeSize>",
        "Description": "",
        "EphemeralStorage": {"Size": 512},
        "FunctionArn": ARN if qualifier is None else f"{ARN}:{qualifier}",
        "FunctionName": "hello",
        "Handler": "index.handler",
        "LastModified": "<LastModified>",
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/hello"},
        "MemorySize": 128,
        "PackageType": "Zip",
        "Role": ROLE,
        "Runtime": "python3.12",
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "Timeout": 3,
        "TracingConfig": {"Mode": "PassThrough"},
        "Version": qualifier or "$LATEST",
    }
    return shown | ({} if listed else RUNTIME) | members


def found(**configured: Any) -> dict[str, Any]:
    code = {"Location": "<Location>", "RepositoryType": "S3"}
    return {"Code": code, "Configuration": configured}


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


REFUSED: dict[str, tuple[Any, dict[str, Any], str, str]] = {
    "TestLambdaFunction::test_ops_on_nonexisting_fn[get_function]": (
        functions.get_function,
        {},
        "ResourceNotFoundException",
        f"Function not found: {ARN}",
    ),
    "TestLambdaFunction::test_ops_on_nonexisting_fn[delete_function]": (
        functions.delete_function,
        {},
        "ResourceNotFoundException",
        f"Function not found: {ARN}",
    ),
    "TestLambdaFunction::test_ops_on_nonexisting_version[get_function]": (
        functions.get_function,
        {"Qualifier": "1221"},
        "ResourceNotFoundException",
        f"Function not found: {ARN}:1221",
    ),
    "TestLambdaFunction::test_ops_with_arn_qualifier_mismatch[get_function_configuration] match": (
        functions.get_function_configuration,
        {"FunctionName": f"{ARN}:$LATEST", "Qualifier": "$LATEST"},
        "ResourceNotFoundException",
        f"Function not found: {ARN}:$LATEST",
    ),
    "TestLambdaFunction::test_ops_with_arn_qualifier_mismatch[get_function_configuration]": (
        functions.get_function_configuration,
        {"FunctionName": f"{ARN}:$LATEST", "Qualifier": "1"},
        "InvalidParameterValueException",
        "The derived qualifier from the function name does not match the specified qualifier.",
    ),
    "TestLambdaFunction::test_ops_with_arn_qualifier_mismatch[delete_function]": (
        functions.delete_function,
        {"FunctionName": f"{ARN}:$LATEST", "Qualifier": "$LATEST"},
        "InvalidParameterValueException",
        "$LATEST version cannot be deleted without deleting the function.",
    ),
    "TestLambdaFunction::…validation[incomplete_arn-get_function]": (
        functions.get_function,
        {"FunctionName": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function"},
        "ResourceNotFoundException",
        f"Function not found: arn:aws:lambda:us-east-1:{ACCOUNT}:function:function",
    ),
    "TestLambdaFunction::…validation[lowercase_latest_qualifier-get_function]": (
        functions.get_function,
        {"Qualifier": "$latest"},
        "ResourceNotFoundException",
        f"Function not found: {ARN}:$latest",
    ),
    "TestLambdaFunction::…validation[lowercase_latest_qualifier-delete_function]": (
        functions.delete_function,
        {"Qualifier": "$latest"},
        "ResourceNotFoundException",
        f"Function not found: {ARN}",
    ),
    "TestLambdaFunction::…validation[latest_version_with_additional_qualifier-delete_function]": (
        functions.delete_function,
        {"FunctionName": f"{ARN}:$LATEST", "Qualifier": "1"},
        "InvalidParameterValueException",
        "The derived qualifier from the function name does not match the specified qualifier.",
    ),
    "TestLambdaFunction::…validation[qualifier_too_long1-delete_function]": (
        functions.delete_function,
        {"Qualifier": "a" * 65},
        "InvalidParameterValueException",
        "Deletion of aliases is not currently supported.",
    ),
    "TestLambdaFunction::test_get_function_wrong_region[delete_function]": (
        functions.delete_function,
        {"FunctionName": ARN.replace("us-east-1", "eu-west-1")},
        "ResourceNotFoundException",
        "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
    ),
    "TestLambdaTags::test_tag_exceptions tag_lambda_doesnotexist": (
        tags.tag_resource,
        {"Resource": ARN, "Tags": {"a": "b"}},
        "ResourceNotFoundException",
        f"Function not found: {ARN}",
    ),
    "TestLambdaTags::test_tag_exceptions tag_lambda_qualifier_doesnotexist": (
        tags.tag_resource,
        {"Resource": f"{ARN}:v1", "Tags": {"a": "b"}},
        "InvalidParameterValueException",
        "Tags on function aliases and versions are not supported. Please specify a function ARN.",
    ),
    "TestLambdaTag::test_tag_exceptions[event_source_mapping]": (
        tags.list_tags,
        {"Resource": MAPPING},
        "ResourceNotFoundException",
        f"Event source mapping not found: {MAPPING}",
    ),
}


@pytest.mark.parametrize(
    ("operation", "request_", "code", "message"), REFUSED.values(), ids=REFUSED.keys()
)
async def test_what_is_refused(
    aws: Lambda, operation: Any, request_: dict[str, Any], code: str, message: str
) -> None:
    with pytest.raises(ServiceError) as refused:
        await aws(operation, **request_)
    assert (refused.value.code, refused.value.message) == (code, message)


@pytest.mark.recorded("TestLambdaImages::test_lambda_zip_file_to_image")
async def test_a_zip_function_stays_one(aws: Lambda) -> None:
    await aws.create()
    await aws.settle()
    before = await aws(functions.get_function)
    with pytest.raises(ServiceError) as refused:
        await aws(functions.update_function_code, ImageUri="repository:latest")
    assert refused.value.code == "InvalidParameterValueException"
    assert refused.value.message == (
        "Please don't provide ImageUri when updating a function with packageType Zip."
    )
    assert await aws(functions.get_function) == before


UNSERVED: list[dict[str, Any]] = [
    {"Layers": ["arn:aws:lambda:us-east-1:111111111111:layer:a:1"]},
    {"VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": []}},
    {"DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:111111111111:q"}},
    {"FileSystemConfigs": [{"Arn": "arn", "LocalMountPath": "/mnt/a"}]},
    {"KMSKeyArn": "arn:aws:kms:us-east-1:111111111111:key/a"},
    {"SnapStart": {"ApplyOn": "PublishedVersions"}},
    {"TracingConfig": {"Mode": "Active"}},
    {"CodeSigningConfigArn": "arn"},
    {"DurableConfig": {"ExecutionTimeout": 10}},
    {"CapacityProviderConfig": {"LambdaManagedInstancesCapacityProviderConfig": {"Arn": "a"}}},
    {"ImageConfig": {"Command": ["a"]}},
    {"PackageType": "Image", "Code": {"ImageUri": "repository:latest"}},
    {"Code": {"ImageUri": "repository:latest"}},
    {"Code": {"S3Bucket": "bucket", "S3Key": "key"}},
    {"Architectures": ["arm64"]},
    {"PublishTo": "LATEST_PUBLISHED"},
    {"AcceleratorConfig": {"AcceleratorMemorySize": 1}},
    {"RuntimeConfig": {"RuntimeArn": "a", "RuntimeAlias": "b"}},
]


@pytest.mark.lampyr_only
@pytest.mark.parametrize("option", UNSERVED, ids="+".join)
async def test_what_is_not_honoured_is_refused(aws: Lambda, option: dict[str, Any]) -> None:
    with pytest.raises(ServiceError, match="Lampyr does not serve") as refused:
        await aws.create(**option)
    assert refused.value.code == "ServiceException"
    assert (await aws(functions.list_functions))["Functions"] == []


async def test_options_that_ask_for_nothing_are_accepted(aws: Lambda) -> None:
    await aws.create(
        Layers=[],
        VpcConfig={"SubnetIds": [], "SecurityGroupIds": [], "Ipv6AllowedForDualStack": False},
        DeadLetterConfig={"TargetArn": ""},
        FileSystemConfigs=[],
        KMSKeyArn="",
        SnapStart={"ApplyOn": "None"},
        TracingConfig={"Mode": "PassThrough"},
        PackageType="Zip",
        Architectures=["x86_64"],
        ImageConfig={},
        Tags={},
    )


async def test_a_function_that_keeps_its_tenants_apart_says_so(aws: Lambda) -> None:
    answer = await aws.create(TenancyConfig={"TenantIsolationMode": "PER_TENANT"})
    assert answer["TenancyConfig"] == {"TenantIsolationMode": "PER_TENANT"}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ({}, "Please provide a source for function code."),
        (
            {"ZipFile": a_zip(), "S3Key": "key"},
            "Please do not provide other FunctionCode parameters when providing a ZipFile.",
        ),
    ],
)
async def test_code_comes_from_one_place(aws: Lambda, code: Any, message: str) -> None:
    with pytest.raises(ServiceError) as refused:
        await aws.create(Code=code)
    assert (refused.value.code, refused.value.message) == (
        "InvalidParameterValueException",
        message,
    )


async def test_lists_of_all_versions_name_each_by_its_arn(aws: Lambda) -> None:
    await aws.create()
    await aws.settle()
    await aws(versions.publish_version)
    listed = await functions.list_functions(aws.call, {})
    assert [item["FunctionArn"] for item in listed["Functions"]] == [ARN]
    assert not {"State", "LastUpdateStatus", "RuntimeVersionConfig"} & listed["Functions"][0].keys()
    listed = await functions.list_functions(aws.call, {"FunctionVersion": "ALL", "MaxItems": 1})
    assert [item["FunctionArn"] for item in listed["Functions"]] == [f"{ARN}:$LATEST"]
    rest = await functions.list_functions(
        aws.call, {"FunctionVersion": "ALL", "Marker": listed["NextMarker"]}
    )
    assert [item["FunctionArn"] for item in rest["Functions"]] == [f"{ARN}:1"]
    assert "NextMarker" not in rest
    assert await functions.list_functions(
        aws.call, {"FunctionVersion": "ALL", "MasterRegion": "us-east-1"}
    ) == {"Functions": []}
