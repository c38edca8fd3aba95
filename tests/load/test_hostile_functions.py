"""Functions that try to take the host, Lampyr or their neighbours down: each harms itself alone."""

from collections.abc import Iterator
from typing import Any

import pytest

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import Answer, create, function, invoke, value
from tests.crash.anatomy import belongings, eventually
from tests.crash.lives import Later
from tests.load.neighbours import MIB, Usage, bounded_memory, neighbour, sandboxed

pytestmark = [pytest.mark.root, pytest.mark.lampyr_only]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LampyrServer]:
    server = LampyrServer(tmp_path_factory.mktemp("hostile"))
    server.start()
    yield server
    had = belongings(server)
    server.stop()
    assert had.left() == []


@pytest.fixture(scope="module")
def client(server: LampyrServer) -> Iterator[Any]:
    client = server.client()
    yield client
    client.close()


FLOOD = """
import os
LINE = b"x" * 199 + b"\\n"
def handler(event, context):
    chunk = LINE * 512
    for _ in range(event * 1_000_000 // len(chunk)):
        os.write(1, chunk)
    return event
"""


def test_a_log_flood_is_held_back_and_the_server_stays_small(
    server: LampyrServer, client: Any
) -> None:
    with (
        function(client, FLOOD, Timeout=120, MemorySize=1769) as name,
        neighbour(server),
        bounded_memory(server, 200 * MIB),
    ):
        answer = invoke(client, name, 200, LogType="Tail")
        assert answer.payload == 200
        assert len(answer.log) <= 4096
        assert "REPORT" in answer.log


def test_a_flood_without_line_ends_too(server: LampyrServer, client: Any) -> None:
    code = FLOOD.replace('b"\\n"', 'b"x"')
    with (
        function(client, code, Timeout=120, MemorySize=1769) as name,
        neighbour(server),
        bounded_memory(server, 200 * MIB),
    ):
        assert value(client, name, 50) == 50


FORK_BOMB = """
import os, time
def handler(event, context):
    made = 0
    while True:
        try:
            pid = os.fork()
        except OSError:
            break
        if pid == 0:
            time.sleep(600)
        made += 1
    if event == "stay":
        time.sleep(600)
    return made
"""


def test_a_fork_bomb_meets_its_limit_and_goes_with_its_environment(
    server: LampyrServer, client: Any
) -> None:
    with function(client, FORK_BOMB, Timeout=30, MemorySize=1769) as name, neighbour(server):
        assert 500 < value(client, name) < 1024
    eventually("all are gone", lambda: sandboxed(server) == 0)
    with function(client, FORK_BOMB, Timeout=2, MemorySize=1769) as name, neighbour(server):
        answer = invoke(client, name, "stay")
        assert answer.payload["errorType"] == "Sandbox.Timedout"
    eventually("all are gone", lambda: sandboxed(server) == 0)


def test_processes_that_outlive_their_invocation_end_with_their_environment(
    server: LampyrServer, client: Any
) -> None:
    code = """
import subprocess
def handler(event, context):
    for _ in range(5):
        subprocess.Popen(["/bin/sleep", "600"], start_new_session=True)
    return 5
"""
    with function(client, code) as name:
        assert value(client, name) == 5
        assert value(client, name) == 5
    eventually("all are gone", lambda: sandboxed(server) == 0)


def test_out_of_memory_again_and_again(server: LampyrServer, client: Any) -> None:
    code = "def handler(event, context): return len(bytearray(event * 1024 * 1024))"
    with function(client, code, Timeout=30, MemorySize=512) as name, neighbour(server):
        for _ in range(4):
            answer = invoke(client, name, 2_000)
            assert answer.payload["errorType"] == "Runtime.ExitError"
            assert answer.payload["errorMessage"].endswith("signal: killed")
        assert value(client, name, 1) == MIB


RUNTIME_API = """
import http.client, os, socket, json
HOST, PORT = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
def connect():
    return socket.create_connection((HOST, int(PORT)), timeout=10)
def post(path, body=b"{}"):
    connection = http.client.HTTPConnection(HOST, int(PORT), timeout=30)
    connection.request("POST", "/2018-06-01/runtime/invocation/" + path, body)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return [answer.status, text]
"""


