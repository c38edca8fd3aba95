"""Functions, versions and aliases, replayed: each answer is the one AWS gave."""

from typing import Any

import pytest

from lampyr.testing.builders import a_zip
from tests.conformance.recorded.scenario import ACCOUNT, FUNCTION, HELLO, REGION, Scenario

ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function"
OTHER = a_zip({"index.py": "2"})
NO_VARIABLES: dict[str, Any] = {"Variables": {}}


@pytest.mark.recorded("TestLambdaAlias::test_non_existent_alias_update")
async def test_an_alias_that_is_not_there(scenario: Scenario) -> None:
    await scenario.create("create_response")
    missing = {**HELLO, "Name": "non-existent", "Description": "new"}
    await scenario("update_alias_response", "update_alias", **missing)


@pytest.mark.recorded("TestLambdaAliases::test_lambda_alias_moving")
async def test_moving_an_alias(scenario: Scenario) -> None:
    await scenario.create("create_response")
    await scenario.do("publish_version", **HELLO, Description="First version description :)")
    alias = {**HELLO, "Name": "alias1"}
    await scenario("create_alias_response", "create_alias", **alias, FunctionVersion="1")
    await scenario("update_lambda_response", "update_function_code", **HELLO, ZipFile=OTHER)
    await scenario.settle()
    second = {**HELLO, "Description": "Second version description :)"}
    await scenario("second_publish_response", "publish_version", **second)
    await scenario("update_alias_response", "update_alias", **alias, FunctionVersion="2")
    scenario.leave(
        "invocation_exc_not_existent",
        "invocation_result_qualifier_v1",
        "invocation_result_qualifier_v1_after_publish",
        "invocation_result_qualifier_v1_after_update",
        "invocation_result_qualifier_v1_arn",
        "invocation_result_qualifier_v2",
        why="calls, which test_aliases makes of a whole Lampyr",
    )


@pytest.mark.recorded("TestLambdaFunction::test_function_arns")
async def test_names_that_create_a_function(scenario: Scenario) -> None:
    common = {**FUNCTION, "Timeout": 30, "Environment": NO_VARIABLES}
    for step, name in (
        ("create-function-arn-response", f"{ARN}:one"),
        ("create-function-partial-arn-response", f"{ACCOUNT}:function:two"),
        ("function_arn_other_account_exc", f"{ARN.replace(ACCOUNT, '999999999999')}:one"),
        ("function_arn_other_region_exc", f"{ARN.replace(REGION, 'ap-southeast-1')}:one"),
        ("invalid_function_name_exc", "invalid:function:name"),
        ("long_function_arn_exc", f"{ARN}:{'a' * 100}"),
        ("long_function_name_exc", "a" * 65),
    ):
        package = {"Code": {"ZipFile": OTHER}} if "partial" in step else {}
        await scenario(step, "create_function", **{**common, **package, "FunctionName": name})


@pytest.mark.recorded("TestLambdaFunction::test_redundant_updates")
async def test_redundant_updates(scenario: Scenario) -> None:
    await scenario.create("create_response")
    await scenario.update("first_update_result", Description="1st update description")
    await scenario("get_fn_config_result", "get_function_configuration", **HELLO)
    await scenario("get_fn_result", "get_function", **HELLO)
    await scenario.update("redundant_update_result", Description="1st update description")
    await scenario("get_fn_result_after_redundant_update", "get_function", **HELLO)


@pytest.mark.recorded("TestLambdaVersions::test_version_lifecycle")
async def test_version_lifecycle(scenario: Scenario) -> None:
    one, listed = {**HELLO, "Qualifier": "1"}, "list_versions_by_function"
    await scenario.create("create_response")
    await scenario("get_function_result", "get_function", **HELLO)
    await scenario("list_versions_result", listed, **HELLO)
    await scenario.update("first_update_response", Description="First version :)")
    await scenario("first_update_get_function", "get_function", **HELLO)
    first = {**HELLO, "Description": "First version description :)"}
    await scenario("first_publish_response", "publish_version", **first)
    await scenario("first_publish_get_function", "get_function", **one)
    await scenario("first_publish_get_function_config", "get_function_configuration", **one)
    await scenario.update("second_update_response", Description="Second version :))")
    await scenario("first_publish_get_function_after_update", "get_function", **one)
    await scenario("second_publish_response", "publish_version", **HELLO)
    await scenario("third_publish_response", "publish_version", **HELLO)
    await scenario("list_versions_result_after_third_publish", listed, **HELLO)
    await scenario.do("delete_function", **one)
    await scenario("list_versions_result_after_deletion_of_first_version", listed, **HELLO)


