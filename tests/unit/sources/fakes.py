"""A queue, a stream and a function of the tests' own."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lampyr.clock import Clock
from lampyr.model.checkpoint import Position, ShardProgress
from lampyr.model.invocation import InvokeResult
from lampyr.sources.base import Message, SourceError, Target
from lampyr.sources.stream_base import (
    Discard,
    Page,
    Record,
    Shard,
    StreamRules,
    Window,
)
from lampyr.sources.stream_rules import event, milliseconds, place


@dataclass
class FakeFunction:
    """Answers as `answer` says of the event; remembers the events."""

    answer: Callable[[Any], Any] = lambda _event: None
    events: list[Any] = field(default_factory=list)
    running: int = 0
    most_running: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def call(
        self, target: Target, payload: bytes, *, trace: str | None = None
    ) -> InvokeResult:
        event = json.loads(payload)
        self.events.append(event)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
            found = self.answer(event)
        finally:
            self.running -= 1
        if isinstance(found, Exception):
            raise found
        if isinstance(found, InvokeResult):
            return found
        return InvokeResult(executed_version="1", payload=json.dumps(found).encode())

    def ids(self) -> list[list[str]]:
        return [[record["id"] for record in event["Records"]] for event in self.events]


def failure() -> InvokeResult:
    return InvokeResult(executed_version="1", payload=b"{}", function_error="Unhandled")


@dataclass
class FakeQueue:
    """Messages that are taken stay away until `return_all`."""

    clock: Clock
    waiting: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)
    errors: list[SourceError] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    receives: int = 0
    visibility: float = 30.0
    lanes_max: int | None = None
    failures: list[int] = field(default_factory=list)

    def put(self, *names: str) -> None:
        self.waiting += names
        self.arrived.set()

    async def open(self) -> None:
        if self.errors:
            raise self.errors.pop(0)

    async def receive(self, most: int, wait_seconds: float) -> Sequence[Message]:
        self.receives += 1
        if self.errors:
            raise self.errors.pop(0)
        if not self.waiting:
            from lampyr.sources.waiting import first

            self.arrived.clear()
            await first(self.arrived, self.clock, wait_seconds)
        names, self.waiting = self.waiting[:most], self.waiting[most:]
        self.taken += names
        return [self._message(name) for name in names]

    def _message(self, name: str) -> Message:
        record = {"id": name, "body": name}
        until = self.clock.monotonic() + self.visibility
        text = json.dumps(record)
        return Message(id=name, record=record, text=text, receipt=name, until=until)

    async def remove(self, messages: Sequence[Message]) -> None:
        self.removed += [message.id for message in messages]

    async def give_back(self, messages: Sequence[Message], failures: int) -> None:
        self.failures.append(failures)
        self.returned += [message.id for message in messages]

    async def let_go(self, messages: Sequence[Message]) -> None:
        self.waiting = [message.id for message in messages] + self.waiting

    def event(self, messages: Sequence[Message]) -> bytes:
        return ('{"Records":[' + ",".join(m.text for m in messages) + "]}").encode()

    async def close(self) -> None: ...


class FakeStream:
    """Shards of records that stay; sequence numbers count up."""

    def __init__(self, clock: Clock, *shards: str) -> None:
        self.clock = clock
        self.shards_there: dict[str, tuple[str, ...]] = dict.fromkeys(shards, ())
        self.records: dict[str, list[Record]] = {name: [] for name in shards}
        self.closed: set[str] = set()
        self.count = 0
        self.rings = asyncio.Event()
        self.errors: list[Exception] = []
        self.iterators: list[tuple[str, Position]] = []

    def put(self, shard: str, *names: str, partition: str = "p") -> None:
        for name in names:
            self.count += 1
            shown = {"id": name, "sequence": f"{self.count:06d}", "partition": partition}
            self.records[shard].append(
                Record(
                    sequence=shown["sequence"],
                    partition=partition,
                    arrived=self.clock.now(),
                    view=shown,
                    text=json.dumps(shown),
                )
            )
        self.rings.set()

    def split(self, parent: str, *children: str) -> None:
        self.closed.add(parent)
        for child in children:
            self.shards_there[child] = (parent,)
            self.records[child] = []
        self.rings.set()

    async def shards(self) -> Sequence[Shard]:
        if self.errors:
            raise self.errors.pop(0)
        return [Shard(id=name, parents=parents) for name, parents in self.shards_there.items()]

    async def iterator(self, shard: str, position: Position) -> str:
        self.iterators.append((shard, position))
        if position.after is not None:
            done = [r for r in self.records[shard] if r.sequence <= position.after]
            return str(len(done))
        return "0"

    async def read(self, shard: str, iterator: str, most: int) -> Page:
        if self.errors:
            raise self.errors.pop(0)
        at = int(iterator)
        records = self.records[shard][at : at + most]
        following: str | None = str(at + len(records))
        if shard in self.closed and at + len(records) == len(self.records[shard]):
            following = None
        return Page(records=records, next=following)

    def event(self, records: Sequence[Record], window: Window | None) -> bytes:
        return event(records, window)

    def place(self, shard: str, records: Sequence[Record]) -> Mapping[str, Any]:
        return {"KinesisBatchInfo": place(shard, records, "arn:of:the:stream", milliseconds)}

    async def rung(self, heard: int, seconds: float) -> None:
        self.rings.clear()
        await asyncio.sleep(0)

    async def close(self) -> None: ...


@dataclass
class FakeCheckpoints:
    shards: Mapping[str, ShardProgress] = field(default_factory=dict)
    saves: int = 0

    async def load(self) -> Mapping[str, ShardProgress]:
        return self.shards

    async def save(self, shards: Mapping[str, ShardProgress]) -> None:
        self.shards = dict(shards)
        self.saves += 1


@dataclass
class FakeDiscards:
    sent: list[Discard] = field(default_factory=list)

    async def send(self, rules: StreamRules, discard: Discard) -> None:
        self.sent.append(discard)
