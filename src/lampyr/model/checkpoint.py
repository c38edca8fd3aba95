"""How far an event source mapping has come with its stream.

https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lampyr.model.resource import ResourceKey


class Start(StrEnum):
    TRIM_HORIZON = "TRIM_HORIZON"
    LATEST = "LATEST"
    AT_TIMESTAMP = "AT_TIMESTAMP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where reading a shard goes on: after a record, or where the mapping says."""

    after: str | None = None
    """Sequence number of the last record that is done."""
    start: Start = Start.TRIM_HORIZON
    timestamp: float = 0.0
    """For AT_TIMESTAMP; for LATEST when it was first asked for, so that a restart loses nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWindow:
    """A tumbling window that is not over."""

    start: int
    end: int
    """Seconds since the epoch."""
    state: str
    """What the function made of it so far, as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardProgress:
    position: Position
    ended: bool = False
    windows: Mapping[str, OpenWindow] = field(default_factory=dict)
    """By the number of the lane that it is open in; what is behind the position is in its state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """How far a mapping has come; durable."""

    key: ResourceKey
    """`id` is the mapping's UUID."""
    shards: Mapping[str, ShardProgress] = field(default_factory=dict)
