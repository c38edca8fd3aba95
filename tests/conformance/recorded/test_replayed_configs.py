"""Event invoke configs, mappings, URLs and code signing, replayed: each answer is AWS's."""

import asyncio
from typing import Any

import pytest

from lampyr.control.sources.states import is_unsettled
from lampyr.model.mapping import EventSourceMapping
from tests.conformance.recorded.scenario import ACCOUNT, HELLO, REGION, Scenario

PLACE = f"{REGION}:{ACCOUNT}"
ARN = f"arn:aws:lambda:{PLACE}:function:hello"
GONE = f"arn:aws:lambda:{PLACE}:function:doesnotexist"
OTHER = f"arn:aws:lambda:{PLACE}:function:other"
QUEUE = f"arn:aws:sqs:{PLACE}:queue"
INVOKE = "TestLambdaEventInvokeConfig::test_lambda_eventinvokeconfig_"
PUT, UPDATE, GET, LIST, DELETE = (
    f"{verb}_function_event_invoke_config{'s' if verb == 'list' else ''}"
    for verb in ("put", "update", "get", "list", "delete")
)


@pytest.mark.recorded(INVOKE + "lifecycle")
async def test_event_invoke_configs(scenario: Scenario) -> None:
    await scenario.create()
    first = {**HELLO, "Qualifier": "1"}
    await scenario("put_invokeconfig_retries_0", PUT, **HELLO, MaximumRetryAttempts=0)
    await scenario("put_invokeconfig_eventage_60", PUT, **HELLO, MaximumEventAgeInSeconds=60)
    again = {**HELLO, "MaximumEventAgeInSeconds": 60}
    await scenario("update_invokeconfig_eventage_nochange", UPDATE, **again)
    await scenario("update_invokeconfig_retries", UPDATE, **HELLO, MaximumRetryAttempts=1)
    await scenario("get_invokeconfig", GET, **HELLO)
    await scenario("get_invokeconfig_latest", GET, **HELLO, Qualifier="$LATEST")
    await scenario("list_single_invokeconfig", LIST, **HELLO)
    await scenario.do("publish_version", **HELLO)
    await scenario("get_invokeconfig_postpublish", GET, **first)
    await scenario("put_published_invokeconfig", PUT, **first, MaximumEventAgeInSeconds=120)
    await scenario("get_published_invokeconfig", GET, **first)
    await scenario.do(DELETE, **HELLO)
    await scenario("list_paging_nolimit_postdelete", LIST, **HELLO)
    scenario.leave("publish_version_result", why="test_replayed compares what a version shows")


ONCE = {"MaximumRetryAttempts": 1}
ALIAS = "eventinvokealias"


