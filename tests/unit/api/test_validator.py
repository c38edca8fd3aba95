"""The limits of the model in AWS's sentences; those with a key were recorded from the service."""

import random
from typing import Any

import pytest

from lampyr.api import quirks
from lampyr.api.spec import ServiceModel, service_model
from lampyr.api.validator import Breaches, compile_validator, enum_order
from lampyr.errors import InvalidParameterValueException, ServiceError, ValidationException
from tests.unit.api.generate import Generator

MODEL = service_model()
NAME_PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?"
    r"(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?"
)
LONG_ARN = f"arn:aws:lambda:eu-west-1:111111111111:function:{'a' * 100}"
LAYER = "arn:aws:lambda:us-east-1:111111111111:layer:shared"
LAYER_PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:"
    r"layer:[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+)"
)
LAYER_RUNTIMES = (
    "nodejs20.x, python3.14, provided.al2023, python3.12, python3.13, nodejs24.x, nodejs22.x, "
    "java25, python3.10, python3.11, java21, ruby3.3, ruby3.4, ruby3.2, python3.8, python3.9, "
    "java17, nodejs16.x, dotnet10, dotnet8, java11, dotnet6, nodejs18.x, provided.al2, java8.al2"
)


def refusal(operation: str, model: ServiceModel = MODEL, /, **request: Any) -> ServiceError | None:
    try:
        compile_validator(model, model.operations[operation])(request)
    except ServiceError as error:
        return error
    return None


def message(operation: str, **request: Any) -> str:
    error = refusal(operation, **request)
    assert type(error) is ValidationException
    return error.message


def one(value: str, at: str, limit: str) -> str:
    return (
        f"1 validation error detected: Value {value} at '{at}' failed to satisfy constraint: "
        f"Member must {limit}"
    )


