"""Zip archives that nobody vouches for: checked without trust, unpacked without harm.

An archive is refused when an entry would leave the tree (by `..`, an absolute name, a symbolic
link or through one), hides another, is encrypted, is a device, shares its bytes with another, or
when the whole unpacks to more than the quota. What an archive *says* about its sizes counts for
nothing: the bytes are counted as they come out.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-function-zip.html
"""

import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from lampyr.limits import Limits

_CHUNK: Final = 256 * 1024
_CENTRAL_ENTRY: Final = b"PK\x01\x02"
_LOCAL_HEADER: Final = struct.Struct("<4s22xHH")
_UNIX: Final = 3
_ENCRYPTED: Final = 0x1 | 0x40
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_NAME_BYTES_MAX: Final = 255
_PATH_BYTES_MAX: Final = 3_500
_LINK_BYTES_MAX: Final = 4_095
_LINKS_MAX: Final = 40
_STEPS_MAX: Final = 1_000_000
"""Of following links, in the whole archive."""

Parts = tuple[str, ...]
"""A path inside the tree, without `.` and empty parts; empty for the root."""


class BadArchiveError(Exception):
    """Not an archive that may be unpacked; the message says why, to the log."""


class TooLargeError(Exception):
    """Unpacks to more than the quota."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing to make. `mode` holds permission bits only."""

    info: zipfile.ZipInfo
    parts: Parts
    kind: int
    """`stat.S_IFREG`, `S_IFDIR` or `S_IFLNK`."""
    mode: int


def check(file: IO[bytes], limits: Limits) -> int:
    """The bytes that the archive unpacks to; raise `BadArchiveError` or `TooLargeError`.

    Reads the whole archive, in the calling thread.
    """
    with _opened(file, limits) as archive:
        return sum(map(len, _contents(archive, _entries(file, archive, limits), limits)))


def unpack(file: IO[bytes], target: Path, limits: Limits) -> None:
    """Make the archive's tree in the existing, empty directory `target`; raises as `check` does.

    On failure what was made so far is left; `target` is the caller's to remove.
    """
    with _opened(file, limits) as archive:
        entries = _entries(file, archive, limits)
        left = _Budget(limits.code_bytes_unzipped)
        links: list[tuple[Path, bytes]] = []
        made: set[Parts] = {()}
        for entry in entries:
            path = target.joinpath(*entry.parts)
            _make_parents(target, entry.parts, made)
            match entry.kind:
                case stat.S_IFDIR:
                    path.mkdir(exist_ok=True)
                    made.add(entry.parts)
                case stat.S_IFLNK:
                    links.append((path, b"".join(_read(archive, entry.info, left))))
                case _:
                    _write(path, _read(archive, entry.info, left), entry.mode)
        # Links last: nothing is ever written through one.
        for path, text in links:
            path.symlink_to(os.fsdecode(text))
        for entry in entries:
            if entry.kind == stat.S_IFDIR:
                target.joinpath(*entry.parts).chmod(entry.mode)


class _Budget:
    def __init__(self, bytes_max: int) -> None:
        self._left = bytes_max

    def spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise TooLargeError


class _opened:  # noqa: N801 - reads as a function where it is used
    """The archive, with every way in which the standard library says no turned into ours."""

    def __init__(self, file: IO[bytes], limits: Limits) -> None:
        self._file = file
        self._limits = limits

    def __enter__(self) -> zipfile.ZipFile:
        # Before the library makes an object for each entry: how many can there be?
        count = _count(self._file, _CENTRAL_ENTRY)
        if count > self._limits.code_entries_max:
            raise BadArchiveError(f"more than {self._limits.code_entries_max} entries")
        try:
            return zipfile.ZipFile(self._file)
        except _REFUSALS as error:
            raise BadArchiveError(str(error)) from error

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _REFUSALS):
            raise BadArchiveError(str(error)) from error


_REFUSALS: Final = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    UnicodeError,
    ValueError,
    struct.error,
)


def _count(file: IO[bytes], mark: bytes) -> int:
    file.seek(0)
    count, tail = 0, b""
    while chunk := file.read(_CHUNK):
        count += (tail + chunk).count(mark)
        tail = chunk[-(len(mark) - 1) :]
    return count


def _entries(file: IO[bytes], archive: zipfile.ZipFile, limits: Limits) -> Sequence[Entry]:
    infos = archive.infolist()
    if not infos:
        raise BadArchiveError("no entries")
    _check_overlap(file, infos, archive.start_dir)
    entries = [_entry(info) for info in infos]
    kinds = _tree(entries, limits)
    links = {
        entry.parts: _link_target(archive, entry) for entry in entries if entry.kind == stat.S_IFLNK
    }
    steps = iter(range(_STEPS_MAX))
    for parts, link_target in links.items():
        _resolve(parts[:-1], link_target, links, steps)
    if not any(kind != stat.S_IFDIR for kind in kinds.values()):
        raise BadArchiveError("nothing but directories")
    return [entry for entry in entries if entry.parts]


def _check_overlap(file: IO[bytes], infos: Sequence[zipfile.ZipInfo], end: int) -> None:
    """Each entry has bytes of its own: shared ones multiply what a small archive unpacks to."""
    ordered = sorted(infos, key=lambda info: info.header_offset)
    limits = [info.header_offset for info in ordered[1:]] + [end]
    for info, limit in zip(ordered, limits, strict=True):
        file.seek(info.header_offset)
        header = file.read(_LOCAL_HEADER.size)
        mark, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
        if mark != b"PK\x03\x04":
            raise BadArchiveError(f"no local header for {info.filename!r}")
        data = info.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
        if data + info.compress_size > limit:
            raise BadArchiveError(f"{info.filename!r} shares its bytes with another entry")


