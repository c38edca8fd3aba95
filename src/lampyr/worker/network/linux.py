"""The two calls on network namespaces that Python 3.11 lacks, by ctypes."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWNET: Final = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def unshare(namespaces: int) -> None:
    _check(_libc.unshare(namespaces), "unshare")


def enter(namespace: int, kind: int = CLONE_NEWNET) -> None:
    """Move the calling thread into the namespace that the descriptor stands for."""
    _check(_libc.setns(namespace, kind), "setns")


def current_network() -> int:
    """A descriptor of the calling thread's network namespace; the caller closes it."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def inside(namespace: int, home: int) -> Iterator[None]:
    """Run the block in `namespace`, then go back to `home`."""
    enter(namespace)
    try:
        yield
    finally:
        enter(home)


def _check(result: int, call: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
