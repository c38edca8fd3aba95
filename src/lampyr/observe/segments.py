"""The files of the log store: one directory a group, in it segments that are only appended to.

    <root>/<readable part of the name>-<hash of account, Region and name>/
        1795226923000.log     one line an event: milliseconds, tab, stream, tab, message
        1795226923001.log     the last one is written to; the oldest goes when there is too much

A segment's number never comes again, also after a group was deleted and made anew: a cursor
(`<number>-<offset>`) means the same place for ever. A line that a crash cut short is cut off
before the next one is written. Files are open only while they are written to or read from.
"""

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lampyr.clock import Clock
from lampyr.observe.base import LogEvent, LogGroup, LogPage

PAGE_BYTES: Final = 1024 * 1024
"""As CloudWatch Logs bounds a page of GetLogEvents."""
SEGMENTS: Final = 8
"""Segments that a full group has: the oldest eighth goes at a time."""
SUFFIX: Final = ".log"
NAME_CHARACTERS: Final = 80
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]+")
_CURSOR: Final = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")
# A line feed in a message is written as unit separator, "n". Backslashes stay, so that a log of
# JSON lines can be read as it is.
_MARK: Final = "\x1f"


@dataclass(slots=True)
class _Group:
    """What the writer knows of a group it has written to."""

    directory: Path
    sizes: dict[int, int]
    """Of each segment, oldest first."""
    total: int


def encode(event: LogEvent) -> bytes:
    message = event.message
    if "\n" in message or _MARK in message:
        message = message.replace(_MARK, _MARK + "1").replace("\n", _MARK + "n")
    line = f"{event.timestamp_ms}\t{event.stream}\t{message}\n"
    try:
        return line.encode()
    except UnicodeEncodeError:  # A lone surrogate: nothing UTF-8 can say.
        return line.encode(errors="replace")


def decode(line: bytes) -> LogEvent | None:
    """None for what `encode` did not write, such as blocks of zeros after a power cut."""
    text = line.decode(errors="replace")
    if _MARK in text:
        text = text.replace(_MARK + "n", "\n").replace(_MARK + "1", _MARK)
    timestamp, _, rest = text.partition("\t")
    stream, tab, message = rest.partition("\t")
    if not tab or not timestamp.isdecimal():
        return None
    return LogEvent(int(timestamp), stream, message[:-1])


def directory_name(group: LogGroup) -> str:
    """A name that is safe in any file system, whatever characters the group's name has."""
    identity = hashlib.sha256("\0".join(group).encode(errors="surrogatepass")).hexdigest()
    return f"{_UNSAFE.sub('_', group.name)[-NAME_CHARACTERS:]}-{identity[:32]}"


class Segments:
    """Blocking. `append` and `delete` are for one thread at a time; `read` is for any."""

    def __init__(self, root: Path, bytes_per_group: int, clock: Clock) -> None:
        self._root = root
        self._bytes_max = bytes_per_group
        self._segment_bytes_max = max(bytes_per_group // SEGMENTS, 1)
        self._clock = clock
        self._groups: dict[LogGroup, _Group] = {}
        self._last_number = 0

    def append(self, group: LogGroup, data: bytes) -> None:
        """Write whole lines; all of them, or none and `OSError`."""
        try:
            self._append(group, data)
        except OSError:
            self._groups.pop(group, None)  # Look at the files anew: somebody may have moved them.
            raise

    def _append(self, group: LogGroup, data: bytes) -> None:
        known = self._groups.get(group) or self._open(group)
        number = next(reversed(known.sizes), None)
        if number is None or 0 < known.sizes[number] > self._segment_bytes_max - len(data):
            number = self._next_number()
            known.sizes[number] = 0
        self._delete_oldest(known, len(data))
        _write(_path(known.directory, number), data, known.sizes[number])
        known.sizes[number] += len(data)
        known.total += len(data)

    def read(self, group: LogGroup, *, since_ms: int, cursor: str | None, most: int) -> LogPage:
        number, offset = _parse_cursor(cursor)
        directory = self._root / directory_name(group)
        events: list[LogEvent] = []
        size = 0
        for segment in _numbers(directory):
            if segment < number:
                continue
            if segment > number:
                number, offset = segment, 0
            for line, end in _lines(_path(directory, segment), offset):
                offset = end
                event = decode(line)
                if event is None or event.timestamp_ms < since_ms:
                    continue
                events.append(event)
                size += len(line)
                if len(events) >= most or size >= PAGE_BYTES:
                    return LogPage(events=events, cursor=f"{number}-{offset}")
        return LogPage(events=events, cursor=f"{number}-{offset}")

    def delete(self, group: LogGroup) -> None:
        known = self._groups.pop(group, None)
        if known is not None and known.sizes:
            self._last_number = max(self._last_number, *known.sizes)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._root / directory_name(group))

    def _open(self, group: LogGroup) -> _Group:
        directory = self._root / directory_name(group)
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        numbers = _numbers(directory)
        if numbers:
            _cut_torn_line(_path(directory, numbers[-1]))
        sizes = {number: _path(directory, number).stat().st_size for number in numbers}
        known = _Group(directory, sizes, sum(sizes.values()))
        self._last_number = max(self._last_number, *numbers, 0)
        self._groups[group] = known
        return known

    def _next_number(self) -> int:
        self._last_number = max(int(self._clock.now() * 1_000), self._last_number + 1)
        return self._last_number

    def _delete_oldest(self, known: _Group, coming: int) -> None:
        """Make room for `coming` bytes; the segment that is written to stays."""
        while len(known.sizes) > 1 and known.total + coming > self._bytes_max:
            oldest = next(iter(known.sizes))
            _path(known.directory, oldest).unlink(missing_ok=True)
            known.total -= known.sizes.pop(oldest)


def _path(directory: Path, number: int) -> Path:
    return directory / f"{number}{SUFFIX}"


def _numbers(directory: Path) -> list[int]:
    """The segments there are, oldest first."""
    try:
        names = [path.name for path in directory.iterdir()]
    except FileNotFoundError:
        return []
    stems = (name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))
    return sorted(int(stem) for stem in stems if stem.isdecimal())


def _parse_cursor(cursor: str | None) -> tuple[int, int]:
    if cursor is None:
        return 0, 0
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise ValueError(f"not a cursor of the log store: {cursor!r}")
    return int(match[1]), int(match[2])


def _lines(path: Path, offset: int) -> Iterator[tuple[bytes, int]]:
    """Whole lines from `offset` on, each with the offset of its end."""
    try:
        file = path.open("rb")
    except FileNotFoundError:  # It was the oldest, and has just been deleted.
        return
    with file:
        if offset:
            file.seek(offset - 1)
            if file.read(1) != b"\n":  # A cursor that nobody gave: on to the next line.
                offset += len(file.readline())
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            yield line, offset


def _write(path: Path, data: bytes, size: int) -> None:
    """All of `data`, or none of it: a full disk must not leave half a line before the next."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError:
        os.ftruncate(descriptor, size)
        raise
    finally:
        os.close(descriptor)


def _cut_torn_line(path: Path) -> None:
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        start = end
        while start > 0:
            step = min(start, 64 * 1024)
            start -= step
            file.seek(start)
            at = file.read(step).rfind(b"\n")
            if at >= 0:
                start += at + 1
                break
        if start < end:
            file.truncate(start)
