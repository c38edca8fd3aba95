"""Calls, replayed on functions that run: what they see, return and log is what AWS showed."""

import base64
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from lampyr.testing.server import LampyrServer
from tests.conformance.recorded.answers import answers
from tests.conformance.recorded.live import Live
from tests.conformance.recorded.scenario import ACCOUNT
from tests.java import compiled

Need = Callable[[str], None]
COMMON: Final = "TestLambdaRuntimesCommon::test_"
FEATURES: Final = "TestLambdaFeatures::test_"
PYTHON, NODE = "python3.11", "nodejs20.x"
ECHO: Final = {"app.py": "def handler(event, context):\n    print(event)\n    return event\n"}
NODE_ECHO: Final = {
    "index.js": "exports.handler = async (e) => { console.log(e); return e; };",
}
LOOK: Final = """
import os
NAMES = ["aws_request_id", "function_name", "function_version", "invoked_function_arn",
         "log_group_name", "log_stream_name", "memory_limit_in_mb"]
def handler(event, context):
    ctx = {name: getattr(context, name) for name in NAMES}
    ctx["remaining_time_in_millis"] = context.get_remaining_time_in_millis()
    return {"ctx": ctx, "environment": dict(os.environ), "packages": []}
"""
NODE_LOOK: Final = """
exports.handler = async (event, context) => ({
  ctx: {
    aws_request_id: context.awsRequestId,
    function_name: context.functionName,
    function_version: context.functionVersion,
    invoked_function_arn: context.invokedFunctionArn,
    log_group_name: context.logGroupName,
    log_stream_name: context.logStreamName,
    remaining_time_in_millis: context.getRemainingTimeInMillis(),
  },
  environment: process.env,
  packages: [],
});
"""
JAVA_LOOK: Final = """
package echo;
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
public class Handler implements RequestHandler<Map<String, Object>, Object> {
    public Object handleRequest(Map<String, Object> event, Context context) {
        if (event.containsKey("m")) throw new RuntimeException("Error: " + event.get("m"));
        if (System.getenv("WRAPPED") != null) return System.getenv("WRAPPED");
        Map<String, Object> ctx = new HashMap<>();
        ctx.put("aws_request_id", context.getAwsRequestId());
        ctx.put("function_name", context.getFunctionName());
        ctx.put("function_version", context.getFunctionVersion());
        ctx.put("invoked_function_arn", context.getInvokedFunctionArn());
        ctx.put("log_group_name", context.getLogGroupName());
        ctx.put("log_stream_name", context.getLogStreamName());
        ctx.put("memory_limit_in_mb", Integer.toString(context.getMemoryLimitInMB()));
        ctx.put("remaining_time_in_millis", context.getRemainingTimeInMillis());
        return Map.of("ctx", ctx, "environment", System.getenv(), "packages", List.of());
    }
}
"""


def in_java() -> dict[str, bytes]:
    return compiled(JAVA_LOOK, "echo.Handler")


@pytest.fixture(scope="module")
def client(lampyr_server: LampyrServer) -> Iterator[Any]:
    client = lampyr_server.client(aws_access_key_id=ACCOUNT, aws_secret_access_key="x")
    yield client
    client.close()


@pytest.fixture
def live(request: pytest.FixtureRequest, client: Any) -> Iterator[Live]:
    """The scenario that the test's marker `recorded` names; all of it has to be replayed."""
    marker = request.node.get_closest_marker("recorded")
    assert marker is not None
    live = Live(answers()[marker.args[0]], client)
    yield live
    live.clean()
    live.ends()


def each(prefix: str, *parameters: str) -> pytest.MarkDecorator:
    """One test for each parameter of a recorded scenario."""
    marked = [
        pytest.param(parameter, marks=pytest.mark.recorded(f"{prefix}[{parameter}]"))
        for parameter in parameters
    ]
    return pytest.mark.parametrize("parameter", marked)


SEEN: Final = ("python3.10", "python3.11", "python3.14", "nodejs24.x", "java11", "java21", "java25")


@each(f"{COMMON}introspection_invoke", *SEEN)
def test_what_a_function_sees(live: Live, need: Need, parameter: str) -> None:
    need(parameter)
    files: dict[str, str | bytes] = {"handler.py": LOOK, "index.js": NODE_LOOK}
    if parameter.startswith("java"):
        files |= in_java()
    name = live.create("create_function_result", files)
    for step, options in (
        ("invocation_result_payload", {}),
        ("invocation_result_payload_qualified", {"Qualifier": "$LATEST"}),
    ):
        live.compare(step, live.do("invoke", FunctionName=name, **options)["Payload"])