@pytest.mark.recorded("TestLambdaVersions::test_publish_with_update")
async def test_publish_with_update(scenario: Scenario) -> None:
    await scenario.create("create_response")
    await scenario("get_function_result", "get_function", **HELLO)
    scenario.control.cluster.gate.clear()
    new = {**HELLO, "ZipFile": OTHER, "Publish": True}
    await scenario("update_function_code_result", "update_function_code", **new)
    await scenario("get_function_version_result", "get_function", **HELLO, Qualifier="1")
    await scenario("get_function_latest_result", "get_function", **HELLO, Qualifier="$LATEST")
    scenario.control.cluster.gate.set()


SWITCH = "TestLoggingConfig::test_advanced_logging_configuration_format_switch"
PARTIAL = "TestLoggingConfig::test_function_partial_advanced_logging_configuration_update"
JSON_FORMAT = {"LogFormat": "JSON"}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(
            [
                {**JSON_FORMAT, "ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"},
                {"LogFormat": "Text"},
            ],
            marks=pytest.mark.recorded(SWITCH),
        ),
        pytest.param([JSON_FORMAT], marks=pytest.mark.recorded(f"{PARTIAL}[partial_config0]")),
        pytest.param(
            [{**JSON_FORMAT, "ApplicationLogLevel": "DEBUG"}],
            marks=pytest.mark.recorded(f"{PARTIAL}[partial_config1]"),
        ),
        pytest.param(
            [{**JSON_FORMAT, "SystemLogLevel": "DEBUG"}],
            marks=pytest.mark.recorded(f"{PARTIAL}[partial_config2]"),
        ),
    ],
)
async def test_changes_of_how_it_logs(scenario: Scenario, changes: list[dict[str, str]]) -> None:
    await scenario.create("create_response")
    await scenario("function_config", "get_function_configuration", **HELLO)
    await scenario("get_function_response", "get_function", **HELLO)
    for suffix, change in zip(("", "_v2"), changes, strict=False):
        await scenario.update(f"updated_config{suffix}", LoggingConfig=change)
        await scenario(f"received_config{suffix}", "get_function_configuration", **HELLO)


DEPRECATED = (
    "TestRuntimeValidation::test_create_deprecated_function_runtime_with_validation_enabled"
)


@pytest.mark.parametrize(
    "runtime",
    [
        pytest.param(runtime, marks=pytest.mark.recorded(f"{DEPRECATED}[{runtime}]"))
        for runtime in ("java8", "provided", "ruby2.7")
    ],
)
async def test_runtimes_that_are_no_more(scenario: Scenario, runtime: str) -> None:
    await scenario("deprecation_error", "create_function", **{**FUNCTION, "Runtime": runtime})


@pytest.mark.recorded("TestLambdaSizeLimits::test_lambda_envvars_near_limit_succeeds")
async def test_variables_just_small_enough(scenario: Scenario) -> None:
    await scenario.create("successful_create_fn_result")


@pytest.mark.recorded("TestLambdaAccountSettings::test_account_settings")
async def test_account_settings(scenario: Scenario) -> None:
    answer = await scenario.do("get_account_settings")
    names = {
        name: sorted(value) if name.startswith("Account") else value
        for name, value in answer.items()
    }
    scenario.compare("acc_settings_modded", names)


@pytest.mark.recorded(
    "TestLambdaAccountSettings::test_account_settings_total_code_size_config_update"
)
async def test_what_code_counts(scenario: Scenario) -> None:
    async def used() -> int:
        usage = (await scenario.do("get_account_settings"))["AccountUsage"]
        return int(usage["TotalCodeSize"])

    await scenario.create()
    created = await used()
    scenario.compare("is_total_code_size_diff_create_function_more_than_200", created > 100)
    await scenario.do("update_function_configuration", **HELLO, Description="other")
    await scenario.settle()
    scenario.compare("total_code_size_diff_update_function_configuration", await used() - created)
    await scenario.do("publish_version", **HELLO)
    scenario.compare(
        "is_total_code_size_diff_publish_version_after_config_update_more_than_200",
        await used() == 2 * created,
    )


@pytest.mark.recorded("TestLambdaCleanup::test_recreate_function")
async def test_a_name_is_free_again(scenario: Scenario) -> None:
    await scenario.create("create_function_response_one")
    await scenario.do("delete_function", **HELLO)
    await scenario.create("create_function_response_two")


@pytest.mark.recorded("TestLambdaBaseFeatures::test_lambda_different_iam_keys_environment")
async def test_a_function_that_looks_at_its_keys(scenario: Scenario) -> None:
    await scenario.create("create-result")
