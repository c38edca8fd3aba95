"""HTTP/1.1 for clients, on httptools: connections that are kept, to addresses and unix sockets.

For Lampyr's own calls to other servers: AWS services near and far. It knows no redirects, no
cookies and no proxies; what it adds to a request is `content-length`, and `host` where it is
missing.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final, cast

import httptools

from lampyr.clock import Clock

CONNECT_SECONDS: Final = 10.0
IDLE_SECONDS: Final = 30.0
"""A connection that waited longer is not used again; servers close theirs after a minute or so."""
IDLE_MAX: Final = 64
"""Connections that are kept for each target."""
BODY_BYTES_MAX: Final = 128 * 1024 * 1024
WHOLE_BYTES: Final = 256 * 1024
"""Up to here an answer is taken whole, also where it may be streamed."""
AHEAD_BYTES: Final = 1024 * 1024
"""Of a streamed answer, what may wait for its reader."""

_WITHOUT_BODY: Final = frozenset({204, 304})
_FRAMING: Final = frozenset({"content-length", "transfer-encoding"})

Fields = Sequence[tuple[str, str]]


class HttpError(Exception):
    """No answer came: not reached, broken off, or too large."""


class HttpTimeoutError(HttpError):
    """No answer came in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a server listens: a host and port, or the path of a unix socket."""

    host: str = "localhost"
    port: int = 0
    tls: bool = False
    socket: str | None = None


class Answer:
    """One answer; `fields` as they came, names in lower case.

    `stream` instead of a body, where that was asked for and is long or of no known length: it
    raises `HttpError` when it breaks off, and must be read to its end or closed.
    """

    __slots__ = ("body", "fields", "status", "stream")

    def __init__(
        self,
        status: int,
        fields: list[tuple[str, str]],
        body: bytes,
        stream: AsyncGenerator[bytes] | None = None,
    ) -> None:
        self.status = status
        self.fields = fields
        self.body = body
        self.stream = stream


class HttpClient:
    """Connections by target; those that are free are used again, the latest first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._idle: dict[Target, deque[tuple[float, _Connection]]] = {}
        self._busy: set[_Connection] = set()
        self._tls: ssl.SSLContext | None = None
        self._closed = False

    async def request(
        self,
        target: Target,
        method: str,
        path: str,
        fields: Fields,
        body: bytes,
        *,
        timeout_seconds: float,
        body_bytes_max: int = BODY_BYTES_MAX,
        streams: bool = False,
    ) -> Answer:
        """The whole answer, but for one that `streams`. Raises `HttpError`.

        `path` is sent as given, with its query.

        A kept connection that turns out to be closed is replaced once, without a word: the server
        closed it before it saw the request.
        """
        data = _encode(target, method, path, fields, body)
        head_only = method == "HEAD"
        try:
            async with asyncio.timeout(timeout_seconds):
                while True:
                    connection, kept = await self._connection(target)
                    try:
                        connection.expect(head_only, body_bytes_max, streams=streams)
                        return await self._exchange(target, connection, data, timeout_seconds)
                    except _UnansweredError:
                        if not kept:
                            raise
        except TimeoutError:
            raise HttpTimeoutError(f"no answer within {timeout_seconds:g} s") from None

    async def close(self) -> None:
        self._closed = True
        idle = [connection for kept in self._idle.values() for _, connection in kept]
        self._idle.clear()
        for connection in (*idle, *self._busy):
            connection.abort()

    async def _exchange(
        self, target: Target, connection: "_Connection", data: bytes, patience: float
    ) -> Answer:
        self._busy.add(connection)
        try:
            answer = await connection.exchange(data)
        except BaseException:
            self._busy.discard(connection)
            connection.abort()
            raise
        if connection.streams:
            answer.stream = self._rest(target, connection, patience)
        else:
            self._release(target, connection)
        return answer

    async def _rest(
        self, target: Target, connection: "_Connection", patience: float
    ) -> AsyncGenerator[bytes]:
        try:
            while True:
                async with asyncio.timeout(patience):
                    piece = await connection.piece()
                if not piece:
                    return
                yield piece
        except TimeoutError:
            raise HttpTimeoutError(f"nothing more within {patience:g} s") from None
        finally:
            self._release(target, connection)

    def _release(self, target: Target, connection: "_Connection") -> None:
        """To be used again, if it can be."""
        self._busy.discard(connection)
        connection.streams = False
        if connection.reusable and not self._closed:
            kept = self._idle.setdefault(target, deque(maxlen=IDLE_MAX))
            if len(kept) == IDLE_MAX:
                kept[0][1].abort()
            kept.append((self._clock.monotonic(), connection))
        else:
            connection.abort()

    async def _connection(self, target: Target) -> "tuple[_Connection, bool]":
        """A connection, and whether it was used before."""
        kept = self._idle.get(target)
        now = self._clock.monotonic()
        while kept:
            since, connection = kept.pop()
            if connection.reusable and now - since <= IDLE_SECONDS:
                return connection, True
            connection.abort()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                if target.socket is not None:
                    _, made = await loop.create_unix_connection(_Connection, target.socket)
                else:
                    tls = self._context() if target.tls else None
                    _, made = await loop.create_connection(
                        _Connection, target.host, target.port, ssl=tls
                    )
        except TimeoutError:
            raise HttpTimeoutError(f"no connection to {_shown(target)}") from None
        except OSError as error:
            raise HttpError(f"no connection to {_shown(target)}: {error}") from error
        return made, False

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