@each(f"{COMMON}uncaught_exception_invoke", "python3.14", "nodejs20.x", "java17", "java25")
def test_an_exception_that_nobody_catches(live: Live, need: Need, parameter: str) -> None:
    need(parameter)
    files: dict[str, str | bytes] = {
        "handler.py": "def handler(e, context):\n    raise Exception('Failed: ' + e['m'])\n",
        "index.js": "exports.handler = async (e) => { throw new Error('Error: ' + e.m); };",
    }
    if parameter.startswith("java"):
        files |= in_java()
    name = live.create("create_function_result", files)
    live.invoke("error_result", name, {"m": "some_error_msg"})


WRAPPED: Final = ("python3.10", "python3.12", "python3.13", "python3.14", "nodejs20.x", "java11")


@each(f"{COMMON}runtime_wrapper_invoke", *WRAPPED)
def test_a_wrapper_around_the_runtime(live: Live, need: Need, parameter: str) -> None:
    need(parameter)
    files: dict[str, str | bytes] = {
        "environment_wrapper": '#!/bin/bash\nexport WRAPPED="by a wrapper"\nexec "$@"\n',
        "handler.py": "import os\ndef handler(*_):\n    return os.environ['WRAPPED']\n",
        "index.js": "exports.handler = async () => process.env.WRAPPED;",
    }
    if parameter.startswith("java"):
        files |= in_java()
    name = live.create("create_function_result", files, mode=("environment_wrapper",))
    assert live.do("invoke", FunctionName=name)["Payload"] == "by a wrapper"


@each("TestLambdaBehavior::test_lambda_cache_local", "python", "nodejs")
def test_what_a_function_keeps(live: Live, need: Need, parameter: str) -> None:
    runtime = PYTHON if parameter == "python" else NODE
    need(runtime)
    files = {
        "app.py": "N = [-1]\ndef handler(*_):\n    N[0] += 1\n    return {'counter': N[0]}\n",
        "index.js": "let n = 0; exports.handler = async () => ({ counter: n++ });",
    }
    handler = "app.handler" if parameter == "python" else "index.handler"
    name = live.create(None, files, Runtime=runtime, Handler=handler)
    live.invoke("first_invoke_result", name)
    live.invoke("second_invoke_result", name)


@pytest.fixture(scope="module")
def echoes(client: Any) -> Iterator[Callable[[str], str]]:
    """The name of a function that returns its event, in the language of a runtime's name.

    What it answers does not name the runtime, and those that were recorded are no more.
    """
    made = Live({}, client)
    names: dict[str, str] = {}

    def echo(runtime: str) -> str:
        now, handler = (
            (NODE, "index.handler") if runtime.startswith("node") else (PYTHON, "app.handler")
        )
        if now not in names:
            files = {**ECHO, **NODE_ECHO}
            names[now] = made.create(None, files, Runtime=now, Handler=handler)
        return names[now]

    yield echo
    made.clean()


Echo = Callable[[str], str]
FORMER: Final = ("python3.9", "python3.10", "nodejs16.x")


@each(f"{FEATURES}invocation_with_logs", "nodejs16.x", "python3.10")
def test_a_call_with_its_log(live: Live, echoes: Echo, need: Need, parameter: str) -> None:
    need(NODE)
    answer = live.invoke("invoke", echoes(parameter), LogType="Tail")
    log = base64.b64decode(answer["LogResult"]).decode()
    live.compare("logs", {"logs": log.splitlines(keepends=True)})


@each(f"{FEATURES}invocation_type_dry_run", *FORMER)
def test_a_dry_run(live: Live, echoes: Echo, need: Need, parameter: str) -> None:
    need(NODE)
    live.invoke("invoke-result", echoes(parameter), InvocationType="DryRun")


@pytest.mark.recorded(f"{FEATURES}invocation_type_event[python3.10]")
def test_an_event(live: Live, echoes: Echo) -> None:
    live.invoke("invoke-result", echoes(PYTHON), InvocationType="Event")


