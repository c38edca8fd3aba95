"""Code packages as files, named by their hash."""

import asyncio
import hashlib
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"[0-9a-f]{64}")
_PARTIAL: Final = "partial-"


class FileBlobs:
    """A `BlobStore` in a directory. A file that has its name is whole and on the disk."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self) -> None:
        """Make the directory; remove what an interrupted `put` left."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._root.glob(f"{_PARTIAL}*"):
            path.unlink()

    async def put(self, data: bytes) -> str:
        return await asyncio.to_thread(self._put, data)

    async def path(self, sha256: str) -> Path | None:
        path = self._path(sha256)
        return path if path.exists() else None

    async def delete(self, sha256: str) -> None:
        self._path(sha256).unlink(missing_ok=True)

    async def all(self) -> Sequence[str]:
        with os.scandir(self._root) as entries:
            return [entry.name for entry in entries if _NAME.fullmatch(entry.name)]

    def _path(self, sha256: str) -> Path:
        if _NAME.fullmatch(sha256) is None:
            raise ValueError(f"{sha256!r} is not a SHA-256 in hexadecimal")
        return self._root / sha256

    def _put(self, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        path = self._path(sha256)
        if path.exists():
            return sha256
        descriptor, partial = tempfile.mkstemp(prefix=_PARTIAL, dir=self._root)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(partial).rename(path)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
        _sync_directory(self._root)
        return sha256


def _sync_directory(path: Path) -> None:
    """Make a rename in the directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
