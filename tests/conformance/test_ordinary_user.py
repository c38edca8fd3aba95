"""The whole of Lampyr as an ordinary user: functions are isolated, limited, and gone afterwards."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lampyr.testing.leftovers import left_of
from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import create, function, invoke, value
from tests.conformance.users import RUNTIME, USER, users_server

pytestmark = [pytest.mark.lampyr_only, pytest.mark.root]


@pytest.fixture(scope="module")
def server() -> Iterator[LampyrServer]:
    with users_server() as made:
        made.start()
        yield made


@pytest.fixture(scope="module")
def client(server: LampyrServer) -> Iterator[Any]:
    made = server.client()
    yield made
    made.close()


def test_nothing_of_it_runs_as_anybody_else(server: LampyrServer, client: Any) -> None:
    with function(client, "def handler(event, context): return 1", Runtime=RUNTIME) as name:
        assert value(client, name) == 1
        family = server.held().processes
        assert len(family) >= 3, "server, spawner, init and the function"
        owners = set()
        for process in family:
            status = Path(f"/proc/{process.pid}/status").read_text()
            lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            owners.update(lines["Uid"].split())
        assert owners == {str(USER)}


def test_a_function_sees_nothing_of_the_host(server: LampyrServer, client: Any) -> None:
    code = """
import os, socket
def denied(path, mode="r"):
    try:
        open(path, mode).close()
    except OSError as error:
        return error.strerror
def reached(address, port):
    try:
        socket.create_connection((address, port), timeout=2).close()
        return True
    except OSError:
        return False
def handler(event, context):
    return {
        "ids": [os.getuid(), os.getgid()],
        "caps": [line for line in open("/proc/self/status") if line.startswith("CapEff")],
        "processes": len([name for name in os.listdir("/proc") if name.isdigit()]),
        "home": os.path.exists(event["home"]),
        "written": [path for path in ("/x", "/var/task/x", "/etc/x", "/usr/x", "/opt/x")
                    if denied(path, "w") is None],
        "environment": sorted(os.environ.keys() & {"HOME", "PYTHONDONTWRITEBYTECODE", "TMPDIR"}),
        "loopback": reached("127.0.0.1", event["port"]),
        "tmp": os.listdir("/tmp"),
    }
"""
    with socket.create_server(("127.0.0.1", 0)) as service:
        event = {"home": str(server.directory), "port": service.getsockname()[1]}
        with function(client, code, Runtime=RUNTIME, Timeout=10) as name:
            seen = value(client, name, event)
    assert seen == {
        "ids": [993, 990],
        "caps": ["CapEff:\t0000000000000000\n"],
        "processes": 2,
        "home": False,
        "written": [],
        "environment": [],
        "loopback": False,
        "tmp": [],
    }


def test_tmp_is_private_has_its_size_and_is_not_memory_of_the_function(client: Any) -> None:
    code = """
import os
def handler(event, context):
    if event == "list":
        return os.listdir("/tmp")
    written, block = 0, bytes(1 << 20)
    try:
        with open("/tmp/file", "wb", buffering=0) as file:
            while written < 2000:
                file.write(block)
                written += 1
    except OSError as error:
        return [written, error.strerror]
"""
    given = {"Runtime": RUNTIME, "Timeout": 60, "EphemeralStorage": {"Size": 600}}
    with function(client, code, **given) as name:
        written, reason = value(client, name)
        assert reason == "No space left on device"
        assert 560 <= written <= 600, "and it has 128 MB of memory"
        assert value(client, name, "list") == ["file"], "it stays as long as the environment"
        with function(client, code, **given) as other:
            assert value(client, other, "list") == []


def test_who_takes_more_memory_than_he_may_is_killed(client: Any) -> None:
    code = """
import os
calls = 0
def handler(event, context):
    global calls
    calls += 1
    children = []
    for _ in range(event.get("children", 0)):
        if os.fork() == 0:
            held = bytearray(event["mb"] << 20)
            os.write(1, b".")
            os.pause() if hasattr(os, "pause") else __import__("signal").pause()
    if event.get("children"):
        os.wait()
    held = bytearray(event.get("mb", 0) << 20)
    for at in range(0, len(held), 4096):
        held[at] = 1
    return [calls, os.getpid()]
"""
    with function(client, code, Runtime=RUNTIME, MemorySize=256, Timeout=20) as name:
        neighbour = function(client, code, Runtime=RUNTIME)
        with neighbour as other:
            assert value(client, other)[0] == 1
            assert value(client, name, {"mb": 100})[0] == 1
            for event in ({"mb": 700}, {"mb": 90, "children": 4}):
                answer = invoke(client, name, event, LogType="Tail")
                assert answer.payload["errorType"] == "Runtime.ExitError"
                assert answer.payload["errorMessage"].endswith("signal: killed")
                assert "Runtime.OutOfMemory" in answer.log
                assert "Max Memory Used: 256 MB" in answer.log
                assert value(client, name)[0] == 1, "a fresh one"
            assert value(client, other)[0] == 2, "the neighbour lives"


def test_a_timeout_kills_every_descendant_and_an_idle_one_stands_still(client: Any) -> None:
    code = """
import os, threading, time
ticks = 0
def tick():
    global ticks
    while True:
        ticks += 1
        time.sleep(0.005)
def handler(event, context):
    if event == "tick":
        if not ticks:
            threading.Thread(target=tick, daemon=True).start()
            time.sleep(0.05)
        return ticks
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        time.sleep(600)
    time.sleep(600)
"""
    with function(client, code, Runtime=RUNTIME, Timeout=1) as name:
        first = value(client, name, "tick")
        threading.Event().wait(1.0)  # Idle: that nothing happens meanwhile is what is tested.
        assert value(client, name, "tick") - first < 60
        answer = invoke(client, name, "sleep")
        assert answer.payload["errorType"] == "Sandbox.Timedout"
        assert value(client, name, "tick") > 0
        deadline = time.monotonic() + 5
        while (left := users_sleepers()) and time.monotonic() < deadline:
            threading.Event().wait(0.02)
        assert left == []


def users_sleepers() -> list[str]:
    """Processes of the user that a function forked off: their parent is a sandbox's init."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if entry.stat().st_uid != USER:
                continue
            status = (entry / "status").read_text()
            names = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            if len(names["NSpid"].split()) > 1 and int(names["NSsid"].split()[-1]) > 2:
                found.append(names["Name"])
        except OSError:
            continue
    return found


def test_a_function_calls_lampyr(client: Any) -> None:
    code = """
import boto3, json
def handler(event, context):
    client = boto3.client("lambda")
    return client.get_function_configuration(FunctionName=context.function_name)["FunctionArn"]
"""
    with function(client, code, Runtime=RUNTIME, Timeout=30, MemorySize=512) as name:
        assert value(client, name) == f"arn:aws:lambda:us-east-1:000000000000:function:{name}"


def test_after_a_kill_the_next_start_finds_everything_and_cleans_up() -> None:
    with users_server() as server:
        server.start()
        client = server.client()
        name = create(client, "def handler(event, context): return event", Runtime=RUNTIME)
        assert value(client, name, 1) == 1
        before = server.kill()
        assert len(before.processes) >= 3
        client.close()
        server.start()
        client = server.client()
        assert value(client, name, 2) == 2
        client.close()
        assert not left_of(before, server.directory / "none", server.temporary)
        assert {path.lstat().st_uid for path in server.directory.rglob("*")} == {USER}
        server.stop()  # It raises when anything is left.
