"""The Runtime API of one execution environment, over one connection of its runtime.

The listening socket lies inside the sandbox's own network, so whoever connects is in this
environment: there is no id in the path to guess. Answers are made here, byte for byte, because
this is the warm path.
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import base64
import json
import os
import socket
from collections.abc import Callable
from typing import Final

from lampyr.http1 import HEAD_END, Connection, Request, Response, encode
from lampyr.limits import MIB
from lampyr.model.invocation import Invocation
from lampyr.model.streaming import ResponseSink
from lampyr.worker.class_archives import ARCHIVE_BYTES_MAX
from lampyr.worker.environment import (
    ExecutionEnvironment,
    ResponseTooLargeError,
    UnknownRequestIdError,
)
from lampyr.worker.outcomes import RESPONSE_BYTES_TEXT, Failure
from lampyr.worker.runtime_api.heads import NOT_PLAIN, body_bytes
from lampyr.worker.states import Event, IllegalTransitionError, State

PREFIX: Final = "/2018-06-01/runtime/"
NEXT: Final = f"{PREFIX}invocation/next"
INVOCATION: Final = f"{PREFIX}invocation/"
ARCHIVE: Final = f"{PREFIX}restore/archive"
"""Ours: a Java process sends here what it has loaded in its Init."""
_INIT_ERRORS: Final = frozenset({f"{PREFIX}init/error", f"{PREFIX}restore/error"})
BODY_BYTES_MAX: Final = 6 * MIB + 64 * 1024
"""A response over the limit is told apart by its length, so a little more is read."""

STREAM_BYTES_MAX: Final = 200 * MIB
"""https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html"""

HEADER_BYTES_MAX: Final = MIB + 64 * 1024
"""AWS's own client sends the cause of an error, of up to 1 MB, in a header."""

_NEXT_LINE: Final = f"GET {NEXT} HTTP/1.1\r\n".encode()
_JSON: Final = (("content-type", "application/json"),)
_ACCEPTED: Final = encode(Response(202, _JSON, b'{"status":"OK"}\n'))
_RESPONSE_MODE: Final = "lambda-runtime-function-response-mode"
_ERROR_TYPE_BYTES_MAX: Final = 256
_TCP_CLOSE: Final = 7
"""The state of a connection that was reset; one whose peer has ended is in CLOSE_WAIT."""
_AFTER_MAX: Final = 16
"""Requests behind one for `next` that is not answered; no runtime sends any."""


def _error(status: int, error_type: str, message: str) -> bytes:
    body = json.dumps({"errorMessage": message, "errorType": error_type}).encode()
    return encode(Response(status, _JSON, body))


