"""Policies and tags, replayed: each answer is the one AWS gave."""

from typing import Any

import pytest

from tests.conformance.recorded.scenario import ACCOUNT, FUNCTION, HELLO, REGION, Scenario

ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function"
HELLO_ARN = f"{ARN}:hello"
NO_VARIABLES: dict[str, Any] = {"Variables": {}}
S3: dict[str, Any] = {
    "StatementId": "s3",
    "Action": "lambda:InvokeFunction",
    "Principal": "s3.amazonaws.com",
    "SourceArn": "arn:aws:s3:::bucket",
}


@pytest.mark.recorded("TestLambdaPermissions::test_create_multiple_lambda_permissions")
async def test_one_policy_with_several_statements(scenario: Scenario) -> None:
    await scenario.create()
    for number, service in enumerate(("logs", "kinesis"), 1):
        principal = {"StatementId": service, "Principal": f"{service}.amazonaws.com"}
        given = {**HELLO, **principal, "Action": "lambda:InvokeFunction"}
        await scenario(f"add_permission_response_{number}", "add_permission", **given)
    await scenario("policy_after_2_add", "get_policy", **HELLO)


@pytest.mark.recorded("TestLambdaPermissions::test_lambda_permission_versioning")
async def test_a_version_has_a_policy_of_its_own(scenario: Scenario) -> None:
    await scenario.create()
    await scenario("add_permission", "add_permission", **HELLO, **S3)
    await scenario("get_policy", "get_policy", **HELLO)
    await scenario.do("publish_version", **HELLO)
    one = {**HELLO, "Qualifier": "1"}
    await scenario("get_policy_after_publishing_new_version", "get_policy", **one)
    scenario.leave(
        "get_policy_after_publishing_latest",
        "get_policy_after_adding_to_new_version",
        why="AWS gave the same policy another revision; the scenario below, recorded of the same "
        "operations and years later, has it keep its revision",
    )
    await scenario.do("add_permission", **one, **S3)
    await scenario.do("add_permission", **HELLO, **{**S3, "StatementId": "s3_2"})
    await scenario("get_policy_after_adding_2", "get_policy", **HELLO)


@pytest.mark.recorded("TestLambdaPermissions::test_lambda_permission_fn_versioning")
async def test_functions_versions_and_aliases_have_policies(scenario: Scenario) -> None:
    await scenario.create(Timeout=30, Environment=NO_VARIABLES)
    one, live = {**HELLO, "Qualifier": "1"}, {**HELLO, "Qualifier": "permission-alias"}
    await scenario("add_permission", "add_permission", **HELLO, **S3)
    shown = await scenario("get_policy", "get_policy", **HELLO)
    await scenario("publish_version_result", "publish_version", **HELLO)
    await scenario("get_policy_after_publishing_latest", "get_policy", **HELLO)
    await scenario("get_policy_after_publishing_new_version", "get_policy", **one)
    await scenario("get_function_result_after_publishing", "get_function", **HELLO)
    await scenario.do("add_permission", **one, **S3)
    await scenario("get_policy_version", "get_policy", **one)
    await scenario("get_policy_after_adding_to_new_version", "get_policy", **HELLO)
    alias = {**HELLO, "Name": "permission-alias"}
    await scenario("create_alias_response", "create_alias", **alias, FunctionVersion="1")
    await scenario("get_alias", "get_alias", **alias)
    second = {**S3, "StatementId": "s3_2"}
    await scenario.do("add_permission", **live, **S3)
    await scenario("get_policy_alias", "get_policy", **live)
    wrong = {**live, **second, "RevisionId": "wrong"}
    await scenario("add_permission_alias_revision_exception", "add_permission", **wrong)
    await scenario.do("add_permission", **HELLO, **second, RevisionId=shown["RevisionId"])
    await scenario("get_policy_after_adding_2", "get_policy", **HELLO)


@pytest.mark.recorded("TestLambdaPermissions::test_permission_exceptions")
async def test_permissions_that_are_refused(scenario: Scenario) -> None:
    await scenario.create(Publish=True)
    missing = {"FunctionName": "doesnotexist"}
    for step, more in (
        ("fn_qualifier_mismatch", {"FunctionName": f"{HELLO_ARN}:alias-not-42", "Qualifier": "42"}),
        ("fn_qualifier_latest", {"Qualifier": "$LATEST"}),
        ("principal_invalid", {"Principal": "invalid.nonaws.com"}),
        ("fn_doesnotexist", missing),
        ("fn_alias_doesnotexist", {"Qualifier": "alias-doesnotexist"}),
        ("fn_version_doesnotexist", {"Qualifier": "42"}),
        ("fn_qualifier_invalid", {"Qualifier": "invalid-qualifier-with-?-char"}),
        ("fn_qualifier_valid_doesnotexist", {"Qualifier": "valid-with-$-but-doesnotexist"}),
        ("invalid_statement_id", {"StatementId": "example.com"}),
    ):
        await scenario(f"add_permission_{step}", "add_permission", **{**HELLO, **S3, **more})
    await scenario("get_policy_fn_doesnotexist", "get_policy", **missing)
    await scenario("get_policy_fn_version_doesnotexist", "get_policy", **HELLO, Qualifier="42")
    sid = {"StatementId": "s3"}
    await scenario("remove_permission_policy_doesnotexist", "remove_permission", **HELLO, **sid)
    await scenario("remove_permission_fn_doesnotexist", "remove_permission", **missing, **sid)
    other = {**HELLO, **sid, "Qualifier": "alias-doesnotexist"}
    await scenario("remove_permission_fn_alias_doesnotexist", "remove_permission", **other)
    await scenario.do("add_permission", **HELLO, **S3)
    await scenario("add_permission_conflicting_statement_id", "add_permission", **HELLO, **S3)


