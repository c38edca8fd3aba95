"""The pollers of all event source mappings, one for each that is enabled.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventsourcemapping.html
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from lampyr.aws.base import Aws
from lampyr.clock import Clock
from lampyr.model.checkpoint import Checkpoint
from lampyr.model.mapping import EventSourceMapping, MappingState, SourceKind
from lampyr.model.resource import ResourceKey
from lampyr.sources.base import Caller, Queue
from lampyr.sources.bells import Bells
from lampyr.sources.brokers import Brokers
from lampyr.sources.checkpoints import StoredCheckpoints
from lampyr.sources.dynamodb import DynamoDbStream
from lampyr.sources.kinesis import KinesisStream
from lampyr.sources.queue_poller import QueuePoller
from lampyr.sources.settings import stream_rules, subscription
from lampyr.sources.sqs import SqsQueue
from lampyr.sources.stream_base import Checkpoints, Discards, Stream
from lampyr.sources.stream_poller import StreamPoller
from lampyr.store.base import FunctionTable, Store, Table
from lampyr.tasks import Tasks, supervise

log = logging.getLogger(__name__)

FINISH_SECONDS: Final = 900.0
"""As long as a function may take: batches that it has may come to their end."""
_ENDING: Final = frozenset({MappingState.DISABLING, MappingState.DISABLED, MappingState.DELETING})

Processed = Callable[[ResourceKey, str], Awaitable[None]]
"""Notes a mapping's last processing result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollerParts:
    store: Store
    aws: Aws
    caller: Caller
    discards: Discards
    bells: Bells
    clock: Clock
    brokers: Brokers


@dataclass(slots=True)
class _Running:
    mapping: EventSourceMapping
    poller: QueuePoller | StreamPoller
    task: asyncio.Task[None]