class RuntimeConnection(Connection):
    header_bytes_max = HEADER_BYTES_MAX

    def __init__(
        self,
        environment: ExecutionEnvironment,
        *,
        arrived: Callable[["RuntimeConnection"], None],
        left: Callable[["RuntimeConnection"], None],
    ) -> None:
        super().__init__()
        self._environment = environment
        self._left = left
        self._reading = False
        self._waiting = False
        """The runtime's last request was `next`, and is not answered yet."""
        self._held: list[bytes] = []
        """Answers to what came before that `next`."""
        self._request_id = ""
        self._response_line = b""
        """How the response to what was delivered last begins."""
        self._next_request = b""
        """The bytes with which this runtime asks for work."""
        self._after: list[bytes] = []
        """Answers to what came after it: in the order of HTTP they have to wait for its own."""
        self._streamed: Request | None = None
        """The response whose pieces are passed on."""
        arrived(self)

    def body_limit(self, request: Request) -> int:
        if request.path == ARCHIVE and self.piecewise(request):
            return ARCHIVE_BYTES_MAX
        return STREAM_BYTES_MAX if self.piecewise(request) else BODY_BYTES_MAX

    def piecewise(self, request: Request) -> bool:
        """A response that the runtime streams, to a caller who asked for it so; or an archive."""
        return self._sink(request) is not None

    def take(self, request: Request, data: bytes) -> None:
        """Pass a piece on; the runtime waits while the caller has enough to read."""
        sink = self._sink(request)
        if sink is None:
            return
        if self._streamed is not request:
            self._streamed = request
            sink.begin(request.headers.get("content-type", ""), self._read_on)
        if data and not sink.write(data) and self.transport is not None:
            self.transport.pause_reading()

    def _sink(self, request: Request) -> ResponseSink | None:
        if request.path == ARCHIVE and request.method == "POST":
            return self._environment.recorder
        if not request.path.endswith("/response") or request.method != "POST":
            return None
        if request.headers.get(_RESPONSE_MODE, "").lower() != "streaming":
            return None
        request_id = request.path[len(INVOCATION) : -len("/response")]
        return self._environment.stream_of(request_id)

    def _read_on(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """A runtime that has asked for `next` already does not wait for what comes before.

        So the answer to its response travels with the next event: one write, and one wake-up of
        the runtime, less for each invocation.
        """
        if self.between and not self._waiting and self._take_plain(data):
            return
        self._reading = True
        super().data_received(data)
        self._reading = False
        if self._held and not self._waiting:
            self._flush(b"")

    def write(self, data: bytes) -> None:
        if self._waiting:
            self._after.append(data)
            if len(self._after) > _AFTER_MAX:
                self.abort()
        elif self._reading:
            self._held.append(data)
        else:
            super().write(data)

    def pause_writing(self) -> None:
        """Who does not read his answers is not read either: they would pile up."""
        super().pause_writing()
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def abort(self) -> None:
        """Cut it, whatever is still to be written."""
        if self.transport is not None:
            self.transport.abort()

    def eof_received(self) -> None:
        """The peer is gone; perhaps since before the event was sent, which was refused then."""
        if self._was_reset():
            self._environment.unread(self._request_id)

    def connection_lost(self, exc: Exception | None) -> None:
        """A peer that ends with bytes unread resets the connection; one that read all closes it."""
        if exc is not None:
            self._environment.unread(self._request_id)
        super().connection_lost(exc)

    def _was_reset(self) -> bool:
        """Whether what was written after the peer's end was refused, or not even sent."""
        transport = self.transport
        if transport is None or transport.get_write_buffer_size():
            return True
        found = transport.get_extra_info("socket")
        if found is None or found.family != socket.AF_INET:
            return False
        with socket.socket(fileno=os.dup(found.fileno())) as same:
            return same.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE

    def closed(self) -> None:
        self._environment.peer_lost(self)
        self._left(self)

    def deliver(self, invocation: Invocation, deadline_ms: int) -> None:
        head = (
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
            f"Lambda-Runtime-Aws-Request-Id: {invocation.request_id}\r\n"
            f"Lambda-Runtime-Deadline-Ms: {deadline_ms}\r\n"
            f"Lambda-Runtime-Invoked-Function-Arn: {invocation.invoked_arn}\r\n"
            f"Lambda-Runtime-Trace-Id: {invocation.trace_header}\r\n"
            f"content-length: {len(invocation.payload)}\r\n"
        )
        if invocation.client_context is not None:
            head += f"Lambda-Runtime-Client-Context: {invocation.client_context}\r\n"
        if invocation.cognito_identity is not None:
            head += f"Lambda-Runtime-Cognito-Identity: {invocation.cognito_identity}\r\n"
        if invocation.tenant_id is not None:
            head += f"Lambda-Runtime-Aws-Tenant-Id: {invocation.tenant_id}\r\n"
        self._request_id = request_id = invocation.request_id
        self._response_line = f"POST {INVOCATION}{request_id}/response HTTP/1.1\r\n".encode()
        self._waiting = False
        if self.transport is None or self.transport.is_closing():
            self._environment.unread(request_id)
        self._flush(b"".join((head.encode(), b"\r\n", invocation.payload)))

    def _take_plain(self, data: bytes) -> bool:
        """Serve a response, a request for work, or both in one piece, without parsing them.

        So nearly all come. False, and nothing has happened, for everything else.
        """
        environment, line = self._environment, self._response_line
        start = len(line)
        if not start or not data.startswith(line):
            return environment.state is State.SETTLING and self._take_next(data)
        end = data.find(HEAD_END, start)
        length = NOT_PLAIN if end < 0 else body_bytes(data[start:end])
        body_at = end + len(HEAD_END)
        rest = data[body_at + length :]
        if (
            length == NOT_PLAIN
            or len(data) < body_at + length
            or not environment.is_running(self._request_id)
            or (rest and rest != self._next_request and not self._is_next(rest))
        ):
            return False
        self._response_line = b""
        if rest:
            self._held.append(_ACCEPTED)
        else:  # First of all: such a runtime asks for work while its caller is told.
            self.write(_ACCEPTED)
        environment.respond(self._request_id, data[body_at : body_at + length])
        if not rest:
            return True
        if environment.state is State.SETTLING:
            self._waiting = True
            environment.next(self)
            return True
        super().data_received(rest)  # It was stopped by what the caller's answer led to.
        return True

    def _take_next(self, data: bytes) -> bool:
        if data != self._next_request and not self._is_next(data):
            return False
        self._waiting = True
        self._environment.next(self)
        return True

    def _is_next(self, data: bytes) -> bool:
        plain = (
            data.startswith(_NEXT_LINE)
            and data.find(HEAD_END) == len(data) - len(HEAD_END)
            and body_bytes(data[len(_NEXT_LINE) : -len(HEAD_END)]) == 0
        )
        if plain:
            self._next_request = data
        return plain

    def _flush(self, data: bytes) -> None:
        if self._held or self._after:
            data = b"".join((*self._held, data, *self._after))
            self._held, self._after = [], []
        super().write(data)

    def received(self, request: Request) -> None:
        path, method = request.path, request.method
        try:
            if path == NEXT and method == "GET":
                self._next()
            elif path.startswith(INVOCATION) and method == "POST":
                self._answer(request, path[len(INVOCATION) :])
            elif path in _INIT_ERRORS and method == "POST":
                self._init_error(request)
            elif path == f"{PREFIX}restore/next" and method == "GET":
                self._environment.restore_next(lambda: self.write(encode(Response(200))))
            elif path == ARCHIVE and self._sink(request) is not None:
                self._archive(request)
            else:
                self.write(_error(404, "NotFound", f"{method} {path} is not served"))
        except IllegalTransitionError as error:
            self.write(_error(403, "InvalidStateTransition", str(error)))
        except UnknownRequestIdError:
            self.write(_error(400, "InvalidRequestID", "Invalid request ID"))
        except ResponseTooLargeError:
            message = f"Exceeded maximum allowed payload size ({RESPONSE_BYTES_TEXT} bytes)."
            self.write(_error(413, "RequestEntityTooLarge", message))
        if not request.keep_alive and path != NEXT:
            self.close()

    def _next(self) -> None:
        if self._waiting:
            raise IllegalTransitionError(self._environment.state, Event.IDLE)
        self._waiting = True
        try:
            self._environment.next(self)
        except IllegalTransitionError:
            self._waiting = False
            raise

    def _answer(self, request: Request, rest: str) -> None:
        request_id, _, verb = rest.partition("/")
        if verb == "response":
            self._response(request_id, request)
        elif verb == "error":
            self._environment.respond(request_id, _failure_of(request))
        else:
            self.write(_error(404, "NotFound", f"POST {request.path} is not served"))
            return
        self.write(_ACCEPTED)

    def _response(self, request_id: str, request: Request) -> None:
        if request.too_large:
            # Its length is all that matters of it: `respond` refuses it as over the limit.
            self._environment.respond(request_id, bytes(BODY_BYTES_MAX + 1))
        elif error_type := request.trailers.get("lambda-runtime-function-error-type"):
            # A streamed response that broke: its error travels in the trailers.
            self.take(request, request.body)
            request.body = _decoded(request.trailers.get("lambda-runtime-function-error-body"))
            self._environment.respond(request_id, _failure_of(request, error_type))
        elif self.piecewise(request):
            self.take(request, request.body)
            self._environment.respond(request_id, b"")
        else:
            self._environment.respond(request_id, request.body)

    def _archive(self, request: Request) -> None:
        self.take(request, request.body)
        recorder, self._environment.recorder = self._environment.recorder, None
        if recorder is not None:
            recorder.finish(whole=not request.too_large)
        self.write(_ACCEPTED)

    def _init_error(self, request: Request) -> None:
        self._environment.init_error(_failure_of(request))
        self.write(_ACCEPTED)


def _failure_of(request: Request, error_type: str | None = None) -> Failure:
    """What the runtime said went wrong: its header for the type, its body for the caller."""
    header = error_type or request.headers.get("lambda-runtime-function-error-type", "")
    kind = header[:_ERROR_TYPE_BYTES_MAX] or "Runtime.Unknown"
    payload = request.body
    if not payload or request.too_large:
        body = {"errorType": kind, "errorMessage": "Unknown application error"}
        payload = json.dumps(body).encode()
    return Failure(error_type=kind, payload=payload)


def _decoded(value: str | None) -> bytes:
    if value is None:
        return b""
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        return value.encode()
