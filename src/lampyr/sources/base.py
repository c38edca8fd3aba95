"""What a poller knows of its mapping, of the function behind it, and of a queue."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lampyr.model.function import FunctionKey
from lampyr.model.invocation import InvokeResult

Matches = Callable[[Mapping[str, Any]], bool]
"""Whether a record passes a mapping's filter criteria."""


class SourceError(Exception):
    """The source cannot be read; the message is what the mapping's owner should know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    key: FunctionKey
    qualifier: str | None


class Caller(Protocol):
    """Invokes a function and waits for what it returns."""

    async def call(
        self, target: Target, payload: bytes, *, trace: str | None = None
    ) -> InvokeResult:
        """Raises a `ServiceError` where Lambda would: throttled, deleted, not Active."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRules:
    """How many records make a batch, and how long it waits for them."""

    size: int
    window_seconds: float = 0.0
    bytes_max: int = 6 * 1024 * 1024
    """Of the event as the function gets it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One of a queue's messages."""

    id: str
    """What a function names when it reports that this one failed."""
    record: Mapping[str, Any]
    """What filters look at."""
    text: str
    """As it stands in the event, in JSON."""
    receipt: Any
    """By which the queue knows it."""
    until: float
    """In monotonic seconds: from then on the queue may give it to others."""
    trace: str | None = None
    """The trace header that the sender gave along."""


class Queue(Protocol):
    """A source whose messages are taken, and given back or removed one by one."""

    lanes_max: int | None
    """Most batches in the function at once, where the source has its own limit; known once open."""

    async def open(self) -> None:
        """Raise `SourceError` when there is no such queue, or no way to it."""
        ...

    async def receive(self, most: int, wait_seconds: float) -> Sequence[Message]:
        """Up to `most`; empty when none came within the wait."""
        ...

    async def remove(self, messages: Sequence[Message]) -> None: ...

    async def give_back(self, messages: Sequence[Message], failures: int) -> None:
        """They failed; where a queue has a visibility timeout, it brings them back by itself.

        `failures`: how many batches have failed in a row, this one included; 0 when Lambda did not
        run these at all.
        """
        ...

    async def let_go(self, messages: Sequence[Message]) -> None:
        """They were taken and are not wanted: others may have them at once."""
        ...

    def event(self, messages: Sequence[Message]) -> bytes:
        """What the function gets."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What of a mapping a poller of queues goes by."""

    id: str
    target: Target
    batch: BatchRules
    matches: Matches | None = None
    partial: bool = False
    """The function reports which items of a batch failed."""
    concurrency_max: int | None = None
    pollers_min: int = 0
    """Of its own; 0 where it has none."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """For the log."""
