"""The operations on layers answer what Lambda was recorded to answer to the same requests."""

from typing import Any

import pytest

from lampyr.api.operations import functions, layers
from lampyr.errors import ServiceError
from lampyr.testing.builders import a_zip
from tests.conformance.recorded.replay import (
    ACCOUNT,
    ACTIVE,
    IN_PROGRESS,
    Lambda,
    configuration,
)

LAYER = f"arn:aws:lambda:us-east-1:{ACCOUNT}:layer"
SHARED = a_zip({"python/shared.py": "X = 1\n"})
ABSENT = "The resource you requested does not exist."
LESS_THAN_1 = "Layer Version Cannot be less than 1"


async def publish(aws: Lambda, name: str = "shared", **request: Any) -> dict[str, Any]:
    given = {"LayerName": name, "Content": {"ZipFile": SHARED}, **request}
    return await aws(layers.publish_layer_version, **given)


def item(number: int, name: str = "shared", **members: Any) -> dict[str, Any]:
    shown = {
        "CompatibleArchitectures": [],
        "CompatibleRuntimes": [],
        "CreatedDate": "<CreatedDate>",
        "Description": "",
        "LayerVersionArn": f"{LAYER}:{name}:{number}",
        "Version": number,
    }
    return shown | members


def answer(number: int, name: str = "shared", sha: int = 1, **members: Any) -> dict[str, Any]:
    content = {
        "CodeSha256": f"<CodeSha256:{sha}>",
        "CodeSize": "<CodeSize>",
        "Location": "<Location>",
    }
    return {"Content": content, "LayerArn": f"{LAYER}:{name}"} | item(number, name, **members)


async def refusal(aws: Lambda, operation: Any, **request: Any) -> tuple[str, str]:
    with pytest.raises(ServiceError) as refused:
        await aws(operation, **request)
    return refused.value.code, refused.value.message


@pytest.mark.recorded("TestLambdaLayer::test_layer_lifecycle")
async def test_layer_lifecycle(aws: Lambda) -> None:
    await aws.create()
    await aws.settle()
    said: dict[str, Any] = {
        "CompatibleArchitectures": ["x86_64"],
        "CompatibleRuntimes": ["python3.12"],
        "Description": "for all",
        "LicenseInfo": "MIT",
    }
    assert await publish(aws, **said) == answer(1, sha=2, **said)
    by_name = await aws(layers.get_layer_version, LayerName="shared", VersionNumber=1)
    assert by_name == answer(1, sha=2, **said)
    by_arn = await aws(layers.get_layer_version_by_arn, Arn=f"{LAYER}:shared:1")
    assert by_arn == by_name
    used: dict[str, Any] = {"Layers": [{"Arn": f"{LAYER}:shared:1", "CodeSize": "<CodeSize>"}]}
    changed = await aws(functions.update_function_configuration, Layers=[f"{LAYER}:shared:1"])
    assert changed == configuration(RevisionId="<RevisionId:2>", **used, **IN_PROGRESS)
    await aws.settle()
    after = configuration(RevisionId="<RevisionId:3>", **used, **ACTIVE)
    assert await aws(functions.get_function_configuration) == after
    assert await publish(aws, **said) == answer(2, sha=2, **said)
    assert await aws(layers.list_layer_versions, LayerName="shared") == {
        "LayerVersions": [item(2, **said), item(1, **said)]
    }
    for number in (1, 2):
        deleted = await aws(layers.delete_layer_version, LayerName="shared", VersionNumber=number)
        assert deleted == {}
    assert await aws(layers.list_layer_versions, LayerName="shared") == {"LayerVersions": []}
    assert await aws(functions.get_function_configuration) == after
    # Numbers are not given again.
    assert await publish(aws, **said) == answer(3, sha=2, **said)


@pytest.mark.recorded("TestLambdaLayer::test_layer_exceptions")
async def test_layer_exceptions(aws: Lambda) -> None:
    absent = ("ResourceNotFoundException", ABSENT)
    less = ("InvalidParameterValueException", LESS_THAN_1)
    assert await publish(aws) == answer(1)
    get, delete = layers.get_layer_version, layers.delete_layer_version
    assert await refusal(aws, get, LayerName="none", VersionNumber=1) == absent
    for number, refused in ((-1, less), (0, less), (2, absent)):
        assert await refusal(aws, get, LayerName="shared", VersionNumber=number) == refused
    arn = f"{LAYER}:shared:2"
    assert await refusal(aws, layers.get_layer_version_by_arn, Arn=arn) == absent
    assert await refusal(aws, delete, LayerName="shared", VersionNumber=0) == less
    for name, number in (("none", 1), ("shared", 2), ("shared", 1), ("shared", 1)):
        assert await aws(delete, LayerName=name, VersionNumber=number) == {}
    assert await aws(layers.list_layer_versions, LayerName="none") == {"LayerVersions": []}


