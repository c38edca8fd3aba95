"""The front door: connections of callers, each served by one task, in the order they asked."""

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, NamedTuple, Protocol

from lampyr.api.together import Together
from lampyr.api.warm import Plan
from lampyr.clock import Clock
from lampyr.http1 import HEAD_END, BrokenStreamError, Connection, Request, Response, chunk, encode
from lampyr.tasks import Tasks

PIPELINED_MAX: Final = 32
"""Requests that one connection may have waiting; beyond that its peer is not read."""
CONNECTIONS_MAX: Final = 4_096
CONNECTIONS_OF_ONE_SANDBOX: Final = 256
BACKLOG: Final = CONNECTIONS_MAX
"""Connections that wait to be accepted; the kernel drops others, and who asks tries again after a
second. The event loop's own is 100."""
"""So that no function can use up the connections of all others."""
IDLE_SECONDS: Final = 120.0
RECEIVING_SECONDS: Final = 30.0
"""A peer that is in the middle of a request and sends nothing for so long is cut off."""
SWEEP_SECONDS: Final = 5.0

HEADER_SWEEPS: Final = 6
"""Who is found this often, one time after the other, within a header, does not mean to end it."""

REPEATS_MAX: Final = 256
"""Heads that are remembered; then all are forgotten."""
REPEATED_BYTES_MAX: Final = 4_096
"""A longer head is read anew each time."""

_BUSY: Final = encode(Response(503, (), b""), keep_alive=False)


class Api(Protocol):
    """What the front door serves."""

    def plan(self, request: Request) -> Plan | None:
        """What the head of a request says that may be served without a task."""
        ...

    def begin(self, plan: Plan, body: bytes, done: Callable[[bytes], None]) -> bool:
        """Serve it so; false, and nothing has happened, where it takes more."""
        ...

    def read(self, request: Request) -> bytes | None:
        """The answer to a call that only reads; None where it takes a task, or is none."""
        ...

    async def handle(self, request: Request) -> Response: ...

    def body_limit(self, request: Request) -> int: ...

    def too_large(self, request: Request) -> Response: ...


