"""What stores over a database share: rows read once, kept in memory, and written by one thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lampyr.store.blobs import FileBlobs
from lampyr.store.events import RowEvents
from lampyr.store.index import Index
from lampyr.store.kinds import Tables
from lampyr.store.rows import Rows, function_change, resource_change
from lampyr.store.writer import Writer

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from lampyr.model.function import Function


class RowStore(Tables):
    """A `Store` but for `close`; `connect` is called on the writer's thread."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        directory: Path,
        rows: Rows,
        kinds: Mapping[str, type[Any]],
    ) -> None:
        super().__init__(
            {
                kind: Index(partial(self._persist_resource, name), rows.resources[name])
                for name, kind in kinds.items()
            }
        )
        self._writer = Writer(connect)
        self.functions = Index(self._persist, rows.functions)
        self.blobs = FileBlobs(directory / "blobs")
        self.events = RowEvents(self._writer.submit, rows.events)

    async def warm_up(self) -> None:
        """Have the writer ready before the first change comes; takes about 0.3 s of its thread."""
        await self._writer.submit(lambda _connection: None)

    def _persist(self, old: Function | None, new: Function | None) -> asyncio.Future[None]:
        return self._writer.submit(function_change(old, new))

    def _persist_resource(self, name: str, old: Any, new: Any) -> asyncio.Future[None]:
        return self._writer.submit(resource_change(name, old, new))
