"""Invoke, by boto3, against real runtimes in real sandboxes."""

import base64
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.deployed import change, create, function, invoke, unique_name, value, zipped

ERRORS = "https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html"
API = "https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html"
CONTEXT = "https://docs.aws.amazon.com/lambda/latest/dg/python-context.html"
ENVIRONMENT = "https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html"
VARIABLES = "https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html"
RECORDED = "lambda:TestLambdaFeatures::"

ECHO = """
import logging
logging.getLogger().setLevel("INFO")
def handler(event, context):
    print("Lambda log message - print function")
    logging.info("Lambda log message - logging module")
    return {"event": event, "context": {
        "aws_request_id": context.aws_request_id,
        "invoked_function_arn": context.invoked_function_arn,
        "function_name": context.function_name,
        "function_version": context.function_version,
        "memory_limit_in_mb": context.memory_limit_in_mb,
        "log_group_name": context.log_group_name,
        "log_stream_name": context.log_stream_name,
        "client_context": context.client_context and context.client_context.custom,
        "remaining": context.get_remaining_time_in_millis(),
    }}
"""


@pytest.fixture(scope="module")
def echo(lambda_client: Any) -> Any:
    with function(lambda_client, ECHO) as name:
        yield name


@pytest.mark.recorded(RECORDED + "test_invocation_with_qualifier")
def test_a_published_version_is_run_by_its_qualifier(lambda_client: Any) -> None:
    with function(lambda_client, ECHO, Publish=True, Timeout=10) as name:
        answer = invoke(lambda_client, name, {"a": "'\""}, Qualifier="1", LogType="Tail")
        assert (answer.status, answer.version, answer.error) == (200, "1", None)
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
        context = answer.payload["context"]
        assert answer.payload["event"] == {"a": "'\""}
        assert context["invoked_function_arn"] == f"{arn}:1"
        assert (context["function_name"], context["function_version"]) == (name, "1")
        assert context["memory_limit_in_mb"] == "128"
        assert context["log_group_name"] == f"/aws/lambda/{name}"
        assert "[1]" in context["log_stream_name"]
        assert context["client_context"] is None
        assert 0 < context["remaining"] <= 10_000
        request_id = context["aws_request_id"]
        lines = answer.log.splitlines()
        start = lines.index(f"START RequestId: {request_id} Version: 1")
        assert lines[start + 1] == "Lambda log message - print function"
        assert lines[start + 2].startswith("[INFO]\t")
        assert lines[start + 2].endswith(f"\t{request_id}\tLambda log message - logging module")
        assert lines[start + 3] == f"END RequestId: {request_id}"
        assert lines[start + 4].startswith(f"REPORT RequestId: {request_id}\tDuration: ")


@pytest.mark.recorded(RECORDED + "test_invocation_type_dry_run[python3.10]")
def test_a_dry_run_runs_nothing(lambda_client: Any, echo: str) -> None:
    response = lambda_client.invoke(FunctionName=echo, InvocationType="DryRun")
    assert response["StatusCode"] == 204
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert response["Payload"].read() == b""


@pytest.mark.documented(API)
@pytest.mark.parametrize(
    "form",
    [
        "{name}",
        "{name}:$LATEST",
        "000000000000:function:{name}",
        "function:{name}:$LATEST",
        "arn:aws:lambda:us-east-1:000000000000:function:{name}",
    ],
)
def test_a_function_is_named_in_every_form(lambda_client: Any, echo: str, form: str) -> None:
    if form.startswith("function:"):
        form = form.removeprefix("function:")
    answer = invoke(lambda_client, form.format(name=echo))
    assert (answer.version, answer.error) == ("$LATEST", None)


@pytest.mark.documented(API)
def test_a_function_that_is_not_there_is_not_found(lambda_client: Any, echo: str) -> None:
    with pytest.raises(lambda_client.exceptions.ResourceNotFoundException) as caught:
        lambda_client.invoke(FunctionName="nothing-here")
    arn = "arn:aws:lambda:us-east-1:000000000000:function"
    told = f"Function not found: {arn}:nothing-here:$LATEST"
    assert caught.value.response["Error"]["Message"] == told
    with pytest.raises(lambda_client.exceptions.ResourceNotFoundException) as caught:
        lambda_client.invoke(FunctionName=echo, Qualifier="7")
    assert caught.value.response["Error"]["Message"] == f"Function not found: {arn}:{echo}:7"


@pytest.mark.documented(API)
def test_what_is_not_json_is_refused_before_the_function_sees_it(
    lambda_client: Any, echo: str
) -> None:
    with pytest.raises(lambda_client.exceptions.InvalidRequestContentException) as caught:
        lambda_client.invoke(FunctionName=echo, Payload=b"{nonsense")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert caught.value.response["Error"]["Message"].startswith(
        "Could not parse request body into json"
    )


