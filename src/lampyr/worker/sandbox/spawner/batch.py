"""Many system calls at once, in a process whose memory is dear.

A fork copies each page that it writes to, and to run any Python is to write to a hundred of them.
What sets a sandbox up is some two hundred system calls, all known before: the server, where such
code has run a thousand times, writes them down (see `calls`), and a few instructions make them.
They are in `batch_x86_64.s`; a test assembles them and compares. On other machines the fork makes
its calls itself.
"""

import ctypes
import mmap
import os
import struct

from .child import Inherited
from .linux import MACHINE
from .pages import executable_page, release_page
from .parting import Parting
from .variables import Variables

CODE = {
    "x86_64": bytes.fromhex(
        "53415441554889fb4989f44531ed4d39e57467488b03488b7b08488b7310488b53184c8b5320"
        "4c8b43284c8b4b300f05488b4b384883f901740d4885c0782974064883f9027421488b4b4048"
        "85c97403488901488b4b484885c974034889014883c35049ffc5eba6498d550148c1e22048f7"
        "d889c04809d0eb0231c0415d415c5bc3"
    ),
}
REGION_BYTES = 128 * 1024
DATA_BYTES = 12 * 1024
"""What calls point to comes first, the calls after it."""
CALL = struct.Struct("<Q6qQ2Q")
"""Number, arguments, how the result is judged, where it is written to."""
COUNTS = struct.Struct("<3I")
"""At the very beginning: calls before the parting, calls after it, bytes of variables."""
FIRST_FD = 64
"""Where a fork has its descriptors, so that calls can name them."""
FDS = 24
"""No call names one beyond so many."""
SPAWNER_FD = 63


class CallError(OSError):
    """A call did not give what it must; `place` is its own among all, from 0."""

    def __init__(self, place: int, number: int) -> None:
        super().__init__(number, os.strerror(number))
        self.place = place


class Batch:
    """A place for calls, at the same address in every fork, and what makes them."""

    def __init__(self, rules: bytes, parting: Parting, machine: str = MACHINE) -> None:
        """`rules`: the seccomp filter. Raise `LookupError` or `OSError` where that cannot be."""
        self.part = parting.part
        self._page = executable_page(CODE[machine])
        self._make = ctypes.PYFUNCTYPE(ctypes.c_long, ctypes.c_void_p, ctypes.c_long)(self._page)
        # Private, and not yet there: a fork writes to it without copying anything.
        self._region = mmap.mmap(-1, REGION_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.base = ctypes.addressof(ctypes.c_char.from_buffer(self._region))
        self._rules = ctypes.create_string_buffer(rules, len(rules))
        words = struct.pack("=HxxxxxxQ", len(rules) // 8, ctypes.addressof(self._rules))
        self._filter = ctypes.create_string_buffer(words, len(words))
        self.filter = ctypes.addressof(self._filter)
        self._before = self._after = (0, 0)
        self.variables = Variables()

    def receive(self, fd: int) -> None:
        """In a fork: take the calls, and the environment that comes with them."""
        size = os.readv(fd, [self._region])
        before, after, rest = COUNTS.unpack_from(self._region)
        self._before = self.base + DATA_BYTES, before
        self._after = self.base + DATA_BYTES + before * CALL.size, after
        self.variables.take(self.base + size - rest, rest)

    def rehearse(self, fd: int, tell: int, environment: bytes) -> None:
        """In a template: what a fork does with it, as far as nothing comes of that.

        `tell` leads to `fd`; `environment` is this process's own.
        """
        os.write(tell, COUNTS.pack(0, 0, len(environment)) + environment)
        self.receive(fd)
        self.set_up()
        self._run(*self._after)
        self.variables.put_on()

    def set_up(self) -> None:
        """Make the calls up to the parting; raise `CallError`."""
        self._run(*self._before)

    def settle(self) -> None:
        """Make the others; raise `CallError`. Nothing can be called any more then."""
        self._run(*self._after)
        release_page(self._page)
        self._region.close()

    def _run(self, first: int, count: int) -> None:
        result = self._make(first, count)
        if result:
            place = (first - self.base - DATA_BYTES) // CALL.size + (result >> 32) - 1
            raise CallError(place, result & 0xFFFF_FFFF)


def possible(inherited: Inherited) -> "Batch | None":
    """None where forks make their calls themselves."""
    if inherited.parting is None:
        return None
    try:
        return Batch(inherited.rules, inherited.parting)
    except (LookupError, OSError):
        return None