@pytest.mark.recorded("TestLambdaTags::test_tag_exceptions")
async def test_tags_that_are_refused(scenario: Scenario) -> None:
    await scenario.create()
    tags = {"Tags": {"a": "b"}}
    for step, arn, more in (
        ("tag_lambda_invalidarn", "arn:aws:something", tags),
        ("tag_lambda_doesnotexist", f"{ARN}:doesnotexist", tags),
        ("tag_lambda_qualifier_doesnotexist", f"{HELLO_ARN}:v1", tags),
        ("tag_empty_tags", HELLO_ARN, {"Tags": {}}),
    ):
        await scenario(step, "tag_resource", Resource=arn, **more)
    await scenario("list_tag_lambda_empty", "list_tags", Resource=HELLO_ARN)
    await scenario("untag_nomatch", "untag_resource", Resource=HELLO_ARN, TagKeys=["somekey"])
    await scenario("untag_empty_keys", "untag_resource", Resource=HELLO_ARN, TagKeys=[])


@pytest.mark.recorded("TestLambdaTags::test_tag_versions")
async def test_versions_have_no_tags(scenario: Scenario) -> None:
    await scenario.create(Publish=True)
    tags = {"Tags": {"key1": "value1"}}
    latest = f"{HELLO_ARN}:$LATEST"
    await scenario("tag_resource_exception", "tag_resource", Resource=f"{HELLO_ARN}:1", **tags)
    await scenario("tag_resource_latest_exception", "tag_resource", Resource=latest, **tags)


@pytest.mark.recorded("TestLambdaTags::test_tag_limits")
async def test_fifty_tags(scenario: Scenario) -> None:
    fifty = {f"{number}_key": f"{number}_value" for number in range(50)}
    more = {**fifty, "50_key": "50_value"}
    await scenario("create_function_invalid_tags", "create_function", **FUNCTION, Tags=more)
    await scenario.create(Timeout=30, Environment=NO_VARIABLES)
    named = {"Resource": HELLO_ARN}
    await scenario("tag_lambda_too_many_tags", "tag_resource", **named, Tags=more)
    await scenario("tag_response", "tag_resource", **named, Tags=fifty)
    await scenario("list_tags_response", "list_tags", **named)
    await scenario("get_fn_response", "get_function", **HELLO)
    one = {"51_key": "51_value"}
    await scenario("tag_lambda_too_many_tags_additional", "tag_resource", **named, Tags=one)


@pytest.mark.recorded("TestLambdaTag::test_tag_exceptions[event_source_mapping]")
async def test_tags_of_what_is_no_function(scenario: Scenario) -> None:
    mapping = (
        f"{ARN.removesuffix('function')}event-source-mapping:{'1' * 8}-1111-1111-1111-{'1' * 12}"
    )
    tags, keys = {"Tags": {"a": "b"}}, {"TagKeys": ["a"]}
    await scenario("not_found_exception_tag", "tag_resource", Resource=mapping, **tags)
    await scenario("not_found_exception_untag", "untag_resource", Resource=mapping, **keys)
    await scenario("not_found_exception_list", "list_tags", Resource=mapping)
    await scenario("aliased_arn_exception", "tag_resource", Resource=f"{mapping}:alias", **tags)
    other = mapping.replace("event-source-mapping", "foobar")
    await scenario("invalid_arn_exception", "tag_resource", Resource=other, **tags)


@pytest.mark.recorded("TestLambdaTag::test_tag_nonexisting_resource")
async def test_tags_of_a_function_that_is_gone(scenario: Scenario) -> None:
    await scenario.create(Timeout=30, Environment=NO_VARIABLES)
    await scenario("pre_delete_get_function", "get_function", **HELLO)
    await scenario.do("delete_function", **HELLO)
    named = {"Resource": HELLO_ARN}
    await scenario("not_found_exception_tag", "tag_resource", **named, Tags={"a": "b"})
    await scenario("not_found_exception_untag", "untag_resource", **named, TagKeys=["a"])
    await scenario("not_found_exception_list", "list_tags", **named)
