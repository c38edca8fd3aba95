"""What a sandbox writes, as lines: stdout and stderr, and the frames of AWS's runtime clients.

Both decoders take bytes as they come, in pieces of any size, and give what has become complete.
A function can write what it likes to either descriptor: nothing here raises, waits or keeps more
than one line, whatever the bytes say.
"""

from typing import Final, NamedTuple

LINE_BYTES_MAX: Final = 256 * 1024
"""As CloudWatch Logs bounds an event; what is longer goes on in the next one."""
FRAME_BYTES_MAX: Final = 64 * 1024 * 1024
"""A longer frame is taken for garbage; no runtime client writes one."""

_MAGIC: Final = b"\xa5\x5a\x00"
_HEADER: Final = 16
_HEADER_WITHOUT_TIME: Final = 8
_WITHOUT_TIME: Final = 0x01
"""The frame of runtime clients before 2023."""
_LEVELS: Final = (None, "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_TYPES: Final = {_WITHOUT_TIME: None} | {
    at << 2 | kind: level for at, level in enumerate(_LEVELS) for kind in (0b10, 0b11)
}
"""Last byte of the frame's type → log level. The lowest bit tells text from JSON."""
_CONTINUATION_BYTES_MAX: Final = 3
_CONTINUATION: Final = 0b10
"""The first two bits of a byte that goes on with a character of UTF-8."""


class Output(NamedTuple):
    message: str
    """Without the line feed at its end; one of a frame may have others inside."""
    timestamp_ms: int | None = None
    """What the runtime client says; anything a function could have written."""
    level: str | None = None
    """What the runtime client logged it at: TRACE … FATAL."""


class LineSplitter:
    """Cuts the bytes of a pipe into lines of text. Bytes that are not UTF-8 become U+FFFD."""

    def __init__(self, line_bytes_max: int = LINE_BYTES_MAX) -> None:
        self._max = line_bytes_max
        self._partial = bytearray()

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes."""
        if not self._partial and len(data) <= self._max and data.endswith(b"\n"):
            return data.decode(errors="replace")[:-1].split("\n")  # What nearly every write is.
        first, feed, rest = data.partition(b"\n")
        self._partial += first
        lines = self._overlong()
        if feed:
            lines.append(_text(self._partial))
            self._partial.clear()
            *complete, last = rest.split(b"\n")
            for line in complete:
                self._partial += line
                lines += self._overlong()
                lines.append(_text(self._partial))
                self._partial.clear()
            self._partial += last
            lines += self._overlong()
        return lines

    @property
    def partial(self) -> bool:
        """Whether a line has begun and not ended."""
        return bool(self._partial)

    def flush(self) -> list[str]:
        """What has come of a line whose end will not: at the end of an invocation, at exit."""
        lines = [_text(self._partial)] if self._partial else []
        self._partial.clear()
        return lines

    def _overlong(self) -> list[str]:
        return _overlong(self._partial, self._max)


class FrameDecoder:
    """Reads what runtime clients write to the descriptor `_LAMBDA_TELEMETRY_LOG_FD` names.

        a5 5a 00 TT │ length, 4 bytes │ microseconds since the epoch, 8 bytes │ message

    All big-endian. TT says text or JSON, and the level. A frame is one log event, line feeds and
    all. Whatever is not a frame is read as lines, up to the next frame.
    """

    def __init__(
        self, line_bytes_max: int = LINE_BYTES_MAX, frame_bytes_max: int = FRAME_BYTES_MAX
    ) -> None:
        self._max = line_bytes_max
        self._frame_max = frame_bytes_max
        self._buffer = bytearray()
        self._stray = LineSplitter(line_bytes_max)
        self._message = bytearray()
        self._left = -1
        """Bytes of the current frame's message still to come; -1 between frames."""
        self._timestamp_ms: int | None = None
        self._level: str | None = None

    def feed(self, data: bytes) -> list[Output]:
        """The events that `data` completes."""
        self._buffer += data
        events: list[Output] = []
        while self._message_step(events) if self._left >= 0 else self._header_step(events):
            pass
        return events

    def flush(self) -> list[Output]:
        """What has come of a frame whose end will not: at exit."""
        if self._left >= 0:
            events = [self._event(self._message)]
        else:
            strays = self._stray.feed(bytes(self._buffer)) + self._stray.flush()
            events = [Output(line) for line in strays]
        self._left = -1
        self._message.clear()
        self._buffer.clear()
        return events

    def _message_step(self, events: list[Output]) -> bool:
        taken = min(self._left, len(self._buffer))
        self._message += self._buffer[:taken]
        del self._buffer[:taken]
        self._left -= taken
        events += [
            Output(piece, self._timestamp_ms, self._level)
            for piece in _overlong(self._message, self._max)
        ]
        if self._left > 0:
            return False
        self._left = -1
        events.append(self._event(self._message))
        self._message.clear()
        return True

    def _header_step(self, events: list[Output]) -> bool:
        """Take one header, or what comes before one; false when more bytes are needed."""
        buffer = self._buffer
        start = buffer.find(_MAGIC)
        if start != 0:
            stray = len(buffer) - _magic_begun(buffer) if start < 0 else start
            self._skip(stray, events)
            return start > 0
        if len(buffer) < _HEADER_WITHOUT_TIME:
            return False
        kind = buffer[len(_MAGIC)]
        length = int.from_bytes(buffer[4:8], "big")
        if kind not in _TYPES or length > self._frame_max:
            self._skip(1, events)
            return True
        header = _HEADER_WITHOUT_TIME if kind == _WITHOUT_TIME else _HEADER
        if len(buffer) < header:
            return False
        self._begin(kind, length, header)
        events += [Output(line) for line in self._stray.flush()]
        return True

    def _begin(self, kind: int, length: int, header: int) -> None:
        timed = header == _HEADER
        self._left = length
        self._level = _TYPES[kind]
        self._timestamp_ms = int.from_bytes(self._buffer[8:16], "big") // 1_000 if timed else None
        del self._buffer[:header]

    def _skip(self, count: int, events: list[Output]) -> None:
        """`count` bytes that belong to no frame."""
        if count:
            events += [Output(line) for line in self._stray.feed(bytes(self._buffer[:count]))]
            del self._buffer[:count]

    def _event(self, message: bytearray) -> Output:
        text = _text(message)
        return Output(text.removesuffix("\n"), self._timestamp_ms, self._level)


def _text(data: bytes | bytearray) -> str:
    return data.decode(errors="replace")


def _overlong(data: bytearray, most: int) -> list[str]:
    """Take pieces of `most` bytes from the front of `data` while it is longer than that."""
    pieces = []
    while len(data) > most:
        at = most
        while at > most - _CONTINUATION_BYTES_MAX and _continues(data[at]):
            at -= 1  # Into the middle of a character: cut before it.
        if at <= 0 or _continues(data[at]):
            at = most  # Not UTF-8 anyway.
        pieces.append(_text(data[:at]))
        del data[:at]
    return pieces


def _continues(byte: int) -> bool:
    return byte >> 6 == _CONTINUATION


def _magic_begun(buffer: bytearray) -> int:
    """How many bytes at the end of `buffer` may be the beginning of a frame."""
    for count in range(min(len(_MAGIC) - 1, len(buffer)), 0, -1):
        if buffer.endswith(_MAGIC[:count]):
            return count
    return 0
