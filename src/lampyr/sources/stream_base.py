"""What the poller of streams knows of a stream, of its records, and of how a mapping reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lampyr.model.checkpoint import Position, ShardProgress, Start
from lampyr.sources.base import BatchRules, Matches, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    id: str
    parents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    sequence: str
    partition: str
    """Records of one partition stay in order, whatever the parallelization factor."""
    arrived: float
    """Seconds since the epoch."""
    view: Mapping[str, Any]
    """What filters look at."""
    text: str
    """As it stands in the event, in JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    records: Sequence[Record]
    next: str | None
    """None: the shard has ended."""
    heard: int = 0
    """What the bell had counted before the read; see `Stream.rung`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A tumbling window, and what the function made of it so far."""

    start: int
    end: int
    """Seconds since the epoch."""
    state: Any
    shard: str
    source_arn: str
    final: bool = False
    early: bool = False


class IteratorExpiredError(Exception):
    """A place in a shard was kept too long; ask for it again."""


class Stream(Protocol):
    """A source whose records are read in order, shard by shard, and stay where they are."""

    async def shards(self) -> Sequence[Shard]:
        """All there are. Raises `SourceError`, as the others do."""
        ...

    async def iterator(self, shard: str, position: Position) -> str: ...

    async def read(self, shard: str, iterator: str, most: int) -> Page:
        """Raises `IteratorExpiredError` too."""
        ...

    def event(self, records: Sequence[Record], window: Window | None) -> bytes:
        """What the function gets."""
        ...

    def place(self, shard: str, records: Sequence[Record]) -> Mapping[str, Any]:
        """Where records that are given up stand: one member, such as `KinesisBatchInfo`."""
        ...

    async def rung(self, heard: int, seconds: float) -> None:
        """Return when there may be something new since, and at the latest after `seconds`."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRules:
    """What of a mapping a poller of streams goes by. -1 is without end, as in Lambda's API."""

    id: str
    target: Target
    source_arn: str
    function_arn: str
    batch: BatchRules
    start: Start
    timestamp: float = 0.0
    factor: int = 1
    bisect: bool = False
    retries_max: int = -1
    age_max_seconds: int = -1
    window_seconds: int = 0
    """Of tumbling windows; 0 for none."""
    partial: bool = False
    matches: Matches | None = None
    on_failure: str | None = None
    """ARN of the destination of what is given up."""


class Checkpoints(Protocol):
    async def load(self) -> Mapping[str, ShardProgress]: ...

    async def save(self, shards: Mapping[str, ShardProgress]) -> None:
        """Durable when it returns."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Discard:
    """A batch that is given up."""

    records: Sequence[Record]
    shard: str
    condition: str
    """`RetryAttemptsExhausted` or `RecordAgeExceeded`."""
    attempts: int
    request_id: str
    executed_version: str = "$LATEST"
    function_error: str | None = None
    payload: bytes
    """The event that the function got, or would have got."""
    place: Mapping[str, Any]
    """See `Stream.place`."""


class Discards(Protocol):
    async def send(self, rules: StreamRules, discard: Discard) -> None:
        """To the mapping's on-failure destination, if it has one; raises nothing."""
        ...
