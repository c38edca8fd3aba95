"""The environment that a fork takes over: what the server writes down is what a C library reads."""

import struct

import pytest

from lampyr.worker.sandbox.spawner.variables import BYTES_MAX, packed

BASE = 0x7F00_0000_0000


def read(block: bytes) -> list[bytes]:
    """As `getenv` would: a pointer to each text, and a zero at the end."""
    found: list[bytes] = []
    for place in range(8, len(block), 8):
        (pointer,) = struct.unpack_from("<Q", block, place)
        if pointer == 0:
            return found
        found.append(block[pointer - BASE :].partition(b"\0")[0])
    raise AssertionError("no end")


def test_there_is_a_pointer_to_each_variable() -> None:
    block = packed({"A": "1", "EMPTY": "", "EQUALS": "a=b", "LIGHT": "glühwürmchen"}, BASE)
    assert read(block) == [b"A=1", b"EMPTY=", b"EQUALS=a=b", "LIGHT=glühwürmchen".encode()]
    first, size = struct.unpack_from("<2I", block)
    assert block[first : first + size].split(b"\0") == read(block)


def test_an_empty_environment_ends_at_once() -> None:
    assert read(packed({}, BASE)) == []


@pytest.mark.parametrize(
    "variables",
    [{"A": "x\0B=y"}, {"A": "x" * BYTES_MAX}],
    ids=["a zero", "too much"],
)
def test_what_no_fork_can_be_given_is_refused(variables: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="no environment"):
        packed(variables, BASE)


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        packed({"A": "\ud800"}, BASE)