@each(f"{FEATURES}invocation_type_no_return_payload", "python-Event", "nodejs-Event")
def test_an_event_for_a_function_that_returns_nothing(
    live: Live, echoes: Echo, need: Need, parameter: str
) -> None:
    need(NODE)
    live.invoke("invoke-result", echoes(parameter), InvocationType="Event")


@each(f"{FEATURES}invocation_type_request_response", *FORMER)
def test_a_call_with_an_answer(live: Live, echoes: Echo, need: Need, parameter: str) -> None:
    need(NODE)
    live.invoke("invoke-result", echoes(parameter), InvocationType="RequestResponse")


@pytest.mark.recorded("TestLambdaFeatures::test_basic_invoke")
def test_two_functions_and_a_call(live: Live, echoes: Echo) -> None:
    live.invoke("lambda_invoke_result", echoes(PYTHON))
    live.leave(
        "lambda_create_fn",
        "lambda_create_fn_2",
        "lambda_get_fn",
        "lambda_get_fn_2",
        why="a runtime that has ended, and members that were not there in 2022",
    )


@pytest.mark.recorded("TestLambdaErrors::test_lambda_runtime_error")
def test_a_module_that_cannot_be_loaded(live: Live, need: Need) -> None:
    need("python3.13")
    # Lines of Python's own modules move with its patches.
    trace = live.recorded["invocation_error"]["Payload"]["stackTrace"]
    live.recorded["invocation_error"]["Payload"]["stackTrace"] = list(map(unlined, trace))
    files = {"lambda_runtime_error.py": 'raise Exception("Runtime startup fails")\n'}
    handler = "lambda_runtime_error.handler"
    name = live.create(None, files, Runtime="python3.13", Handler=handler)
    answer = live.do("invoke", FunctionName=name)
    answer["Payload"]["stackTrace"] = list(map(unlined, answer["Payload"]["stackTrace"]))
    live.compare("invocation_error", answer)


def unlined(frame: str) -> str:
    return re.sub(r"(importlib.*, line )\d+", r"\1N", frame)


@pytest.mark.recorded("TestLambdaBehavior::test_lambda_init_environment")
def test_what_is_seen_during_init(live: Live, need: Need) -> None:
    need("python3.14")
    code = (
        "import os\nSEEN = dict(os.environ)\ndef handler(*_):\n    return {'environment': SEEN}\n"
    )
    name = live.create("create-result", {"handler.py": code})
    live.invoke("lambda-init-inspection", name)


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html")
def test_a_wrapper_that_is_not_there(client: Any) -> None:
    made = Live({}, client)
    wrapper = {"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/none"}}
    more: dict[str, Any] = {"Runtime": PYTHON, "Handler": "app.handler", "Environment": wrapper}
    answer = made.do("invoke", FunctionName=made.create(None, ECHO, **more), LogType="Tail")
    made.clean()
    assert answer["Payload"]["errorType"] == "Runtime.ExitError"
    assert answer["Payload"]["errorMessage"].endswith(" exit status 127")
    assert "/opt/none: does not exist" in base64.b64decode(answer["LogResult"]).decode()


@pytest.mark.recorded("TestLambdaBehavior::test_runtime_ulimits")
def test_limits_of_a_process(live: Live) -> None:
    live.differs(
        *("RLIMIT_CORE", "RLIMIT_MEMLOCK", "RLIMIT_NPROC"),
        why="no core dump is written, the host says what may be locked, and 1,024 is documented",
    )
    code = """
import resource
NAMES = "AS CORE CPU DATA FSIZE MEMLOCK NOFILE NPROC RSS STACK".split()
def handler(*_):
    names = [f"RLIMIT_{name}" for name in NAMES]
    return {name: resource.getrlimit(getattr(resource, name)) for name in names}
"""
    name = live.create(None, {"app.py": code}, Runtime=PYTHON, Handler="app.handler")
    live.invoke("invoke_runtime_ulimits", name)


@pytest.mark.recorded("TestLambdaConcurrency::test_lambda_provisioned_concurrency_scheduling")
def test_one_environment_kept_ready(live: Live) -> None:
    name = live.create(None, ECHO, Runtime=PYTHON, Handler="app.handler", Publish=True)
    one = {"FunctionName": name, "Qualifier": "1"}
    live.do("put_provisioned_concurrency_config", **one, ProvisionedConcurrentExecutions=1)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = live.do("get_provisioned_concurrency_config", **one)
        if found["Status"] != "IN_PROGRESS":
            break
    live.compare("get_provisioned_postwait", found)
