"""AWS's Python runtime client on Lampyr's module, on every Python that this host has."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.conformance.runtimes.functions import PYTHONS, Start, write_task
from tests.conformance.runtimes.scripted_runtime_api import ARN, RunningRuntime, ScriptedRuntimeApi

PYTHON_URL = "https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html"
PYTHON = pytest.mark.parametrize("name", PYTHONS)
CONTEXT_PY = """
def handler(event, context):
    client = context.client_context
    return {
        "custom": client and client.custom, "tenant": context.tenant_id,
        "arn": context.invoked_function_arn, "request_id": context.aws_request_id,
    }
"""


@PYTHON
@pytest.mark.documented(PYTHON_URL)
def test_what_json_cannot_hold_is_a_marshal_error(
    name: str, api: ScriptedRuntimeApi, start: Start
) -> None:
    start(name, {"main.py": "def handler(e, c):\n    return {'a': object()}\n"}, "main.handler")
    error = api.invoke().json()
    assert error["errorType"] == "Runtime.MarshalError"
    assert "is not JSON serializable" in error["errorMessage"]


RETURNS_PY = """
import decimal, collections
Point = collections.namedtuple("Point", "x y")
def handler(event, context):
    return {
        "decimal": {"d": decimal.Decimal("1.10")}, "tuple": (1, [2, (3,)]), "point": Point(1, 2),
        "keys": {1: 2, None: 3, True: 4}, "bytes": {"b": b"abc"}, "raw": b"raw bytes",
        "text": "☃ \\u2028 \\x7f \\" \\\\ \\ud83d\\ude00",
    }[event]
"""


@PYTHON
@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("decimal", b'{"d": 1.10}'),
        ("tuple", b"[1, [2, [3]]]"),
        ("point", b'{"x": 1, "y": 2}'),
        ("keys", b'{"1": 4, "null": 3}'),
        ("bytes", b'{"b": "abc"}'),
        ("raw", b"raw bytes"),
    ],
)
@pytest.mark.lampyr_only
def test_json_is_what_awss_client_makes_of_it(
    name: str, event: str, expected: bytes, api: ScriptedRuntimeApi, start: Start
) -> None:
    start(name, {"main.py": RETURNS_PY}, "main.handler")
    assert api.invoke(event).body == expected


@PYTHON
@pytest.mark.documented(PYTHON_URL)
def test_text_is_escaped_before_python_3_12_and_not_from_then_on(
    name: str, api: ScriptedRuntimeApi, start: Start
) -> None:
    start(name, {"main.py": "def handler(e, c):\n    return '☃'\n"}, "main.handler")
    escaped = name in {"python3.10", "python3.11"}
    assert api.invoke().body == (b'"\\u2603"' if escaped else '"☃"'.encode())


@PYTHON
@pytest.mark.documented(PYTHON_URL)
def test_the_search_path_is_that_of_aws(
    name: str, api: ScriptedRuntimeApi, start: Start, tmp_path: Path
) -> None:
    running = start(
        name, {"main.py": "import sys\ndef handler(e, c):\n    return sys.path\n"}, "main.handler"
    )
    found = api.invoke().json()
    packages = f"lib/{name}/site-packages"
    assert found[0] == str(tmp_path / "task")
    assert found[1:3] == [f"/opt/python/{packages}", "/opt/python"]
    assert (Path(found[3]) / "awslambdaric").is_dir()
    assert found[-1].endswith(packages)
    assert running.process.poll() is None


SHADOWS = {
    "main.py": (
        "import json, logging, simplejson, awslambdaric, boto3\n"
        "def handler(e, c):\n"
        "    return [json.__name__, simplejson.VERSION, boto3.VERSION, awslambdaric.__version__]\n"
    ),
    "json.py": "raise SystemExit('the function has broken the runtime')\n",
    "simplejson/__init__.py": "VERSION = 'mine'\n",
    "boto3/__init__.py": "VERSION = 'mine'\n",
    "awslambdaric/__init__.py": "__version__ = 'mine'\n",
}


@PYTHON
@pytest.mark.lampyr_only
def test_a_function_brings_its_own_modules_and_does_not_break_the_runtime(
    name: str, api: ScriptedRuntimeApi, start: Start
) -> None:
    start(name, SHADOWS, "main.handler")
    found = api.invoke().json()
    assert found[:3] == ["json", "mine", "mine"]
    assert found[3] != "mine"


@pytest.mark.parametrize("name", ["python3.10", "python3.13"])
@pytest.mark.documented(PYTHON_URL)
def test_the_aws_sdk_is_there(name: str, api: ScriptedRuntimeApi, start: Start) -> None:
    code = (
        "import boto3, importlib.metadata\n"
        "client = boto3.client('sqs')\n"
        "def handler(e, c):\n"
        "    return [client.meta.endpoint_url, importlib.metadata.version('boto3')]\n"
    )
    start(name, {"main.py": code}, "main.handler", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
    assert api.invoke().json()[0] == "http://127.0.0.1:1"


SIGNALS_PY = """
import os, signal
seen = []
signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
def handler(event, context):
    return [os.getpid(), seen]