RECORDED = [
    pytest.param(
        "CreateFunctionUrlConfig",
        {"FunctionName": "f", "AuthType": "NONE", "Qualifier": "$LATEST"},
        one(
            "'$LATEST'",
            "qualifier",
            r"satisfy regular expression pattern: ((?!^\d+$)^[0-9a-zA-Z-_]+$)",
        ),
        id="test_url_config_exceptions/create_function_url_config_qualifier_latest",
    ),
    pytest.param(
        "PutFunctionRecursionConfig",
        {"FunctionName": "f", "RecursiveLoop": "InvalidValue"},
        one("'InvalidValue'", "recursiveLoop", "satisfy enum value set: [Terminate, Allow]"),
        id="test_put_function_recursion_config_invalid_value/put_recursion_invalid_value_error",
    ),
    pytest.param(
        "CreateFunctionUrlConfig",
        {"FunctionName": "f", "AuthType": "NONE", "InvokeMode": "UNKNOWN"},
        one("'UNKNOWN'", "invokeMode", "satisfy enum value set: [RESPONSE_STREAM, BUFFERED]"),
        id="test_lambda_url_invalid_invoke_mode/invoke_function_invalid_invoke_type",
    ),
    pytest.param(
        "ListLayers",
        {"CompatibleArchitecture": "archdoesnotexist"},
        one(
            "'archdoesnotexist'",
            "compatibleArchitecture",
            "satisfy enum value set: [x86_64, arm64]",
        ),
        id="test_layer_exceptions/list_layers_exc_compatiblearchitecture_invalid",
    ),
    pytest.param(
        "PutFunctionEventInvokeConfig",
        {
            "FunctionName": "f",
            "DestinationConfig": {
                "OnFailure": {"Destination": "arn:aws:_-/!lambda:r:1:function:f"}
            },
        },
        one(
            "'arn:aws:_-/!lambda:r:1:function:f'",
            "destinationConfig.onFailure.destination",
            r"satisfy regular expression pattern: $|kafka://([^.]([a-zA-Z0-9\-_.]{0,248}))|"
            r"arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?"
            r"-[a-z]+-\d{1})?:(\d{12})?:(.*)",
        ),
        id="test_lambda_eventinvokeconfig_exceptions/put_destination_invalid_arn_pattern",
    ),
    pytest.param(
        "CreateFunction",
        {"FunctionName": LONG_ARN, "Role": "arn:aws:iam::111111111111:role/r", "Code": {}},
        one(f"'{LONG_ARN}'", "functionName", "have length less than or equal to 140"),
        id="test_function_arns/long_function_arn_exc",
    ),
    pytest.param(
        "CreateFunction",
        {
            "FunctionName": "invalid:function:name",
            "Role": "arn:aws:iam::111111111111:role/r",
            "Code": {},
        },
        one(
            "'invalid:function:name'",
            "functionName",
            f"satisfy regular expression pattern: {NAME_PATTERN}",
        ),
        id="test_function_arns/invalid_function_name_exc",
    ),
    pytest.param(
        "GetLayerVersionByArn",
        {"Arn": LAYER},
        one(f"'{LAYER}'", "arn", f"satisfy regular expression pattern: {LAYER_PATTERN}"),
        id="test_layer_exceptions/get_layer_version_by_arn_exc_invalidarn",
    ),
    pytest.param(
        "UpdateFunctionConfiguration",
        {"FunctionName": "f", "Layers": [LAYER]},
        one(
            f"'[{LAYER}]'",
            "layers",
            "satisfy constraint: [Member must have length less than or equal to 2048, Member must "
            "have length greater than or equal to 1, Member must satisfy regular expression "
            f"pattern: {LAYER_PATTERN}, Member must not be null]",
        ),
        id="test_layer_function_exceptions/add_layer_arn_without_version_exc",
    ),
    pytest.param(
        "AddPermission",
        {
            "FunctionName": "f",
            "StatementId": "example.com",
            "Action": "lambda:InvokeFunction",
            "Principal": "s3.amazonaws.com",
        },
        one("'example.com'", "statementId", "satisfy regular expression pattern: ([a-zA-Z0-9-_]+)"),
        id="test_permission_exceptions/add_permission_invalid_statement_id",
    ),
    pytest.param(
        "AddPermission",
        {
            "FunctionName": "f",
            "StatementId": "s",
            "Action": "lambda:InvokeFunction",
            "Principal": "s3.amazonaws.com",
            "Qualifier": "invalid-qualifier-with-?-char",
        },
        one(
            "'invalid-qualifier-with-?-char'",
            "qualifier",
            r"satisfy regular expression pattern: \$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+",
        ),
        id="test_permission_exceptions/add_permission_fn_qualifier_invalid",
    ),
    pytest.param(
        "UntagResource",
        {"Resource": "arn:aws:lambda:us-east-1:111111111111:function:f"},
        one("null", "tagKeys", "not be null"),
        id="test_tag_exceptions/untag_empty_keys",
    ),
    pytest.param(
        "PublishLayerVersion",
        {
            "LayerName": "l",
            "Content": {"ZipFile": b"PK"},
            "CompatibleRuntimes": ["invalidruntime", "invalidruntime2", "nodejs20.x"],
            "CompatibleArchitectures": ["invalidarch", "x86_64"],
        },
        "2 validation errors detected: Value '[invalidruntime, invalidruntime2, nodejs20.x]' at "
        "'compatibleRuntimes' failed to satisfy constraint: Member must satisfy enum value set: "
        f"[{LAYER_RUNTIMES}]; Value '[invalidarch, x86_64]' at 'compatibleArchitectures' failed to "
        "satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: "
        "[x86_64, arm64], Member must not be null]",
        id="test_layer_exceptions/publish_layer_version_exc_partially_invalid_values",
    ),
]


@pytest.mark.recorded("lambda_api: the ids of the cases are the keys")
@pytest.mark.parametrize(("operation", "request_", "sentence"), RECORDED)
def test_a_sentence_that_aws_was_heard_to_say(
    operation: str, request_: dict[str, Any], sentence: str
) -> None:
    assert message(operation, **request_) == sentence


ENVIRONMENT_NAME = "Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+"
RUNTIMES = (
    "ruby3.5, ruby2.6, dotnetcore1.0, python3.7, nodejs8.10, nasa, ruby2.7, "
    "python2.7-greengrass, dotnetcore2.0, python3.8, java21, dotnet6, dotnetcore2.1, python3.9, "
    "java11, nodejs6.10, provided, dotnetcore3.1, dotnet8, java25, java17, nodejs, nodejs4.3, "
    "java8.al2, go1.x, dotnet10, nodejs20.x, go1.9, byol, nodejs10.x, provided.al2023, "
    "nodejs22.x, python3.10, java8, nodejs12.x, python3.11, nodejs24.x, nodejs8.x, python3.12, "
    "nodejs14.x, nodejs8.9, nodejs26.x, python3.13, python3.14, nodejs16.x, python3.15, "
    "provided.al2, nodejs4.3-edge, nodejs18.x, ruby3.2, python3.4, ruby3.3, ruby3.4, ruby2.5, "
    "python3.6, python2.7"
)


