"""The Runtime API over one kept-alive socket, in place of awslambdaric's native `runtime_client`.

`awslambdaric.lambda_runtime_client` imports a module of this name and calls the four functions
below; nothing of AWS's code is changed. A response is held back until `next` is called, which the
runtime does at once, so that both requests leave in one write: half of the packets, wake-ups and
system calls of a warm invocation. What the platform answered to the response is therefore read
inside `next`. A refusal (413 for a response over the limit) is logged as AWS's client logs it, and
the runtime goes on: the platform has told the caller already.

Works on Python 3.10 to 3.14, with the standard library's C modules alone (`socket` would cost
2 ms of every cold start).
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""  # noqa: INP001 - copied to /var/runtime, a module of no package

import os
import sys
import time
from _socket import AF_INET, AF_UNIX, IPPROTO_TCP, SOCK_STREAM, TCP_NODELAY, socket

_PREFIX = "/2018-06-01/runtime/invocation/"
_HEAD_BYTES_MAX = 1024 * 1024
_READ_BYTES = 64 * 1024
_ACCEPTED = 202
_OWN_NETWORK = "127.0.0.1:9001"
"""The address of the Runtime API in a sandbox that has a network of its own; elsewhere, and where
a proxy of the function's stands before it, it is another one."""
_LOCAL = "\0lampyr-runtime-api".ljust(108, "\0")
"""Where it listens as well, in such a network: cheaper for each message than TCP."""
_ONE_WRITE_BYTES_MAX = 64 * 1024
"""Below this a copy is cheaper than a second system call."""
_CAUSE_BYTES_MAX = 32 * 1024
"""A deep traceback would not fit into the headers that servers take; the trace goes without it."""
_FOREVER = 1_000_000.0
"""Seconds. Who waits for data without any limit is woken as well when what it has sent is read, to
find nothing there: a socket with a limit waits for data alone."""

_HEADERS = (
    "Lambda-Runtime-Aws-Request-Id",
    "Lambda-Runtime-Trace-Id",
    "Lambda-Runtime-Invoked-Function-Arn",
    "Lambda-Runtime-Deadline-Ms",
    "Lambda-Runtime-Client-Context",
    "Content-Type",
    "Lambda-Runtime-Cognito-Identity",
    "Lambda-Runtime-Aws-Tenant-Id",
    "Lambda-Runtime-Invocation-Id",
)
_NAMES = {spelt: name for name in _HEADERS for spelt in (name, name.lower())}
_NO_HEADERS = dict.fromkeys(_HEADERS)


class _ClosedError(Exception):
    """The platform ended the connection; a new one may serve."""


