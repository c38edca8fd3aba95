"""The log of functions in files: durable, bounded, never in the way of an invocation.

    append ──▶ pending (memory, bounded) ──▶ writer thread ──▶ segments (disk, bounded) ──▶ read

`append` only puts its arguments on a queue. A thread wakes a moment later, formats what has come
together and writes it in one go. `read` has the writer catch up first and then reads files alone,
so no line can come twice or be missed. What was written survives the end of the process, however
it ends; `kill -9` loses at most what came in the last `FLUSH_SECONDS`.

When the disk does not keep up, the oldest lines that wait are dropped, and a line in the log says
how many. See `segments.py` for what is in the files.
"""

import asyncio
import logging
import threading
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final

from lampyr.clock import Clock
from lampyr.observe.base import LogEvent, LogGroup, LogPage, LogRecord
from lampyr.observe.segments import Segments, encode

FLUSH_SECONDS: Final = 0.05
RETRY_SECONDS: Final = 1.0
PENDING_BYTES_MAX: Final = 64 * 1024 * 1024
"""What may wait in memory for a disk that is slow or full."""
BATCH_ITEMS: Final = 128
"""Formatted in one go: the event loop waits for the interpreter no longer than this takes."""
BATCH_BYTES: Final = 512 * 1024
RECORD_BYTES: Final = 512
"""What a `LogRecord` is taken to need in memory."""
EVENT_BYTES: Final = 100
"""What an event needs in memory beside its message."""

log = logging.getLogger(__name__)


_Pending = tuple[LogGroup, tuple[LogEvent, ...] | LogRecord, int]
"""What was appended, and the bytes it is taken to need. A bare tuple: made on the warm path."""


