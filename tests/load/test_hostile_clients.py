"""Clients of the API that do what no client should: they are answered or cut, others are served."""

import contextlib
import json
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import create, function, value
from tests.crash.anatomy import belongings, eventually
from tests.crash.lives import Later
from tests.load.neighbours import MIB, Usage, bounded_memory, neighbour

pytestmark = [pytest.mark.root, pytest.mark.lampyr_only]

HEAD = b"GET /_lampyr/health HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LampyrServer]:
    server = LampyrServer(tmp_path_factory.mktemp("clients"))
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


@pytest.fixture
def connect(server: LampyrServer) -> Iterator[Callable[[], socket.socket]]:
    """Connections that are closed at the end, and of which nothing may stay in the server.

    The client may have made a connection or two of its own meanwhile.
    """
    address = ("127.0.0.1", int(server.endpoint_url.rsplit(":", 1)[1]))
    usage = Usage(server)
    before = usage.connections()
    made: list[socket.socket] = []

    def make() -> socket.socket:
        made.append(socket.create_connection(address, timeout=20))
        return made[-1]

    yield make
    for connection in made:
        connection.close()
    eventually("connections are given back", lambda: usage.connections() <= before + 2)


def rest(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while chunk := connection.recv(1 << 16):
            data += chunk
    return data


def answers(connection: socket.socket, count: int) -> list[tuple[int, bytes]]:
    """(status, body) of so many answers, in order."""
    found = []
    with connection.makefile("rb") as stream:
        for _ in range(count):
            status = int(stream.readline().split()[1])
            length = 0
            while (line := stream.readline()) not in (b"\r\n", b""):
                name, _, text = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(text)
            found.append((status, stream.read(length)))
    return found


def invocation(name: str, payload: bytes, more: str = "") -> bytes:
    head = f"POST /2015-03-31/functions/{name}/invocations HTTP/1.1\r\nHost: x\r\n{more}"
    return f"{head}Content-Length: {len(payload)}\r\n\r\n".encode() + payload


def test_thousands_who_only_connect_keep_nobody_out(
    server: LampyrServer, connect: Callable[[], socket.socket]
) -> None:
    """Silent ones, and ones that send a header byte by byte; more than there are places."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with neighbour(server):
        slow = []
        for number in range(4_300):
            connection = connect()
            if number % 2:
                connection.sendall(HEAD + b"X-Slow: ")
                slow.append(connection)
        for connection in slow[-100:]:
            connection.sendall(b"y")
        fresh = connect()
        fresh.sendall(HEAD + b"\r\n")
        assert answers(fresh, 1)[0][0] == 200
        slow[-1].sendall(b"y\r\n\r\n")
        assert answers(slow[-1], 1)[0][0] == 200, "slow is not wrong"


MALFORMED = {
    "no HTTP": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)),
    "zeros": bytes(100_000),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "unknown version": b"GET / HTTP/7.3\r\nHost: x\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": (
        b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "negative length": b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "huge length": b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "bad chunk": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "header without a colon": b"GET / HTTP/1.1\r\nnonsense\r\n\r\n",
    "space before the colon": b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    "control character in a header": b"GET / HTTP/1.1\r\nHost: \x00x\r\n\r\n",
    "long header": b"GET / HTTP/1.1\r\nX: " + b"y" * 500_000 + b"\r\n\r\n",
    "many headers": (
        b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(50_000)) + b"\r\n"
    ),
    "long path": b"GET /" + b"y" * 500_000 + b" HTTP/1.1\r\n\r\n",
    "upgrade": b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_request_is_refused_and_the_connection_closed(
    server: LampyrServer, connect: Callable[[], socket.socket], data: bytes
) -> None:
    connection = connect()
    with contextlib.suppress(OSError):  # It may close before it has read everything.
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
    said = rest(connection)
    assert said == b"" or 400 <= int(said.split()[1]) < 500, said[:200]
    assert server.health()["status"] == "running"


def test_64_payloads_of_7_mb_are_refused_while_others_are_served(
    server: LampyrServer, client: Any, connect: Callable[[], socket.socket]
) -> None:
    large = json.dumps("x" * 7_000_000).encode()
    with (
        function(client, "def handler(event, context): return len(event)") as name,
        neighbour(server),
        bounded_memory(server, 100 * MIB),
    ):

        def refused() -> list[Any]:
            connection = connect()
            statuses: list[Any] = []
            for _ in range(2):
                connection.sendall(invocation(name, large))
                statuses.append(answers(connection, 1)[0][0])
            connection.sendall(invocation(name, b'"four"'))
            return [*statuses, *answers(connection, 1)[0]]

        for call in [Later(refused) for _ in range(64)]:
            assert call.result(60) == [413, 413, 200, b"4"]


def test_requests_sent_without_waiting_are_answered_in_order(
    server: LampyrServer, client: Any, connect: Callable[[], socket.socket]
) -> None:
    with function(client, "def handler(event, context): return event") as name:
        connection = connect()
        sent = b"".join(invocation(name, b"%d" % number) for number in range(500))
        sender = Later(lambda: connection.sendall(sent))
        expected = [(200, b"%d" % number) for number in range(500)]
        assert answers(connection, 500) == expected
        sender.result()


def test_a_body_in_chunks_and_one_that_is_announced(
    server: LampyrServer, client: Any, connect: Callable[[], socket.socket]
) -> None:
    with function(client, "def handler(event, context): return event") as name:
        connection = connect()
        head = f"POST /2015-03-31/functions/{name}/invocations HTTP/1.1\r\nHost: x\r\n"
        chunks = b'2\r\n"a\r\n1;x=y\r\nb\r\n1\r\n"\r\n0\r\nX-Trailer: y\r\n\r\n'
        connection.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
        assert answers(connection, 1) == [(200, b'"ab"')]
        announced = b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        connection.sendall(head.encode() + announced)
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b'"c"')
        assert answers(connection, 1) == [(200, b'"c"')]


COUNTS = """
import time
count = 0
def handler(event, context):
    global count
    count += 1
    time.sleep(event)
    return count
"""


def test_an_environment_whose_caller_leaves_ends_its_work_and_is_used_again(
    server: LampyrServer, client: Any, connect: Callable[[], socket.socket]
) -> None:
    with function(client, COUNTS) as name:
        assert value(client, name, 0) == 1
        for _ in range(5):
            connection = connect()
            connection.sendall(invocation(name, b"0.2"))
            threading.Event().wait(0.05)
            connection.close()
            threading.Event().wait(0.3)
        assert value(client, name, 0) == 7, "one environment did all of it"


def test_callers_who_leave_in_the_middle_of_their_request(
    server: LampyrServer, client: Any, connect: Callable[[], socket.socket]
) -> None:
    with function(client, COUNTS) as name, neighbour(server):
        whole = invocation(name, b"0" + b" " * 100_000)
        for cut in range(0, len(whole), len(whole) // 50):
            connection = connect()
            connection.sendall(whole[:cut])
            connection.close()
        assert value(client, name, 0) == 1, "half a request is none"


def test_callers_who_do_not_read_their_answers(
    server: LampyrServer, client: Any, connect: Callable[[], socket.socket]
) -> None:
    name = create(client, "def handler(event, context): return 'x' * 5_000_000", MemorySize=1769)
    with neighbour(server), bounded_memory(server, 300 * MIB):
        value(client, name)
        connections = [connect() for _ in range(8)]
        for connection in connections:
            connection.sendall(invocation(name, b"{}") * 20)
        eventually("answers are under way", lambda: connections[-1].recv(1))
    client.delete_function(FunctionName=name)
