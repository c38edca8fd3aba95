"""Many callers at once, for long enough: every call is answered, and rightly."""

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lampyr.testing.server import LampyrServer
from tests.conformance.deployed import create
from tests.crash.anatomy import alone, anatomy, belongings, eventually
from tests.load.neighbours import MIB, Usage

pytestmark = [pytest.mark.root, pytest.mark.lampyr_only, pytest.mark.timeout(180)]

SECONDS = float(os.environ.get("LAMPYR_TEST_LOAD_SECONDS", "40"))
CALLERS = 64
ECHO = "def handler(event, context): return event"
LOGS = "def handler(event, context):\n    print('got', event)\n    return event"
RAISES = "def handler(event, context): raise KeyError(event)"


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LampyrServer]:
    arguments = ("--idle-seconds", "1")
    server = LampyrServer(tmp_path_factory.mktemp("load"), arguments=arguments)
    server.start()
    yield server
    had = belongings(server)
    server.stop()
    assert had.left() == []


class Caller:
    """A keep-alive connection that invokes one function, one call after the other."""

    def __init__(self, port: int, name: str, number: int) -> None:
        self._port = port
        self._name = name
        self._number = number
        self.calls = 0
        self.slowest = 0.0
        self.wrong: list[Any] = []

    async def call_until(self, end: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        while time.monotonic() < end and not self.wrong:
            begun = time.monotonic()
            event = f"{self._number}-{self.calls}"
            writer.write(self._request(json.dumps(event).encode()))
            status, headers, body = await self._answer(reader)
            self._check(event, status, headers, json.loads(body))
            self.calls += 1
            self.slowest = max(self.slowest, time.monotonic() - begun)
        writer.close()
        await writer.wait_closed()

    def _check(self, event: str, status: int, headers: dict[str, str], body: Any) -> None:
        right: Any = event
        if "x-amz-function-error" in headers:
            right, body = ("KeyError", f"'{event}'"), (body["errorType"], body["errorMessage"])
        if (status, body) != (200, right):
            self.wrong.append((status, headers, body))

    def _request(self, payload: bytes) -> bytes:
        path = f"/2015-03-31/functions/{self._name}/invocations"
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(payload)}\r\n\r\n"
        return head.encode() + payload

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = (line.split(": ", 1) for line in head[1:] if line)
        headers = {name.lower(): value for name, value in fields}
        body = await reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, body


async def test_64_callers_without_one_error(server: LampyrServer) -> None:
    client = server.client()
    names = [create(client, code, MemorySize=1769) for code in (ECHO, LOGS, RAISES)]
    client.close()
    port = int(server.endpoint_url.rsplit(":", 1)[1])
    usage = Usage(server)
    callers = [Caller(port, names[number % 3], number) for number in range(CALLERS)]
    end = time.monotonic() + SECONDS
    await asyncio.gather(*(caller.call_until(end) for caller in callers))
    assert [caller.wrong for caller in callers if caller.wrong] == []
    assert min(caller.calls for caller in callers) > 10, "nobody was left standing"
    assert sum(caller.calls for caller in callers) > 100 * SECONDS
    assert usage.memory_peak() < 400 * MIB
    eventually("idle ones are reclaimed", lambda: not anatomy(server).functions)
    eventually("their groups too", lambda: alone(server))


CROWD = 1_000


def test_a_crowd_that_comes_while_the_server_is_busy_is_let_in(server: LampyrServer) -> None:
    """The kernel has room for them: else it drops them, and each tries again after a second."""
    port = int(server.endpoint_url.rpartition(":")[2])
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    crowd = []
    try:
        for _ in range(CROWD):
            caller = socket.create_connection(("127.0.0.1", port), timeout=0.9)
            caller.settimeout(60)
            caller.sendall(b"GET /_lampyr/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            crowd.append(caller)
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    assert {caller.recv(12) for caller in crowd} == {b"HTTP/1.1 200"}
    for caller in crowd:
        caller.close()
