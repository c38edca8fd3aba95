"""A Runtime API that does what a test says, to see what a runtime does with it.

It is no part of Lampyr: blocking sockets and threads, so that nothing is shared with the product.
"""

import contextlib
import json
import queue
import socket
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from lampyr.model.function import FunctionKey, FunctionVersion, LoggingConfig
from lampyr.worker.credentials import CredentialBook
from lampyr.worker.runtimes import Runtime
from lampyr.worker.variables import Launch, variables

PREFIX = "/2018-06-01/runtime/"
WAIT_SECONDS = 30
ARN = "arn:aws:lambda:us-east-1:000000000000:function:scripted"
DEADLINE_MS = 4_000_000_000_000


@dataclass(kw_only=True)
class Answer:
    verb: str
    """`response`, `error` or `init/error`."""
    request_id: str
    body: bytes
    headers: dict[str, str]
    trailers: dict[str, str]
    connection: int
    with_next: bool
    """Whether the request for the next invocation came in the same segment."""

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(kw_only=True)
class Script:
    """How the answers to the coming requests differ from the ordinary ones."""

    response_statuses: list[int] = field(default_factory=list)
    close_after_response: bool = False
    close_idle: bool = False
    """End the connection right after an invocation was handed out."""


class ScriptedRuntimeApi:
    def __init__(self) -> None:
        self.script = Script()
        self.connections = 0
        self.agents: set[str] = set()
        self._invocations: queue.Queue[bytes | None] = queue.Queue()
        self._answers: queue.Queue[Answer] = queue.Queue()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def invoke(self, event: Any = None, *, request_id: str = "id-1", **headers: str) -> Answer:
        """`headers` by AWS's names, without `Lambda-Runtime-` and with underscores."""
        self.send(json.dumps(event).encode(), request_id=request_id, **headers)
        return self.answer()

    def send(self, payload: bytes, *, request_id: str = "id-1", **headers: str) -> None:
        lines = {
            "Aws-Request-Id": request_id,
            "Deadline-Ms": str(DEADLINE_MS),
            "Invoked-Function-Arn": ARN,
            "Trace-Id": "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        head = "".join(f"Lambda-Runtime-{name}: {value}\r\n" for name, value in lines.items())
        start = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{head}"
        self._invocations.put(f"{start}content-length: {len(payload)}\r\n\r\n".encode() + payload)

    def answer(self) -> Answer:
        return self._answers.get(timeout=WAIT_SECONDS)

    def close(self) -> None:
        self._invocations.put(None)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in self._threads:
            thread.join(WAIT_SECONDS)

    def _start(self, target: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self._open.append(connection)
            self._start(self._serve, connection, self.connections)

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            with connection.makefile("rb", buffering=1 << 20) as reader:
                while self._request(connection, reader, number):
                    pass
        except OSError:
            return

    def _request(self, connection: socket.socket, reader: Any, number: int) -> bool:
        first = reader.readline().decode()
        if not first:
            return False
        method, path, _ = first.split(" ")
        headers = _read_headers(reader)
        self.agents.add(headers.get("user-agent", ""))
        body, trailers = _read_body(reader, headers)
        rest = path.removeprefix(PREFIX)
        if (method, rest) == ("GET", "invocation/next"):
            return self._next(connection)
        request_id, verb = ("", rest) if rest == "init/error" else rest.split("/")[1:]
        answer = Answer(
            verb=verb,
            request_id=request_id,
            body=body,
            headers=headers,
            trailers=trailers,
            connection=number,
            with_next=_buffered(reader).startswith(f"GET {PREFIX}invocation/next".encode()),
        )
        closing = self.script.close_after_response
        self._reply(connection, closing=closing)
        self._answers.put(answer)
        return not closing

    def _next(self, connection: socket.socket) -> bool:
        invocation = self._invocations.get()
        if invocation is None:
            self._invocations.put(None)
            return False
        connection.sendall(invocation)
        if self.script.close_idle:
            self.script.close_idle = False
            connection.shutdown(socket.SHUT_RDWR)
            return False
        return True

    def _reply(self, connection: socket.socket, *, closing: bool) -> None:
        statuses = self.script.response_statuses
        status = statuses.pop(0) if statuses else 202
        end = "connection: close\r\n" if closing else ""
        self.script.close_after_response = False
        connection.sendall(f"HTTP/1.1 {status} X\r\ncontent-length: 2\r\n{end}\r\n{{}}".encode())
        if closing:
            connection.shutdown(socket.SHUT_WR)


class RunningRuntime:
    """A runtime's real process against a scripted Runtime API."""

    def __init__(
        self, argv: tuple[str, ...], environ: dict[str, str], task: Path, api: ScriptedRuntimeApi
    ) -> None:
        self.api = api
        self.output = task.parent / "output"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                argv, env=environ, cwd=task, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def printed(self) -> str:
        return self.output.read_text()

    def exit_status(self) -> int:
        return self.process.wait(WAIT_SECONDS)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def environment(
    runtime: Runtime,
    api: ScriptedRuntimeApi,
    handler: str,
    configured: dict[str, str] | None = None,
    log_format: str = "Text",
) -> dict[str, str]:
    """What `variables` makes, with the address that a sandbox would put in."""
    version = FunctionVersion(
        key=FunctionKey("000000000000", "us-east-1", "scripted"),
        deployment_id="d",
        revision_id="r",
        last_modified=0.0,
        role="arn:aws:iam::000000000000:role/r",
        runtime=runtime.name,
        handler=handler,
        code_sha256="",
        code_bytes=0,
        environment=configured,
        logging=LoggingConfig(log_group="/aws/lambda/scripted", log_format=log_format),
    )
    book = CredentialBook(lambda count: bytes(range(count)))
    launch = Launch(
        runtime=runtime, credentials=book.issue("0", "r", "s"), log_stream="2026/01/01/[$LATEST]0"
    )
    return {**variables(version, launch), "AWS_LAMBDA_RUNTIME_API": api.address}


def _read_headers(reader: BinaryIO) -> dict[str, str]:
    headers = {}
    while (line := reader.readline().decode().rstrip("\r\n")) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return headers


def _read_body(reader: BinaryIO, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return reader.read(int(headers.get("content-length", 0))), {}
    chunks = []
    while (size := int(reader.readline().split(b";")[0], 16)) > 0:
        chunks.append(reader.read(size))
        reader.readline()
    return b"".join(chunks), _read_headers(reader)


def _buffered(reader: Any) -> bytes:
    """What has been received already, without waiting for more."""
    raw = reader.raw._sock
    raw.setblocking(False)
    try:
        peeked: bytes = reader.peek(1)
    except BlockingIOError:
        return b""
    else:
        return peeked
    finally:
        raw.setblocking(True)
