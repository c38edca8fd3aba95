"""Zips that nobody vouches for: what is refused, and what comes out of those that are not."""

import contextlib
import io
import stat
import struct
import zipfile
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lampyr.limits import DEFAULT_LIMITS
from lampyr.testing.builders import a_zip
from lampyr.worker.archive import BadArchiveError, TooLargeError, check

LINK = stat.S_IFLNK | 0o777


def entry(name: str, mode: int = 0, system: int = 3) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = system
    info.external_attr = mode << 16
    return info


def zipped(*entries: tuple[zipfile.ZipInfo | str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for info, data in entries:
            archive.writestr(info, data)
    return buffer.getvalue()


def renamed(name: bytes, to: bytes) -> bytes:
    """An archive whose one entry has a name that Python's library would not write."""
    assert len(name) == len(to)
    return zipped((name.decode(), b"x")).replace(name, to)


def overlapping() -> bytes:
    """Two entries of the directory that share one local header, as archives that explode do."""
    data = zipped(("a.txt", b"x" * 1000), ("b.txt", b"x" * 1000))
    second = data.index(b"PK\x03\x04", 4)
    directory = data.index(b"PK\x01\x02")
    entries = data.index(b"PK\x01\x02", directory + 4)
    assert struct.unpack_from("<I", data, entries + 42) == (second,)
    return data[: entries + 42] + struct.pack("<I", 0) + data[entries + 46 :]


def flagged(bit: int) -> bytes:
    data = bytearray(zipped(("a.txt", b"x")))
    data[6] |= bit
    data[data.index(b"PK\x01\x02") + 8] |= bit
    return bytes(data)


def checksum_broken() -> bytes:
    data = zipped(("a.txt", b"hello"))
    return data.replace(b"hello", b"hellx")


def understated() -> bytes:
    """An entry that says it holds one byte and holds a million."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", b"\0" * 1_000_000)
    data = bytearray(buffer.getvalue())
    directory = data.index(b"PK\x01\x02")
    struct.pack_into("<I", data, directory + 24, 1)
    struct.pack_into("<I", data, 22, 1)
    return bytes(data)


BAD = {
    "not a zip": b"not a zip",
    "half a zip": a_zip()[:-30],
    "no entries": zipped(),
    "only directories": zipped(("a/", b"")),
    "parent": zipped(("../evil", b"x")),
    "parent in the middle": zipped(("a/../../evil", b"x")),
    "absolute": zipped(("/etc/evil", b"x")),
    "backslash": zipped(("a\\..\\evil", b"x")),
    "drive": zipped(("C:evil", b"x")),
    "NUL": renamed(b"aXb", b"a\0b"),
    "encrypted": flagged(1),
    "wrong checksum": checksum_broken(),
    "wrong size": understated(),
    "shared bytes": overlapping(),
    "device": zipped((entry("dev", stat.S_IFCHR | 0o666), b"")),
    "fifo": zipped((entry("pipe", stat.S_IFIFO | 0o666), b"")),
    "socket": zipped((entry("socket", stat.S_IFSOCK | 0o666), b"")),
    "long name": zipped(("a" * 256, b"x")),
    "no name": zipped(("./", b""), (".", b"x")),
    "same name in other words": zipped(("a/b", b"x"), ("a/./b", b"y")),
    "file and directory": zipped(("a", b"x"), ("a/", b"")),
    "file with a child": zipped(("a", b"x"), ("a/b", b"y")),
    "child before the file": zipped(("a/b", b"y"), ("a", b"x")),
    "link up": zipped(("f", b""), (entry("l", LINK), b"../x")),
    "link to an absolute path": zipped(("f", b""), (entry("l", LINK), b"/etc/passwd")),
    "empty link": zipped(("f", b""), (entry("l", LINK), b"")),
    "link with a child": zipped(("d/f", b""), (entry("l", LINK), b"d"), ("l/g", b"x")),
    "link that climbs through a link": zipped(
        ("a/b/f", b""), (entry("a/b/up", LINK), b"../.."), (entry("out", LINK), b"a/b/up/../x")
    ),
    "directory that is a link": zipped(("f", b""), (entry("l/", LINK), b"")),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_a_bad_archive_is_refused(data: bytes) -> None:
    with pytest.raises(BadArchiveError):
        check(io.BytesIO(data), DEFAULT_LIMITS)


def test_the_same_name_twice_is_refused() -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = zipped(("a", b"x"), ("a", b"y"))
    with pytest.raises(BadArchiveError):
        check(io.BytesIO(data), DEFAULT_LIMITS)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_only_the_methods_that_lambda_knows(method: int) -> None:
    info = entry("a")
    info.compress_type = method
    with pytest.raises(BadArchiveError, match="compression"):
        check(io.BytesIO(zipped((info, b"x"))), DEFAULT_LIMITS)


def test_the_quota_counts_what_comes_out() -> None:
    limits = replace(DEFAULT_LIMITS, code_bytes_unzipped=1_000)
    data = a_zip({"a": "x" * 600, "b": "y" * 400})
    assert check(io.BytesIO(data), limits) == 1_000
    with pytest.raises(TooLargeError):
        check(io.BytesIO(a_zip({"a": "x" * 600, "b": "y" * 401})), limits)


def test_a_bomb_is_stopped_at_the_quota() -> None:
    limits = replace(DEFAULT_LIMITS, code_bytes_unzipped=1_000_000)
    bomb = a_zip({"a": bytes(50_000_000)})
    assert len(bomb) < 100_000
    with pytest.raises(TooLargeError):
        check(io.BytesIO(bomb), limits)


def test_entries_and_the_directories_they_imply_are_limited() -> None:
    limits = replace(DEFAULT_LIMITS, code_entries_max=10)
    with pytest.raises(BadArchiveError, match="entries"):
        check(io.BytesIO(a_zip({str(n): "" for n in range(11)})), limits)
    with pytest.raises(BadArchiveError, match="directories"):
        check(io.BytesIO(a_zip({"a/" * 20 + "f": ""})), limits)


def test_following_links_has_an_end() -> None:
    links = [(entry(f"l{n}", LINK), b"./" * 1_000 + f"l{n + 1}".encode()) for n in range(900)]
    with pytest.raises(BadArchiveError, match="too many links"):
        check(io.BytesIO(zipped(("f", b""), *links)), DEFAULT_LIMITS)


def test_a_loop_of_links_is_inside_the_tree() -> None:
    loop = zipped(("f", b""), (entry("a", LINK), b"b"), (entry("b", LINK), b"a"))
    assert check(io.BytesIO(loop), DEFAULT_LIMITS) == 2


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_archive_is_refused_or_read_and_nothing_else(data: st.DataObject) -> None:
    good = bytearray(a_zip({"a.py": "print(1)\n" * 20, "b/c.py": "x = 1\n"}))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BadArchiveError, TooLargeError):
        assert check(io.BytesIO(bytes(good)), DEFAULT_LIMITS) >= 0


def test_zlib_is_what_the_library_uses() -> None:
    """A stream that ends early is refused, not taken for shorter."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = compressor.compress(b"x" * 100)
    data = a_zip({"a": "x" * 100})
    assert data.count(b"PK\x03\x04") == 1
    assert len(body) < len(data)
    cut = bytearray(data)
    cut[33] ^= 0xFF
    with pytest.raises(BadArchiveError):
        check(io.BytesIO(bytes(cut)), DEFAULT_LIMITS)