class _Client:
    def __init__(self) -> None:
        self._user_agent = "aws-lambda-python"
        self._socket: socket | None = None
        self._descriptor = -1
        self._unread = b""
        self._unsent: tuple[bytes, bytes, str] | None = None
        """Head and body of the response that waits for `next`, and what to call it in the log."""
        self._accepted = b""
        """The whole of an answer that said so."""
        self._host = ""
        self._next = b""

    def identify(self, user_agent: str) -> None:
        self._user_agent = user_agent

    def hold(self, path: str, body: bytes, headers: str, what: str) -> None:
        """Keep one response for the coming `next`; an earlier one that still waits goes first."""
        if self._unsent is not None:
            self._exchange_unsent()
        if not self._host:
            self._host = os.environ["AWS_LAMBDA_RUNTIME_API"]
        head = (
            f"POST {_PREFIX}{path} HTTP/1.1\r\nHost: {self._host}\r\n"
            f"User-Agent: {self._user_agent}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        )
        self._unsent = (head.encode(), body, what)

    def next(self) -> tuple[bytes, dict[str, str | int | None]]:
        """Send what waits, ask for the next invocation, and wait for it."""
        failures = 0
        while True:
            fresh = self._socket is None
            try:
                return self._try_next()
            except (_ClosedError, OSError) as error:
                self._disconnect()
                failures += 1
                # A kept-alive connection may have been closed while it was idle: ask once more.
                # A response that could not be handed over twice is given up with a line in the log.
                if self._unsent is not None and failures > 1:
                    self._complain(0)
                    self._unsent = None
                    failures = 0
                elif fresh or failures > 1:
                    raise RuntimeError("Failed to get next") from error

    def _try_next(self) -> tuple[bytes, dict[str, str | int | None]]:
        connection = self._socket or self._connect()
        if self._unsent is None:
            self._send(connection, self._next)
        else:
            self._send_with_next(connection)
            self._read_accepted(connection)
        status, head, body = self._read()
        if status != 200:  # noqa: PLR2004 - HTTP's OK
            raise RuntimeError("Failed to get next")
        return body, _headers(head)

    def _read_accepted(self, connection: socket) -> None:
        """The answer to the response: the same bytes nearly every time."""
        data = self._unread or connection.recv(_READ_BYTES)
        if self._accepted and data.startswith(self._accepted):
            self._unread = data[len(self._accepted) :]
            self._unsent = None
            return
        self._unread = data
        if not data:
            raise _ClosedError
        status, _, _ = self._read()
        self._settled(status)
        if self._socket is None:
            raise _ClosedError
        end = data.find(b"\r\n\r\n")
        whole = end + 4 + _content_length(data[:end])
        if status == _ACCEPTED and end >= 0 and whole <= len(data):
            self._accepted = data[:whole]

    def _send_with_next(self, connection: socket) -> None:
        head, body, _ = self._unsent  # type: ignore[misc]
        if len(body) < _ONE_WRITE_BYTES_MAX:
            self._send(connection, b"".join((head, body, self._next)))
            return
        try:
            connection.sendall(head)
            connection.sendall(body)
            connection.sendall(self._next)
        except OSError:
            # Refused before all of it was read. Whether there is an answer shows when it is read.
            return

    def _send(self, connection: socket, data: bytes) -> None:
        """Without asking first whether there is room, as a socket with a limit does."""
        try:
            sent = os.write(self._descriptor, data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            connection.sendall(data[sent:])

    def _exchange_unsent(self) -> None:
        """Hand over a response without asking for the next invocation."""
        connection = self._socket or self._connect()
        head, body, _ = self._unsent  # type: ignore[misc]
        connection.sendall(head)
        connection.sendall(body)
        status, _, _ = self._read()
        self._settled(status)

    def _settled(self, status: int) -> None:
        if not 200 <= status < 300:  # noqa: PLR2004 - HTTP's ranges
            self._complain(status)
        self._unsent = None

    def _complain(self, status: int) -> None:
        _, _, what = self._unsent  # type: ignore[misc]
        now = int(time.time() * 1000)
        sys.stderr.write(
            f"[ERROR] [{now}] LAMBDA_RUNTIME Failed to post handler {what}. "
            f"Http response code: {status}. \n"
        )

    def _connect(self) -> socket:
        self._host = os.environ["AWS_LAMBDA_RUNTIME_API"]
        host, _, port = self._host.rpartition(":")
        self._next = (
            f"GET {_PREFIX}next HTTP/1.1\r\nHost: {self._host}\r\n"
            f"User-Agent: {self._user_agent}\r\n\r\n"
        ).encode()
        connection = _local() if self._host == _OWN_NETWORK else None
        self._socket = connection = connection or _remote(host, int(port))
        connection.settimeout(_FOREVER)
        self._descriptor = connection.fileno()
        return connection

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._unread = b""

    def _read(self) -> tuple[int, bytes, bytes]:
        """Status, head and body of one answer."""
        data = self._unread
        while (end := data.find(b"\r\n\r\n")) < 0:
            if len(data) > _HEAD_BYTES_MAX:
                raise RuntimeError("The Runtime API sent an endless header")
            more = self._socket.recv(_READ_BYTES)  # type: ignore[union-attr]
            if not more:
                raise _ClosedError
            data = data + more if data else more
        head = data[:end]
        status = int(head[9:12])
        self._unread = data[end + 4 :]
        length = _content_length(head)
        if length <= len(self._unread):
            body = self._unread[:length]
            self._unread = self._unread[length:]
        else:
            body = self._read_long(length)
        if head.lower().find(b"\r\nconnection: close") >= 0:
            self._disconnect()
        return status, head, body

    def _read_long(self, length: int) -> bytes:
        body = bytearray(length)
        have = len(self._unread)
        body[:have] = self._unread
        self._unread = b""
        view = memoryview(body)
        while have < length:
            count = self._socket.recv_into(view[have:])  # type: ignore[union-attr]
            if not count:
                raise _ClosedError
            have += count
        view.release()
        return bytes(body)


def _local() -> socket | None:
    """The way that is there in a network of the sandbox's own."""
    connection = socket(AF_UNIX, SOCK_STREAM)
    # The function may have set a default timeout for its own sockets. Not for this one.
    connection.settimeout(None)
    try:
        connection.connect(_LOCAL)
    except OSError:
        connection.close()
        return None
    return connection


def _remote(host: str, port: int) -> socket:
    connection = socket(AF_INET, SOCK_STREAM)
    connection.settimeout(None)
    connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    connection.connect((host, port))
    return connection


def _content_length(head: bytes) -> int:
    start = head.find(b"ontent-")
    while start >= 0:
        if head[start + 7 : start + 14].lower() == b"length:":
            end = head.find(b"\r", start)
            return int(head[start + 14 : end if end >= 0 else len(head)])
        start = head.find(b"ontent-", start + 7)
    return 0


def _headers(head: bytes) -> dict[str, str | int | None]:
    """The nine headers that awslambdaric reads; absent ones are None, the deadline is a number."""
    found: dict[str, str | int | None] = dict(_NO_HEADERS)
    for line in head.decode("utf-8", "surrogateescape").split("\r\n"):
        spelt, _, value = line.partition(":")
        name = _NAMES.get(spelt) or _NAMES.get(spelt.lower())
        if name is not None:
            found[name] = value.strip() or None
    deadline = found["Lambda-Runtime-Deadline-Ms"]
    if deadline is not None:
        found["Lambda-Runtime-Deadline-Ms"] = int(deadline)
    return found


def _invocation(invocation_id: str | None) -> str:
    return f"Lambda-Runtime-Invocation-Id: {invocation_id}\r\n" if invocation_id else ""


_client = _Client()


def initialize_client(user_agent: str) -> None:
    _client.identify(user_agent)


def next() -> tuple[bytes, dict[str, str | int | None]]:  # noqa: A001 - the native module's name
    return _client.next()


def post_invocation_result(
    invoke_id: str, result: bytes, content_type: str, invocation_id: str | None = None
) -> None:
    headers = f"Content-Type: {content_type}\r\n{_invocation(invocation_id)}"
    _client.hold(f"{invoke_id}/response", result, headers, "success response")


def post_error(
    invoke_id: str, error: str, xray_fault: str, invocation_id: str | None = None
) -> None:
    headers = f"Content-Type: application/json\r\n{_invocation(invocation_id)}"
    cause = xray_fault.replace("\r", " ").replace("\n", " ")
    if len(cause.encode()) < _CAUSE_BYTES_MAX:
        headers += f"Lambda-Runtime-Function-XRay-Error-Cause: {cause}\r\n"
    _client.hold(f"{invoke_id}/error", error.encode(), headers, "error response")
