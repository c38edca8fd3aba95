"""System calls written down for another process, which makes them one after the other.

They are the kernel's, as the manual, section 2, has them, by their numbers on x86-64. What they
point to is written down with them; `base` is where all of it will be in that process's memory.
"""

import struct
from collections.abc import Sequence
from typing import Final

from lampyr.worker.sandbox.spawner.batch import CALL, COUNT, DATA_BYTES, MUST, PART, REGION_BYTES

NUMBERS: Final = {
    "capset": 126, "chdir": 80, "chmod": 90, "chown": 92, "chroot": 161, "clone": 56, "close": 3,
    "close_range": 436, "dup2": 33, "dup3": 292, "execve": 59, "execveat": 322, "fchdir": 81,
    "fchown": 93, "futex": 202, "mkdir": 83, "mount": 165, "open": 2, "pivot_root": 155, "poll": 7,
    "prctl": 157, "prlimit64": 302, "rseq": 334, "rt_sigaction": 13, "rt_sigprocmask": 14,
    "seccomp": 317, "set_robust_list": 273, "set_tid_address": 218, "setgroups": 116,
    "sethostname": 170, "setns": 308, "setresgid": 119, "setresuid": 117, "setsid": 112,
    "symlink": 88, "umask": 95, "umount2": 166, "unlink": 87, "unshare": 272, "write": 1,
}  # fmt: skip
_ALIGNED: Final = 8
_ARGUMENTS: Final = 6
_JUDGED, _KEPT = 7, 8


class Calls:
    """A list that grows."""

    def __init__(self, base: int) -> None:
        self.base = base
        self._calls: list[list[int]] = []
        self._data = bytearray(_aligned(COUNT.size))
        self._texts: dict[bytes, int] = {}
        self.steps: list[tuple[int, str]] = []
        """Where each step begins, and its name: for whoever is told that a call failed."""

    def step(self, name: str) -> None:
        self.steps.append((len(self._calls), name))

    def executes(self, place: int) -> bool:
        """Whether a call is that of a program of the function's."""
        return self._calls[place][0] == NUMBERS["execve"]

    def name(self, place: int) -> str:
        """Of a call, with its step, for who reads of its failure."""
        step = next(name for first, name in reversed(self.steps) if first <= place)
        number = self._calls[place][0]
        return f"{step}: {next(name for name in NUMBERS if NUMBERS[name] == number)}"

    def part(self, *arguments: int, left_out: int) -> None:
        """A clone as the second process, which leaves out so many of the calls that follow."""
        self.call("clone", *arguments, judged=PART)
        self._calls[-1][_KEPT] = left_out

    def text(self, text: str) -> int:
        """The address of a string; raise `ValueError` for what is none of C's."""
        if "\0" in text:
            raise ValueError("a text with a zero in it")
        return self.data(text.encode() + b"\0")

    def data(self, data: bytes) -> int:
        """The address of something that no call changes; the same for the same."""
        if data not in self._texts:
            self._texts[data] = self.base + len(self._data)
            self._data += data.ljust(_aligned(len(data)), b"\0")
        return self._texts[data]

    def word(self, value: int) -> int:
        """The address of eight bytes that something else changes."""
        address = self.base + len(self._data)
        self._data += value.to_bytes(_ALIGNED, "little")
        return address

    def texts(self, texts: Sequence[str]) -> int:
        """The address of pointers to strings, the last of which points nowhere."""
        addresses = [self.text(text) for text in texts]
        return self.data(struct.pack(f"<{len(addresses) + 1}Q", *addresses, 0))

    def call(self, name: str, *arguments: int, judged: int = MUST) -> None:
        words = [NUMBERS[name], *arguments, *(0,) * (_ARGUMENTS - len(arguments)), judged, 0, 0]
        self._calls.append(words)

    def hand_on(self, *calls: int) -> None:
        """Give the last call's result, for its first argument, to one or two that follow it.

        `calls`: how many places later they are.
        """
        last = len(self._calls) - 1
        for place, later in enumerate(calls):
            address = self.base + DATA_BYTES + (last + later) * CALL.size + 8
            self._calls[last][_KEPT + place] = address

    def write(self, path: str, text: str, flags: int, mode: int = 0, judged: int = MUST) -> None:
        """Open a file, write to it, close it."""
        self.call("open", self.text(path), flags, mode, judged=judged)
        self.hand_on(1, 2)
        self.call("write", -1, self.text(text), len(text.encode()), judged=judged)
        self.call("close", -1, judged=judged)

    def packed(self) -> bytes:
        """All of it, as long as any; raise `ValueError` when that is too much."""
        calls = b"".join([CALL.pack(*words) for words in self._calls])
        if len(self._data) > DATA_BYTES or DATA_BYTES + len(calls) > REGION_BYTES:
            raise ValueError("too much for a fork")
        data = bytearray(self._data.ljust(DATA_BYTES, b"\0"))
        COUNT.pack_into(data, 0, len(self._calls))
        return bytes(data + calls).ljust(REGION_BYTES, b"\0")


def _aligned(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED
