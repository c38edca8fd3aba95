"""STOMP 1.2, as much of it as a reader of queues needs, over asyncio's streams.

Of the libraries some block a thread for each connection, and one reads bodies byte by byte, 0.4
seconds of the event loop for a megabyte; the protocol is smaller than a bridge to either.

https://stomp.github.io/stomp-specification-1.2.html
"""

import asyncio
import contextlib
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from lampyr.clock import Clock
from lampyr.tasks import Tasks

HEAD_BYTES_MAX: Final = 1024 * 1024
BODY_BYTES_MAX: Final = 128 * 1024 * 1024
"""More than ActiveMQ's largest frame."""
HEARTBEAT_SECONDS: Final = 10.0
SILENCE_SECONDS: Final = 30.0
"""Without a heartbeat of the broker, until the connection counts as lost."""
_ESCAPES: Final = {"\\": "\\\\", "\r": "\\r", "\n": "\\n", ":": "\\c"}
_UNESCAPES: Final = {escaped: plain for plain, escaped in _ESCAPES.items()}
_PLAIN: Final = frozenset({"CONNECT", "CONNECTED"})
"""Frames in which nothing is escaped."""


class StompError(Exception):
    """The broker refused, or did not keep to the protocol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    command: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def encode(frame: Frame) -> bytes:
    escape = frame.command not in _PLAIN
    lines = [frame.command]
    for name, value in frame.headers.items():
        lines.append(f"{_escaped(name)}:{_escaped(value)}" if escape else f"{name}:{value}")
    return "\n".join(lines).encode() + b"\n\n" + frame.body + b"\0"


def _escaped(text: str) -> str:
    return re.sub(r"[\\\r\n:]", lambda found: _ESCAPES[found[0]], text)


def _unescaped(text: str) -> str:
    return re.sub(r"\\[\\rnc]", lambda found: _UNESCAPES[found[0]], text)


async def read_frame(reader: asyncio.StreamReader) -> Frame | None:
    """None for a heartbeat. Raises `StompError`, and what the reader raises."""
    line = await reader.readline()
    if not line:
        raise ConnectionResetError("the broker closed the connection")
    command = line.decode().strip()
    if not command:
        return None
    headers = await _read_headers(reader, escaped=command not in _PLAIN)
    length = headers.get("content-length")
    if length is None:
        return Frame(command=command, headers=headers, body=await _read_to_nul(reader))
    if not length.isdecimal() or int(length) > BODY_BYTES_MAX:
        raise StompError(f"a frame with a content-length of {length}")
    body = await reader.readexactly(int(length))
    if await reader.readexactly(1) != b"\0":
        raise StompError("a frame that does not end")
    return Frame(command=command, headers=headers, body=body)


async def _read_headers(reader: asyncio.StreamReader, *, escaped: bool) -> dict[str, str]:
    headers: dict[str, str] = {}
    while line := (await reader.readline()).decode().rstrip("\r\n"):
        name, _, value = line.partition(":")
        if escaped:
            name, value = _unescaped(name), _unescaped(value)
        headers.setdefault(name, value)
    return headers


async def _read_to_nul(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        try:
            body += await reader.readuntil(b"\0")
        except asyncio.LimitOverrunError as error:
            body += await reader.readexactly(error.consumed)
            if len(body) > BODY_BYTES_MAX:
                raise StompError("a frame that is too large") from error
            continue
        return bytes(body[:-1])


class StompConnection:
    """Of one user to one broker. What comes is told to `on_frame`, its end once to `on_lost`."""

    def __init__(
        self, clock: Clock, on_frame: Callable[[Frame], None], on_lost: Callable[[str], None]
    ) -> None:
        self._clock = clock
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._writer: asyncio.StreamWriter | None = None
        self._tasks = Tasks()
        self._heard = 0.0

    async def connect(
        self, host: str, port: int, tls: ssl.SSLContext | None, user: str, password: str
    ) -> None:
        """Raises `StompError` when the broker refuses, `OSError` when there is none."""
        reader, self._writer = await asyncio.open_connection(
            host, port, ssl=tls, limit=HEAD_BYTES_MAX
        )
        beat = str(int(HEARTBEAT_SECONDS * 1_000))
        headers = {
            "accept-version": "1.2",
            "host": host,
            "login": user,
            "passcode": password,
            "heart-beat": f"{beat},{beat}",
        }
        await self.send(Frame(command="CONNECT", headers=headers))
        while (answer := await read_frame(reader)) is None:
            pass
        if answer.command != "CONNECTED":
            raise StompError(reason(answer))
        self._heard = self._clock.monotonic()
        self._tasks.start(self._read(reader), "STOMP: reading")
        self._tasks.start(self._beat(), "STOMP: heartbeats")

    async def send(self, *frames: Frame) -> None:
        if self._writer is None or self._writer.is_closing():
            raise ConnectionResetError("the connection is closed")
        self._writer.write(b"".join(map(encode, frames)))
        await self._writer.drain()

    def post(self, frame: Frame) -> None:
        """Send without waiting for the network."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(encode(frame))

    async def close(self) -> None:
        await self._tasks.close()
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(OSError):
                if not writer.is_closing():
                    writer.write(encode(Frame(command="DISCONNECT")))
                writer.close()
                await writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                frame = await read_frame(reader)
                self._heard = self._clock.monotonic()
                if frame is not None:
                    self._on_frame(frame)
        except (OSError, EOFError, ValueError, StompError) as error:
            self._on_lost(str(error) or type(error).__name__)

    async def _beat(self) -> None:
        try:
            while self._clock.monotonic() - self._heard < SILENCE_SECONDS:
                await self._clock.sleep(HEARTBEAT_SECONDS / 2)
                if self._writer is not None:
                    self._writer.write(b"\n")
                    await self._writer.drain()
            self._on_lost("the broker is silent")
        except OSError as error:
            self._on_lost(str(error))


def reason(frame: Frame) -> str:
    """What an ERROR says."""
    text = frame.headers.get("message") or frame.body.decode(errors="replace").partition("\n")[0]
    return text.strip() or frame.command
