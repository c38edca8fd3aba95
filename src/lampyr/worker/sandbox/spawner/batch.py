"""Many system calls at once, in a process whose memory is dear.

A fork copies each page that it writes to, and to run any Python is to write to a hundred of them.
What sets a sandbox up is some two hundred system calls, all known before: the server, where such
code has run a thousand times, writes them down (see `calls`), and a few instructions make them:

    a template, or the spawner ──clone──▶ process 1: takes its calls from the report, makes them
       │ goes on                            │ clone                     │ execute
                                            ▼                           ▼
                                        process 2: waits for that     init
                                            │ makes the others
                                            ▼
                                        the function, in the same memory, alone

Process 1 runs nothing else, so it touches little memory, and what it touched is the function's. For
a while both have one stack, which the instructions do not write to. They are in `batch_x86_64.s`; a
test assembles them and compares. On other machines the fork makes its calls itself.
"""

import ctypes
import mmap
import os
import signal
import struct

from .linux import CLONE_PIDFD, MACHINE
from .pages import executable_page, reserve
from .parting import FUNCTION_PID, Thread
from .variables import BYTES_MAX, Variables

CODE = {
    "x86_64": bytes.fromhex(
        "53415441554889fb4989d54c8d24324d39e50f84d7000000488b03488b7b08488b7310488b53"
        "184c8b53204c8b43284c8b4b300f05488b4b384883f90174334883f90575074885c079ceeb3e"
        "4885c00f88880000004883f906745f4883f90474354885c0740c4883f90274714883f903747f"
        "488b4b404885c97403488901488b4b484885c974034889014883c35049ffc5e979ffffff4885"
        "c0740f4883f80274e948c7c0f6ffffffeb33488b4b404901cd486bc9504801cbebd04885c048"
        "c7c2e0ffffff480f44c27413488b4b48448b21488b5b404531ede932ffffff498d550148c1e2"
        "2048f7d889c04809d0eb0231c0415d415c5bc3"
    ),
}
REGION_BYTES = 32 * 1024
DATA_BYTES = 8 * 1024
"""What calls point to comes first, the calls after it. What follows in the packet are variables."""
CALL = struct.Struct("<Q6qQ2Q")
"""Number, arguments, how the result is judged, and two words that depend on that."""
COUNT = struct.Struct("<I")
"""At the very beginning: how many calls."""
MUST, MAY, ZERO, LEAVE, PART, AGAIN, TURN = range(7)
"""How a result is judged. It may be no error; it may be anything; it must be 0; who gets anything
else leaves with it; it is 0 in process 2, which leaves out so many calls; the call is made again
until it fails; it must be something, and the calls go on elsewhere."""
FIRST_FD = 64
"""Where a fork has its descriptors, so that calls can name them."""
FDS = 24
"""No call names one beyond so many."""
SPAWNER_FD = 63
PROGRAM_FD = 62
"""The program of process 1."""
_CLONE, _CLOSE, _DUP3, _READV = 56, 3, 292, 19
_HEAD_CALLS = 64
"""In the page of the calls that come first. Before them is where the others are to be."""
_HEAD_FIRST = 1 << 20
"""The number of the first of them: the server's begin at 0."""
_NUMBER_BITS, _WORD = 32, 0xFFFF_FFFF


class CallError(OSError):
    """A call did not give what it must; `place` is its own among the server's, or None."""

    def __init__(self, result: int) -> None:
        number, place = result & _WORD, (result >> _NUMBER_BITS) - 1
        super().__init__(number, os.strerror(number))
        self.place = place if place < _HEAD_FIRST else None
        self.in_clone = place != _HEAD_FIRST
        """Or else there is none."""