"""


@PYTHON
@pytest.mark.lampyr_only
def test_a_signal_is_handled_while_the_runtime_waits(
    name: str, api: ScriptedRuntimeApi, start: Start
) -> None:
    start(name, {"main.py": SIGNALS_PY}, "main.handler")
    pid, seen = api.invoke().json()
    assert seen == []
    os.kill(pid, signal.SIGUSR1)
    assert api.invoke().json() == [pid, [signal.SIGUSR1]]


@PYTHON
@pytest.mark.lampyr_only
def test_what_site_would_have_made_is_there(
    name: str, api: ScriptedRuntimeApi, start: Start
) -> None:
    code = "def handler(e, c):\n    return [repr(exit), repr(quit), repr(help)]\n"
    start(name, {"main.py": code}, "main.handler")
    assert [text.split()[1] for text in api.invoke().json()] == ["exit()", "quit()", "help()"]


@pytest.mark.parametrize("name", ["python3.10", "python3.13"])
@pytest.mark.lampyr_only
def test_a_sitecustomize_on_a_pythonpath_of_the_functions_own_is_run(
    name: str, api: ScriptedRuntimeApi, start: Start, tmp_path: Path
) -> None:
    files = {
        "main.py": "import builtins\ndef handler(e, c):\n    return builtins.hooked\n",
        "hook/sitecustomize.py": "import builtins\nbuiltins.hooked = 'yes'\n",
    }
    hook = str(tmp_path / "task/hook")
    start(name, files, "main.handler", {"PYTHONPATH": hook})
    assert api.invoke().json() == "yes"


@PYTHON
@pytest.mark.lampyr_only
def test_a_default_timeout_for_sockets_does_not_reach_the_runtimes_own(
    name: str, api: ScriptedRuntimeApi, start: Start
) -> None:
    code = (
        "import socket\nsocket.setdefaulttimeout(0.000001)\n"
        "def handler(e, c):\n    return socket.getdefaulttimeout()\n"
    )
    start(name, {"main.py": code}, "main.handler")
    assert api.invoke().json() == api.invoke().json() == 0.000001


LOGS_PY = """
import logging
def handler(event, context):
    logging.getLogger().warning("careful")
    logging.getLogger().info("quiet")
    print("printed")
"""


@PYTHON
@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html")
def test_logs_are_text_or_json_as_configured(
    name: str, api: ScriptedRuntimeApi, start: Start
) -> None:
    running = start(name, {"main.py": LOGS_PY}, "main.handler", log_format="JSON")
    api.invoke()
    lines = running.printed().splitlines()
    assert lines[-1] == "printed"
    assert [json.loads(line)["message"] for line in lines[:-1]] == ["careful", "quiet"]
    assert json.loads(lines[0])["requestId"] == "id-1"


@pytest.mark.lampyr_only
def test_awss_unmodified_client_works_against_the_scripted_api(
    api: ScriptedRuntimeApi, tmp_path: Path
) -> None:
    """So what the other tests script is the protocol, and not our idea of it."""
    task = write_task(tmp_path, {"main.py": CONTEXT_PY})
    environ = {"AWS_LAMBDA_RUNTIME_API": api.address, "PYTHONPATH": ":".join(sys.path)}
    argv = (sys.executable, "-m", "awslambdaric", "main.handler")
    running = RunningRuntime(argv, environ, task, api)
    try:
        found = api.invoke(Client_Context='{"custom": {"k": "v"}}', Aws_Tenant_Id="t").json()
        assert (found["custom"], found["tenant"], found["arn"]) == ({"k": "v"}, "t", ARN)
        assert api.invoke(request_id="id-2").json()["request_id"] == "id-2"
    finally:
        running.stop()