@pytest.mark.recorded("test_layer_exceptions/list_layers_exc_compatibleruntime_invalid")
def test_the_values_of_an_enum_are_listed_in_the_order_in_which_aws_lists_them() -> None:
    known = MODEL.shape("Runtime").enum
    ours = enum_order(known)
    recorded = RUNTIMES.split(", ")
    assert [v for v in ours if v in recorded] == [v for v in recorded if v in known]


def test_all_breaches_are_told_together() -> None:
    found = message("CreateFunction", FunctionName="f!", Timeout=0, MemorySize=64, Role="r")
    assert found.startswith("5 validation errors detected: ")
    sentences = found.removeprefix("5 validation errors detected: ").split("; ")
    assert [s.partition(" failed to satisfy constraint: ")[0] for s in sentences] == [
        "Value 'f!' at 'functionName'",
        "Value 'r' at 'role'",
        "Value null at 'code'",
        "Value '0' at 'timeout'",
        "Value '64' at 'memorySize'",
    ]
    assert sentences[-1].endswith("Member must have value greater than or equal to 128")


def test_one_value_can_break_several_limits() -> None:
    assert message("GetAlias", FunctionName="f", Name="!" * 200) == (
        f"2 validation errors detected: Value '{'!' * 200}' at 'name' failed to satisfy "
        "constraint: Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+); "
        f"Value '{'!' * 200}' at 'name' failed to satisfy constraint: "
        "Member must have length less than or equal to 128"
    )


def test_what_is_far_too_long_is_not_tried_on_its_pattern_and_is_shown_in_part() -> None:
    found = message("GetAlias", FunctionName="f", Name="!" * 100_000)
    assert found.startswith("1 validation error detected: ")
    assert found.endswith("Member must have length less than or equal to 128")
    assert len(found) < 30_000


@pytest.mark.parametrize(
    ("variables", "limit"),
    [
        (
            {"A_B": "x", "1": "y"},
            f"Map keys must satisfy constraint: [{ENVIRONMENT_NAME}]",
        ),
        ({"AB": None}, "Map value must satisfy constraint: [Member must not be null]"),
    ],
)
def test_environment_variables_are_never_shown(
    variables: dict[str, str | None], limit: str
) -> None:
    found = message(
        "UpdateFunctionConfiguration", FunctionName="f", Environment={"Variables": variables}
    )
    assert found == (
        "1 validation error detected: Value at 'environment.variables' failed to satisfy "
        f"constraint: {limit}"
    )


def test_keys_and_values_of_a_map() -> None:
    weights = {"AdditionalVersionWeights": {"live": 1.5}}
    assert message(
        "CreateAlias", FunctionName="f", Name="a", FunctionVersion="1", RoutingConfig=weights
    ) == (
        "2 validation errors detected: "
        "Value '{live=1.5}' at 'routingConfig.additionalVersionWeights' failed to satisfy "
        "constraint: Map keys must satisfy constraint: [Member must have length less than or equal "
        "to 1024, Member must have length greater than or equal to 1, Member must satisfy regular "
        "expression pattern: [0-9]+, Member must not be null]; "
        "Value '{live=1.5}' at 'routingConfig.additionalVersionWeights' failed to satisfy "
        "constraint: Map value must satisfy constraint: [Member must have value less than or equal "
        "to 1.0, Member must have value greater than or equal to 0.0]"
    )