def test_a_thousand_connections_to_the_runtime_api(server: LampyrServer, client: Any) -> None:
    code = f"""{RUNTIME_API}
held = []
def handler(event, context):
    refused = 0
    for _ in range(event):
        try:
            held.append(connect())
            held[-1].sendall(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\n\\r\\n")
        except OSError:
            refused += 1
    return len(held)
"""
    usage = Usage(server)
    before = usage.descriptors()
    with function(client, code, Timeout=60, MemorySize=1769) as name, neighbour(server):
        answer = invoke(client, name, 1_000)
        assert answer.error is None, answer.payload
        assert usage.descriptors() - before < 500, "one function cannot use up the server's"
        assert server.health()["status"] == "running"
    eventually("descriptors are given back", lambda: usage.descriptors() <= before + 10)


def test_a_thousand_connections_to_the_endpoint(server: LampyrServer, client: Any) -> None:
    """They are the function's own to use up: callers from outside, and others, still get in."""
    code = """
import os, socket, subprocess, sys, time
HOLD = '''
import socket, sys
held = []
try:
    while len(held) < 400:
        held.append(socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5))
        held[-1].sendall(b"GET /_lampyr/health HTTP/1.1")
except OSError:
    pass
print(len(held), flush=True)
import time
time.sleep(600)
'''
def handler(event, context):
    host, port = os.environ["AWS_ENDPOINT_URL"].removeprefix("http://").split(":")
    holders = [
        subprocess.Popen([sys.executable, "-c", HOLD, host, port], stdout=subprocess.PIPE)
        for _ in range(5)
    ]
    return sum(int(holder.stdout.readline()) for holder in holders)
"""
    usage = Usage(server)
    before = usage.descriptors()
    with function(client, code, Timeout=60, MemorySize=1769) as name, neighbour(server):
        value(client, name)
        assert usage.descriptors() - before < 500
        fresh = server.client()
        assert name in str(fresh.list_functions())
        fresh.close()
    eventually("descriptors are given back", lambda: usage.descriptors() <= before + 10)


def test_garbage_on_the_runtime_api(server: LampyrServer, client: Any) -> None:
    code = f"""{RUNTIME_API}
GARBAGE = [
    os.urandom(100_000),
    b"\\r\\n" * 1000,
    b"GET /2018-06-01/runtime/invocation/next HTTP/9.9\\r\\n\\r\\n",
    b"POST / HTTP/1.1\\r\\nContent-Length: -5\\r\\n\\r\\n",
    b"POST / HTTP/1.1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\nzz\\r\\n",
    b"POST / HTTP/1.1\\r\\nContent-Length: 10\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n",
    b"GET /" + b"x" * 200_000 + b" HTTP/1.1\\r\\n\\r\\n",
    b"GET / HTTP/1.1\\r\\n" + b"".join(b"H%d: %s\\r\\n" % (n, b"v" * 100) for n in range(5000)),
    b"\\x16\\x03\\x01" + os.urandom(300),
]
def handler(event, context):
    for data in GARBAGE:
        connection = connect()
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        except OSError:
            pass
        connection.close()
    return "still here"
"""
    with (
        function(client, code, Timeout=60, MemorySize=1769) as name,
        neighbour(server),
        bounded_memory(server, 100 * MIB),
    ):
        for _ in range(3):
            assert value(client, name) == "still here"


def test_answers_to_what_was_not_asked(server: LampyrServer, client: Any) -> None:
    """Another's request id, an old one, none at all, the same twice: none changes a result."""
    code = f"""{RUNTIME_API}
seen = []
def handler(event, context):
    seen.append(context.aws_request_id)
    tried = [
        post("11111111-2222-3333-4444-555555555555/response", b'"forged"'),
        post(seen[0] + "/response", b'"again"') if len(seen) > 1 else [400, ""],
        post("/response", b'"forged"'),
        post("../../x/response", b'"forged"'),
        post("next", b'"forged"'),
    ]
    return [status for status, text in tried]
"""
    with function(client, code, MemorySize=1769) as name, neighbour(server):
        for _ in range(3):
            assert all(400 <= status < 500 for status in value(client, name))


def test_an_answer_given_behind_the_runtimes_back(server: LampyrServer, client: Any) -> None:
    """The first answer counts, as on AWS; the environment goes on or is replaced, but not stuck."""
    code = f"""{RUNTIME_API}
def handler(event, context):
    post(context.aws_request_id + "/response", b'"first"')
    return "second"
"""
    with function(client, code, MemorySize=1769, Timeout=10) as name, neighbour(server):
        for _ in range(4):
            assert value(client, name) == "first"


