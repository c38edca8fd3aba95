"""Layers, replayed: each answer is the one AWS gave; and what lists show of them."""

from typing import Any

import pytest

from lampyr.testing.builders import a_zip
from tests.conformance.recorded.scenario import ACCOUNT, HELLO, REGION, Scenario

LAYER = f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer"
CONTENT: dict[str, Any] = {"Content": {"ZipFile": a_zip({"python/shared.py": "X = 1\n"})}}
UPDATE = "update_function_configuration"


@pytest.mark.recorded("TestLambdaLayer::test_layer_lifecycle")
async def test_layer_lifecycle(scenario: Scenario) -> None:
    shared = {"LayerName": "shared"}
    new = {
        **shared,
        **CONTENT,
        "CompatibleArchitectures": ["x86_64"],
        "CompatibleRuntimes": ["python3.12"],
        "Description": "for all",
        "LicenseInfo": "MIT",
    }
    await scenario.create(Timeout=30, Environment={"Variables": {}})
    await scenario("get_fn_result", "get_function", **HELLO)
    await scenario("get_fn_config_result", "get_function_configuration", **HELLO)
    await scenario("publish_result", "publish_layer_version", **new)
    arn = f"{LAYER}:shared:1"
    await scenario("get_layer_ver_result", "get_layer_version", **shared, VersionNumber=1)
    await scenario("get_layer_by_arn_version", "get_layer_version_by_arn", Arn=arn)
    await scenario.update("update_fn_config", Layers=[arn])
    await scenario("get_fn_config", "get_function_configuration", **HELLO)
    await scenario("publish_result_2", "publish_layer_version", **new)
    await scenario("list_layer_versions_predelete", "list_layer_versions", **shared)
    await scenario("delete_layer_1", "delete_layer_version", **shared, VersionNumber=1)
    await scenario("delete_layer_2", "delete_layer_version", **shared, VersionNumber=2)
    await scenario("list_layer_versions_postdelete", "list_layer_versions", **shared)
    await scenario("get_fn_config_postdelete", "get_function_configuration", **HELLO)
    await scenario("publish_result_3", "publish_layer_version", **new)


@pytest.mark.recorded("TestLambdaLayer::test_layer_exceptions")
async def test_layer_exceptions(scenario: Scenario) -> None:
    shared, new = {"LayerName": "shared"}, {"LayerName": "new", **CONTENT}
    get, delete = "get_layer_version", "delete_layer_version"
    publish, layers = "publish_layer_version", "list_layers"
    of_python = {"CompatibleArchitectures": ["x86_64"], "CompatibleRuntimes": ["python3.12"]}
    await scenario("publish_result", publish, **shared, **CONTENT, **of_python)
    kinds = ("CompatibleRuntimes", "CompatibleArchitectures")
    for step, *given in (
        ("publish_layer_version_exc_invalid_runtime_arch", ["invalidruntime"], ["invalidarch"]),
        (
            "publish_layer_version_exc_partially_invalid_values",
            ["invalidruntime", "invalidruntime2", "nodejs20.x"],
            ["invalidarch", "x86_64"],
        ),
    ):
        await scenario(step, publish, **new, **dict(zip(kinds, given, strict=True)))
    await scenario("publish_empty_result", publish, **new, **{kind: [] for kind in kinds})
    runtime, architecture = "runtimedoesnotexist", "archdoesnotexist"
    await scenario(
        "list_layers_exc_compatiblearchitecture_invalid",
        layers,
        CompatibleArchitecture=architecture,
    )
    scenario.leave(
        "list_layers_exc_compatibleruntime_invalid",
        why="AWS names runtimes that no published model has",
    )
    answer = await scenario.do(layers, CompatibleRuntime=runtime)
    assert answer["Error"]["Code"] == "ValidationException"
    await scenario("list_nonexistent_layer", "list_layer_versions", LayerName="none")
    missing = {"LayerName": "none", "VersionNumber": 1}
    await scenario("get_layer_version_exc_layer_doesnotexist", get, **missing)
    for number, which in ((-1, "negative"), (0, "zero"), (2, "2")):
        step = f"get_layer_version_exc_layer_version_doesnotexist_{which}"
        await scenario(step, get, **shared, VersionNumber=number)
    by_arn, step = "get_layer_version_by_arn", "get_layer_version_by_arn_exc"
    await scenario(f"{step}_invalidarn", by_arn, Arn=f"{LAYER}:shared")
    await scenario(f"{step}_nonexistentversion", by_arn, Arn=f"{LAYER}:shared:2")
    step = "delete_layer_version_exc_layerversion_invalid_version"
    await scenario(step, delete, **shared, VersionNumber=-1)
    await scenario("delete_nonexistent_response", delete, **missing)
    await scenario("delete_nonexistent_version_response", delete, **shared, VersionNumber=2)
    await scenario("delete_layer_response", delete, **shared, VersionNumber=1)
    await scenario("delete_layer_again_response", delete, **shared, VersionNumber=1)


