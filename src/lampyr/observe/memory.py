"""A log store that forgets: for tests."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from lampyr.observe.base import LogEvent, LogGroup, LogPage, LogRecord


class MemoryLogStore:
    def __init__(self) -> None:
        self._events: dict[LogGroup, list[LogEvent]] = {}
        self._forgotten: dict[LogGroup, int] = {}
        """How many lines a deleted group had: its cursors must not point into a new one."""
        self._appended = asyncio.Event()
        self._closed = False

    def append(self, group: LogGroup, events: Sequence[LogEvent]) -> None:
        self._events.setdefault(group, []).extend(events)
        self._wake()

    def append_record(self, group: LogGroup, record: LogRecord) -> None:
        self.append(group, record.events())

    async def read(
        self, group: LogGroup, *, since_ms: int = 0, cursor: str | None = None, most: int = 1_000
    ) -> LogPage:
        before = self._forgotten.get(group, 0)
        at = max((0 if cursor is None else int(cursor)) - before, 0)
        found: list[LogEvent] = []
        stored = self._events.get(group, [])
        while at < len(stored) and len(found) < most:
            if stored[at].timestamp_ms >= since_ms:
                found.append(stored[at])
            at += 1
        return LogPage(events=found, cursor=str(at + before))

    async def follow(self, group: LogGroup, cursor: str | None) -> AsyncIterator[LogPage]:
        while True:
            appended = self._appended
            page = await self.read(group, cursor=cursor)
            cursor = page.cursor
            if page.events:
                yield page
            elif self._closed:
                return
            else:
                await appended.wait()

    async def delete(self, group: LogGroup) -> None:
        lines = len(self._events.pop(group, ()))
        self._forgotten[group] = self._forgotten.get(group, 0) + lines

    async def flush(self) -> None:
        pass

    async def close(self) -> None:
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        self._appended.set()
        self._appended = asyncio.Event()