class MappingPollers:
    """Implements `lampyr.control.sources.reconciler.Pollers`."""

    def __init__(self, parts: PollerParts) -> None:
        self._parts = parts
        self._functions: FunctionTable = parts.store.functions
        self._checkpoints: Table[Checkpoint] = parts.store.table(Checkpoint)
        self._tasks = Tasks()
        self._running: dict[ResourceKey, _Running] = {}
        self._results = _Results(self._tasks)

    def bind(self, processed: Processed) -> None:
        """Who notes results: the control plane, which needs us first."""
        self._results.processed = processed

    async def apply(self, mapping: EventSourceMapping) -> None:
        """See `Pollers`."""
        running = self._running.get(mapping.key)
        if not mapping.enabled or mapping.state in _ENDING:
            await self._stop(mapping.key)
        elif running is None:
            await self._start(mapping)
        elif _is_same_reader(running.mapping, mapping):
            running.mapping = mapping
            if isinstance(running.poller, QueuePoller):
                running.poller.subscription = subscription(mapping)
            else:
                running.poller.rules = stream_rules(mapping)
        else:
            await self._stop(mapping.key)
            await self._start(mapping)
        if mapping.state is MappingState.DELETING:
            await StoredCheckpoints(self._checkpoints, mapping.key).forget()

    async def close(self) -> None:
        """Read no more; what functions have is cut short, and comes again."""
        await self._tasks.close()
        self._running.clear()

    async def _start(self, mapping: EventSourceMapping) -> None:
        poller = await self._poller(mapping)
        name = f"mapping {mapping.key.id}"
        work = supervise(poller.run, name, sleep=self._parts.clock.sleep)
        self._running[mapping.key] = _Running(mapping, poller, self._tasks.start(work, name))

    async def _stop(self, key: ResourceKey) -> None:
        running = self._running.pop(key, None)
        if running is None:
            return
        if isinstance(running.poller, QueuePoller):
            try:
                async with asyncio.timeout(FINISH_SECONDS):
                    await running.poller.finish()
            except TimeoutError:
                log.warning("a batch was cut short", extra={"mapping": key.id})
        running.task.cancel()
        await asyncio.wait([running.task])

    async def _poller(self, mapping: EventSourceMapping) -> QueuePoller | StreamPoller:
        key, parts = mapping.key, self._parts

        def result(text: str) -> None:
            self._results.note(key, text)

        if (queue := self._queue(mapping)) is not None:
            return QueuePoller(
                subscription(mapping), queue, parts.caller, parts.clock, result=result
            )
        return await self._stream_poller(mapping, result)

    def _queue(self, mapping: EventSourceMapping) -> Queue | None:
        parts = self._parts
        if mapping.source.kind is SourceKind.SQS:
            gathers = bool(mapping.settings.batching_window_seconds)
            arn = mapping.source.arn or ""
            return SqsQueue(arn, parts.aws, parts.clock, gathers=gathers)
        if mapping.source.kind is SourceKind.MQ:
            # This and others here take long to import, and few need them: not at every start.
            from lampyr.sources.mq import MqQueue  # noqa: PLC0415

            return MqQueue(mapping, parts.brokers, parts.clock)
        return None

    async def _stream_poller(
        self, mapping: EventSourceMapping, result: Callable[[str], None]
    ) -> StreamPoller:
        parts, arn, kind = self._parts, mapping.source.arn or "", mapping.source.kind
        key = mapping.key
        stream: Stream
        checkpoints: Checkpoints = StoredCheckpoints(self._checkpoints, key)
        if kind in (SourceKind.KAFKA, SourceKind.MSK):
            from lampyr.sources.kafka import KafkaStream  # noqa: PLC0415

            stream = checkpoints = KafkaStream(
                mapping, aws=parts.aws, clock=parts.clock, kept=checkpoints
            )
        elif kind is SourceKind.DOCUMENTDB:
            from lampyr.sources.documentdb import DocumentDbStream  # noqa: PLC0415

            stream = DocumentDbStream(mapping, brokers=parts.brokers, clock=parts.clock)
        elif kind is SourceKind.KINESIS:
            function = await self._functions.get(mapping.function)
            role = "" if function is None else function.latest.role
            stream = KinesisStream(
                arn, role=role, aws=parts.aws, bells=parts.bells, clock=parts.clock
            )
        else:
            stream = DynamoDbStream(arn, aws=parts.aws, bells=parts.bells, clock=parts.clock)
        return StreamPoller(
            rules=stream_rules(mapping),
            stream=stream,
            caller=parts.caller,
            checkpoints=checkpoints,
            discards=parts.discards,
            clock=parts.clock,
            result=result,
        )


def _is_same_reader(old: EventSourceMapping, new: EventSourceMapping) -> bool:
    """Whether a poller can go on with other settings; how many lanes a shard has it cannot change.

    The source of a mapping never changes.
    """
    return _reading(old) == _reading(new)


def _reading(mapping: EventSourceMapping) -> tuple[object, ...]:
    settings = mapping.settings
    ahead: int | bool | None = None
    if mapping.source.kind is SourceKind.MQ:
        # The size of a batch is also how many messages are taken ahead.
        ahead = settings.batch_size
    elif mapping.source.kind is SourceKind.SQS:
        ahead = bool(settings.batching_window_seconds)
    return (
        settings.parallelization_factor,
        settings.tumbling_window_seconds,
        settings.access,
        settings.document_database,
        ahead,
    )


class _Results:
    """Notes the latest result of each mapping, one write at a time for each."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._latest: dict[ResourceKey, str] = {}
        self._last: dict[ResourceKey, str] = {}
        self.processed: Processed | None = None

    def note(self, key: ResourceKey, text: str) -> None:
        if self.processed is None or self._last.get(key) == text:
            return
        self._last[key] = text
        busy = key in self._latest
        self._latest[key] = text
        if not busy:
            self._tasks.start(self._write(key), f"result of {key.id}")

    async def _write(self, key: ResourceKey) -> None:
        written: str | None = None
        try:
            while self.processed is not None and written != self._latest[key]:
                written = self._latest[key]
                await self.processed(key, written)
        finally:
            del self._latest[key]
