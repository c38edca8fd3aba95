"""OS-only runtimes: what a function brings as `bootstrap`, and what it can do wrong."""

import json
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import pytest

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import function, invoke, value, zipped

CUSTOM: Final = "https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html"
RUNTIME_API: Final = "https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html"
BUILDING: Final = "https://docs.aws.amazon.com/lambda/latest/dg/runtimes-walkthrough.html"
SYSTEM_PYTHON: Final = Path("/usr/bin/python3")
every_os = pytest.mark.parametrize("runtime", ["provided.al2", "provided.al2023"])
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this host")
SHELL: Final = """#!/bin/sh
set -eu
api="http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime"
. "./${_HANDLER%.*}.sh"
while true; do
  curl -sS -D /tmp/headers -o /tmp/event "$api/invocation/next"
  id=$(sed -n 's/^lambda-runtime-aws-request-id: *\\([^[:space:]]*\\).*/\\1/Ip' /tmp/headers)
  "${_HANDLER#*.}"
done
"""
HANDLERS: Final = """
respond() { curl -sS -o /dev/null "$@" "$api/invocation/$id/response"; }
echo() { respond --data-binary @/tmp/event; }
stream() {
  { printf '["'; head -c 3000000 /dev/zero | tr '\\0' x; printf '"]'; } | respond -T - -X POST \\
    -H 'Lambda-Runtime-Function-Response-Mode: streaming' -H 'Transfer-Encoding: chunked'
}
fail() {
  curl -sS -o /dev/null "$api/invocation/$id/error" -H 'Lambda-Runtime-Function-Error-Type: A.B' \\
    -d '{"errorType": "A.B", "errorMessage": "as told", "stackTrace": ["one", "two"]}'
}
look() {
  { printf '{"headers": "'; tr -d '\\r"\\\\' < /tmp/headers | tr '\\n' '|'; printf '", "env": "'
    env | tr -d '"\\\\' | sort | tr '\\n' '|'; printf '"}'; } > /tmp/answer
  respond --data-binary @/tmp/answer
}
wrong() {
  for path in "invocation/other/response" "invocation/$id" "nothing"; do
    curl -sS -o /tmp/body -w '%{http_code} ' -d 1 "$api/$path"
  done > /tmp/codes
  respond -d "\\"$(cat /tmp/codes)\\""
}
"""
PACKAGE: Final = zipped({"bootstrap": SHELL, "app.sh": HANDLERS}, executable=("bootstrap",))


@needs_curl
@every_os
@pytest.mark.documented(BUILDING)
def test_a_shell_script_with_curl_is_a_runtime(lambda_client: Any, runtime: str) -> None:
    custom = {"Runtime": runtime, "Timeout": 20}
    with function(lambda_client, PACKAGE, Handler="app.echo", **custom) as name:
        for event in ({"a": "ü"}, "x" * 5_000_000, 1):
            assert value(lambda_client, name, event) == event
    with function(lambda_client, PACKAGE, Handler="app.fail", **custom) as name:
        for _ in range(2):
            answer = invoke(lambda_client, name)
            assert answer.error == "Unhandled"
            assert answer.payload == {
                "errorType": "A.B",
                "errorMessage": "as told",
                "stackTrace": ["one", "two"],
            }


@needs_curl
@pytest.mark.documented(RUNTIME_API)
def test_a_shell_script_streams_its_response(lambda_client: Any) -> None:
    custom = {"Runtime": "provided.al2023", "Handler": "app.stream", "Timeout": 20}
    with function(lambda_client, PACKAGE, **custom) as name:
        for _ in range(2):
            assert value(lambda_client, name) == ["x" * 3_000_000]


