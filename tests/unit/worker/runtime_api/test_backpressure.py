"""What a runtime that misbehaves can make Lampyr keep in memory: nothing that grows."""

import asyncio
from typing import Any

from lampyr.testing.clock import ManualClock
from lampyr.testing.environments import a_version, an_environment
from lampyr.worker.runtime_api.connection import RuntimeConnection
from lampyr.worker.runtime_api.server import CONNECTIONS_MAX, RuntimeApiServer

NEXT = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n"
NOTHING = b"GET /2018-06-01/nothing HTTP/1.1\r\nHost: x\r\n\r\n"


class Wire(asyncio.Transport):
    """A transport that remembers what was done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.did: list[str] = []

    def write(self, data: Any) -> None:
        self.did.append("write")

    def abort(self) -> None:
        self.did.append("abort")

    def is_closing(self) -> bool:
        return "abort" in self.did

    def pause_reading(self) -> None:
        self.did.append("pause")

    def resume_reading(self) -> None:
        self.did.append("resume")


async def a_connection() -> tuple[RuntimeConnection, Wire]:
    environment = an_environment(a_version(), ManualClock())
    here: set[RuntimeConnection] = set()
    connection = RuntimeConnection(environment, arrived=here.add, left=here.discard)
    wire = Wire()
    connection.connection_made(wire)
    return connection, wire


async def test_who_does_not_read_is_not_read() -> None:
    connection, wire = await a_connection()
    connection.pause_writing()
    connection.resume_writing()
    assert wire.did == ["pause", "resume"]


async def test_a_few_requests_may_wait_behind_an_open_next_many_are_cut_off() -> None:
    connection, wire = await a_connection()
    connection.data_received(NEXT + NOTHING * 5)
    assert wire.did == []
    connection.data_received(NOTHING * 20)
    assert "abort" in wire.did


async def test_an_environment_has_only_so_many_connections() -> None:
    server = RuntimeApiServer(an_environment(a_version(), ManualClock()))
    made = [server._connection() for _ in range(CONNECTIONS_MAX)]
    refused, wire = server._connection(), Wire()
    refused.connection_made(wire)
    assert wire.did == ["abort"]
    made[0].connection_lost(None)
    assert isinstance(server._connection(), RuntimeConnection)