def _entry(info: zipfile.ZipInfo) -> Entry:
    if info.flag_bits & _ENCRYPTED:
        raise BadArchiveError(f"{info.filename!r} is encrypted")
    if info.compress_type not in _METHODS:
        raise BadArchiveError(f"{info.filename!r} has compression {info.compress_type}")
    parts = _parts(info.orig_filename)
    mode = info.external_attr >> 16 if info.create_system == _UNIX else 0
    kind = stat.S_IFMT(mode)
    if info.orig_filename.endswith("/"):
        if kind not in (0, stat.S_IFDIR):
            raise BadArchiveError(f"{info.filename!r} is a directory and is not")
        kind = stat.S_IFDIR
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
        raise BadArchiveError(f"{info.filename!r} is a special file")
    kind = kind or stat.S_IFREG
    if kind == stat.S_IFDIR:
        if info.file_size or info.compress_size > 2:  # noqa: PLR2004 - deflate's empty stream
            raise BadArchiveError(f"{info.filename!r} is a directory with content")
        return Entry(info=info, parts=parts, kind=kind, mode=(mode & 0o777) | 0o755)
    if not parts:
        raise BadArchiveError(f"{info.filename!r} has no name")
    return Entry(info=info, parts=parts, kind=kind, mode=_readable(mode & 0o777 or 0o644))


def _readable(mode: int) -> int:
    """What the owner may read or run, the function may: its user is nobody's owner here.

    Python's `ZipFile.writestr` makes files that only their owner may read (`docs/adr/0013`).
    """
    shared = mode & 0o500
    return mode | shared >> 3 | shared >> 6


def _parts(name: str) -> Parts:
    if "\0" in name or "\\" in name or name.startswith("/") or _DRIVE.match(name):
        raise BadArchiveError(f"{name!r} is not a relative path")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise BadArchiveError(f"{name!r} leaves the tree")
    if any(len(os.fsencode(part)) > _NAME_BYTES_MAX for part in parts):
        raise BadArchiveError(f"{name!r} is too long")
    if len(os.fsencode(name)) > _PATH_BYTES_MAX:
        raise BadArchiveError(f"{name!r} is too long")
    return parts


def _tree(entries: Sequence[Entry], limits: Limits) -> Mapping[Parts, int]:
    """What is at each path; refuses two things in one place and anything below a non-directory."""
    kinds: dict[Parts, int] = {}
    for entry in entries:
        before = kinds.get(entry.parts)
        if before is not None and not before == entry.kind == stat.S_IFDIR:
            raise BadArchiveError(f"{entry.info.filename!r} is there twice")
        kinds[entry.parts] = entry.kind
    parents: set[Parts] = set()
    for entry in entries:
        parent = entry.parts[:-1]
        while parent and parent not in parents:
            if kinds.get(parent, stat.S_IFDIR) != stat.S_IFDIR:
                raise BadArchiveError(f"{entry.info.filename!r} lies below a file or link")
            parents.add(parent)
            if len(parents) > limits.code_entries_max:
                raise BadArchiveError(f"more than {limits.code_entries_max} directories")
            parent = parent[:-1]
    return kinds


def _link_target(archive: zipfile.ZipFile, entry: Entry) -> str:
    if entry.info.file_size > _LINK_BYTES_MAX:
        raise BadArchiveError(f"{entry.info.filename!r} is too long a link")
    target = os.fsdecode(b"".join(_read(archive, entry.info, _Budget(_LINK_BYTES_MAX))))
    if not target or "\0" in target or target.startswith("/"):
        raise BadArchiveError(f"{entry.info.filename!r} links out of the tree")
    return target


def _resolve(base: Parts, target: str, links: Mapping[Parts, str], steps: Iterator[int]) -> None:
    """Follow a link as the kernel would; refuse when it climbs above the root on its way."""
    path = list(base)
    todo = target.split("/")[::-1]
    followed = 0
    while todo:
        part = todo.pop()
        if next(steps, None) is None:
            raise BadArchiveError("too many links to follow")
        if part in ("", "."):
            continue
        if part == "..":
            if not path:
                raise BadArchiveError(f"link to {target!r} leaves the tree")
            path.pop()
            continue
        path.append(part)
        if (next_target := links.get(tuple(path))) is not None:
            followed += 1
            if followed > _LINKS_MAX:
                return  # A loop: the kernel refuses it too, inside the tree.
            path.pop()
            todo.extend(next_target.split("/")[::-1])


def _contents(
    archive: zipfile.ZipFile, entries: Sequence[Entry], limits: Limits
) -> Iterator[bytes]:
    left = _Budget(limits.code_bytes_unzipped)
    for entry in entries:
        if entry.kind != stat.S_IFDIR:
            yield from _read(archive, entry.info, left)


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, left: _Budget) -> Iterator[bytes]:
    """The entry's bytes, counted; the library compares their CRC at the end."""
    with archive.open(info) as source:
        while chunk := source.read(_CHUNK):
            left.spend(len(chunk))
            yield chunk


def _make_parents(target: Path, parts: Parts, made: set[Parts]) -> None:
    """Directories that have no entry of their own."""
    for length in range(1, len(parts)):
        if parts[:length] not in made:
            made.add(parts[:length])
            path = target.joinpath(*parts[:length])
            path.mkdir(exist_ok=True)
            path.chmod(0o755)


def _write(path: Path, chunks: Iterator[bytes], mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        for chunk in chunks:
            view: memoryview | bytes = chunk
            while view:
                view = memoryview(view)[os.write(descriptor, view) :]
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)