def test_a_response_of_100_mb(server: LampyrServer, client: Any) -> None:
    code = "def handler(event, context): return 'x' * event"
    with (
        function(client, code, Timeout=60, MemorySize=3008) as name,
        neighbour(server),
        bounded_memory(server, 100 * MIB),
    ):
        answer = invoke(client, name, 100_000_000)
        assert answer.payload["errorType"] == "Function.ResponseSizeTooLarge"
        assert value(client, name, 5) == "xxxxx"


NEVER_READS = f"""{RUNTIME_API}
def handler(event, context):
    connection = connect()
    connection.settimeout(1)
    sent = 0
    request = b"GET /2018-06-01/nothing/here HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n" * 1000
    try:
        while sent < event:
            sent += connection.send(request)
    except OSError:
        pass
    return sent
"""


def test_one_that_asks_and_never_reads(server: LampyrServer, client: Any) -> None:
    with (
        function(client, NEVER_READS, Timeout=60, MemorySize=1769) as name,
        neighbour(server),
        bounded_memory(server, 50 * MIB),
    ):
        assert value(client, name, 100_000_000) > 0


def test_one_that_waits_for_work_and_goes_on_asking(server: LampyrServer, client: Any) -> None:
    """Requests behind an open `next` have to wait for its answer: not without a bound."""
    code = NEVER_READS.replace(
        "sent = 0",
        'connection.sendall(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\n\\r\\n")',
    ).replace("    request", "    sent = 0\n    request")
    with (
        function(client, code, Timeout=10, MemorySize=1769) as name,
        neighbour(server),
        bounded_memory(server, 50 * MIB),
    ):
        invoke(client, name, 100_000_000)
        assert isinstance(invoke(client, name, 1), Answer)


def test_one_that_closes_its_runtime_connection(server: LampyrServer, client: Any) -> None:
    """The runtime cannot answer any more: its caller hears at the timeout or before, not never."""
    code = """
import os, socket
def handler(event, context):
    if event:
        for fd in map(int, os.listdir("/proc/self/fd")):
            try:
                if os.readlink(f"/proc/self/fd/{fd}").startswith("socket:"):
                    os.close(fd)
            except OSError:
                pass
    return event
"""
    with function(client, code, Timeout=3, MemorySize=1769) as name, neighbour(server):
        for event in (True, False, True, False):
            answer = invoke(client, name, event)
            told = answer.payload if answer.error is None else answer.payload["errorType"]
            assert told in (event, "Runtime.ExitError", "Sandbox.Timedout"), answer.payload
        assert value(client, name, False) is False


def test_one_that_stops_itself(server: LampyrServer, client: Any) -> None:
    code = "import os, signal\ndef handler(event, context): os.kill(os.getpid(), signal.SIGSTOP)"
    with function(client, code, Timeout=1) as name, neighbour(server):
        assert invoke(client, name).payload["errorType"] == "Sandbox.Timedout"


def test_one_that_fills_its_disk_and_eats_its_files(server: LampyrServer, client: Any) -> None:
    code = """
import os
def handler(event, context):
    held = []
    try:
        while True:
            held.append(os.open("/tmp", os.O_RDONLY))
    except OSError as error:
        first = error.errno
    for fd in held:
        os.close(fd)
    made = 0
    try:
        while made < 200_000:
            os.mknod(f"/tmp/{made}")
            made += 1
    except OSError:
        pass
    return [first, len(held) < 1024, made > 0]
"""
    with function(client, code, Timeout=60, MemorySize=1769) as name, neighbour(server):
        assert value(client, name) == [24, True, True]


def test_one_that_invokes_itself_5_deep(server: LampyrServer, client: Any) -> None:
    code = """
import boto3, json
def handler(event, context):
    if event == 0:
        return 0
    answer = boto3.client("lambda").invoke(
        FunctionName=context.function_name, Payload=json.dumps(event - 1)
    )
    return 1 + json.load(answer["Payload"])
"""
    with function(client, code, Timeout=60, MemorySize=1769) as name, neighbour(server):
        assert value(client, name, 5) == 5
        assert value(client, name, 5) == 5


def test_one_that_never_ends_holds_up_nobody(server: LampyrServer, client: Any) -> None:
    """Both cores are kept busy by functions that only compute, with a small share each."""
    code = "def handler(event, context):\n    while True: pass"
    name = create(client, code, Timeout=3, MemorySize=1769)
    with neighbour(server):
        calls = [Later(lambda: invoke(client, name)) for _ in range(4)]
        for call in calls:
            assert call.result(30).payload["errorType"] == "Sandbox.Timedout"
    client.delete_function(FunctionName=name)
