"""HTTP/1.1 for servers, on httptools: one connection, the requests it received, its answers.

Both doors of Lampyr stand on it: the API that callers use and the Runtime API inside each
execution environment. An ASGI server would do for the first only: it drops the request trailers
that carry a streamed response's error, and costs twice as much a request (`docs/adr/0008`).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Final, cast

import httptools

HEAD_END: Final = b"\r\n\r\n"
HEADER_BYTES_MAX: Final = 64 * 1024
DISCARD_BYTES_MAX: Final = 128 * 1024 * 1024
"""Of a body over its limit this much is read and forgotten, so that the client gets its answer."""

NAMES_MAX: Final = 512
NAME_BYTES_KEPT: Final = 64
_NAMES: Final[dict[bytes, str]] = {}

Fields = dict[bytes, bytes]
"""Headers or trailers as the parser gives them."""

_REASONS: Final = {int(s): f"HTTP/1.1 {int(s)} {s.phrase}\r\n" for s in HTTPStatus}


class Request:
    """One request. `path` is as sent (percent-encoded) and without the query."""

    __slots__ = (
        "_fields",
        "_headers",
        "body",
        "from_function",
        "keep_alive",
        "method",
        "path",
        "query",
        "too_large",
        "trailers",
    )

    def __init__(
        self,
        method: str,
        path: str,
        query: str,
        headers: dict[str, str] | None = None,
        *,
        fields: Fields | None = None,
    ) -> None:
        """`headers` with their names in lower case, or `fields` as the parser gives them."""
        self.method = method
        self.path = path
        self.query = query
        self._headers = headers
        self._fields = fields or {}
        self.body = b""
        self.trailers: dict[str, str] = {}
        self.keep_alive = True
        self.from_function = False
        """It came through the door inside a sandbox."""
        self.too_large = False
        """The body was over its limit and has been dropped."""

    @property
    def fields(self) -> Fields:
        """Headers as they came; nothing where the request was made of others."""
        return self._fields

    @property
    def headers(self) -> dict[str, str]:
        """Names in lower case; of a header that was repeated, the last one."""
        found = self._headers
        if found is None:
            found = self._headers = _decoded(self._fields)
        return found


class Response:
    """One answer. `content-length` and `connection` are the connection's to add.

    `length`: what an answer to HEAD says of a body that it does not have. `stream` instead of a
    body: its pieces are sent as they come, in chunks, or as they are where `length` says how much
    will come. It may raise `BrokenStreamError`.
    """

    __slots__ = ("body", "headers", "length", "status", "stream")

    def __init__(
        self,
        status: int,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        length: int | None = None,
        stream: AsyncIterator[bytes] | None = None,
    ) -> None:
        self.stream = stream
        self.status = status
        self.headers = headers
        self.body = body
        self.length = length


class BrokenStreamError(Exception):
    """The rest of a streamed answer does not come; its reader must notice."""


def encode(response: Response, *, keep_alive: bool = True, head_only: bool = False) -> bytes:
    """The bytes of an answer; 1xx, 204 and 304 have no body and say nothing of its length."""
    status, body = response.status, response.body
    lines = [_REASONS.get(status) or f"HTTP/1.1 {status} \r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in response.headers]
    if response.stream is not None:
        framing = "transfer-encoding: chunked" if response.length is None else None
        lines.append(f"{framing or f'content-length: {response.length}'}\r\n")
    elif status >= 200 and status not in {204, 304}:  # noqa: PLR2004 - HTTP's own numbers
        length = response.length if head_only else None
        lines.append(f"content-length: {len(body) if length is None else length}\r\n")
    lines.append("\r\n" if keep_alive else "connection: close\r\n\r\n")
    head = "".join(lines).encode("latin-1")
    return head if head_only else head + body


def chunk(data: bytes) -> bytes:
    """A piece of a chunked body; an empty one is its end."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Connection(asyncio.Protocol):
    """Parses what a peer sends and calls `received` for each request, in order.

    The subclass answers with `write`, in the same order. A peer that breaks the protocol, or
    sends more header than `HEADER_BYTES_MAX`, is answered 400 or 431 and cut off.
    """

    header_bytes_max = HEADER_BYTES_MAX

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._url = b""
        self._fields: Fields = {}
        self._parts: list[bytes] = []
        # The parser calls these two for every header and every piece of a body: as they are no
        # Python functions, that is a third of the cost of a small request.
        self.on_header = self._fields.__setitem__
        self.on_body = self._parts.append
        self._parser = httptools.HttpRequestParser(self)
        self.between = True
        """Nothing has come of a request after the last whole one."""
        self._header_bytes = 0
        """Of a header that is not complete: the parser keeps those bytes to itself."""
        self._completed = False
        self._request: Request | None = None
        self._counted = 0
        """Of the parts of a body that is not complete."""
        self._body_bytes = 0
        self._body_limit = 0
        self._writable: asyncio.Future[None] | None = None

    # For the subclass -------------------------------------------------------------------

    def received(self, request: Request) -> None:
        """A whole request is here (its body too, unless `request.too_large`)."""
        raise NotImplementedError

    def body_limit(self, request: Request) -> int:
        """How many bytes of body this request may have; its headers are here."""
        raise NotImplementedError

    def piecewise(self, request: Request) -> bool:  # noqa: ARG002 - for those who want it
        """Whether parts of this body are given to `take` as they come; what is left is `body`."""
        return False

    def take(self, request: Request, data: bytes) -> None:
        """Part of a body is here, before its end."""
        raise NotImplementedError

    def closed(self) -> None:
        """The peer is gone."""

    def write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    async def drained(self) -> None:
        """Wait until the peer has read enough of what was written."""
        if self._writable is not None:
            await self._writable

    @property
    def receiving(self) -> bool:
        """Part of a request is here, and more is to come."""
        return self._request is not None or bool(self._url)

    # asyncio.Protocol -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are those of asyncio in all but name.
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        self.transport = None
        self.resume_writing()
        self.closed()

    def pause_writing(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None

    def data_received(self, data: bytes) -> None:
        self._completed = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400, "upgrade is not supported")
        except httptools.HttpParserError as error:
            # What a callback raised arrives as the context of the parser's own error.
            raised = error.__context__
            if raised is not None and not isinstance(raised, httptools.HttpParserError):
                raise raised from None
            self._refuse(400, "malformed HTTP request")
        else:
            if self._request is not None:
                self._count_body()
            elif not self._completed:
                self._count_header(len(data))

    # httptools --------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self.between = False

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_headers_complete(self) -> None:
        path, _, query = self._url.decode("latin-1").partition("?")
        method = self._parser.get_method().decode("latin-1")
        request = self._request = Request(method, path, query, fields=self._fields.copy())
        request.keep_alive = self._parser.should_keep_alive()
        self._fields.clear()
        self._body_limit = self.body_limit(request)
        self._header_bytes = 0

    def on_message_complete(self) -> None:
        request, parts = self._request, self._parts
        assert request is not None  # noqa: S101 - narrows the type
        if parts:
            body = parts[0] if len(parts) == 1 else b"".join(parts)
            size = self._body_bytes + sum(map(len, parts[self._counted :]))
            request.too_large = size > self._body_limit
            request.body = b"" if request.too_large else body
            parts.clear()
        elif self._body_bytes > self._body_limit:
            request.too_large = True
        if self._fields:
            request.trailers = _decoded(self._fields)
            self._fields.clear()
        self._url, self._request = b"", None
        self._body_bytes = self._counted = 0
        self._completed = self.between = True
        self.received(request)

    def _count_body(self) -> None:
        """Part of a body is here and more is to come: it may be waited for, or be too much."""
        request, parts = self._request, self._parts
        assert request is not None  # noqa: S101 - narrows the type
        if not self._body_bytes and request.headers.get("expect", "").lower() == "100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._body_bytes += sum(map(len, parts[self._counted :]))
        if self._body_bytes > self._body_limit:
            parts.clear()
        elif self.piecewise(request):
            data = b"".join(parts)
            parts.clear()
            self.take(request, data)
        self._counted = len(parts)
        if self._body_bytes > max(DISCARD_BYTES_MAX, self._body_limit):
            self._refuse(413, "request body too large")

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > self.header_bytes_max:
            self._refuse(431, "request header fields too large")

    def _refuse(self, status: int, message: str) -> None:
        headers = (("content-type", "text/plain"),)
        self.write(encode(Response(status, headers, message.encode()), keep_alive=False))
        self.close()


def _decoded(fields: Fields) -> dict[str, str]:
    return {
        _NAMES.get(name) or _header_name(name): value.decode("latin-1")
        for name, value in fields.items()
    }


def _header_name(name: bytes) -> str:
    """In lower case; the names that clients really use are kept."""
    key = name.decode("latin-1").lower()
    if len(_NAMES) < NAMES_MAX and len(name) <= NAME_BYTES_KEPT:
        _NAMES[name] = key
    return key