@pytest.mark.documented(CONTEXT)
def test_the_client_context_reaches_the_function(lambda_client: Any, echo: str) -> None:
    context = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
    answer = invoke(lambda_client, echo, ClientContext=context)
    assert answer.payload["context"]["client_context"] == {"k": "v"}


@pytest.mark.documented(ERRORS)
@pytest.mark.parametrize(
    ("code", "handler", "error_type", "message"),
    [
        pytest.param(
            "import nothing_of_that_name",
            "app.handler",
            "Runtime.ImportModuleError",
            "Unable to import module 'app': No module named 'nothing_of_that_name'",
            id="import",
        ),
        pytest.param(
            "x = 1",
            "app.handler",
            "Runtime.HandlerNotFound",
            "Handler 'handler' missing on module 'app'",
            id="no such handler",
        ),
        pytest.param(
            "x = 1",
            "other.handler",
            "Runtime.ImportModuleError",
            "Unable to import module 'other': No module named 'other'",
            id="no such module",
        ),
        pytest.param(
            "def handler(event, context",
            "app.handler",
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module 'app': '(' was never closed (app.py, line 1)",
            id="syntax",
        ),
        pytest.param(
            "raise Exception('Runtime startup fails')",
            "app.handler",
            "Exception",
            "Runtime startup fails",
            id="module raises",
        ),
        pytest.param(
            "def handler(event, context): return object()",
            "app.handler",
            "Runtime.MarshalError",
            "Unable to marshal response: Object of type object is not JSON serializable",
            id="answer is not JSON",
        ),
    ],
)
def test_errors_of_a_function_have_the_shape_of_aws(
    lambda_client: Any, code: str, handler: str, error_type: str, message: str
) -> None:
    with function(lambda_client, code, Handler=handler, Timeout=10) as name:
        for _ in range(2):
            answer = invoke(lambda_client, name, LogType="Tail")
            assert (answer.status, answer.error) == (200, "Unhandled")
            assert answer.payload["errorType"] == error_type
            assert answer.payload["errorMessage"] == message
            assert "stackTrace" in answer.payload
            words = [line.split()[0] for line in answer.log.splitlines() if line]
            assert (words[0], words[-2], words[-1]) == ("START", "END", "REPORT")


@pytest.mark.recorded("lambda:TestLambdaErrors::test_lambda_handler_exit")
def test_a_handler_that_exits(lambda_client: Any) -> None:
    code = "import sys\ndef handler(event, context): sys.exit(event)"
    with function(lambda_client, code) as name:
        answer = invoke(lambda_client, name, 0)
        assert answer.payload["errorType"] == "Runtime.ExitError"
        assert answer.payload["errorMessage"].endswith(
            "Error: Runtime exited without providing a reason"
        )
        answer = invoke(lambda_client, name, 3)
        assert answer.payload["errorMessage"].endswith(
            "Error: Runtime exited with error: exit status 3"
        )


@pytest.mark.lampyr_only
def test_a_handler_that_crashes(lambda_client: Any) -> None:
    code = "import os\ndef handler(event, context): os.kill(os.getpid(), event)"
    with function(lambda_client, code) as name:
        for number, word in ((11, "segmentation fault"), (9, "killed"), (6, "aborted")):
            answer = invoke(lambda_client, name, number, LogType="Tail")
            assert answer.payload["errorMessage"].endswith(
                f"Error: Runtime exited with error: signal: {word}"
            )
            assert "Runtime.ExitError" in answer.log


@pytest.mark.documented(ENVIRONMENT)
def test_a_timeout_is_told_and_the_next_call_has_a_fresh_environment(lambda_client: Any) -> None:
    code = """
import time
seen = []
def handler(event, context):
    seen.append(1)
    print("before")
    time.sleep(event)
    return len(seen)
"""
    with function(lambda_client, code, Timeout=1) as name:
        assert value(lambda_client, name, 0) == 1
        answer = invoke(lambda_client, name, 30, LogType="Tail")
        assert answer.payload["errorType"] == "Sandbox.Timedout"
        assert "before" in answer.log
        assert "Task timed out after 1.00 seconds" in answer.log
        assert "Status: timeout" in answer.log
        assert value(lambda_client, name, 0) == 1


@pytest.mark.documented(ENVIRONMENT)
def test_an_init_that_fails_once_is_tried_again_inside_the_first_invocation(
    lambda_client: Any,
) -> None:
    """The second Init has the function's timeout, so one that hangs ends as a timeout."""
    code = "import time\ntime.sleep(60)\ndef handler(event, context): return 1"
    with function(lambda_client, code, Timeout=1) as name:
        answer = invoke(lambda_client, name)
        assert answer.payload["errorType"] == "Sandbox.Timedout"
        assert answer.payload["errorMessage"].endswith("Task timed out after 1.00 seconds")


