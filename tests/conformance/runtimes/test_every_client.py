"""AWS's runtime clients on Lampyr's modules: what holds for every language.

Real interpreters, every version that this host has or can get.
"""

import json

import pytest

from tests.conformance.runtimes.functions import NODES, PYTHONS, Start, echo
from tests.conformance.runtimes.scripted_runtime_api import ARN, DEADLINE_MS, ScriptedRuntimeApi

RUNTIMES_API_URL = "https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html"

EVERY = pytest.mark.parametrize("name", [*PYTHONS, *NODES])
ONE_EACH = pytest.mark.parametrize("name", ["python3.12", "nodejs20.x", "nodejs24.x"])


@EVERY
@pytest.mark.documented(RUNTIMES_API_URL)
def test_an_event_comes_back_as_the_handler_returned_it(
    name: str, api: ScriptedRuntimeApi, start: Start
) -> None:
    start(name, *echo(name))
    event = {"text": "naïve \u2028 ☃ 😀", "n": 1.5, "list": [None, True], "deep": {"a": {"b": []}}}
    assert api.invoke(event).json() == event
    assert api.invoke("second", request_id="id-2").json() == "second"


@EVERY
@pytest.mark.lampyr_only
def test_a_response_and_the_request_for_the_next_event_leave_together_on_one_connection(
    name: str, api: ScriptedRuntimeApi, start: Start
) -> None:
    start(name, *echo(name))
    answers = [api.invoke(n, request_id=f"id-{n}") for n in range(20)]
    assert [answer.json() for answer in answers] == list(range(20))
    assert [answer.request_id for answer in answers] == [f"id-{n}" for n in range(20)]
    assert api.connections == 1
    # The kernel may cut what was written at once, but not again and again.
    assert sum(answer.with_next for answer in answers) >= 18


@EVERY
@pytest.mark.documented(RUNTIMES_API_URL)
def test_a_payload_of_six_megabytes_goes_both_ways(
    name: str, api: ScriptedRuntimeApi, start: Start
) -> None:
    start(name, *echo(name))
    event = {"big": "x" * (6 * 1024 * 1024 - 100), "ümlaut": "ü"}
    assert api.invoke(event).json() == event
    assert api.invoke(1).json() == 1


@EVERY
@pytest.mark.documented(RUNTIMES_API_URL)
def test_a_refused_response_is_logged_and_the_runtime_goes_on(
    name: str, api: ScriptedRuntimeApi, start: Start
) -> None:
    running = start(name, *echo(name))
    api.script.response_statuses = [413, 202, 400]
    assert [api.invoke(n).json() for n in range(4)] == [0, 1, 2, 3]
    printed = running.printed()
    assert "Failed to post handler success response. Http response code: 413" in printed
    assert "Http response code: 400" in printed


@ONE_EACH
@pytest.mark.lampyr_only
def test_a_connection_that_is_closed_after_a_response_is_opened_again(
    name: str, api: ScriptedRuntimeApi, start: Start
) -> None:
    start(name, *echo(name))
    for n in range(3):
        api.script.close_after_response = True
        assert api.invoke(n).json() == n
    assert api.invoke("last").json() == "last"
    assert api.connections == 4


@ONE_EACH
@pytest.mark.lampyr_only
def test_a_response_finds_its_way_when_its_connection_was_closed_meanwhile(
    name: str, api: ScriptedRuntimeApi, start: Start
) -> None:
    start(name, *echo(name))
    assert api.invoke(1).json() == 1
    api.script.close_idle = True
    assert api.invoke(2).json() == 2
    assert api.invoke(3).json() == 3


@ONE_EACH
@pytest.mark.lampyr_only
def test_a_runtime_ends_when_the_runtime_api_is_gone(
    name: str, api: ScriptedRuntimeApi, start: Start
) -> None:
    running = start(name, *echo(name))
    api.invoke(1)
    api.close()
    assert running.exit_status() != 0


CONTEXT_PY = """
import os
def handler(event, context):
    client = context.client_context
    return {
        "request_id": context.aws_request_id, "arn": context.invoked_function_arn,
        "name": context.function_name, "version": context.function_version,
        "memory": context.memory_limit_in_mb, "group": context.log_group_name,
        "stream": context.log_stream_name, "remaining": context.get_remaining_time_in_millis(),
        "custom": client and client.custom, "identity": context.identity.cognito_identity_id,
        "tenant": context.tenant_id, "trace": os.environ.get("_X_AMZN_TRACE_ID"),
    }
"""
CONTEXT_JS = """
exports.handler = async (event, context) => ({
    request_id: context.awsRequestId, arn: context.invokedFunctionArn,
    name: context.functionName, version: context.functionVersion,
    memory: context.memoryLimitInMB, group: context.logGroupName,
    stream: context.logStreamName, remaining: context.getRemainingTimeInMillis(),
    custom: context.clientContext?.custom ?? null,
    identity: context.identity?.cognitoIdentityId ?? null,
    tenant: context.tenantId ?? null, trace: process.env._X_AMZN_TRACE_ID,
});
"""