class _UnansweredError(HttpError):
    """The server closed the connection and had said nothing."""


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._fields: list[tuple[str, str]] = []
        self._parts: list[bytes] = []
        self._size = 0
        self._most = 0
        self._head_only = False
        self._heard = False
        self._complete = False
        self._keep = False
        self._may_stream = False
        self._broken: HttpError | None = None
        self.streams = False
        """Its answer has begun, and its body comes piece by piece."""

    def expect(self, head_only: bool, most: int, *, streams: bool) -> None:
        """What the next answer may be."""
        self._head_only, self._most, self._may_stream = head_only, most, streams

    async def exchange(self, data: bytes) -> Answer:
        transport = self._transport
        if transport is None or transport.is_closing():
            raise _UnansweredError("the connection was closed")
        self._parser = httptools.HttpResponseParser(self)
        self._fields, self._parts, self._size = [], [], 0
        self._heard = self._complete = self._keep = self.streams = False
        self._broken = None
        self._waiter = asyncio.get_running_loop().create_future()
        transport.write(data)
        try:
            await self._waiter
        finally:
            self._waiter = None
        body = b"" if self.streams else self._taken()
        return Answer(self._parser.get_status_code(), self._fields, body)

    async def piece(self) -> bytes:
        """What came of a streamed body; empty at its end."""
        if not self._parts and not self._complete:
            if self._broken is not None:
                raise self._broken
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._taken()

    def _taken(self) -> bytes:
        parts, self._parts = self._parts, []
        self._size = 0
        return parts[0] if len(parts) == 1 else b"".join(parts)

    @property
    def reusable(self) -> bool:
        transport = self._transport
        return (
            transport is not None and not transport.is_closing() and self._complete and self._keep
        )

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._waiter is None and not self.streams:
            self.abort()  # Nobody asked: this connection is not to be trusted.
            return
        self._heard = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(HttpError(f"an answer that is no HTTP: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._complete or (self._waiter is None and not self.streams):
            return
        if not self._heard:
            self._fail(_UnansweredError(f"the connection was closed: {exc or 'no answer'}"))
        elif self._ends_with_connection():
            self.on_message_complete()
        else:
            self._fail(HttpError(f"the answer broke off: {exc or 'connection closed'}"))

    # httptools --------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # noqa: PLR2004 - HTTP's own number: the real answer is still to come
            self._fields = []
        elif self._head_only:
            self.on_message_complete()
        elif self._may_stream and status not in _WITHOUT_BODY and self._is_long():
            self.streams = True
            self._wake()

    def on_body(self, body: bytes) -> None:
        if self._complete:  # An answer to HEAD has none; this server sends one.
            return
        self._size += len(body)
        if self.streams:
            self._parts.append(body)
            if self._size > AHEAD_BYTES and self._transport is not None:
                self._transport.pause_reading()
            self._wake()
        elif self._size > self._most:
            self._fail(HttpError(f"the answer has more than {self._most} bytes"))
        else:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:  # noqa: PLR2004 - as above
            return
        self._complete = True
        # The parser waits for the body that HEAD never gets, so it would not read what comes next.
        self._keep = self._parser.should_keep_alive() and not self._head_only
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _is_long(self) -> bool:
        """Longer than what is taken whole, or of a length that is not told."""
        told = dict(self._fields).get("content-length", "")
        return int(told) > WHOLE_BYTES if told.isdigit() else True

    def _ends_with_connection(self) -> bool:
        names = {name for name, _ in self._fields}
        return bool(self._fields) and not names & {"content-length", "transfer-encoding"}

    def _fail(self, error: HttpError) -> None:
        self._broken = error
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
        self.abort()


def _encode(target: Target, method: str, path: str, fields: Fields, body: bytes) -> bytes:
    lines = [f"{method} {path} HTTP/1.1\r\n"]
    has_host = False
    for name, value in fields:
        key = name.lower()
        if key not in _FRAMING:
            lines.append(f"{name}: {value}\r\n")
            has_host = has_host or key == "host"
    if not has_host:
        default = target.socket is not None or target.port in (0, 443 if target.tls else 80)
        lines.append(f"host: {target.host if default else f'{target.host}:{target.port}'}\r\n")
    if body or method not in {"GET", "HEAD", "DELETE"}:
        lines.append(f"content-length: {len(body)}\r\n")
    return "".join((*lines, "\r\n")).encode("latin-1", "replace") + body


def _shown(target: Target) -> str:
    return target.socket or f"{target.host}:{target.port}"
