"""What a function may be, and what Lambda says to what it may not."""

from dataclasses import replace
from typing import Any

import pytest

from lampyr.control.image_rules import check_complete, check_members, digest
from lampyr.control.requests import ConfigurationChange, LoggingChange
from lampyr.control.rules import (
    SERVED_RUNTIMES,
    check_architecture,
    check_configuration,
    check_name,
    configured,
    logging_config,
    new_version,
    tagged,
)
from lampyr.errors import InvalidParameterValueException, NotServedError
from lampyr.limits import DEFAULT_LIMITS
from lampyr.model.function import LoggingConfig
from lampyr.model.image import ImageConfig
from lampyr.testing.builders import ROLE, a_key, a_version

RESERVED = frozenset({"AWS_REGION", "_HANDLER"})


def check(**members: Any) -> None:
    check_configuration(ConfigurationChange(**members), DEFAULT_LIMITS, RESERVED)


def refusal(**members: Any) -> str:
    with pytest.raises(InvalidParameterValueException) as refused:
        check(**members)
    return refused.value.message


@pytest.mark.parametrize("runtime", SERVED_RUNTIMES)
def test_a_served_runtime(runtime: str) -> None:
    check(runtime=runtime)


@pytest.mark.recorded("TestRuntimeValidation::test_create_deprecated_function_runtime")
@pytest.mark.parametrize("runtime", ["java8", "provided", "ruby2.7", "python2.7", "nodejs14.x"])
def test_a_runtime_whose_time_is_over(runtime: str) -> None:
    assert refusal(runtime=runtime) == (
        f"The runtime parameter of {runtime} is no longer supported for creating or updating AWS "
        "Lambda functions. We recommend you use a supported runtime while creating or updating "
        "functions."
    )


@pytest.mark.lampyr_only
@pytest.mark.parametrize("runtime", ["java8.al2", "ruby3.4", "python3.9", "cobol"])
def test_a_runtime_that_is_not_served_is_refused_with_what_is(runtime: str) -> None:
    with pytest.raises(NotServedError, match=f"runtime {runtime} yet.*python3.14"):
        check(runtime=runtime)


@pytest.mark.parametrize(
    "role", ["", "lambda-role", "arn:aws:iam::1:role/x", "arn:aws:iam::123456789012:user/x"]
)
def test_what_is_no_role_cannot_be_assumed(role: str) -> None:
    message = "The role defined for the function cannot be assumed by Lambda."
    assert refusal(role=role) == message


@pytest.mark.parametrize(
    ("members", "limit"),
    [
        ({"memory_mb": 10_241}, "'MemorySize' value.*less than or equal to 10240"),
        ({"memory_mb": 127}, "'MemorySize' value.*greater than or equal to 128"),
        ({"timeout_seconds": 901}, "'Timeout' value.*less than or equal to 900"),
        ({"tmp_mb": 10_241}, "'EphemeralStorage' value.*less than or equal to 10240"),
        ({"tmp_mb": 511}, "'EphemeralStorage' value.*greater than or equal to 512"),
    ],
)
def test_quotas_that_lie_within_the_models_limits(members: dict[str, int], limit: str) -> None:
    with pytest.raises(InvalidParameterValueException, match=limit):
        check(**members)


def test_the_greatest_and_least_that_a_function_may_have() -> None:
    check(memory_mb=10_240, timeout_seconds=900, tmp_mb=10_240)
    check(memory_mb=128, timeout_seconds=1, tmp_mb=512)


@pytest.mark.recorded("TestLambdaSizeLimits::test_lambda_envvars_near_limit_succeeds")
def test_four_kilobytes_of_environment() -> None:
    check(environment={"LARGE_VAR": "x" * 4080})
    message = refusal(environment={"LARGE_VAR": "x" * 4081})
    assert message == (
        "Lambda was unable to configure your environment variables because the environment "
        "variables you have provided exceeded the 4KB limit. "
        f'String measured: {{"LARGE_VAR":"{"x" * 4081}"}}'
    )


def test_the_environment_is_measured_in_bytes() -> None:
    check(environment={"VAR": "ü" * 2043})
    refusal(environment={"VAR": "ü" * 2044})


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html")
def test_variables_that_lambda_sets_itself() -> None:
    assert refusal(environment={"A1": "", "AWS_REGION": "", "_HANDLER": ""}) == (
        "Lambda was unable to configure your environment variables because the environment "
        "variables you have provided contains reserved keys that are currently not supported for "
        "modification. Reserved keys used in this request: AWS_REGION, _HANDLER"
    )


@pytest.mark.recorded("TestLambdaFunction::test_function_arns")
def test_a_name_has_64_characters() -> None:
    check_name("a" * 64, DEFAULT_LIMITS)
    with pytest.raises(InvalidParameterValueException) as refused:
        check_name("a" * 65, DEFAULT_LIMITS)
    assert refused.value.message == (
        f"1 validation error detected: Value '{'a' * 65}' at 'functionName' failed to satisfy "
        "constraint: Member must have length less than or equal to 64"
    )


@pytest.mark.parametrize("arn", ["arn:aws:s3:::bucket", "arn:aws:sqs:us-east-1:1:queue"])
def test_dead_letters_go_to_a_queue_or_a_topic(arn: str) -> None:
    check(dead_letter_arn="arn:aws:sqs:us-east-1:123456789012:queue")
    check(dead_letter_arn="arn:aws-cn:sns:cn-north-1:123456789012:topic")
    check(dead_letter_arn="")
    assert refusal(dead_letter_arn=arn).startswith(f"Invalid dead letter ARN: {arn}")


