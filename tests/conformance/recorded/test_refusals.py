"""What the control operations refuse, in the words that were recorded of Lambda or in ours."""

from typing import Any

import pytest

from lampyr.api.operations import (
    event_source_mappings,
    function_urls,
    functions,
    provisioned,
    versions,
)
from lampyr.errors import ServiceError
from lampyr.testing.builders import a_zip
from tests.conformance.recorded.replay import ACCOUNT, ARN, Lambda


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
    {"VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": []}},
    {"FileSystemConfigs": [{"Arn": "arn", "LocalMountPath": "/mnt/a"}]},
    {"KMSKeyArn": "arn:aws:kms:us-east-1:111111111111:key/a"},
    {"TracingConfig": {"Mode": "Active"}},
    {"DurableConfig": {"ExecutionTimeout": 10}},
    {"CapacityProviderConfig": {"LambdaManagedInstancesCapacityProviderConfig": {"Arn": "a"}}},
    {"Code": {"S3Bucket": "bucket", "S3Key": "key", "S3ObjectStorageMode": "REFERENCE"}},
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
    answer = await aws.create(
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
    # As recorded in TestLambdaFunction::test_vpc_config of a function that has left its VPC.
    nowhere = {"SubnetIds": [], "SecurityGroupIds": [], "VpcId": ""}
    assert answer["VpcConfig"] == {**nowhere, "Ipv6AllowedForDualStack": False}
    assert not {"Layers", "DeadLetterConfig", "ImageConfigResponse"} & answer.keys()


async def test_a_function_that_keeps_its_tenants_apart_says_so(aws: Lambda) -> None:
    answer = await aws.create(TenancyConfig={"TenantIsolationMode": "PER_TENANT"})
    assert answer["TenancyConfig"] == {"TenantIsolationMode": "PER_TENANT"}
    await aws.settle()
    await aws(versions.publish_version)
    queue = f"arn:aws:sqs:us-east-1:{ACCOUNT}:queue"
    for operation, request in (
        (function_urls.create_function_url_config, {"AuthType": "NONE"}),
        (
            provisioned.put_provisioned_concurrency_config,
            {"Qualifier": "1", "ProvisionedConcurrentExecutions": 1},
        ),
        (event_source_mappings.create_event_source_mapping, {"EventSourceArn": queue}),
    ):
        with pytest.raises(ServiceError, match="not supported for functions with tenant") as told:
            await aws(operation, **request)
        assert told.value.code == "InvalidParameterValueException"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ({}, "Please provide a source for function code."),
        ({"S3Bucket": "bucket"}, "Please provide a source for function code."),
        ({"ImageUri": "a.b/c:d"}, "Please provide a source for function code."),
        (
            {"ZipFile": a_zip(), "ImageUri": "a.b/c:d"},
            "Please do not provide other FunctionCode parameters when providing an ImageUri.",
        ),
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
