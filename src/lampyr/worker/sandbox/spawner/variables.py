"""The environment of a fork as the C library has it, which the server writes down.

To set each variable is to ask for memory thirty times, in pages that a fork has to copy. So the
texts and what points to them come as they are to be, and only the pointer to that is set. What
changes a variable later makes a copy of its own, as it does of what a program is started with.
"""

import ctypes
import mmap
import os
import struct

BYTES_MAX = 32 * 1024
_HEAD = struct.Struct("<2I")
"""At the very beginning: where the texts are, and how many bytes."""
_WORD_BYTES = 8
_kept: "list[Variables]" = []
"""Of this process: what the C library points to must not go."""


def packed(variables: "dict[str, str]", base: int) -> bytes:
    """What is to stand at the address `base`; raise `ValueError` when that cannot be."""
    texts = [
        f"{name}={value}".encode(errors="surrogateescape") for name, value in variables.items()
    ]
    first = _HEAD.size + _WORD_BYTES * (len(texts) + 1)
    pointers, place = [], base + first
    for text in texts:
        pointers.append(place)
        place += len(text) + 1
    joined = b"\0".join(texts)
    size = place - base
    if size > BYTES_MAX or joined.count(b"\0") > max(len(texts) - 1, 0):
        raise ValueError("no environment that a fork can be given")
    words = struct.pack(f"<{len(pointers) + 1}Q", *pointers, 0)
    return b"".join((_HEAD.pack(first, len(joined)), words, joined, b"\0"))


def pointers_at(base: int) -> int:
    """Of what is at `base`: the environment that a program is executed with."""
    return base + _HEAD.size


class Variables:
    """A place for them, at the same address in every fork."""

    def __init__(self) -> None:
        """Raise `LookupError` where the C library keeps its pointer elsewhere."""
        self._memory = mmap.mmap(-1, BYTES_MAX, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.base = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        try:
            self._pointer = ctypes.c_void_p.in_dll(ctypes.PyDLL(None), "environ")
        except ValueError as error:
            raise LookupError("environ") from error
        _kept.append(self)
        try:
            # Of what Python keeps there, nothing else lets it be replaced.
            self._known: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined]  # noqa: SLF001
        except AttributeError as error:
            raise LookupError("os.environ") from error

    def rehearse(self, environment: bytes) -> None:
        """What a fork does with what `packed` gave; here it is this process's own."""
        self._memory[: len(environment)] = environment
        self.put_on()

    def put_on(self) -> None:
        """Let it be the environment of this process, for Python and for the C library."""
        first, size = _HEAD.unpack_from(self._memory)
        texts = self._memory[first : first + size]
        known = self._known
        known.clear()
        for text in texts.split(b"\0"):
            name, equals, value = text.partition(b"=")
            if equals:
                known[name] = value
        self._pointer.value = pointers_at(self.base)
