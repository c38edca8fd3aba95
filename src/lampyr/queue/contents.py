"""Which events' contents are in memory: as many as fit; the others' are read when their turn comes.

A queue of a million events of 1 MB each must not need the memory for them.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Final

from lampyr.limits import MIB
from lampyr.model.event import Content, Event
from lampyr.queue.lanes import Lane
from lampyr.store.base import EventTable
from lampyr.tasks import Tasks

HELD_BYTES_MAX: Final = 64 * MIB
READ_AT_ONCE: Final = 32
AGAIN_SECONDS: Final = 1.0
"""After the store could not be read."""
_OVERHEAD_BYTES: Final = 512
"""Of a content beside its payload."""


class Contents:
    def __init__(self, table: EventTable, tasks: Tasks) -> None:
        self._table = table
        self._tasks = tasks
        self._held = 0

    def keep(self, event: Event) -> None:
        """The event waits: its content stays if there is room for it."""
        if event.content is None:
            return
        size = _size(event.content)
        if self._held + size > HELD_BYTES_MAX:
            event.content = None
        else:
            self._held += size

    def take(self, event: Event) -> Content | None:
        """The event's turn has come; None when its content must be read first."""
        content = event.content
        if content is not None:
            self._held -= _size(content)
        return content

    def read(self, lane: Lane, then: Callable[[], None]) -> None:
        """Have the contents of the next events of a lane read."""
        lane.loading = True
        wanted = [event for event in islice(lane.ready, READ_AT_ONCE) if event.content is None]

        async def read() -> None:
            try:
                self._fill(wanted, await self._table.contents([event.id for event in wanted]))
            except BaseException:
                asyncio.get_running_loop().call_later(AGAIN_SECONDS, then)
                raise
            finally:
                lane.loading = False
            then()

        self._tasks.start(read(), "contents of events")

    def _fill(self, events: Iterable[Event], found: Mapping[int, Content]) -> None:
        for event in events:
            content = found.get(event.id)
            if content is None:
                raise LookupError(f"event {event.id} is not in the store")
            event.content = content
            self._held += _size(content)


def _size(content: Content) -> int:
    return len(content.payload) + _OVERHEAD_BYTES
