"""The environment of a runtime's process."""

from types import MappingProxyType

import pytest

from lampyr.model.function import FunctionKey, FunctionVersion, LoggingConfig
from lampyr.worker.credentials import CredentialBook
from lampyr.worker.runtimes import Runtime
from lampyr.worker.variables import (
    ENDPOINT,
    RESERVED,
    RUNTIME_API,
    Launch,
    reserved_in,
    reserved_message,
    variables,
)

PYTHON = Runtime(
    name="python3.12",
    version="3.12.1",
    argv=("/var/lang/bin/python3.12",),
    variables=MappingProxyType({"PATH": "/var/lang/bin:/bin", "PYTHONPATH": "/var/runtime"}),
)
OS_ONLY = Runtime(name="provided.al2023", version="", managed=False, argv=("/var/task/bootstrap",))


def _made(
    runtime: Runtime = PYTHON,
    configured: dict[str, str] | None = None,
    logging: LoggingConfig | None = None,
) -> dict[str, str]:
    version = FunctionVersion(
        key=FunctionKey("111111111111", "eu-west-1", "hello"),
        version="7",
        deployment_id="d",
        revision_id="r",
        last_modified=0.0,
        role="arn:aws:iam::111111111111:role/r",
        runtime=runtime.name,
        handler="main.handler",
        code_sha256="",
        code_bytes=0,
        memory_mb=512,
        environment=configured,
        logging=logging or LoggingConfig(log_group="/aws/lambda/hello"),
    )
    credentials = CredentialBook(bytes).issue("1" * 12, "role", "hello")
    launch = Launch(runtime=runtime, credentials=credentials, log_stream="stream")
    return dict(variables(version, launch))


@pytest.mark.recorded("TestLambdaRuntimesCommon::test_introspection_invoke[python3.11]")
def test_every_variable_that_aws_sets_is_there() -> None:
    made = _made()
    assert made["AWS_ACCESS_KEY_ID"] == "ASIAAAAAAAAAAAAAAAAA"
    assert {name: made[name] for name in made if name != "AWS_ENDPOINT_URL"} == {
        "_AWS_XRAY_DAEMON_ADDRESS": "169.254.79.129",
        "_AWS_XRAY_DAEMON_PORT": "2000",
        "_HANDLER": "main.handler",
        "AWS_ACCESS_KEY_ID": made["AWS_ACCESS_KEY_ID"],
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.12",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_FUNCTION_NAME": "hello",
        "AWS_LAMBDA_FUNCTION_VERSION": "7",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/hello",
        "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
        "AWS_LAMBDA_RUNTIME_API": RUNTIME_API,
        "AWS_REGION": "eu-west-1",
        "AWS_SECRET_ACCESS_KEY": made["AWS_SECRET_ACCESS_KEY"],
        "AWS_SESSION_TOKEN": made["AWS_SESSION_TOKEN"],
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": "169.254.79.129:2000",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "LAMBDA_TASK_ROOT": "/var/task",
        "LANG": "en_US.UTF-8",
        "PATH": "/var/lang/bin:/bin",
        "PWD": "/var/task",
        "PYTHONPATH": "/var/runtime",
        "SHLVL": "0",
        "TZ": ":UTC",
    }


@pytest.mark.lampyr_only
def test_the_endpoint_is_lampyrs_unless_the_function_names_another() -> None:
    assert _made()["AWS_ENDPOINT_URL"] == ENDPOINT
    other = {"AWS_ENDPOINT_URL": "http://elsewhere"}
    assert _made(configured=other)["AWS_ENDPOINT_URL"] == "http://elsewhere"


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html")
def test_a_function_changes_what_is_not_reserved_and_nothing_else() -> None:
    wanted = {"PATH": "/mine", "LANG": "C", "TZ": "Mars", "_HANDLER": "no", "OWN": "${literal}"}
    made = _made(configured=wanted)
    assert (made["PATH"], made["LANG"], made["OWN"]) == ("/mine", "C", "${literal}")
    assert (made["TZ"], made["_HANDLER"]) == (":UTC", "main.handler")


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html")
def test_an_os_only_runtime_is_not_told_its_name() -> None:
    assert "AWS_EXECUTION_ENV" not in _made(OS_ONLY)


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/monitoring-logs.html")
@pytest.mark.parametrize(
    ("level", "expected"), [pytest.param(None, "INFO", id="by default"), ("DEBUG", "DEBUG")]
)
def test_the_log_format_is_told_when_it_is_json(level: str | None, expected: str) -> None:
    logging = LoggingConfig(log_group="g", log_format="JSON", application_log_level=level)
    made = _made(logging=logging)
    assert (made["AWS_LAMBDA_LOG_FORMAT"], made["AWS_LAMBDA_LOG_LEVEL"]) == ("JSON", expected)
    assert "AWS_LAMBDA_LOG_FORMAT" not in _made()


def test_all_that_cannot_be_changed_is_reserved() -> None:
    unchangeable = {name for name in _made() if _made(configured={name: "x"})[name] != "x"}
    assert unchangeable <= RESERVED


def test_reserved_variables_are_named_in_awss_sentence() -> None:
    names = reserved_in(["OWN", "AWS_REGION", "_HANDLER"])
    assert names == ["AWS_REGION", "_HANDLER"]
    assert reserved_message(names).endswith(
        "modification. Reserved keys used in this request: AWS_REGION, _HANDLER"
    )
