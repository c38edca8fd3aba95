"""The first process of a sandbox, as the smallest program that can do its work.

A function must not be process 1 of its namespace: there, signals that would end any other
process are ignored (`os.kill(os.getpid(), 9)` does nothing), and orphans stay as zombies. So
process 1 is this program. It reaps; it hands SIGTERM on to every process of the sandbox, turns
SIGUSR1 into SIGSTOP and SIGUSR2 into SIGCONT for all of them; and when process 2, the function,
has ended, it writes that one's wait status to descriptor 3 and exits, at which the kernel kills
whatever is left. It takes two pages of memory, where a Python process would take a megabyte and
keep a copy of what the spawner knows.

The `keeper` of a PID namespace is the same program, for which no process is the second: it reaps
until it is killed.

The source is in `init_x86_64.s` and `init_aarch64.s`; a test assembles them and compares.
"""

import contextlib
import fcntl
import os
import struct

from .linux import MACHINE

STATUS_FD = 3
CODE = {
    "x86_64": bytes.fromhex(
        "4883ec10b83d00000048c7c7ffffffff4889e6ba010000004531d20f0585c07e2283f80275de"
        "b801000000bf030000004889e6ba040000000f05b8e700000031ff0f05b88000000048c74424"
        "08ffffffff488d7c240831f631d241ba080000000f05be0f00000083f80f7416be1300000083"
        "f80a740cbe1200000083f80c7402eb82b83e00000048c7c7ffffffff0f05e96fffffff"
    ),
    "aarch64": bytes.fromhex(
        "ff4300d1882080d200008092e1030091220080d2030080d2010000d41f0000716d0100541f08"
        "0071e1feff54080880d2600080d2e1030091820080d2010000d4c80b80d2000080d2010000d4"
        "281180d200008092e00700f9e0230091010080d2020080d2030180d2010000d4e10180d21f3c"
        "007100010054610280d21f280071a0000054410280d21f30007140000054ddffff17281080d2"
        "00008092010000d4d9ffff17"
    ),
}
_ELF_MACHINE = {"x86_64": 62, "aarch64": 183}
_ADDRESS = 0x400000
_HEADERS = 64 + 56


_COMPARES_WITH_2 = {"x86_64": "83f802", "aarch64": "1f080071"}
_NEVER_EQUAL = {"x86_64": "83f8ff", "aarch64": "1f000071"}
"""A process that was reaped has a number above 0."""


def program(machine: str = MACHINE, *, keeper: bool = False) -> bytes:
    """A static executable of one segment, headers included."""
    code = CODE[machine]
    if keeper:
        compares = bytes.fromhex(_COMPARES_WITH_2[machine])
        code = code.replace(compares, bytes.fromhex(_NEVER_EQUAL[machine]), 1)
    size = _HEADERS + len(code)
    identification = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    executable, version = 2, 1
    elf = identification + struct.pack(
        "<HHIQQQIHHHHHH",
        executable,
        _ELF_MACHINE[machine],
        version,
        _ADDRESS + _HEADERS,
        64,  # where the program headers are
        0,
        0,
        64,
        56,
        1,
        0,
        0,
        0,
    )
    load, read_execute = 1, 5
    segment = struct.pack(
        "<IIQQQQQQ", load, read_execute, 0, _ADDRESS, _ADDRESS, size, size, 0x10000
    )
    return elf + segment + code


def descriptor(*, keeper: bool = False) -> int:
    """An executable file in memory that holds the program.

    Nobody may read it: the kernel then hides the process that runs it (its memory, its
    descriptors) from others of the same user, so no function can forge its own exit status.
    """
    fd = os.memfd_create("init", os.MFD_CLOEXEC)
    os.write(fd, program(keeper=keeper))
    os.fchmod(fd, 0o111)
    return fd


def become(program: int, status: "int | None" = None) -> None:
    """Turn into the program; every signal stays blocked."""
    program = fcntl.fcntl(program, fcntl.F_DUPFD_CLOEXEC, 10)
    if status is not None:
        os.dup2(status, STATUS_FD, inheritable=True)
    for fd in (0, 1, 2):
        with contextlib.suppress(OSError):
            os.close(fd)
    os.execve(program, ["init"], {})  # noqa: S606
