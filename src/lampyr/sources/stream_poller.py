"""Reads one stream for one mapping: finds its shards, and reads children after their parents.

https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from lampyr.clock import Clock
from lampyr.model.checkpoint import ShardProgress
from lampyr.sources.base import Caller, SourceError
from lampyr.sources.batch_runner import BatchRunner
from lampyr.sources.rules import backoff_seconds
from lampyr.sources.shard_reader import ShardReader
from lampyr.sources.stream_base import Checkpoints, Discards, Shard, Stream, StreamRules
from lampyr.sources.stream_rules import beginnings, readable
from lampyr.sources.waiting import first
from lampyr.tasks import Tasks

log = logging.getLogger(__name__)

DISCOVERY_SECONDS: Final = 10.0
"""How often a stream is asked for new shards; at once when one ends."""


class StreamPoller:
    """Polls while `run` runs. `rules` may be replaced meanwhile, but for the factor."""

    def __init__(
        self,
        *,
        rules: StreamRules,
        stream: Stream,
        caller: Caller,
        checkpoints: Checkpoints,
        discards: Discards,
        clock: Clock,
        result: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.rules = rules
        self._stream = stream
        self._caller = caller
        self._checkpoints = checkpoints
        self._discards = discards
        self._clock = clock
        self._result = result
        self._tasks = Tasks()
        self._progress: dict[str, ShardProgress] = {}
        self._changed = asyncio.Event()
        self._unsaved = asyncio.Event()
        self._saver = Tasks()
        self._reading: set[str] = set()

    async def run(self) -> None:
        """Until cancelled; what the function has then runs again from the last checkpoint on."""
        self._progress = dict(await self._checkpoints.load())
        self._saver.start(self._save_all(), f"checkpoints of {self.rules.id}")
        try:
            await self._discover()
        finally:
            await self._tasks.close()
            await self._saver.close()
            if self._unsaved.is_set():
                await self._checkpoints.save(self._progress)
            await self._stream.close()

    async def _discover(self) -> None:
        attempt = 0
        while True:
            self._changed.clear()
            try:
                shards = await self._stream.shards()
            except SourceError as error:
                attempt += 1
                self._result(f"PROBLEM: {error}")
                await self._clock.sleep(backoff_seconds(attempt))
                continue
            attempt = 0
            await self._begin(shards)
            await first(self._changed, self._clock, DISCOVERY_SECONDS)

    async def _begin(self, shards: Sequence[Shard]) -> None:
        new = beginnings(shards, self._progress, self.rules, self._clock.now())
        there = {shard.id for shard in shards}
        gone = [name for name in self._progress if name not in there and name not in self._reading]
        if new or gone:
            self._progress.update(new)
            for name in gone:
                del self._progress[name]
            # Before the first read: LATEST means since then, also after a crash.
            await self._checkpoints.save(self._progress)
        for shard in readable(shards, self._progress):
            if shard.id not in self._reading:
                self._reading.add(shard.id)
                self._tasks.start(self._read(shard), f"shard {shard.id}")

    async def _read(self, shard: Shard) -> None:
        def saved(progress: ShardProgress) -> None:
            self._progress[shard.id] = progress
            self._unsaved.set()

        def rules() -> StreamRules:
            return self.rules

        runner = BatchRunner(
            shard=shard.id,
            rules=rules,
            stream=self._stream,
            caller=self._caller,
            discards=self._discards,
            clock=self._clock,
            result=self._result,
        )
        reader = ShardReader(
            shard=shard.id,
            progress=self._progress[shard.id],
            rules=rules,
            stream=self._stream,
            runner=runner,
            clock=self._clock,
            saved=saved,
            result=self._result,
        )
        try:
            await reader.run()
        finally:
            self._reading.discard(shard.id)
            self._changed.set()

    async def _save_all(self) -> None:
        """One write at a time: what comes while it is under way goes into the next."""
        attempt = 0
        while True:
            await self._unsaved.wait()
            self._unsaved.clear()
            try:
                await self._checkpoints.save(dict(self._progress))
                attempt = 0
            except Exception:  # The store may come back; until then more would run again.
                log.exception("checkpoint not saved", extra={"mapping": self.rules.id})
                attempt += 1
                self._unsaved.set()
                await self._clock.sleep(backoff_seconds(attempt))