def puts() -> list[tuple[str, dict[str, Any]]]:
    """Every PutFunctionEventInvokeConfig that was recorded, in an order that leads there."""

    def to(arn: str | None, side: str = "OnSuccess") -> dict[str, Any]:
        destination = {} if arn is None else {"Destination": arn}
        return {**HELLO, "DestinationConfig": {side: destination}}

    def named(name: str, qualifier: str | None = None) -> dict[str, Any]:
        given = {"FunctionName": name, **ONCE}
        return given if qualifier is None else {**given, "Qualifier": qualifier}

    return [
        ("put_functionname_name_notfound", named("doesnotexist")),
        ("put_functionname_arn_notfound", named(GONE)),
        ("put_functionname_nootherargs", HELLO),
        ("put_destination_lambda_doesntexist", to(GONE)),
        ("put_destination_recursive", to(ARN)),
        ("put_destination_other_lambda", to(OTHER)),
        ("put_destination_invalid_service_arn", to(ARN.replace("lambda", "iam"))),
        ("put_destination_success_no_destination_arn", to(None)),
        ("put_destination_failure_no_destination_arn", to(None, "OnFailure")),
        (
            "put_destination_invalid_arn_pattern",
            to(ARN.replace("lambda", "_-/!lambda"), "OnFailure"),
        ),
        ("put_destination_latest", named("hello")),
        ("put_destination_latest_explicit_qualifier", named("hello", "$LATEST")),
        ("put_destination_version", named("hello", "1")),
        ("put_alias_functionname_qualifier", named("hello", ALIAS)),
        ("put_alias_doesnotexist", named("hello", "doesnotexist")),
        ("put_alias_qualifiedarn", named(f"{ARN}:{ALIAS}")),
        ("put_alias_qualifiedarn_qualifier", named(f"{ARN}:{ALIAS}", ALIAS)),
        ("put_alias_qualifiedarn_qualifierconflict", named(f"{ARN}:{ALIAS}", "other")),
        ("put_alias_shorthand", named(f"hello:{ALIAS}")),
        ("put_alias_shorthand_qualifier", named(f"hello:{ALIAS}", ALIAS)),
        ("put_alias_shorthand_qualifierconflict", named(f"hello:{ALIAS}", "other")),
        ("put_version_shorthand", named("hello:1")),
        ("put_shorthand_qualifier_match", named("hello:$LATEST", "$LATEST")),
        ("put_shorthand_qualifier_mismatch_1", named("hello:$LATEST", "1")),
        ("put_shorthand_qualifier_mismatch_2", named(f"hello:{ALIAS}", "1")),
        ("put_shorthand_qualifier_mismatch_3", named(f"hello:{ALIAS}", "$LATEST")),
        (
            "put_maxevent_maxvalue_result",
            {**HELLO, "MaximumEventAgeInSeconds": 21_600, "MaximumRetryAttempts": 2},
        ),
        (
            "put_pre_overwrite",
            {**HELLO, "MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 2},
        ),
        ("put_post_overwrite", {**HELLO, "MaximumRetryAttempts": 0}),
    ]


@pytest.mark.recorded(INVOKE + "exceptions")
async def test_what_event_invoke_configs_refuse(scenario: Scenario) -> None:
    await scenario.create()
    await scenario.create(FunctionName="other")
    scenario.leave("fn_version_result", "fn_alias_result", why="test_replayed compares them")
    once, alias = ONCE, ALIAS
    await scenario.do("publish_version", **HELLO)
    await scenario.do("create_alias", **HELLO, Name=alias, FunctionVersion="1")

    for step, request in puts():
        await scenario(step, PUT, **request)
    await scenario("get_post_overwrite", GET, **HELLO)
    await scenario("second_overwrite_existing_response", PUT, **HELLO, MaximumRetryAttempts=0)
    both = {"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 2}
    await scenario("pre_update_response", PUT, **HELLO, **both)
    none = {**HELLO, "MaximumRetryAttempts": 0}
    await scenario("update_response", UPDATE, **none)
    await scenario("update_response_existing", UPDATE, **none)
    await scenario("list_configs", LIST, **HELLO)
    await scenario("list_function_doesnotexist", LIST, FunctionName="doesnotexist")
    gone = {**once, "FunctionName": "doesnotexist"}
    await scenario("update_eventinvokeconfig_function_doesnotexist", UPDATE, **gone)
    await scenario("get_function_doesnotexist", GET, FunctionName="doesnotexist")
    await scenario("get_qualifier_doesnotexist", GET, **HELLO, Qualifier="doesnotexist")
    for step, request in (
        ("delete_function_doesnotexist", {"FunctionName": "doesnotexist"}),
        ("delete_latest", HELLO),
        ("delete_version", {**HELLO, "Qualifier": "1"}),
        ("delete_alias", {**HELLO, "Qualifier": alias}),
        ("delete_function_not_found", HELLO),
    ):
        await scenario(step, DELETE, **request)
    await scenario("get_eventinvokeconfig_doesnotexist", GET, **HELLO, Qualifier=alias)
    missing = "update_eventinvokeconfig_config_doesnotexist_with"
    await scenario(f"{missing}_qualifier", UPDATE, **HELLO, **once, Qualifier=alias)
    await scenario(f"{missing}out_qualifier", UPDATE, **HELLO, **once)
    await scenario("list_configs_postdelete", LIST, **HELLO)


@pytest.mark.recorded(
    "TestLambdaFunction::test_ops_on_nonexisting_version[get_function_event_invoke_config]"
)
async def test_settings_of_no_version(scenario: Scenario) -> None:
    await scenario.create()
    await scenario("version_not_found_exception", GET, **HELLO, Qualifier="1221")


SOURCES = "TestLambdaEventSourceMappings::test_"
CREATE = "create_event_source_mapping"


async def enabled(scenario: Scenario) -> None:
    table = scenario.control.store.table(EventSourceMapping)
    while any(map(is_unsettled, await table.everywhere())):
        await asyncio.sleep(0)


@pytest.mark.recorded(SOURCES + "event_source_mapping_lifecycle")
async def test_a_mapping(scenario: Scenario) -> None:
    await scenario.create()
    scenario.leave("update_table_response", why="an answer of DynamoDB")
    answer = await scenario(
        "create_response",
        CREATE,
        **HELLO,
        EventSourceArn=f"arn:aws:dynamodb:{PLACE}:table/t/stream/2026-01-01",
        DestinationConfig={"OnFailure": {"Destination": QUEUE}},
        BatchSize=1,
        StartingPosition="TRIM_HORIZON",
        MaximumBatchingWindowInSeconds=1,
        MaximumRetryAttempts=1,
    )
    await enabled(scenario)
    uuid = {"UUID": answer["UUID"]}
    await scenario("get_response", "get_event_source_mapping", **uuid)
    await scenario("delete_response", "delete_event_source_mapping", **uuid)


@pytest.mark.recorded(SOURCES + "function_name_variations")
async def test_functions_as_mappings_name_them(scenario: Scenario) -> None:
    await scenario.create()
    await scenario.do("publish_version", **HELLO)
    await scenario.do("create_alias", **HELLO, Name="myalias", FunctionVersion="1")
    partial = f"{ACCOUNT}:function:hello"
    for step, name in {
        "name_only": "hello",
        "partial_arn_latest": f"{partial}:$LATEST",
        "partial_arn_version": f"{partial}:1",
        "partial_arn_alias": f"{partial}:myalias",
        "full_arn_latest": ARN,
        "full_arn_version": f"{ARN}:1",
        "full_arn_alias": f"{ARN}:myalias",
    }.items():
        answer = await scenario(
            f"{step}_create_esm", CREATE, FunctionName=name, EventSourceArn=QUEUE
        )
        await enabled(scenario)
        await scenario.do("delete_event_source_mapping", UUID=answer["UUID"])
        while await scenario.control.store.table(EventSourceMapping).everywhere():
            await asyncio.sleep(0)


@pytest.mark.recorded(SOURCES + "event_source_mapping_exceptions")
async def test_what_mappings_refuse(scenario: Scenario) -> None:
    await scenario.create()
    uuid = {"UUID": "00000000-0000-0000-0000-000000000000"}
    await scenario("get_unknown_uuid", "get_event_source_mapping", **uuid)
    await scenario("delete_unknown_uuid", "delete_event_source_mapping", **uuid)
    await scenario("update_unknown_uuid", "update_event_source_mapping", **uuid, Enabled=False)
    unknown = {"FunctionName": "doesnotexist"}
    await scenario("create_no_event_source_arn", CREATE, **unknown)
    await scenario("create_unknown_params", CREATE, **unknown, EventSourceArn=QUEUE)
    sink = {"OnSuccess": {"Destination": QUEUE}}
    source = {"EventSourceArn": QUEUE, "DestinationConfig": sink}
    await scenario("destination_config_failure", CREATE, **HELLO, **source)


@pytest.mark.recorded(SOURCES + "create_event_source_self_managed")
async def test_kafka_of_ones_own(scenario: Scenario) -> None:
    await scenario.create()
    secret = f"arn:aws:secretsmanager:{PLACE}:secret:s"
    access = {"SourceAccessConfigurations": [{"Type": "BASIC_AUTH", "URI": secret}]}

    def at(*endpoints: str) -> dict[str, Any]:
        brokers = {"KAFKA_BOOTSTRAP_SERVERS": list(endpoints)}
        return {**HELLO, "SelfManagedEventSource": {"Endpoints": brokers}}

    one = {"Topics": ["topic"], "StartingPosition": "TRIM_HORIZON"}
    await scenario("missing-source-access-configuration", CREATE, **at("kafka:1000"), **one)
    given = {**one, **access}
    new = await scenario.do(CREATE, **at("kafka:1000"), **given)
    # Recorded before these mappings had ARNs of their own.
    assert new.pop("EventSourceMappingArn").endswith(new["UUID"])
    scenario.compare("event-source-mapping-default", new)
    for step, endpoints in (
        ("duplicate-source", ["kafka:1000"]),
        ("multiple-duplicate-source", ["kafka:1000", "kafka:2000"]),
    ):
        await scenario(step, CREATE, **at(*endpoints), **given)
    new = await scenario.do(
        CREATE,
        **at("kafka:1000"),
        **access,
        Topics=["topic_2"],
        StartingPosition="LATEST",
        BatchSize=1,
        SelfManagedKafkaEventSourceConfig={"ConsumerGroupId": "random_id"},
    )
    del new["EventSourceMappingArn"]
    scenario.compare("event-source-mapping-values", new)


URL = "_function_url_config"


@pytest.mark.recorded("TestLambdaUrl::test_url_config_lifecycle")
async def test_a_url(scenario: Scenario) -> None:
    await scenario.create()
    open_to_all = {**HELLO, "AuthType": "NONE"}
    await scenario("url_creation", f"create{URL}", **open_to_all)
    await scenario("failed_duplication", f"create{URL}", **open_to_all)
    await scenario("get_url_config", f"get{URL}", **HELLO)
    await scenario("updated_url_config", f"update{URL}", **HELLO, AuthType="AWS_IAM")
    await scenario.do(f"delete{URL}", **HELLO)
    await scenario("failed_getter", f"get{URL}", **HELLO)


@pytest.mark.recorded("TestLambdaUrl::test_url_config_exceptions")
async def test_what_urls_refuse(scenario: Scenario) -> None:
    await scenario.create()
    await scenario.do("publish_version", **HELLO)
    await scenario.do("create_alias", **HELLO, Name="urlalias", FunctionVersion="1")
    scenario.leave("fn_version_result", "create_alias_result", why="test_replayed compares them")
    scenario.leave(
        f"delete{URL}_qualifier_alias_doesnotmatch_arn", why="AWS failed: no answer of ours should"
    )
    requests: dict[str, dict[str, str]] = {
        "name_doesnotexist": {"FunctionName": "doesnotexist"},
        "arn_doesnotexist": {"FunctionName": GONE},
        "config_doesnotexist": HELLO,
        "name_doesnotexist_qualifier": {"FunctionName": "doesnotexist", "Qualifier": "1"},
        "qualifier_version": {**HELLO, "Qualifier": "1"},
        "qualifier_version_doesnotexist": {**HELLO, "Qualifier": "2"},
        "qualifier_alias_doesnotexist": {**HELLO, "Qualifier": "doesnotexist"},
        "qualifier_alias_doesnotmatch_arn": {
            "FunctionName": f"{ARN}:doesnotexist",
            "Qualifier": "urlalias",
        },
        "qualifier_latest": {**HELLO, "Qualifier": "$LATEST"},
    }
    for verb in ("create", "get", "update", "delete"):
        more = {"AuthType": "NONE"} if verb in ("create", "update") else {}
        for step, request in requests.items():
            if (verb, step) in (
                ("create", "config_doesnotexist"),
                ("delete", "qualifier_alias_doesnotmatch_arn"),
            ):
                continue
            await scenario(f"{verb}{URL}_{step}", f"{verb}{URL}", **request, **more)


@pytest.mark.recorded("TestLambdaURL::test_lambda_url_invalid_invoke_mode")
async def test_a_mode_that_is_none(scenario: Scenario) -> None:
    await scenario.create()
    asked = {**HELLO, "AuthType": "NONE", "InvokeMode": "UNKNOWN"}
    await scenario("invoke_function_invalid_invoke_type", f"create{URL}", **asked)


WRONG = "TestLambdaFunction::test_get_function_wrong_region"


@pytest.mark.parametrize(
    "operation",
    [
        pytest.param(name, marks=pytest.mark.recorded(f"{WRONG}[{name}]"))
        for name in ("get_function_url_config", "get_function_code_signing_config")
    ],
)
async def test_another_region(scenario: Scenario, operation: str) -> None:
    answer = await scenario.do(operation, FunctionName=ARN.replace(REGION, "eu-west-1"))
    # The recording has names for both Regions, and this Region is a fixed one to the comparison.
    message = answer["Error"]["Message"].replace("eu-west-1", "<wrong-region>")
    for text in (answer["Error"], answer):
        for key in ("Message", "message"):
            if key in text:
                text[key] = message
    scenario.compare("wrong_region_exception", answer)


@pytest.mark.recorded("TestLambdaFunction::test_ops_on_nonexisting_fn[get_function_url_config]")
async def test_the_url_of_no_function(scenario: Scenario) -> None:
    await scenario("not_found_exception", "get_function_url_config", **HELLO)


@pytest.mark.recorded("TestCodeSigningConfig::test_function_code_signing_config")
async def test_code_signing(scenario: Scenario) -> None:
    profile = f"arn:aws:signer:{PLACE}:/signing-profiles/test"
    answer = await scenario(
        "create_code_signing_config",
        "create_code_signing_config",
        Description="Testing CodeSigning Config",
        AllowedPublishers={"SigningProfileVersionArns": [profile]},
        CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Enforce"},
    )
    config = {"CodeSigningConfigArn": answer["CodeSigningConfig"]["CodeSigningConfigArn"]}
    warn = {"CodeSigningPolicies": {"UntrustedArtifactOnDeployment": "Warn"}}
    step = "update_code_signing_config"
    await scenario(step, step, **config, **warn)
    step = "get_code_signing_config"
    await scenario(step, step, **config)
    await scenario.create()
    step = "put_function_code_signing_config"
    await scenario(step, step, **HELLO, **config)
    step = "get_function_code_signing_config"
    await scenario(step, step, **HELLO)
    listed = await scenario.do("list_code_signing_configs")
    scenario.compare("list_code_signing_configs", listed["CodeSigningConfigs"][0])
    step = "list_functions_by_code_signing_config"
    await scenario(step, step, **config)
    step = "delete_function_code_signing_config"
    await scenario(step, step, **HELLO)
    step = "delete_code_signing_config"
    await scenario(step, step, **config)


@pytest.mark.recorded("TestLambdaRecursion::test_put_function_recursion_config_invalid_value")
async def test_a_recursion_config_that_is_none(scenario: Scenario) -> None:
    await scenario.create()
    invalid = {**HELLO, "RecursiveLoop": "InvalidValue"}
    step = "put_recursion_invalid_value_error"
    await scenario(step, "put_function_recursion_config", **invalid)
