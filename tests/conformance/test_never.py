"""What must never happen: each seen, live, in a tool that people use for the same job."""

import concurrent.futures
import gc
import json
import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import PYTHON, ROLE, function, invoke, unique_name, value, zipped

pytestmark = pytest.mark.lampyr_only


def test_1_what_a_function_writes_does_not_change_its_result(lambda_client: Any) -> None:
    code = """
import os, sys
def handler(event, context):
    print('{"statusCode": 500}')
    print("END RequestId: fake")
    sys.stderr.write("noise\\n")
    os.write(1, b'{"result": "wrong"}')
    os.write(2, bytes(range(256)))
    for descriptor in range(3, 20):
        try:
            os.write(descriptor, b"\\xa5\\x5a\\x00\\x03\\xff\\xff\\xff\\xffgarbage")
        except OSError:
            pass
    return {"result": "right"}
"""
    # Descriptor 3 and up include the connection to the Runtime API: writing there breaks this
    # function's own conversation, so it is left out by writing to pipes alone.
    code = code.replace(
        "        try:\n",
        "        try:\n            import stat\n"
        "            if not stat.S_ISFIFO(os.fstat(descriptor).st_mode): continue\n",
    )
    with function(lambda_client, code) as name:
        for _ in range(3):
            assert value(lambda_client, name) == {"result": "right"}


def test_2_a_handler_that_logs_is_not_faster_than_one_that_does_not(lambda_client: Any) -> None:
    """Seen elsewhere: results were waited for by reading the log. A silent one needs no log."""
    code = """
def handler(event, context):
    if event.get("log"):
        print("x")
    return 1
"""
    with function(lambda_client, code) as name:
        value(lambda_client, name)
        silent: list[float] = []
        loud: list[float] = []
        for _ in range(40):
            for event, times in (({}, silent), ({"log": True}, loud)):
                begun = time.perf_counter()
                value(lambda_client, name, event)
                times.append(time.perf_counter() - begun)
        # Not a timed test: what was seen was a wait of tens of milliseconds for a line.
        assert sorted(silent)[20] < sorted(loud)[20] + 0.01


def test_3_an_error_keeps_the_environment_and_tells_class_message_and_stack(
    lambda_client: Any,
) -> None:
    code = """
calls = 0
class OutOfCheese(Exception):
    pass
def handler(event, context):
    global calls
    calls += 1
    if event.get("fail"):
        raise OutOfCheese("redo from start")
    return calls
"""
    with function(lambda_client, code) as name:
        assert value(lambda_client, name) == 1
        answer = invoke(lambda_client, name, {"fail": True})
        assert (answer.status, answer.error) == (200, "Unhandled")
        assert answer.payload["errorType"] == "OutOfCheese"
        assert answer.payload["errorMessage"] == "redo from start"
        assert answer.payload["requestId"]
        assert "in handler" in answer.payload["stackTrace"][-1]
        assert value(lambda_client, name) == 3, "module globals survive"


def test_4_a_timeout_leaves_no_grandchildren(lambda_client: Any) -> None:
    mark = unique_name("sleeper")
    code = f"""
import os, subprocess, sys, time
def handler(event, context):
    for _ in range(2):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "{mark}"],
                         start_new_session=True)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    time.sleep(600)
"""
    with function(lambda_client, code, Timeout=1) as name:
        answer = invoke(lambda_client, name)
        assert answer.payload["errorType"] == "Sandbox.Timedout"
        assert answer.payload["errorMessage"].endswith("Task timed out after 1.00 seconds")
        assert invoke(lambda_client, name).error == "Unhandled", "the next call gets a fresh one"
        deadline = time.monotonic() + 5
        while _processes_with(mark) and time.monotonic() < deadline:
            threading.Event().wait(0.02)
        assert _processes_with(mark) == []


