"""Reconciler: brings every event source mapping to the state that its user asked for.

Whoever stores a mapping wakes it; at the start it looks through all of them, so that what was
enabled is read again, and what a crash interrupted is taken up.
"""

import asyncio
import logging
from typing import Final, Protocol

from lampyr.clock import Clock
from lampyr.control.sources.states import is_unsettled, settled
from lampyr.model.mapping import EventSourceMapping
from lampyr.model.resource import ResourceKey
from lampyr.store.base import Store, Table

log = logging.getLogger(__name__)

PARALLEL: Final = 4


class Pollers(Protocol):
    """Whoever reads from event sources."""

    async def apply(self, mapping: EventSourceMapping) -> None:
        """Read, or do no longer, as `mapping.enabled` and `mapping.state` say.

        Called whenever a mapping has changed, and for each at the start; Deleting is the last
        that is told of one. Returns when it is so, and does not fail: a source that cannot be
        reached is no reason for a mapping not to be Enabled.
        """
        ...


class NoPollers:
    """Nobody reads: mappings are kept and shown."""

    async def apply(self, mapping: EventSourceMapping) -> None: ...


class MappingReconciler:
    def __init__(self, store: Store, pollers: Pollers, clock: Clock) -> None:
        self._table: Table[EventSourceMapping] = store.table(EventSourceMapping)
        self._pollers = pollers
        self._clock = clock
        self._due: asyncio.Queue[ResourceKey] = asyncio.Queue()
        self._queued: set[ResourceKey] = set()
        self._busy: set[ResourceKey] = set()
        self._again: set[ResourceKey] = set()
        self.changes = asyncio.Lock()
        """Held from looking whether a mapping is there already to storing it."""

    def wake(self, key: ResourceKey) -> None:
        """Have a mapping looked at, that was created or has changed."""
        if key not in self._queued:
            self._queued.add(key)
            self._due.put_nowait(key)

    async def run(self) -> None:
        """Until cancelled."""
        for mapping in await self._table.everywhere():
            self.wake(mapping.key)
        async with asyncio.TaskGroup() as group:
            for number in range(PARALLEL):
                group.create_task(self._work(), name=f"mappings {number}")

    async def _work(self) -> None:
        while True:
            key = await self._due.get()
            self._queued.discard(key)
            if key in self._busy:
                # One at a time: what pollers were told last has to be what is.
                self._again.add(key)
                continue
            self._busy.add(key)
            try:
                await self._bring_to_end(key)
            finally:
                self._busy.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.wake(key)

    async def _bring_to_end(self, key: ResourceKey) -> None:
        while (mapping := await self._table.get(key)) is not None:
            await self._pollers.apply(mapping)
            if not is_unsettled(mapping):
                return
            new = settled(mapping, self._clock.now())
            if new is None:
                await self._table.delete(key)
            elif not await self._table.replace(mapping, new):
                continue  # What it has become meanwhile is applied.
            log.info(
                "event source mapping settled",
                extra={"mapping": key.id, "state": new and new.state},
            )
            return