class FrontDoor:
    """Every listening socket that leads to the API: the public one, and one in each sandbox."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.api: Api
        """Nobody is let in before the door is open."""
        self.tasks = Tasks()
        self.connections: set[FrontConnection] = set()
        self.repeats: dict[bytes, Repeat] = {}
        """By head: what need not be read again when it comes again."""
        self.together = Together()
        self._servers: list[asyncio.Server] = []
        self._empty = asyncio.Event()

    def connection(self) -> "FrontConnection":
        return FrontConnection(self)

    def entrance(self) -> Callable[[], asyncio.Protocol]:
        """Makes the connections of one sandbox, with a limit of its own."""
        inside: set[FrontConnection] = set()
        return lambda: FrontConnection(self, inside)

    async def open(
        self, api: Api, listener: socket.socket, inside: socket.socket | None = None
    ) -> None:
        """Answer with `api` whoever connects to `listener`.

        Who connects to `inside` is a function, whose worker counts its connections.
        """
        self.api = api
        loop = asyncio.get_running_loop()
        self._servers.append(
            await loop.create_server(self.connection, sock=listener, backlog=BACKLOG)
        )
        if inside is not None:
            opening = loop.create_unix_server(
                lambda: FrontConnection(self, set()), sock=inside, backlog=BACKLOG
            )
            self._servers.append(await opening)

    async def sweep(self) -> None:
        """Cut off peers that only hold a connection open; for a supervised loop."""
        now = self.clock.monotonic()
        for connection in tuple(self.connections):
            if connection.overdue(now):
                connection.abort()
        await self.clock.sleep(SWEEP_SECONDS)

    def remember(self, head: bytes, repeat: "Repeat") -> None:
        if len(self.repeats) >= REPEATS_MAX:
            self.repeats.clear()
        self.repeats[head] = repeat

    def make_room(self) -> bool:
        """Cut who was silent for longest, so that nobody is kept out by those who do nothing."""
        silent = [each for each in self.connections if not each.serving and not each.queued]
        if not silent:
            return False
        min(silent, key=lambda each: each.heard).abort()
        return True

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
            connection.abort()


class Repeat(NamedTuple):
    """A head that came more than once, of a request that came in one piece."""

    plan: Plan
    length: int
    """Of the body, as the head says."""


class FrontConnection(Connection):
    def __init__(self, door: FrontDoor, inside: "set[FrontConnection] | None" = None) -> None:
        """`inside`: the connections of the sandbox that this one comes from."""
        super().__init__()
        self._inside = inside
        self._sweeps = 0
        self.heard = door.clock.monotonic()
        self.serving = False
        self._door = door
        self._requests: deque[Request] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._started = False
        self._last = False
        self._keep = True
        """Whether the connection stays open after the answer to what was begun without a task."""
        self._first: Repeat | None = None
        """What the last piece of data began, if its head may come again."""
        self._last_head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        door, inside = self._door, self._inside
        full = inside is not None and len(inside) >= CONNECTIONS_OF_ONE_SANDBOX
        if full or (len(door.connections) >= CONNECTIONS_MAX and not door.make_room()):
            self.write(_BUSY)
            self.close()
            return
        door.connections.add(self)
        if inside is not None:
            inside.add(self)

    def data_received(self, data: bytes) -> None:
        self.heard = self._door.clock.monotonic()
        if self.serving or not self.between:
            super().data_received(data)
            return
        end = data.find(HEAD_END) + len(HEAD_END)
        head = data[:end]
        repeat = self._door.repeats.get(head)
        if repeat is not None and repeat.length == len(data) - end and self._is_free():
            self._keep = True
            if self._begin(repeat.plan, data[end:]):
                return
        self._first = None
        super().data_received(data)
        first = self._first
        if first is not None and first.length == len(data) - end and not self._requests:
            if head == self._last_head and end <= REPEATED_BYTES_MAX:
                self._door.remember(head, first)
            self._last_head = head

    def body_limit(self, request: Request) -> int:
        return self._door.api.body_limit(request)

    def received(self, request: Request) -> None:
        if not request.too_large and not self.serving and self._is_free():
            plan = self._door.api.plan(request)
            if plan is not None:
                self._keep = request.keep_alive
                if self._begin(plan, request.body):
                    if plan.repeats and request.keep_alive:
                        self._first = Repeat(plan, len(request.body))
                    return
            elif (answer := self._door.api.read(request)) is not None:
                self._send(answer, keep=request.keep_alive)
                return
        request.from_function = self._inside is not None
        self._requests.append(request)
        if not self.serving:
            self._go_on()
        if len(self._requests) > PIPELINED_MAX and self.transport is not None:
            self.transport.pause_reading()

    def _is_free(self) -> bool:
        """Whether the next answer may be that to a request which comes now."""
        return not self._requests and self._writable is None and not self._last

    def _begin(self, plan: Plan, body: bytes) -> bool:
        """Serve it without a task; false where it takes more."""
        door = self._door
        self.serving = True
        door.together.waiting += 1
        if door.api.begin(plan, body, self._done):
            return True
        door.together.waiting -= 1
        self.serving = False
        return False

    def _done(self, answer: bytes) -> None:
        self._door.together.tell(self._tell, answer)

    def _tell(self, answer: bytes) -> None:
        """The answer to what was begun without a task."""
        self.serving = False
        self._send(answer, keep=self._keep)
        if self._requests:
            self._go_on()

    def _go_on(self) -> None:
        """Have the task look at what waits."""
        if self._wake is not None:
            if not self._wake.done():
                self._wake.set_result(None)
        elif not self._started:
            self._started = True
            self._door.tasks.start(self._serve(), "connection")

    def closed(self) -> None:
        self._door.left(self)
        if self._inside is not None:
            self._inside.discard(self)
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    @property
    def in_header(self) -> bool:
        return self._request is None and bool(self._url)

    @property
    def queued(self) -> bool:
        return bool(self._requests)

    def overdue(self, now: float) -> bool:
        """Whether the peer only holds the connection open; asked once in each sweep."""
        if self.serving:
            return False
        self._sweeps = self._sweeps + 1 if self.in_header else 0
        limit = RECEIVING_SECONDS if self.receiving else IDLE_SECONDS
        return now - self.heard > limit or self._sweeps > HEADER_SWEEPS

    def abort(self) -> None:
        """Cut it, whatever its peer has still to read."""
        if self.transport is not None:
            self.transport.abort()

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
            await self.drained()
            while self._requests and not self.serving:
                request = self._requests.popleft()
                self.serving = True
                if request.too_large:
                    response = self._door.api.too_large(request)
                else:
                    response = await handle(request)
                if response.stream is not None:
                    await self._pass_on(response, response.stream)
                self.serving = False
                if not self._answer(request, response):
                    return
                await self.drained()
            self._wake = loop.create_future()
            await self._wake
            self._wake = None

    async def _pass_on(self, response: Response, stream: AsyncIterator[bytes]) -> None:
        """Everything but the end of a streamed answer, as it comes and the peer reads it."""
        self.write(encode(response))
        framed = response.length is None
        try:
            async for data in stream:
                if self.transport is None:
                    return  # What makes the stream ends with it.
                self.write(chunk(data) if framed else data)
                await self.drained()
        except BrokenStreamError:
            self.abort()
        finally:
            if (close := getattr(stream, "aclose", None)) is not None:
                await close()

    def _answer(self, request: Request, response: Response) -> bool:
        """Whether the connection stays open."""
        if response.stream is not None:
            if response.length is None:
                self.write(chunk(b""))
            return self._send(b"", keep=request.keep_alive)
        head_only = request.method == "HEAD"
        return self._send(encode(response, head_only=head_only), keep=request.keep_alive)

    def _send(self, answer: bytes, *, keep: bool) -> bool:
        transport = self.transport
        if transport is None:
            return False
        if not keep or self._last:
            self.write(answer.replace(HEAD_END, b"\r\nconnection: close" + HEAD_END, 1))
            self.close()
            return False
        transport.write(answer)
        if len(self._requests) == PIPELINED_MAX and not transport.is_closing():
            transport.resume_reading()
        return True
