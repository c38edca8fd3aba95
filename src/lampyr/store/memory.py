"""A store that forgets: for tests, and for a Lampyr that shall leave no trace."""

import shutil
import tempfile
from pathlib import Path

from lampyr.store.blobs import FileBlobs
from lampyr.store.index import FunctionIndex, forget


class MemoryStore:
    """Functions in memory, packages in a temporary directory that `close` removes."""

    def __init__(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="lampyr-store-"))
        self.functions = FunctionIndex(forget)
        self.blobs = FileBlobs(self._root)
        self.blobs.open()

    async def close(self) -> None:
        shutil.rmtree(self._root, ignore_errors=True)