def _processes_with(mark: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if mark.encode() in words:
                found.append(words.decode(errors="replace"))
    return found


@pytest.mark.root
def test_5_memory_is_limited_and_what_is_reported_is_measured(lambda_client: Any) -> None:
    code = """
def handler(event, context):
    held = bytearray(event["mb"] * 1024 * 1024)
    for at in range(0, len(held), 4096):
        held[at] = 1
    return len(held)
"""
    with function(lambda_client, code, MemorySize=256, Timeout=30) as name:
        small = _max_memory(invoke(lambda_client, name, {"mb": 1}, LogType="Tail").log)
        large = _max_memory(invoke(lambda_client, name, {"mb": 120}, LogType="Tail").log)
        assert small < 60
        assert 0 < large - small < 256
        answer = invoke(lambda_client, name, {"mb": 700}, LogType="Tail")
        assert answer.error == "Unhandled"
        assert answer.payload["errorType"] == "Runtime.ExitError"
        assert answer.payload["errorMessage"].endswith("signal: killed")
        assert "Error Type: Runtime.OutOfMemory" in answer.log
        assert value(lambda_client, name, {"mb": 1}) == 1024 * 1024, "the next call works"


def _max_memory(log: str) -> int:
    (line,) = (line for line in log.splitlines() if line.startswith("REPORT"))
    (part,) = (part for part in line.split("\t") if part.startswith("Max Memory Used"))
    return int(part.split()[3])


@pytest.mark.root
def test_6_tmp_is_private_and_no_larger_than_its_size(lambda_client: Any, tmp_path: Path) -> None:
    code = """
import os
def handler(event, context):
    seen = sorted(os.listdir("/tmp"))
    open("/tmp/mine", "w").close()
    written = 0
    try:
        with open("/tmp/big", "wb") as big:
            while written < 600:
                big.write(bytes(1024 * 1024))
                written += 1
    except OSError as error:
        seen.append(error.strerror)
    os.unlink("/tmp/big")
    return {"seen": seen, "written": written}
"""
    with (
        function(lambda_client, code, Timeout=60) as one,
        function(lambda_client, code, Timeout=60) as two,
    ):
        for name in (one, two):
            got = value(lambda_client, name)
            assert got["seen"] == ["No space left on device"], "and nothing else was there"
            assert 450 <= got["written"] <= 520, "and 128 MB of memory were enough for it"
        assert "mine" in value(lambda_client, one)["seen"], "it lives as long as its environment"
    assert not list(Path("/tmp").glob("mine"))


@pytest.mark.root
def test_7_a_function_sees_only_its_own_sandbox(
    lambda_client: Any, lampyr_server: LampyrServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
import os, glob, pathlib
def readable(path):
    try:
        return bool(pathlib.Path(path).read_bytes())
    except OSError as error:
        return error.strerror
def handler(event, context):
    return {
        "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(),
        "caps": [line for line in open("/proc/self/status")
                 if line.startswith(("Cap", "NoNew", "Seccomp:"))],
        "shadow": readable("/etc/shadow"),
        "processes": [p for p in os.listdir("/proc") if p.isdigit()],
        "environment": sorted(os.environ),
        "data": os.path.exists(event["data"]),
        "roots": sorted(os.listdir("/")),
        "homes": [path for home in ("/root", "/home") if os.access(home, os.R_OK)
                  for path in os.listdir(home)],
        "task": sorted(os.listdir("/var/task")),
        "writable": [path for path in ("/", "/var/task", "/usr", "/etc", "/opt", "/var/runtime")
                     if os.access(path, os.W_OK)],
    }
"""
    monkeypatch.setenv("A_SECRET_OF_THE_HOST", "1")
    with function(lambda_client, code) as name:
        seen = value(lambda_client, name, {"data": str(lampyr_server.data_dir)})
    assert (seen["uid"], seen["gid"]) == (993, 990)
    for line in seen["caps"]:
        key, held = line.split()
        wanted = {"NoNewPrivs:": 1, "Seccomp:": 2}.get(key, 0)
        assert int(held, 16) == wanted, line
    assert seen["shadow"] is not True
    assert len(seen["processes"]) <= 3
    assert seen["data"] is False
    assert seen["homes"] == []
    assert seen["writable"] == []
    assert [file for file in seen["task"] if file != "__pycache__"] == ["app.py"]
    assert not {"A_SECRET_OF_THE_HOST", "HOME", "LAMPYR_DATA_DIR"} & set(seen["environment"])


def test_8_a_runtime_is_its_exact_version_or_the_function_fails_with_a_reason(
    lambda_client: Any,
) -> None:
    code = "import sys\ndef handler(event, context): return list(sys.version_info[:2])"
    for minor in (10, 11, 12, 13, 14):
        name = unique_name("exact")
        lambda_client.create_function(
            FunctionName=name,
            Runtime=f"python3.{minor}",
            Role=ROLE,
            Handler="app.handler",
            Code={"ZipFile": zipped({"app.py": code})},
        )
        state = _settled(lambda_client, name)
        if state["State"] == "Active":
            assert value(lambda_client, name) == [3, minor]
        else:
            assert state["State"] == "Failed"
            assert f"lampyr runtimes install python3.{minor}" in state["StateReason"]
            with pytest.raises(ClientError) as caught:
                lambda_client.invoke(FunctionName=name)
            assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 409
        lambda_client.delete_function(FunctionName=name)


def _settled(client: Any, name: str) -> Any:
    while (state := client.get_function_configuration(FunctionName=name))["State"] == "Pending":
        threading.Event().wait(0.02)
    return state


def test_14_too_large_a_payload_and_wrong_settings_are_refused(
    lambda_client: Any, lampyr_server: LampyrServer
) -> None:
    careless = lampyr_server.client(config=Config(parameter_validation=False))
    package = zipped({"app.py": "def handler(event, context): return len(event)"})
    right = {
        "FunctionName": unique_name(),
        "Runtime": PYTHON,
        "Role": ROLE,
        "Handler": "app.handler",
        "Code": {"ZipFile": package},
    }
    wrong: list[dict[str, Any]] = [
        {"Runtime": "python9.9"},
        {"Role": "not-a-role"},
        {"Timeout": 0},
        {"Timeout": 901},
        {"MemorySize": 64},
        {"EphemeralStorage": {"Size": 100}},
        {"Environment": {"Variables": {"AWS_REGION": "x"}}},
        {"Environment": {"Variables": {"BIG": "x" * 5000}}},
        {"FunctionName": "x" * 65},
        {"Code": {"ZipFile": b"not a zip"}},
    ]
    for member in wrong:
        with pytest.raises(ClientError) as caught:
            careless.create_function(**{**right, **member})
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400, member
    careless.close()
    with function(lambda_client, package) as name:
        with pytest.raises(ClientError) as caught:
            lambda_client.invoke(FunctionName=name, Payload=json.dumps("x" * 7_000_000).encode())
        error = caught.value.response
        assert error["ResponseMetadata"]["HTTPStatusCode"] == 413
        assert error["Error"]["Code"] == "RequestEntityTooLargeException" or (
            error["Error"]["Code"] == "RequestTooLargeException"
        )
        assert value(lambda_client, name, "x" * 6_000_000) == 6_000_000


def test_16_many_callers_at_once_do_not_slow_each_other_to_a_crawl(
    lambda_client: Any, lampyr_server: LampyrServer
) -> None:
    with function(lambda_client, "def handler(event, context): return event") as name:
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            client = lampyr_server.client()
            begun = time.perf_counter()
            got = list(pool.map(lambda n: value(client, name, n), range(400)))
            seconds = time.perf_counter() - begun
            client.close()
        assert got == list(range(400))
        assert seconds < 60, "seen elsewhere: p99 over a second"


def test_17_the_server_listens_on_loopback_alone(lampyr_server: LampyrServer) -> None:
    port = int(lampyr_server.endpoint_url.rsplit(":", 1)[1])
    listening = Path("/proc/net/tcp").read_text().splitlines()[1:]
    addresses = {
        line.split()[1].split(":")[0]
        for line in listening
        if line.split()[3] == "0A" and int(line.split()[1].split(":")[1], 16) == port
    }
    assert addresses == {"0100007F"}
    six = Path("/proc/net/tcp6").read_text().splitlines()[1:]
    assert not [line for line in six if line.split()[1].endswith(f":{port:04X}")]


def test_18_what_is_not_served_is_said(lampyr_server: LampyrServer, lambda_client: Any) -> None:
    with pytest.raises(ClientError) as caught:
        lambda_client.list_capacity_providers()
    error = caught.value.response
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert "ListCapacityProviders" in error["Error"]["Message"]
    request = urllib.request.Request(f"{lampyr_server.endpoint_url}/no/such/path")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code in (403, 404)


# The connections that the server cuts are urllib3's to close, which it leaves to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_20_stopping_is_quick_and_leaves_nothing(
    new_server: Callable[..., LampyrServer],
) -> None:
    server = new_server()
    server.start()
    client = server.client()
    code = "import time\ndef handler(event, context): time.sleep(event)"
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        name = unique_name("busy")
        client.create_function(
            FunctionName=name,
            Runtime=PYTHON,
            Role=ROLE,
            Handler="app.handler",
            Code={"ZipFile": zipped({"app.py": code})},
            Timeout=600,
        )
        client.get_waiter("function_active_v2").wait(FunctionName=name)
        value(client, name, 0)
        calls = [pool.submit(invoke, client, name, 300) for _ in range(3)]
        while len(server.held().processes) < 4:
            threading.Event().wait(0.02)
        server.stop()  # It raises when it takes over 5 s, or when anything is left.
        for call in calls:
            assert call.exception() is not None
    with socket.socket() as probe:
        port = int(server.endpoint_url.rsplit(":", 1)[1])
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    client.close()
    del calls, client
    gc.collect()