@pytest.mark.recorded("TestLambdaLayer::test_layer_function_exceptions")
async def test_layer_function_exceptions(scenario: Scenario) -> None:
    await scenario.create(Timeout=30, Environment={"Variables": {}})
    await scenario("get_fn_result", "get_function", **HELLO)
    given = {"LayerName": "shared", **CONTENT, "CompatibleArchitectures": ["x86_64"]}
    for step in ("publish_result", "publish_result_2", "publish_result_3"):
        await scenario(step, "publish_layer_version", **given)
    one, two, three, nine = (f"{LAYER}:shared:{number}" for number in (1, 2, 3, 9))
    for step, arns in (
        ("two_layer_versions_single_function_exc", [one, two]),
        ("three_layer_versions_single_function_exc", [one, two, three]),
        ("two_identical_layer_versions_single_function_exc", [one, one]),
        ("add_nonexistent_layer_exc", [f"{LAYER}:doesnotexist:1"]),
        ("add_nonexistent_layer_version_exc", [nine]),
        ("add_layer_arn_without_version_exc", [f"{LAYER}:shared"]),
    ):
        await scenario(step, UPDATE, **HELLO, Layers=arns)
    far = one.replace(REGION, "eu-west-1")
    answer = await scenario.create(FunctionName="other", Layers=[far])
    scenario.compare("create_function_with_layer_in_different_region", answer)


@pytest.mark.recorded("TestLambdaLayer::test_layer_function_quota_exception")
async def test_a_function_has_five_layers(scenario: Scenario) -> None:
    for number in range(6):
        await scenario.do("publish_layer_version", LayerName=f"layer-{number}", **CONTENT)
    arns = [f"{LAYER}:layer-{number}:1" for number in range(6)]
    answer = await scenario.create(Layers=arns)
    scenario.compare("create_function_with_six_layers", answer)
    shown = await scenario.create(Layers=arns[:5])
    assert [layer["Arn"] for layer in shown["Layers"]] == arns[:5]


@pytest.mark.recorded("TestLambdaLayer::test_layer_compatibilities[runtimes2]")
async def test_lists_show_what_says_that_it_is_compatible(scenario: Scenario) -> None:
    a = {"LayerName": "a", **CONTENT}
    await scenario(
        "publish_result",
        "publish_layer_version",
        **a,
        CompatibleArchitectures=["arm64", "x86_64"],
        CompatibleRuntimes=["provided.al2023", "provided.al2", "provided"],
    )
    await scenario.do("publish_layer_version", **a)
    b = {**a, "LayerName": "b", "CompatibleRuntimes": ["python3.12"]}
    await scenario.do("publish_layer_version", **b)

    async def listed(**wanted: Any) -> list[str]:
        shown = await scenario.do("list_layers", **wanted)
        versions = [layer["LatestMatchingVersion"] for layer in shown["Layers"]]
        return [version["LayerVersionArn"].removeprefix(f"{LAYER}:") for version in versions]

    async def numbers(**wanted: Any) -> list[int]:
        shown = await scenario.do("list_layer_versions", LayerName="a", **wanted)
        return [version["Version"] for version in shown["LayerVersions"]]

    assert await listed() == ["a:2", "b:1"]
    assert await listed(CompatibleRuntime="provided.al2") == ["a:1"]
    assert await listed(CompatibleRuntime="python3.12", CompatibleArchitecture="arm64") == []
    page = await scenario.do("list_layers", MaxItems=1)
    assert await listed(MaxItems=1, Marker=page["NextMarker"]) == ["b:1"]
    page = await scenario.do("list_layer_versions", LayerName=f"{LAYER}:a", MaxItems=1)
    assert [version["Version"] for version in page["LayerVersions"]] == [2]
    assert await numbers(Marker=page["NextMarker"]) == [1]
    assert await numbers(CompatibleArchitecture="arm64") == [1]