class FileLogStore:
    """`LogStore` on one directory, which belongs to this store alone."""

    def __init__(
        self,
        root: Path,
        bytes_per_group: int,
        clock: Clock,
        *,
        pending_bytes_max: int = PENDING_BYTES_MAX,
        flush_seconds: float = FLUSH_SECONDS,
    ) -> None:
        self.on_written: Callable[[Sequence[_Pending]], None] | None = None
        """Is told, in the writer's thread, of what goes to the disk."""
        self._root = root
        self._segments = Segments(root, bytes_per_group, clock)
        self._clock = clock
        self._pending_bytes_max = pending_bytes_max
        self._flush_seconds = flush_seconds
        # Each count is written by one thread alone, so that none needs a lock.
        self._pending: deque[_Pending] = deque()
        self._appended = 0
        self._dropped = 0
        self._written = 0
        self._lost: Counter[LogGroup] = Counter()
        self._losing = threading.Lock()
        self._stuck: list[tuple[LogGroup, bytes]] = []
        self._followers: dict[LogGroup, set[asyncio.Event]] = {}
        self._writing = threading.Lock()
        self._work = threading.Event()
        self._closing = threading.Event()
        self._writer: threading.Thread | None = None

    def append(self, group: LogGroup, events: Sequence[LogEvent]) -> None:
        size = EVENT_BYTES * len(events)
        for event in events:
            size += len(event.message)
        self._put((group, tuple(events), size))

    def append_record(self, group: LogGroup, record: LogRecord) -> None:
        self._put((group, record, RECORD_BYTES))

    async def read(
        self, group: LogGroup, *, since_ms: int = 0, cursor: str | None = None, most: int = 1_000
    ) -> LogPage:
        def work() -> LogPage:
            self._flush()
            return self._segments.read(group, since_ms=since_ms, cursor=cursor, most=most)

        return await asyncio.to_thread(work)

    async def follow(self, group: LogGroup, cursor: str | None) -> AsyncIterator[LogPage]:
        appended = asyncio.Event()
        self._followers.setdefault(group, set()).add(appended)
        try:
            while True:
                appended.clear()
                page = await self.read(group, cursor=cursor)
                cursor = page.cursor
                if page.events:
                    yield page
                elif self._closing.is_set():
                    return
                else:
                    await appended.wait()
        finally:
            self._forget_follower(group, appended)

    async def delete(self, group: LogGroup) -> None:
        def work() -> None:
            self._flush()
            with self._writing:
                self._stuck = [item for item in self._stuck if item[0] != group]
                self._segments.delete(group)

        await asyncio.to_thread(work)

    async def flush(self) -> None:
        await asyncio.to_thread(self._flush)

    async def close(self) -> None:
        """Everything appended is on disk afterwards; what a full disk refuses is given up."""
        self._closing.set()
        self._work.set()
        for waiting in self._followers.values():
            for appended in waiting:
                appended.set()
        writer, self._writer = self._writer, None
        if writer is not None:
            await asyncio.to_thread(writer.join)
        await asyncio.to_thread(self._flush)

    def _put(self, item: _Pending) -> None:
        pending = self._pending
        pending.append(item)
        self._appended += item[2]
        if len(pending) == 1:
            self._wake_writer()
        if self._appended - self._dropped - self._written > self._pending_bytes_max:
            self._drop_oldest()
        if self._followers:
            for appended in self._followers.get(item[0], ()):
                appended.set()

    def _wake_writer(self) -> None:
        if self._writer is None and not self._closing.is_set():
            self._writer = threading.Thread(target=self._write, name="lampyr-logs", daemon=True)
            self._writer.start()
        self._work.set()

    def _drop_oldest(self) -> None:
        """Half of what may wait, so that a disk that stands still costs little per append."""
        while self._appended - self._dropped - self._written > self._pending_bytes_max // 2:
            try:
                group, events, size = self._pending.popleft()
            except IndexError:  # The writer was quicker.
                return
            self._dropped += size
            with self._losing:
                self._lost[group] += len(_made(events))

    def _forget_follower(self, group: LogGroup, appended: asyncio.Event) -> None:
        waiting = self._followers[group]
        waiting.discard(appended)
        if not waiting:
            del self._followers[group]

    # Below: in the writer's thread, or in one that reads and has the writer's lock.

    def _write(self) -> None:
        pause = self._flush_seconds
        while not self._closing.is_set():
            self._work.wait()
            self._closing.wait(pause)
            self._work.clear()
            pause = self._flush_seconds if self._flush() else RETRY_SECONDS
            if self._pending or self._stuck:
                self._work.set()

    def _flush(self) -> bool:
        """Write all that waits now, not what comes meanwhile; whether the disk took it."""
        until = self._appended
        with self._writing:
            while self._stuck or self._lost or self._written + self._dropped < until:
                was_stuck = bool(self._stuck)
                self._write_stuck()
                if self._stuck:
                    if not was_stuck:
                        log.error("log store cannot write", extra={"root": str(self._root)})
                    return False
                self._take_batch()
            return True

    def _write_stuck(self) -> None:
        """What was taken from the queue, as far as the disk takes it."""
        while self._stuck:
            group, data = self._stuck[0]
            try:
                self._segments.append(group, data)
            except OSError:
                return
            del self._stuck[0]

    def _take_batch(self) -> None:
        batch: list[_Pending] = []
        size = 0
        try:
            while len(batch) < BATCH_ITEMS and size < BATCH_BYTES:
                item = self._pending.popleft()
                batch.append(item)
                size += item[2]
        except IndexError:
            pass
        self._note_lost()
        chunks: dict[LogGroup, list[bytes]] = {}
        last: LogGroup | None = None
        chunk: list[bytes] = []
        for group, events, _ in batch:
            if group is not last:
                last, chunk = group, chunks.setdefault(group, [])
            lines = None if isinstance(events, tuple) else events.lines()
            if lines is not None:
                chunk.append(lines)
            else:
                chunk += map(encode, _made(events))
        self._stuck += [(group, b"".join(chunk)) for group, chunk in chunks.items()]
        self._written += size
        if batch and self.on_written is not None:
            self.on_written(batch)

    def _note_lost(self) -> None:
        with self._losing:
            lost, self._lost = self._lost, Counter()
        for group, count in lost.items():
            text = f"LAMPYR {count} earlier lines were dropped: the disk did not keep up"
            event = LogEvent(int(self._clock.now() * 1_000), "lampyr", text)
            self._stuck.append((group, encode(event)))


def _made(events: tuple[LogEvent, ...] | LogRecord) -> Sequence[LogEvent]:
    return events if isinstance(events, tuple) else events.events()
