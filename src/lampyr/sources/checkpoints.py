"""Checkpoints of streams in the store, one resource for each mapping."""

from collections.abc import Mapping

from lampyr.model.checkpoint import Checkpoint, ShardProgress
from lampyr.model.resource import ResourceKey
from lampyr.store.base import Table


class StoredCheckpoints:
    """Implements `Checkpoints` for one mapping; one poller at a time uses it."""

    def __init__(self, table: Table[Checkpoint], key: ResourceKey) -> None:
        self._table = table
        self._key = key

    async def load(self) -> Mapping[str, ShardProgress]:
        found = await self._table.get(self._key)
        return {} if found is None else found.shards

    async def save(self, shards: Mapping[str, ShardProgress]) -> None:
        new = Checkpoint(key=self._key, shards=dict(shards))
        old = await self._table.get(self._key)
        if old is None:
            await self._table.create(new)
        else:
            await self._table.replace(old, new)

    async def forget(self) -> None:
        await self._table.delete(self._key)
