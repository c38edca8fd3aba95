"""Reads one shard in order, and has its records run by as many lanes as the mapping asks for.

    stream ──read──▶ filter ──▶ lane (partition) ──batch──▶ function
                                   │                          │
                         frontier ◀┴──────────── done ────────┘──▶ checkpoint

A checkpoint is behind every record that is not done: after a crash some run again, none is lost.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from lampyr.clock import Clock
from lampyr.model.checkpoint import Position, ShardProgress, Start
from lampyr.sources.base import SourceError
from lampyr.sources.batch_runner import BatchRunner
from lampyr.sources.rules import backoff_seconds, fitting
from lampyr.sources.shard_progress import Frontier
from lampyr.sources.stream_base import (
    IteratorExpiredError,
    Page,
    Record,
    Stream,
    StreamRules,
    Window,
)
from lampyr.sources.stream_rules import is_over, kept, lane_of, taken_up, window_of
from lampyr.sources.waiting import first
from lampyr.tasks import Tasks

READ_MAX: Final = 1_000
"""Records of one read; what DynamoDB gives at most."""
AHEAD_MAX: Final = 10_000
"""Records that are read and not done, until reading waits for the function."""
IDLE_SECONDS: Final = 1.0
"""How often a shard is asked when nothing says that it has something new."""


class ShardReader:
    """Run `run` until it returns, at the end of the shard, or is cancelled."""

    def __init__(
        self,
        *,
        shard: str,
        progress: ShardProgress,
        rules: Callable[[], StreamRules],
        stream: Stream,
        runner: BatchRunner,
        clock: Clock,
        saved: Callable[[ShardProgress], None],
        result: Callable[[str], None],
    ) -> None:
        """`saved` hears of progress, to make it durable."""
        self._shard = shard
        self._position = progress.position
        self._windows = progress.windows
        self._rules = rules
        self._stream = stream
        self._runner = runner
        self._clock = clock
        self._saved = saved
        self._result = result
        self._frontier = Frontier()
        self._room = asyncio.Event()
        self._room.set()
        self._tasks = Tasks()
        self._lanes: list[_Lane] = []
        self._last_read: str | None = None
        self.caught_up = False
        """The last read found nothing."""

    async def run(self) -> None:
        self._lanes = [_Lane(self, self._window(n)) for n in range(self._rules().factor)]
        for number, lane in enumerate(self._lanes):
            self._tasks.start(lane.run(), f"lane {number} of {self._shard}")
        try:
            await self._read_all()
            for lane in self._lanes:
                lane.end()
            await self._tasks.ended()
        finally:
            await self._tasks.close()
        self._saved(ShardProgress(position=self._place(), ended=True))

    def _window(self, lane: int) -> Window | None:
        """The one that an earlier reader left open."""
        rules, found = self._rules(), self._windows.get(str(lane))
        if found is None or not rules.window_seconds:
            return None
        return taken_up(found, self._shard, rules.source_arn)

    async def _read_all(self) -> None:
        iterator: str | None = None
        attempt = 0
        while True:
            await self._room.wait()
            try:
                if iterator is None:
                    iterator = await self._stream.iterator(self._shard, self._read_place())
                page = await self._stream.read(self._shard, iterator, READ_MAX)
            except IteratorExpiredError:
                iterator = None
                continue
            except SourceError as error:
                attempt += 1
                self._result(f"PROBLEM: {error}")
                await self._clock.sleep(backoff_seconds(attempt))
                continue
            attempt = 0
            self._take(page)
            iterator = page.next
            if iterator is None:
                return
            if not page.records:
                await self._stream.rung(page.heard, IDLE_SECONDS)

    def _read_place(self) -> Position:
        if self._last_read is not None:
            return Position(after=self._last_read)
        return self._position

    def _take(self, page: Page) -> None:
        """Share a page's records among the lanes."""
        self.caught_up = not page.records
        if self.caught_up:
            for lane in self._lanes:
                lane.look()
            return
        rules = self._rules()
        self._last_read = page.records[-1].sequence
        self._frontier.read(page.records)
        dropped = []
        for record in page.records:
            if self._is_before_start(record) or (
                rules.matches is not None and not rules.matches(record.view)
            ):
                dropped.append(record)
            else:
                self._lanes[lane_of(record.partition, len(self._lanes))].put(record)
        self.done(dropped)
        if len(self._frontier) >= AHEAD_MAX:
            self._room.clear()

    def _is_before_start(self, record: Record) -> bool:
        """Where a stream cannot be read from a time on, it is read from its beginning."""
        position = self._position
        return (
            position.after is None
            and position.start is not Start.TRIM_HORIZON
            and int(record.arrived) < int(position.timestamp)
        )

    # For lanes --------------------------------------------------------------------------

    def done(self, records: Sequence[Record]) -> None:
        if self._frontier.done(records):
            self.save()
        if len(self._frontier) < AHEAD_MAX:
            self._room.set()

    def save(self) -> None:
        found = ((str(number), lane.window) for number, lane in enumerate(self._lanes))
        windows = {number: kept(window) for number, window in found if window is not None}
        self._saved(ShardProgress(position=self._place(), windows=windows))

    def _place(self) -> Position:
        sequence = self._frontier.sequence
        return self._position if sequence is None else Position(after=sequence)

    @property
    def rules(self) -> StreamRules:
        return self._rules()

    @property
    def shard(self) -> str:
        return self._shard

    @property
    def runner(self) -> BatchRunner:
        return self._runner

    @property
    def clock(self) -> Clock:
        return self._clock


