"""Messages between the front and its workers: a head of JSON, and bytes.

    4 bytes: length of the head │ 4 bytes: length of the body │ head │ body

Over whichever stream: a unix socket to a worker process on this host, TCP to one elsewhere.
"""

import asyncio
import json
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from lampyr.limits import MIB

Members = Mapping[str, Any]

HEAD_BYTES_MAX: Final = 4 * MIB
BODY_BYTES_MAX: Final = 64 * MIB
"""Events and answers have at most 6 MB; log lines come in pieces of less."""
_LENGTHS: Final = struct.Struct("!II")


class FrameError(Exception):
    """What came is no message; the connection cannot go on."""


def encode(head: Members, body: bytes = b"") -> bytes:
    text = json.dumps(head, separators=(",", ":")).encode()
    return b"".join((_LENGTHS.pack(len(text), len(body)), text, body))


class Decoder:
    """Cuts a stream into messages."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[tuple[dict[str, Any], bytes]]:
        """The messages that are complete now; raises `FrameError`."""
        self._data += data
        found: list[tuple[dict[str, Any], bytes]] = []
        start = 0
        while len(self._data) - start >= _LENGTHS.size:
            head_bytes, body_bytes = _LENGTHS.unpack_from(self._data, start)
            if head_bytes > HEAD_BYTES_MAX or body_bytes > BODY_BYTES_MAX:
                raise FrameError(f"a message of {head_bytes} + {body_bytes} bytes")
            body_at = start + _LENGTHS.size + head_bytes
            end = body_at + body_bytes
            if len(self._data) < end:
                break
            head = bytes(self._data[start + _LENGTHS.size : body_at])
            found.append((_object(head), bytes(self._data[body_at:end])))
            start = end
        del self._data[:start]
        return found


def _object(text: bytes) -> dict[str, Any]:
    try:
        head = json.loads(text)
    except ValueError as error:
        raise FrameError("a head that is not JSON") from error
    if not isinstance(head, dict):
        raise FrameError("a head that is no object")
    return head


class FrameStream(asyncio.Protocol):
    """One end of a connection that carries messages."""

    def __init__(
        self, heard: Callable[[dict[str, Any], bytes], None], lost: Callable[[], None]
    ) -> None:
        """`lost` is called once, when nothing more can come or be sent."""
        self._heard = heard
        self._lost = lost
        self._decoder = Decoder()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._decoder.feed(data)
        except FrameError:
            self.abort()
            return
        for head, body in messages:
            self._heard(head, body)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        self._transport = None
        self._lost()

    @property
    def unsent(self) -> int:
        """Bytes that wait for the other end to read."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def send(self, head: Members, body: bytes = b"") -> None:
        """Nothing happens once the connection is lost: `lost` has told."""
        if self._transport is not None:
            self._transport.write(encode(head, body))

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
