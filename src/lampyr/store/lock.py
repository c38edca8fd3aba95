"""One process owns a data directory at a time."""

import fcntl
import os
from pathlib import Path
from typing import Final

from lampyr.store.base import StoreError

NAME: Final = "lock"


class DirectoryLock:
    """Held until `release` or the end of the process, however it ends."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Raise `StoreError`, naming the holder, when another process has it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 100).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            message = (
                f"{self._path.parent} is in use by another Lampyr (process {holder}): "
                "stop that one, or give this one another --data-dir"
            )
            raise StoreError(message) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