@pytest.mark.lampyr_only
def test_code_of_another_processor_is_refused() -> None:
    check_architecture("x86_64", "x86_64")
    with pytest.raises(NotServedError, match=r"Architectures \[arm64\] here.*is x86_64"):
        check_architecture("arm64", "x86_64")
    with pytest.raises(NotServedError, match=r"Architectures \[x86_64\] here.*is arm64"):
        check_architecture("x86_64", "arm64")


@pytest.mark.parametrize("missing", ["runtime", "handler"])
def test_a_zip_needs_a_runtime_and_a_handler(missing: str) -> None:
    members = {"runtime": "python3.12", "handler": "app.handler", "role": ROLE}
    check_complete(ConfigurationChange(**members), "Zip")  # type: ignore[arg-type]
    del members[missing]
    with pytest.raises(InvalidParameterValueException) as refused:
        check_complete(ConfigurationChange(**members), "Zip")  # type: ignore[arg-type]
    assert refused.value.message == (
        "Runtime and Handler are mandatory parameters for functions created with "
        "deployment packages."
    )


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/images-create.html")
def test_an_image_has_its_own_handler_runtime_and_layers() -> None:
    image = ImageConfig(command=("a",))
    check_complete(ConfigurationChange(image_config=image), "Image")
    for members in ({"handler": "a"}, {"runtime": "python3.12"}, {"layers": ("a",)}):
        with pytest.raises(InvalidParameterValueException, match="intended function PackageType"):
            check_complete(ConfigurationChange(**members), "Image")
    check_members(ConfigurationChange(image_config=ImageConfig()), "Zip")
    with pytest.raises(InvalidParameterValueException, match="PackageType is Zip"):
        check_members(ConfigurationChange(image_config=image), "Zip")


DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("uri", "known"),
    [
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com/repository:latest", ""),
        (f"123456789012.dkr.ecr.us-east-1.amazonaws.com/a/b_c@sha256:{DIGEST}", DIGEST),
        (f"localhost:5000/repository:1.2@sha256:{DIGEST}", DIGEST),
        ("registry:5000/repository:1.2", ""),
        ("repository:latest", None),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com/repository", None),
        ("docker.io/Upper:latest", None),
        ("docker.io/a:", None),
        (f"docker.io/a@sha256:{DIGEST[:-1]}", None),
    ],
)
def test_an_image_is_named_by_its_registry_and_a_tag_or_digest(uri: str, known: str | None) -> None:
    if known is not None:
        assert digest(uri) == known
        return
    with pytest.raises(InvalidParameterValueException) as refused:
        digest(uri)
    message = f"Source image {uri} is not valid. Provide a valid source image."
    assert refused.value.message == message


def test_a_function_needs_a_role() -> None:
    with pytest.raises(InvalidParameterValueException, match="cannot be assumed by Lambda"):
        new_version(
            a_key(),
            ConfigurationChange(runtime="python3.12", handler="app.handler"),
            architecture="x86_64",
            tenant_isolation_mode=None,
        )


def test_an_update_leaves_what_it_does_not_name() -> None:
    version = a_version(environment={"A": "1"}, memory_mb=512)
    changed = configured(version, ConfigurationChange(description="new"))
    assert changed == replace(version, description="new")
    assert configured(version, ConfigurationChange(environment={})).environment == {}


TEXT = LoggingConfig(log_group="/aws/lambda/hello")
JSON = LoggingConfig(
    log_group="/aws/lambda/hello",
    log_format="JSON",
    application_log_level="INFO",
    system_log_level="INFO",
)


@pytest.mark.recorded("TestLoggingConfig::test_function_partial_advanced_logging_configuration")
@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        (TEXT, LoggingChange(log_format="JSON"), JSON),
        (
            TEXT,
            LoggingChange(log_format="JSON", application_log_level="DEBUG"),
            replace(JSON, application_log_level="DEBUG"),
        ),
        (
            TEXT,
            LoggingChange(log_format="JSON", system_log_level="DEBUG"),
            replace(JSON, system_log_level="DEBUG"),
        ),
        (JSON, LoggingChange(log_format="Text"), TEXT),
        (JSON, LoggingChange(system_log_level="WARN"), replace(JSON, system_log_level="WARN")),
        (TEXT, LoggingChange(log_group="mine"), replace(TEXT, log_group="mine")),
    ],
)
def test_levels_come_and_go_with_the_json_format(
    before: LoggingConfig, change: LoggingChange, after: LoggingConfig
) -> None:
    assert logging_config(before, change) == after


def test_levels_without_the_json_format_are_refused() -> None:
    with pytest.raises(InvalidParameterValueException, match="when LogFormat is JSON"):
        logging_config(TEXT, LoggingChange(application_log_level="DEBUG"))


@pytest.mark.recorded("TestLambdaTags::test_tag_limits")
def test_a_function_has_fifty_tags() -> None:
    fifty = {f"{n}_key": "value" for n in range(50)}
    assert tagged({}, fifty, DEFAULT_LIMITS) == fifty
    assert tagged(fifty, {"0_key": "other"}, DEFAULT_LIMITS)["0_key"] == "other"
    with pytest.raises(InvalidParameterValueException) as refused:
        tagged(fifty, {"one": "more"}, DEFAULT_LIMITS)
    assert refused.value.message == "Number of tags exceeds resource tag limit."


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html")
@pytest.mark.parametrize("name", ["aws:x", "AWS:x"])
def test_tags_of_aws_itself(name: str) -> None:
    with pytest.raises(InvalidParameterValueException, match="aws: prefixed tag key names"):
        tagged({}, {name: "1"}, DEFAULT_LIMITS)
