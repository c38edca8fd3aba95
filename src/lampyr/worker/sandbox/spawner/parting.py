"""One process becomes two, `init` and the function, and only the function keeps the memory.

A fork would copy page tables of some 60 MB for a process that throws them away at once, and leave
the function to copy each page that it writes to: together a quarter of a start. So the new process
shares the memory, and waits until the old one has executed `init`, which needs none of it:

    process 1 ──clone(CLONE_VM)──▶ process 2: waits
        │ execveat(init)               │
        ▼                              ▼
      init                         the function, in the same memory, alone

Meanwhile both have one stack, so neither may write to it: that takes instructions of our own, in
`part_x86_64.s`; a test assembles them and compares. On other machines there is an ordinary fork.

What a C library keeps of its thread in memory or has told the kernel, and renews after a fork of
its own, is renewed here: its number, the list of robust mutexes, the area of restartable
sequences (see the manual, section 2: set_robust_list, and `linux/rseq.h`).
"""

import ctypes
import fcntl
import os

from . import init
from .linux import MACHINE
from .pages import executable_page, release_page

CODE = {
    "x86_64": bytes.fromhex(
        "5341544155415641574189fc4189f54989d64189cf4489c3b838000000bf1101000031f631d2"
        "4531d24531c00f0585c0745883f8027577b8240100004489efbe0300000031d20f0585c07862"
        "b80300000031ff0f05b803000000bf010000000f05b803000000bf020000000f05b842010000"
        "4489e7498b36498b56084d8b561041b8001000000f05eb24b80300000089df0f0531c04489ff"
        "4c89f6ba010000000f05b8030000004489ff0f0531c0415f415e415d415c5bc3"
    ),
}
FUNCTION_PID = 2
_THREAD_NUMBER = 720
"""Where glibc's `struct pthread` has `tid`, since version 2.10; it is checked before it is used."""
_SET_ROBUST_LIST, _GET_ROBUST_LIST, _RSEQ = 273, 274, 334
RSEQ_BYTES, RSEQ_SIGNATURE = 32, 0x53053053


class Thread:
    """What the C library has of the only thread: the same addresses in every fork."""

    def __init__(self, libc: ctypes.PyDLL) -> None:
        """Raise `LookupError` when this C library keeps it elsewhere."""
        self._libc = libc
        libc.pthread_self.restype = ctypes.c_size_t
        pointer = int(libc.pthread_self())
        self.number_at = pointer + _THREAD_NUMBER
        self._number = ctypes.c_int.from_address(self.number_at)
        if not hasattr(libc, "gnu_get_libc_version") or self._number.value != os.getpid():
            raise LookupError("not the C library that is known")
        robust, size = ctypes.c_void_p(), ctypes.c_size_t()
        place = ctypes.byref(robust), ctypes.byref(size)
        libc.syscall(ctypes.c_long(_GET_ROBUST_LIST), ctypes.c_int(0), *place)
        self.robust_at, self.robust_bytes = robust.value or 0, size.value
        """Of the list's head; the address is 0 where there is none."""
        self.rseq_at = self._rseq(pointer)
        """Address of the area of restartable sequences, 0 where there is none."""

    def _rseq(self, pointer: int) -> int:
        try:
            offset = ctypes.c_ssize_t.in_dll(self._libc, "__rseq_offset").value
            size = ctypes.c_uint.in_dll(self._libc, "__rseq_size").value
        except ValueError:  # Before glibc 2.35.
            return 0
        return pointer + offset if size else 0

    @property
    def number(self) -> int:
        """Of the process, as the C library has it."""
        return self._number.value

    def renew(self) -> None:
        """In a process that has this thread's memory now."""
        self._number.value = os.getpid()
        if self.robust_at:
            place = ctypes.c_void_p(self.robust_at), ctypes.c_size_t(self.robust_bytes)
            self._libc.syscall(ctypes.c_long(_SET_ROBUST_LIST), *place)
        if self.rseq_at:
            self._libc.syscall(
                ctypes.c_long(_RSEQ),
                ctypes.c_void_p(self.rseq_at),
                ctypes.c_uint(RSEQ_BYTES),
                ctypes.c_int(0),
                ctypes.c_uint(RSEQ_SIGNATURE),
            )


class Parting:
    """Made once; each fork can part once."""

    def __init__(self, machine: str = MACHINE) -> None:
        """Raise `LookupError` or `OSError` where it is not possible."""
        code = CODE[machine]
        # Holds the interpreter lock, as a fork must.
        self._libc = ctypes.PyDLL(None)
        self._thread = Thread(self._libc)
        self._page = executable_page(code)
        empty = ctypes.c_char_p(b"")
        arguments = (ctypes.c_char_p * 2)(b"init", None)
        environment = (ctypes.c_char_p * 1)(None)
        self._words = (ctypes.c_void_p * 3)(
            ctypes.cast(empty, ctypes.c_void_p),
            ctypes.cast(arguments, ctypes.c_void_p),
            ctypes.cast(environment, ctypes.c_void_p),
        )
        self._kept = empty, arguments, environment
        part = ctypes.PYFUNCTYPE(
            ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_int
        )
        self._part = part(self._page)

    def part(self, program: int, status: int) -> None:
        """Returns in the function's process, while this one turns into `init`."""
        awaited, held = os.pipe2(os.O_CLOEXEC)
        # Out of the way of those that `init` has or closes.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (program, status)]
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (awaited, held)]
        os.close(awaited)
        os.close(held)
        self._libc.PyOS_BeforeFork()
        result = self._part(*high, ctypes.addressof(self._words), *ends)
        if result != 0:
            self._libc.PyOS_AfterFork_Parent()
            if result > 0:
                raise OSError(f"the function is process {result}, not {FUNCTION_PID}")
            raise OSError(-result, f"{init.__name__}: {os.strerror(-result)}")
        self._thread.renew()
        self._libc.PyOS_AfterFork_Child()
        for fd in high:
            os.close(fd)
        release_page(self._page)


def possible() -> "Parting | None":
    """None where there must be an ordinary fork."""
    try:
        return Parting()
    except (LookupError, OSError):
        return None