@needs_curl
@pytest.mark.documented(RUNTIME_API)
def test_headers_and_variables_of_an_os_only_runtime(lambda_client: Any) -> None:
    custom = {"Runtime": "provided.al2023", "Handler": "app.look", "Timeout": 20}
    with function(lambda_client, PACKAGE, **custom) as name:
        seen = value(lambda_client, name)
    pairs = (line.partition(":") for line in seen["headers"].split("|")[1:])
    headers = {key.lower(): text.strip() for key, _, text in pairs if key}
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    assert headers["lambda-runtime-invoked-function-arn"] == arn
    assert int(headers["lambda-runtime-deadline-ms"]) > 1_700_000_000_000
    assert headers["lambda-runtime-trace-id"].startswith("Root=1-")
    assert headers["content-type"] == "application/json"
    environment = dict(line.split("=", 1) for line in seen["env"].split("|") if "=" in line)
    assert environment["_HANDLER"] == "app.look"
    assert environment["LAMBDA_TASK_ROOT"] == "/var/task"
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == name
    assert "AWS_EXECUTION_ENV" not in environment
    assert "PYTHONPATH" not in environment


@needs_curl
@pytest.mark.documented(RUNTIME_API)
def test_a_runtime_that_asks_wrongly_is_told_and_goes_on(lambda_client: Any) -> None:
    custom = {"Runtime": "provided.al2023", "Handler": "app.wrong", "Timeout": 20}
    with function(lambda_client, PACKAGE, **custom) as name:
        assert value(lambda_client, name) == "400 404 404 "
        assert value(lambda_client, name) == "400 404 404 "


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/python-image.html")
def test_awss_own_python_client_runs_unmodified_from_the_package(lambda_client: Any) -> None:
    """As pip unpacks it, native module and all, on the interpreter of the operating system."""
    release = f"{sys.version_info[0]}.{sys.version_info[1]}"
    words = (SYSTEM_PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
    if not SYSTEM_PYTHON.exists() or subprocess.check_output(words, text=True).strip() != release:
        pytest.skip(f"{SYSTEM_PYTHON} is not Python {release}, for which awslambdaric is installed")
    files: dict[str, str | bytes] = {
        "bootstrap": f'#!/bin/sh\nexec {SYSTEM_PYTHON} -m awslambdaric "$_HANDLER"\n',
        "app.py": """
import logging, runtime_client
from awslambdaric import __file__ as where
logging.getLogger().setLevel("INFO")
def handler(event, context):
    if event == "fail":
        raise KeyError("as told")
    logging.info("logged")
    print("printed")
    return {"event": event, "id": context.aws_request_id, "native": runtime_client.__file__,
            "where": where, "remaining": context.get_remaining_time_in_millis() > 0}
""",
    }
    for distribution in ("awslambdaric", "simplejson", "snapshot-restore-py"):
        found = metadata.distribution(distribution)
        for file in found.files or ():
            if file.suffix != ".pyc" and ".." not in file.parts:
                files[str(file)] = Path(str(found.locate_file(file))).read_bytes()
    package = zipped(files, executable=("bootstrap",))
    with function(lambda_client, package, Runtime="provided.al2023", Timeout=20) as name:
        answer = invoke(lambda_client, name, {"a": "ü"}, LogType="Tail")
        got = answer.payload
        assert answer.error is None, got
        assert got["where"] == "/var/task/awslambdaric/__init__.py"
        assert got["native"].startswith("/var/task/runtime_client.")
        assert (got["event"], got["remaining"]) == ({"a": "ü"}, True)
        request_id = got["id"]
        assert f"\t{request_id}\tlogged\n" in answer.log
        assert "printed\n" in answer.log
        failed = invoke(lambda_client, name, "fail").payload
        assert (failed["errorType"], failed["errorMessage"]) == ("KeyError", "'as told'")
        assert invoke(lambda_client, name, 2).payload["event"] == 2


@pytest.mark.documented(CUSTOM)
@pytest.mark.parametrize(
    ("package", "message"),
    [
        pytest.param(
            zipped({"other": "x"}),
            "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]",
            id="missing",
        ),
        pytest.param(
            zipped({"bootstrap": "#!/bin/sh\n"}),
            "fork/exec /var/task/bootstrap: permission denied",
            id="not executable",
        ),
        pytest.param(
            zipped({"bootstrap": "echo hi\n"}, executable=("bootstrap",)),
            "fork/exec /var/task/bootstrap: exec format error",
            id="no interpreter named",
        ),
        pytest.param(
            zipped({"bootstrap": "#!/no/such/shell\n"}, executable=("bootstrap",)),
            "fork/exec /var/task/bootstrap: no such file or directory",
            id="interpreter missing",
        ),
    ],
)
def test_a_bootstrap_that_cannot_be_started(
    lambda_client: Any, package: bytes, message: str
) -> None:
    with function(lambda_client, package, Runtime="provided.al2023") as name:
        for _ in range(2):
            answer = invoke(lambda_client, name, LogType="Tail")
            assert answer.error == "Unhandled"
            assert answer.payload["errorType"] == "Runtime.InvalidEntrypoint"
            assert answer.payload["errorMessage"].startswith("RequestId: ")
            assert answer.payload["errorMessage"].endswith(f" Error: {message}")
            assert "Runtime.InvalidEntrypoint" in answer.log
            assert "REPORT RequestId: " in answer.log


@pytest.mark.documented(CUSTOM)
@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 0", "Runtime exited without providing a reason"),
        ("echo spoken; exit 7", "Runtime exited with error: exit status 7"),
        ("kill -SEGV $$", "Runtime exited with error: signal: segmentation fault"),
    ],
)
def test_a_bootstrap_that_ends(lambda_client: Any, script: str, message: str) -> None:
    package = zipped({"bootstrap": f"#!/bin/bash\n{script}\n"}, executable=("bootstrap",))
    with function(lambda_client, package, Runtime="provided.al2023") as name:
        answer = invoke(lambda_client, name, LogType="Tail")
        assert answer.payload["errorType"] == "Runtime.ExitError"
        assert answer.payload["errorMessage"].endswith(f" Error: {message}")
        assert ("spoken" in answer.log) == ("spoken" in script)