class _Lane:
    """Runs the records of some partitions, one batch after the other."""

    def __init__(self, reader: ShardReader, window: Window | None) -> None:
        self._reader = reader
        self._records: deque[Record] = deque()
        self._arrived = asyncio.Event()
        self._ended = False
        self.window = window
        """The tumbling window that is open."""

    def put(self, record: Record) -> None:
        self._records.append(record)
        self._arrived.set()

    def look(self) -> None:
        """There may be a window to close."""
        self._arrived.set()

    def end(self) -> None:
        """No more records come."""
        self._ended = True
        self._arrived.set()

    async def run(self) -> None:
        while True:
            await self._wait(self._window_left())
            rules = self._reader.rules
            if rules.window_seconds:
                await self._close_window()
            if self._records:
                batch = await self._batch()
                await self._run_batch(batch)
            elif self._ended:
                return

    def _window_left(self) -> float | None:
        """Seconds until the open tumbling window closes; None while nobody can say.

        As long as there is more to read, there may be more that belongs to it.
        """
        if self.window is None or not self._reader.caught_up:
            return None
        return max(0.0, self.window.end - self._reader.clock.now())

    async def _wait(self, seconds: float | None) -> None:
        """Until there is a record, the end, or a window to close."""
        if self._records or self._ended:
            return
        self._arrived.clear()
        if seconds is None:
            await self._arrived.wait()
        else:
            await first(self._arrived, self._reader.clock, seconds)

    async def _batch(self) -> list[Record]:
        """As many records as a batch may have; fewer once the batching window has passed."""
        rules = self._reader.rules.batch
        deadline = self._reader.clock.monotonic() + rules.window_seconds
        while len(self._records) < rules.size and not self._ended:
            left = deadline - self._reader.clock.monotonic()
            if left <= 0:
                break
            self._arrived.clear()
            await first(self._arrived, self._reader.clock, left)
        batch = [self._records.popleft() for _ in range(min(rules.size, len(self._records)))]
        fits = fitting([len(record.text) for record in batch], rules.bytes_max)
        fits = min(fits, self._in_window(batch))
        self._records.extendleft(reversed(batch[fits:]))
        return batch[:fits]

    async def _run_batch(self, batch: list[Record]) -> None:
        window = self._open_window(batch[0])
        self.window = await self._reader.runner.run(batch, self._done, window)
        if self.window is not None and is_over(self.window):
            await self._tell_end(self.window, early=True)

    def _done(self, records: Sequence[Record], window: Window | None) -> None:
        """The checkpoint has the state with those records in it."""
        self.window = window
        self._reader.done(records)

    # Tumbling windows -------------------------------------------------------------------

    def _in_window(self, batch: list[Record]) -> int:
        """How many records, from the first, belong to one tumbling window."""
        seconds = self._reader.rules.window_seconds
        if not seconds:
            return len(batch)
        first = window_of(batch[0], seconds)
        return next((n for n, r in enumerate(batch) if window_of(r, seconds) != first), len(batch))

    def _open_window(self, record: Record) -> Window | None:
        rules = self._reader.rules
        if not rules.window_seconds:
            return None
        if self.window is not None:
            return self.window
        start, end = window_of(record, rules.window_seconds)
        return Window(
            start=start, end=end, state={}, shard=self._reader.shard, source_arn=rules.source_arn
        )

    async def _close_window(self) -> None:
        """Tell the function that its window is over, when it is: by time, or by a later record."""
        window = self.window
        if window is None:
            return
        seconds = self._reader.rules.window_seconds
        later = bool(self._records) and window_of(self._records[0], seconds)[0] != window.start
        over = not self._records and self._window_left() == 0
        if later or over or (self._ended and not self._records):
            await self._tell_end(window)

    async def _tell_end(self, window: Window, *, early: bool = False) -> None:
        """What else belongs to a window that ended early begins with an empty state."""
        last = replace(window, final=True, early=early)
        await self._reader.runner.run((), self._done, last)
        self.window = None
        self._reader.save()
