"""The front door: who is let in, and who is cut off again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from lampyr.api import server
from lampyr.api.server import (
    CONNECTIONS_OF_ONE_SANDBOX,
    HEADER_SWEEPS,
    IDLE_SECONDS,
    RECEIVING_SECONDS,
    SWEEP_SECONDS,
    FrontConnection,
    FrontDoor,
)
from lampyr.api.warm import Plan
from lampyr.http1 import Request, Response
from lampyr.testing.clock import ManualClock

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Wire(asyncio.Transport):
    """The other end of a connection that is not there."""

    def __init__(self, connection: Any) -> None:
        super().__init__()
        self.connection = connection
        self.sent = b""
        self.is_open = True
        connection.connection_made(self)

    def write(self, data: Any) -> None:
        self.sent += bytes(data)

    def abort(self) -> None:
        self.close()

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self.connection.connection_lost(None)

    def is_closing(self) -> bool:
        return not self.is_open


class Api:
    """Answers when it is let."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.served = 0

    def plan(self, request: Request) -> Plan | None:
        return None

    def begin(self, plan: Plan, body: bytes, done: Callable[[bytes], None]) -> bool:
        return False

    def read(self, request: Request) -> bytes | None:
        return None

    async def handle(self, request: Request) -> Response:
        await self.let.wait()
        self.served += 1
        return Response(200, (), b"hello")

    def body_limit(self, request: Request) -> int:
        return 100

    def too_large(self, request: Request) -> Response:
        return Response(413)


class House:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.door = FrontDoor(self.clock)
        self.api = Api()
        self.door.api = self.api

    def enter(self, make: Any = None) -> Wire:
        return Wire((make or self.door.connection)())

    async def later(self, seconds: float) -> None:
        """Let time pass, with all the sweeps in it."""
        for _ in range(int(seconds / SWEEP_SECONDS) + 1):
            sweep = asyncio.ensure_future(self.door.sweep())
            await asyncio.sleep(0)
            await self.clock.advance(SWEEP_SECONDS)
            await sweep


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    yield house
    await house.door.close(0)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_says_nothing_for_long_is_cut_off(house: House) -> None:
    wire = house.enter()
    await house.later(IDLE_SECONDS - SWEEP_SECONDS)
    assert wire.is_open
    await house.later(2 * SWEEP_SECONDS)
    assert not wire.is_open
    assert not house.door.connections


async def test_who_stops_in_the_middle_of_a_request_is_cut_off_sooner(house: House) -> None:
    wire = house.enter()
    wire.connection.data_received(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n1")
    await house.later(RECEIVING_SECONDS + 2 * SWEEP_SECONDS)
    assert not wire.is_open


async def test_who_sends_a_header_byte_by_byte_is_cut_off_all_the_same(house: House) -> None:
    wire = house.enter()
    wire.connection.data_received(b"GET /slow HTTP/1.1\r\nX: ")
    for _ in range(HEADER_SWEEPS + 2):
        if wire.is_open:
            wire.connection.data_received(b"y")
        await house.later(0)
    assert not wire.is_open


async def test_a_large_body_may_take_its_time_as_long_as_something_comes(house: House) -> None:
    wire = house.enter()
    wire.connection.data_received(b"POST / HTTP/1.1\r\nContent-Length: 90\r\n\r\n")
    for _ in range(80):
        wire.connection.data_received(b"y")
        await house.later(0)
    assert wire.is_open


async def test_who_waits_for_an_answer_is_never_cut_off(house: House) -> None:
    wire = house.enter()
    wire.connection.data_received(GET)
    await settle()
    await house.later(10 * IDLE_SECONDS)
    house.api.let.set()
    await settle()
    assert wire.is_open
    assert wire.sent.endswith(b"hello")


async def test_when_all_places_are_taken_the_one_silent_for_longest_goes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CONNECTIONS_MAX", 3)
    waiting, first, second = house.enter(), house.enter(), house.enter()
    waiting.connection.data_received(GET)
    await settle()
    await house.clock.advance(1)
    second.connection.data_received(b"GET / HT")
    new = house.enter()
    assert [wire.is_open for wire in (waiting, first, second, new)] == [True, False, True, True]


async def test_when_everybody_is_being_served_a_newcomer_is_told_so(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CONNECTIONS_MAX", 2)
    for _ in range(2):
        house.enter().connection.data_received(GET)
    await settle()
    new = house.enter()
    assert new.sent.startswith(b"HTTP/1.1 503 ")
    assert not new.is_open
    assert len(house.door.connections) == 2


async def test_one_sandbox_has_a_limit_of_its_own(house: House) -> None:
    one, another = house.door.entrance(), house.door.entrance()
    wires = [house.enter(one) for _ in range(CONNECTIONS_OF_ONE_SANDBOX)]
    assert house.enter(one).sent.startswith(b"HTTP/1.1 503 ")
    assert house.enter(another).is_open
    wires[0].close()
    assert house.enter(one).is_open


async def test_a_request_goes_on_when_its_caller_leaves(house: House) -> None:
    wire = house.enter()
    wire.connection.data_received(GET * 3)
    await settle()
    wire.close()
    house.api.let.set()
    await settle()
    assert house.api.served == 1, "what had begun has come to its end, what had not was dropped"
    assert isinstance(wire.connection, FrontConnection)