@pytest.mark.recorded("lambda:TestLambdaBaseFeatures::test_lambda_too_large_response")
def test_a_response_over_6_mb_is_an_error_and_the_environment_goes_on(lambda_client: Any) -> None:
    code = """
calls = 0
def handler(event, context):
    global calls
    calls += 1
    return "x" * event if event else calls
"""
    with function(lambda_client, code, Timeout=10, MemorySize=512) as name:
        for _ in range(2):
            answer = invoke(lambda_client, name, 7 * 1024 * 1024)
            assert answer.error == "Unhandled"
            assert answer.payload == {
                "errorType": "Function.ResponseSizeTooLarge",
                "errorMessage": "Response payload size exceeded maximum allowed payload size "
                "(6291556 bytes).",
            }
        assert value(lambda_client, name, 0) == 3
        assert len(value(lambda_client, name, 6 * 1024 * 1024 - 2)) == 6 * 1024 * 1024 - 2


@pytest.mark.documented(VARIABLES)
def test_the_reserved_variables_have_their_values(lambda_client: Any) -> None:
    code = """
import os
def handler(event, context):
    return {"environment": dict(os.environ), "stream": context.log_stream_name, "cwd": os.getcwd()}
"""
    mine = {"KEY": "value", "WITH": "${PATH} $(id) `x`"}
    with function(lambda_client, code, MemorySize=192, Environment={"Variables": mine}) as name:
        got = value(lambda_client, name)
    seen = got["environment"]
    assert got["cwd"] == "/var/task"
    assert {key: seen[key] for key in mine} == mine, "values are literal"
    expected = {
        "_HANDLER": "app.handler",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "192",
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": got["stream"],
        "AWS_REGION": "us-east-1",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "LAMBDA_TASK_ROOT": "/var/task",
        "TZ": ":UTC",
    }
    assert {key: seen.get(key) for key in expected} == expected
    assert seen["AWS_ACCESS_KEY_ID"].startswith("ASIA")
    for key in (
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "PATH",
        "LD_LIBRARY_PATH",
        "PYTHONPATH",
        "LANG",
        "_X_AMZN_TRACE_ID",
        "AWS_ENDPOINT_URL",
    ):
        assert seen.get(key), key
    assert "HOME" not in seen


@pytest.mark.lampyr_only
def test_a_function_reaches_this_lampyr_with_its_own_credentials(lambda_client: Any) -> None:
    code = """
import boto3, json
def handler(event, context):
    client = boto3.client("lambda")
    if event.get("inner"):
        return {"inner": client.get_account_settings()["AccountUsage"]["FunctionCount"] > 0}
    answer = client.invoke(FunctionName=context.function_name, Payload=json.dumps({"inner": True}))
    return json.loads(answer["Payload"].read())
"""
    with function(lambda_client, code, Timeout=30, MemorySize=512) as name:
        assert value(lambda_client, name) == {"inner": True}


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html")
def test_a_published_version_keeps_its_code_and_configuration(lambda_client: Any) -> None:
    code = "import os\ndef handler(event, context): return [1, os.environ.get('KEY')]"
    name = create(lambda_client, code, Publish=True, Environment={"Variables": {"KEY": "one"}})
    change(lambda_client, name, Environment={"Variables": {"KEY": "two"}})
    lambda_client.update_function_code(
        FunctionName=name, ZipFile=zipped({"app.py": code.replace("[1,", "[2,")})
    )
    lambda_client.get_waiter("function_updated_v2").wait(FunctionName=name)
    assert value(lambda_client, name) == [2, "two"]
    assert invoke(lambda_client, name, Qualifier="1").payload == [1, "one"]
    lambda_client.delete_function(FunctionName=name)


@pytest.mark.documented(API)
def test_a_tenant_has_environments_of_its_own(lambda_client: Any) -> None:
    code = """
seen = []
def handler(event, context):
    seen.append(context.tenant_id)
    return seen
"""
    isolation = {"TenantIsolationMode": "PER_TENANT"}
    with function(lambda_client, code, TenancyConfig=isolation) as name:
        for tenant in ("blue", "green", "blue"):
            answer = invoke(lambda_client, name, TenantId=tenant)
            assert set(answer.payload) == {tenant}
        with pytest.raises(ClientError, match="Add a valid tenant ID"):
            lambda_client.invoke(FunctionName=name)


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html")
def test_accounts_and_regions_do_not_see_each_other(lampyr_server: Any, lambda_client: Any) -> None:
    name = unique_name("mine")
    create(lambda_client, "def handler(event, context): return 1", FunctionName=name)
    for options in (
        {"region_name": "eu-west-1"},
        {"aws_access_key_id": "123456789012", "aws_secret_access_key": "x"},
    ):
        other = lampyr_server.client(**options)
        with pytest.raises(other.exceptions.ResourceNotFoundException):
            other.invoke(FunctionName=name)
        other.close()
    lambda_client.delete_function(FunctionName=name)
