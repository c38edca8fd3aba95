"""The front door: connections of callers, each served by one task, in the order they asked."""

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from lampyr.clock import Clock
from lampyr.http1 import Connection, Request, Response, encode
from lampyr.tasks import Tasks

PIPELINED_MAX: Final = 32
"""Requests that one connection may have waiting; beyond that its peer is not read."""
CONNECTIONS_MAX: Final = 4_096
IDLE_SECONDS: Final = 120.0
RECEIVING_SECONDS: Final = 30.0
"""A peer that is in the middle of a request and sends nothing for so long is cut off."""
SWEEP_SECONDS: Final = 5.0

_BUSY: Final = encode(Response(503, (), b""), keep_alive=False)


class Api(Protocol):
    """What the front door serves."""

    async def handle(self, request: Request) -> Response: ...

    def body_limit(self, method: str, path: str) -> int: ...

    def too_large(self, request: Request) -> Response: ...


class FrontDoor:
    """Every listening socket that leads to the API: the public one, and one in each sandbox."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._api: Api | None = None
        self.tasks = Tasks()
        self.connections: set[FrontConnection] = set()
        self._servers: list[asyncio.Server] = []
        self._empty = asyncio.Event()

    def connection(self) -> "FrontConnection":
        return FrontConnection(self)

    async def open(self, api: Api, listener: socket.socket) -> None:
        """Answer with `api` whoever connects to `listener`."""
        self._api = api
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_server(self.connection, sock=listener))

    @property
    def api(self) -> Api:
        assert self._api is not None  # noqa: S101 - nobody is let in before the door is open
        return self._api

    async def sweep(self) -> None:
        """Cut off peers that only hold a connection open; for a supervised loop."""
        now = self.clock.monotonic()
        for connection in tuple(self.connections):
            if not connection.serving:
                limit = RECEIVING_SECONDS if connection.receiving else IDLE_SECONDS
                if now - connection.heard > limit:
                    connection.close()
        await self.clock.sleep(SWEEP_SECONDS)

    def left(self, connection: "FrontConnection") -> None:
        self.connections.discard(connection)
        if not self.connections:
            self._empty.set()

    def stop_listening(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()

    async def close(self, grace_seconds: float) -> None:
        """Let requests in progress end for so long, then cut every connection."""
        self.stop_listening()
        for connection in tuple(self.connections):
            connection.last_request()
        if self.connections:
            self._empty.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_seconds):
                    await self._empty.wait()
        await self.tasks.close()
        for connection in tuple(self.connections):
            if connection.transport is not None:
                connection.transport.abort()


class FrontConnection(Connection):
    def __init__(self, door: FrontDoor) -> None:
        super().__init__()
        self.heard = door.clock.monotonic()
        self.serving = False
        self._door = door
        self._requests: deque[Request] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._started = False
        self._last = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._door.connections.add(self)
        if len(self._door.connections) > CONNECTIONS_MAX:
            self.write(_BUSY)
            self.close()

    def data_received(self, data: bytes) -> None:
        self.heard = self._door.clock.monotonic()
        super().data_received(data)

    def body_limit(self, method: str, path: str) -> int:
        return self._door.api.body_limit(method, path)

    def received(self, request: Request) -> None:
        self._requests.append(request)
        if self._wake is not None:
            if not self._wake.done():
                self._wake.set_result(None)
        elif not self._started:
            self._started = True
            self._door.tasks.start(self._serve(), "connection")
        if len(self._requests) > PIPELINED_MAX and self.transport is not None:
            self.transport.pause_reading()

    def closed(self) -> None:
        self._door.left(self)
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def last_request(self) -> None:
        """The server is stopping: answer what is here, then close."""
        self._last = True
        if not self.serving and not self.receiving and not self._requests:
            self.close()

    async def _serve(self) -> None:
        """Answer one request after the other; an invocation goes on when its caller leaves."""
        handle: Callable[[Request], Awaitable[Response]] = self._door.api.handle
        loop = asyncio.get_running_loop()
        while self.transport is not None:
            while self._requests:
                request = self._requests.popleft()
                self.serving = True
                if request.too_large:
                    response = self._door.api.too_large(request)
                else:
                    response = await handle(request)
                self.serving = False
                if not await self._answer(request, response):
                    return
            self._wake = loop.create_future()
            await self._wake
            self._wake = None

    async def _answer(self, request: Request, response: Response) -> bool:
        """Whether the connection stays open."""
        transport = self.transport
        if transport is None:
            return False
        keep = request.keep_alive and not self._last
        self.write(encode(response, keep_alive=keep, head_only=request.method == "HEAD"))
        if not keep:
            self.close()
            return False
        await self.drained()
        if len(self._requests) == PIPELINED_MAX and not transport.is_closing():
            transport.resume_reading()
        return True