@EVERY
@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/python-context.html")
def test_the_context_has_what_the_headers_and_the_environment_say(
    name: str, api: ScriptedRuntimeApi, start: Start
) -> None:
    files = {"main.py": CONTEXT_PY, "main.js": CONTEXT_JS}
    start(name, files, "main.handler")
    identity = {"cognitoIdentityId": "id", "cognitoIdentityPoolId": "pool"}
    found = api.invoke(
        Client_Context=json.dumps({"custom": {"k": "Zoë"}}, ensure_ascii=False),
        Cognito_Identity=json.dumps(identity),
        Aws_Tenant_Id="tenant-1",
    ).json()
    assert 0 < found.pop("remaining") < DEADLINE_MS
    assert found == {
        "request_id": "id-1",
        "arn": ARN,
        "name": "scripted",
        "version": "$LATEST",
        "memory": "128",
        "group": "/aws/lambda/scripted",
        "stream": "2026/01/01/[$LATEST]0",
        "custom": {"k": "Zoë"},
        "identity": "id",
        "tenant": "tenant-1",
        "trace": "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1",
    }
    plain = api.invoke().json()
    assert (plain["custom"], plain["identity"], plain["tenant"]) == (None, None, None)


RAISES_PY = """
calls = 0
class Broken(Exception): pass
def handler(event, context):
    global calls
    calls += 1
    if event: raise Broken("no luck")
    return calls
"""
RAISES_JS = """
let calls = 0;
class Broken extends Error { constructor(m) { super(m); this.name = "Broken"; } }
exports.handler = async (event) => {
    calls += 1;
    if (event) throw new Broken("no luck");
    return calls;
};
"""


@EVERY
@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html")
def test_a_handler_that_raises_is_reported_and_keeps_its_globals(
    name: str, api: ScriptedRuntimeApi, start: Start
) -> None:
    start(name, {"main.py": RAISES_PY, "main.js": RAISES_JS}, "main.handler")
    answer = api.invoke(True)
    error = answer.json()
    assert (answer.verb, error["errorType"], error["errorMessage"]) == (
        "error",
        "Broken",
        "no luck",
    )
    assert "main" in "".join(error.get("stackTrace") or error["trace"])
    assert answer.with_next
    assert "exceptions" in json.loads(answer.headers["lambda-runtime-function-xray-error-cause"])
    assert api.invoke().json() == 2


@pytest.mark.parametrize("name", ["python3.10", "python3.13"])
@pytest.mark.lampyr_only
def test_a_traceback_of_a_thousand_frames_does_not_break_the_headers(
    name: str, api: ScriptedRuntimeApi, start: Start
) -> None:
    code = "def deeper(n):\n    return deeper(n + 1)\ndef handler(e, c):\n    deeper(0)\n"
    start(name, {"main.py": code}, "main.handler")
    answer = api.invoke()
    assert answer.json()["errorType"] == "RecursionError"
    assert sum(map(len, answer.headers.values())) < 48 * 1024


@EVERY
@pytest.mark.documented(RUNTIMES_API_URL)
@pytest.mark.parametrize(
    ("handler", "error_type"),
    [
        ("absent.handler", "Runtime.ImportModuleError"),
        ("main.absent", "Runtime.HandlerNotFound"),
        ("main", "Runtime.MalformedHandlerName"),
    ],
)
def test_a_handler_that_cannot_be_loaded_is_an_init_error(
    name: str, handler: str, error_type: str, api: ScriptedRuntimeApi, start: Start
) -> None:
    files, _ = echo(name)
    running = start(name, files, handler)
    answer = api.answer()
    assert (answer.verb, answer.json()["errorType"]) == ("init/error", error_type)
    assert answer.headers["lambda-runtime-function-error-type"] == error_type
    assert running.exit_status() != 0


@EVERY
@pytest.mark.documented(RUNTIMES_API_URL)
def test_a_payload_that_is_not_json_is_the_functions_error(
    name: str, api: ScriptedRuntimeApi, start: Start
) -> None:
    start(name, *echo(name))
    api.send(b"{nonsense")
    if name.startswith("python"):
        answer = api.answer()
        assert (answer.verb, answer.json()["errorType"]) == ("error", "Runtime.UnmarshalError")
        assert api.invoke(1).json() == 1