def test_structures_in_lists_are_numbered_and_lists_in_maps_named() -> None:
    found = message(
        "UpdateFunctionConfiguration",
        FunctionName="f",
        FileSystemConfigs=[{"Arn": "a"}, None],
    )
    assert (
        "at 'fileSystemConfigs' failed to satisfy constraint: Member must have length less" in found
    )
    assert "Value 'a' at 'fileSystemConfigs.1.member.arn' failed" in found
    assert "Value null at 'fileSystemConfigs.1.member.localMountPath' failed" in found
    assert "Value null at 'fileSystemConfigs.2.member' failed" in found
    endpoints: dict[str, Any] = {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": [], "NO": None}}
    found = message("CreateEventSourceMapping", FunctionName="f", SelfManagedEventSource=endpoints)
    at = "selfManagedEventSource.endpoints"
    assert f"Value '[]' at '{at}.KAFKA_BOOTSTRAP_SERVERS.member' failed" in found
    assert f"Value null at '{at}.NO.member' failed" in found
    assert f"Value '{{KAFKA_BOOTSTRAP_SERVERS=[], NO=null}}' at '{at}' failed" in found


def test_other_values_are_shown_as_java_shows_them() -> None:
    assert "Value 'java.nio.HeapByteBuffer[pos=0 lim=1048577 cap=1048577]" not in message(
        "SendDurableExecutionCallbackSuccess", CallbackId="YQ==", Result=b"x" * 1_048_577
    )  # It is sensitive.
    model = ServiceModel(
        {
            "operations": {
                "Do": {"http": {"method": "POST", "requestUri": "/"}, "input": {"shape": "In"}}
            },
            "shapes": {
                "In": {
                    "type": "structure",
                    "members": {"Data": {"shape": "Data"}, "Flags": {"shape": "Flags"}},
                },
                "Data": {"type": "blob", "max": 1},
                "Flags": {"type": "list", "member": {"shape": "Flag"}, "max": 1},
                "Flag": {"type": "boolean"},
                "Tree": {"type": "structure", "members": {"Left": {"shape": "Tree"}}},
            },
        }
    )
    error = refusal("Do", model, Data=b"xyz", Flags=[True, False])
    assert error is not None
    assert "Value 'java.nio.HeapByteBuffer[pos=0 lim=3 cap=3]' at 'data'" in error.message
    assert "Value '[true, false]' at 'flags'" in error.message


@pytest.mark.parametrize("operation", ["CreateFunction", "UpdateFunctionConfiguration"])
def test_a_runtime_is_checked_by_the_service_after_everything_else(operation: str) -> None:
    request: dict[str, Any] = {
        "FunctionName": "f",
        "Role": "arn:aws:iam::111111111111:role/r",
        "Code": {},
        "Runtime": "python9.9",
    }
    error = refusal(operation, **request)
    assert type(error) is InvalidParameterValueException
    assert error.message == (
        "Value python9.9 at 'runtime' failed to satisfy constraint: Member must satisfy enum value "
        f"set: [{LAYER_RUNTIMES}] or be a valid ARN"
    )
    assert message(operation, **{**request, "Timeout": 0}).startswith("1 validation error detected")
    assert refusal(operation, **{**request, "Runtime": "java8"}) is None


def test_the_runtimes_that_are_written_here_are_runtimes_of_the_model() -> None:
    assert set(LAYER_RUNTIMES.split(", ")) <= set(MODEL.shape("Runtime").enum)
    checks = quirks.service_checks("CreateFunction")
    assert checks["Runtime"]("python3.14") is None
    assert checks["Runtime"](None) is None


def test_an_operation_without_input_takes_anything() -> None:
    model = ServiceModel(
        {"operations": {"Do": {"http": {"method": "GET", "requestUri": "/"}}}, "shapes": {}}
    )
    assert refusal("Do", model, Anything=1) is None


@pytest.mark.parametrize("name", MODEL.operations)
def test_what_the_fast_tests_refuse_the_sentences_explain_and_nothing_else(name: str) -> None:
    operation = MODEL.operations[name]
    if operation.input is None:
        return
    generate = Generator(MODEL, seed=len(name))
    shape = MODEL.shape(operation.input)
    for turn in range(40):
        request = generate.input(operation, sparse=turn % 2 == 0)
        if turn % 4 == 0 and request:
            del request[random.Random(turn).choice(list(request))]
        explained = list(Breaches(MODEL, name).of_structure(shape, request, ""))
        assert (refusal(name, **request) is not None) == bool(explained)


def test_the_tests_end_the_recursion_of_shapes_inside_themselves() -> None:
    tree = {
        "type": "structure",
        "members": {"Left": {"shape": "Tree"}, "Name": {"shape": "Name"}},
    }
    model = ServiceModel(
        {
            "operations": {
                "Do": {"http": {"method": "POST", "requestUri": "/"}, "input": {"shape": "Tree"}}
            },
            "shapes": {"Tree": tree, "Name": {"type": "string", "max": 3}},
        }
    )
    assert refusal("Do", model, Left={"Left": {"Name": "abc"}}) is None
    error = refusal("Do", model, Left={"Left": {"Name": "abcd"}})
    assert error is not None
    assert "at 'left.left.name'" in error.message