class Batch:
    """A place for calls, at the same address in every fork, and what makes them."""

    def __init__(self, rules: bytes, machine: str = MACHINE) -> None:
        """`rules`: the seccomp filter. Raise `LookupError` or `OSError` where that cannot be."""
        code = CODE[machine]
        self._python = ctypes.PyDLL(None)
        self.thread = Thread(self._python)
        # Private, and most of it not there yet: a fork writes to it without copying anything.
        size = 2 * mmap.PAGESIZE + REGION_BYTES
        page = reserve(size)
        self._place = ctypes.c_void_p(page), ctypes.c_size_t(size)
        executable_page(code, page)
        # Looked up here: in a fork that takes longer than what they do.
        self._before, self._after = self._python.PyOS_BeforeFork, self._python.PyOS_AfterFork_Child
        self._release = self._python.munmap
        kind = ctypes.PYFUNCTYPE(ctypes.c_long, ctypes.c_void_p, ctypes.c_long, ctypes.c_long)
        self._make = kind(page)
        self._head = page + mmap.PAGESIZE
        self._pidfd = ctypes.c_int(-1)
        self.base = self._head + mmap.PAGESIZE
        self._rules = ctypes.create_string_buffer(rules, len(rules))
        words = struct.pack("=HxxxxxxQ", len(rules) // 8, ctypes.addressof(self._rules))
        self._filter = ctypes.create_string_buffer(words, len(words))
        self.filter = ctypes.addressof(self._filter)
        self.variables = Variables()
        self._written: tuple[object, ...] = ()
        self._count = 0

    def clone(
        self, namespaces: int, descriptors: "list[int]", closed: "int | None" = None
    ) -> tuple[int, int]:
        """Number and pidfd of a new process 1; 0 in the function's process, which is set up.

        `closed`: what no clone is to have. Raise `CallError`, also in the clone.
        """
        self._write_head(namespaces, descriptors, closed)
        result = self._make(self._head + _HEAD_CALLS, self._count, _HEAD_FIRST)
        if result > _WORD:
            raise CallError(result)
        return (result, self._pidfd.value) if result else (0, -1)

    def _write_head(self, namespaces: int, descriptors: "list[int]", closed: "int | None") -> None:
        """What a clone does first. It is the same nearly every time."""
        written = (namespaces, closed, *descriptors)
        if written == self._written:
            return
        head, flags = self._head, namespaces | CLONE_PIDFD | signal.SIGCHLD
        pidfd = ctypes.addressof(self._pidfd)
        calls = [CALL.pack(_CLONE, flags, 0, pidfd, 0, 0, 0, LEAVE, 0, 0)]
        for place, fd in enumerate(descriptors):
            arguments = fd, FIRST_FD + place, os.O_CLOEXEC
            calls.append(CALL.pack(_DUP3, *arguments, 0, 0, 0, MUST, 0, 0))
        if closed is not None:
            calls.append(CALL.pack(_CLOSE, closed, 0, 0, 0, 0, 0, MUST, 0, 0))
        where = self.base + DATA_BYTES, self.base
        calls.append(CALL.pack(_READV, FIRST_FD, head, 2, 0, 0, 0, TURN, *where))
        places = self.base, REGION_BYTES, self.variables.base, BYTES_MAX
        content = struct.pack("<4Q", *places).ljust(_HEAD_CALLS, b"\0")
        content += b"".join(calls)
        ctypes.memmove(head, content, len(content))
        self._written, self._count = written, len(calls)

    def arrive(self) -> None:
        """In the function's process: let Python and the C library know that it is another one."""
        if self.thread.number != FUNCTION_PID:
            raise OSError(f"the function is process {self.thread.number}")
        self._renew(self._place)

    def rehearse(self) -> None:
        """What `arrive` does, in a template."""
        self._renew((ctypes.c_void_p(reserve(mmap.PAGESIZE)), ctypes.c_size_t(mmap.PAGESIZE)))

    def _renew(self, place: "tuple[ctypes.c_void_p, ctypes.c_size_t]") -> None:
        """Have Python, and modules that asked for it, do what they do in a fork."""
        self._before()
        self._after()
        self._release(*place)


def possible(rules: bytes) -> "Batch | None":
    """None where forks make their calls themselves."""
    try:
        return Batch(rules)
    except (LookupError, OSError):
        return None