@pytest.mark.recorded("TestLambdaLayer::test_layer_function_exceptions")
async def test_layer_function_exceptions(aws: Lambda) -> None:
    await aws.create()
    await aws.settle()
    for _ in range(3):
        await publish(aws)
    one, two, three = (f"{LAYER}:shared:{number}" for number in (1, 2, 3))
    twice = (
        "Two different versions of the same layer are not allowed to be referenced in the same "
        "function. {} and {} are versions of the same layer."
    )
    refused = {
        (one, two): twice.format(one, two),
        (one, two, three): twice.format(one, two),
        (one, one): twice.format(one, one),
        (f"{LAYER}:none:1",): f"Layer version {LAYER}:none:1 does not exist.",
        (f"{LAYER}:shared:9",): f"Layer version {LAYER}:shared:9 does not exist.",
    }
    for arns, message in refused.items():
        code = ("InvalidParameterValueException", message)
        given = {"Layers": list(arns)}
        assert await refusal(aws, functions.update_function_configuration, **given) == code
    elsewhere = one.replace("us-east-1", "eu-west-1")
    with pytest.raises(ServiceError) as region:
        await aws.create(FunctionName="other", Layers=[elsewhere])
    assert region.value.message == (
        "Layers are not in the same region as the function. Layers are expected to be in region "
        "us-east-1."
    )


@pytest.mark.recorded("TestLambdaLayer::test_layer_function_quota_exception")
async def test_a_function_has_five_layers(aws: Lambda) -> None:
    for number in range(6):
        await publish(aws, f"layer-{number}")
    arns = [f"{LAYER}:layer-{number}:1" for number in range(6)]
    with pytest.raises(ServiceError) as refused:
        await aws.create(Layers=arns)
    assert refused.value.message == "Cannot reference more than 5 layers."
    shown = await aws.create(Layers=arns[:5])
    assert [layer["Arn"] for layer in shown["Layers"]] == arns[:5]


@pytest.mark.recorded("TestLambdaLayer::test_layer_compatibilities[runtimes2]")
async def test_lists_show_what_is_compatible(aws: Lambda) -> None:
    """As the documentation of ListLayers says, of the latest version that is."""
    both: dict[str, Any] = {
        "CompatibleArchitectures": ["arm64", "x86_64"],
        "CompatibleRuntimes": ["provided.al2023", "provided.al2", "provided"],
    }
    assert await publish(aws, "a", **both) == answer(1, "a", **both)
    await publish(aws, "a")
    await publish(aws, "b", CompatibleRuntimes=["python3.12"])

    async def listed(**wanted: Any) -> list[str]:
        shown = await aws(layers.list_layers, **wanted)
        versions = [layer["LatestMatchingVersion"] for layer in shown["Layers"]]
        return [version["LayerVersionArn"].removeprefix(f"{LAYER}:") for version in versions]

    assert await listed() == ["a:2", "b:1"]
    assert await listed(CompatibleRuntime="provided.al2") == ["a:1"]
    assert await listed(CompatibleRuntime="python3.12", CompatibleArchitecture="arm64") == []
    page = await aws(layers.list_layers, MaxItems=1)
    assert await listed(MaxItems=1, Marker=page["NextMarker"]) == ["b:1"]
    page = await aws(layers.list_layer_versions, LayerName=f"{LAYER}:a", MaxItems=1)
    rest = {"LayerName": "a", "Marker": page["NextMarker"]}
    assert [page["LayerVersions"], await aws(layers.list_layer_versions, **rest)] == [
        [item(2, "a")],
        {"LayerVersions": [item(1, "a", **both)]},
    ]
    arm = await aws(layers.list_layer_versions, LayerName="a", CompatibleArchitecture="arm64")
    assert arm == {"LayerVersions": [item(1, "a", **both)]}


@pytest.mark.lampyr_only
async def test_a_layer_is_its_accounts_and_its_regions(aws: Lambda) -> None:
    other = "arn:aws:lambda:us-east-1:222222222222:layer:theirs"
    message = (
        f"User: arn:aws:iam::{ACCOUNT}:root is not authorized to perform: lambda:GetLayerVersion "
        f"on resource: {other}:1 because no resource-based policy allows the "
        "lambda:GetLayerVersion action"
    )
    denied = ("AccessDeniedException", message)
    by_arn = await refusal(aws, layers.get_layer_version_by_arn, Arn=f"{other}:1")
    assert by_arn == denied
    assert await refusal(aws, layers.get_layer_version, LayerName=other, VersionNumber=1) == denied
    with pytest.raises(ServiceError) as refused:
        await aws.create(Layers=[f"{other}:1"])
    assert (refused.value.code, refused.value.message) == denied
    code, message = await refusal(aws, layers.publish_layer_version, LayerName=other, Content={})
    assert (code, "lambda:PublishLayerVersion" in message) == ("AccessDeniedException", True)
    far = other.replace("us-east-1", "eu-west-1")
    code, _ = await refusal(aws, layers.list_layer_versions, LayerName=far)
    assert code == "ResourceNotFoundException"
    with pytest.raises(ServiceError, match="awslayer:Tools does not exist"):
        await aws.create(Layers=["arn:aws:lambda:::awslayer:Tools"])
