"""A store that forgets: for tests, and for a Lampyr that shall leave no trace."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lampyr.model.function import Function
from lampyr.store.blobs import FileBlobs
from lampyr.store.events import MemoryEvents
from lampyr.store.index import Index, forget
from lampyr.store.kinds import KINDS, Tables


class MemoryStore(Tables):
    """Functions in memory, packages in a temporary directory that `close` removes."""

    def __init__(self, kinds: Mapping[str, type[Any]] = KINDS) -> None:
        super().__init__({kind: Index(forget) for kind in kinds.values()})
        self._root = Path(tempfile.mkdtemp(prefix="lampyr-store-"))
        self.functions: Index[Function] = Index(forget)
        self.blobs = FileBlobs(self._root)
        self.events = MemoryEvents()
        self.blobs.open()

    async def close(self) -> None:
        shutil.rmtree(self._root, ignore_errors=True)