@needs_curl
@pytest.mark.documented(RUNTIME_API)
def test_a_bootstrap_that_reports_an_error_of_init(lambda_client: Any) -> None:
    error = {"errorType": "Init.Refused", "errorMessage": "no key", "stackTrace": []}
    script = f"""#!/bin/sh
curl -sS "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/init/error" \\
  -H 'Lambda-Runtime-Function-Error-Type: Init.Refused' -d '{json.dumps(error)}'
exit 1
"""
    package = zipped({"bootstrap": script}, executable=("bootstrap",))
    with function(lambda_client, package, Runtime="provided.al2023") as name:
        for _ in range(2):
            answer = invoke(lambda_client, name, LogType="Tail")
            assert (answer.error, answer.payload) == ("Unhandled", error)
        assert "Phase: invoke\tStatus: error\tError Type: Runtime.Unknown\n" in answer.log


@pytest.mark.documented(
    "https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html"
)
def test_an_init_has_ten_seconds_and_then_the_time_of_the_function(
    lampyr_server: LampyrServer, lambda_client: Any
) -> None:
    package = zipped({"bootstrap": "#!/bin/sh\nsleep 600\n"}, executable=("bootstrap",))
    with function(lambda_client, package, Runtime="provided.al2023", Timeout=1) as name:
        answer = invoke(lambda_client, name, LogType="Tail")
        logged = lampyr_server.run("logs", name).stdout
    assert answer.payload["errorType"] == "Sandbox.Timedout"
    assert answer.payload["errorMessage"].endswith("Task timed out after 1.00 seconds")
    first = next(line for line in logged.splitlines() if "Phase: init" in line)
    report = re.search(r"INIT_REPORT Init Duration: ([\d.]+) ms\t.*Status: timeout$", first)
    assert report
    assert 9_990 < float(report[1]) < 12_000
    assert "Phase: invoke\tStatus: timeout" in answer.log
