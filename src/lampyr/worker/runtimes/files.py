"""Directories that functions read, and locks between the processes that make them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def make_directory(path: Path) -> Path:
    """Readable by the user that a function runs as, whatever the umask is."""
    missing = [path, *path.parents]
    for directory in reversed(missing[: next(i for i, p in enumerate(missing) if p.exists())]):
        directory.mkdir(exist_ok=True)
        directory.chmod(0o755)
    return path


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """One process at a time; the kernel lets go of the lock when its holder dies.

    Yields whether it is ours: always, unless it is not waited for.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        yield _lock(descriptor, wait=wait)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
