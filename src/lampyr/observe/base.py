"""Where the log of functions goes, as those see it who write and read it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class LogGroup(NamedTuple):
    account_id: str
    region: str
    name: str
    """Such as `/aws/lambda/hello`."""


class LogEvent(NamedTuple):
    timestamp_ms: int
    stream: str
    """Such as `2026/11/21/[$LATEST]0c5e…`: one per execution environment."""
    message: str
    """Without the line feed at its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    events: Sequence[LogEvent]
    cursor: str
    """Where the next read goes on; opaque; still valid after a restart."""


class LogStore(Protocol):
    def append(self, group: LogGroup, events: Sequence[LogEvent]) -> None:
        """Never blocks and never raises: written to disk soon after, by the store's own writer."""
        ...

    async def read(
        self, group: LogGroup, *, since_ms: int = 0, cursor: str | None = None, most: int = 1_000
    ) -> LogPage:
        """What was written, oldest first, each line once; also what is not on disk yet."""
        ...

    def follow(self, group: LogGroup, cursor: str | None) -> AsyncIterator[LogPage]:
        """Pages as they come, until the caller stops."""
        ...

    async def delete(self, group: LogGroup) -> None: ...

    async def close(self) -> None:
        """Everything appended is on disk afterwards."""
        ...
