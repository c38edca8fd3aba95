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


class LogRecord(Protocol):
    """Events that are made when they are written or looked at, which the warm path is spared.

    A record never changes once it was handed over: the store's writer reads it in its own thread.
    """

    def events(self) -> Sequence[LogEvent]: ...

    def lines(self) -> bytes | None:
        """The same as the file store writes them, where that is quicker to make; else None."""
        ...


class LogSink(Protocol):
    """What those need who only write."""

    def append(self, group: LogGroup, events: Sequence[LogEvent]) -> None:
        """Never blocks and never raises: written to disk soon after, by the store's own writer."""
        ...

    def append_record(self, group: LogGroup, record: LogRecord) -> None:
        """As `append`; the events of `record` are asked for by the writer. Cheaper still."""
        ...


class LogStore(LogSink, Protocol):
    async def read(
        self, group: LogGroup, *, since_ms: int = 0, cursor: str | None = None, most: int = 1_000
    ) -> LogPage:
        """What was written, oldest first, each line once; also what is not on disk yet.

        Without a cursor from the oldest line that is kept. Fewer than `most` events may come
        although there are more; none at all means that there are none yet. Raises `ValueError`
        for a cursor that no log store gave.
        """
        ...

    def follow(self, group: LogGroup, cursor: str | None) -> AsyncIterator[LogPage]:
        """Pages that have events, from `cursor` (else the oldest line) on, as they come.

        Ends when the caller stops or the store closes.
        """
        ...

    async def delete(self, group: LogGroup) -> None:
        """Forget the group and all its lines. Nothing happens when there is no such group."""
        ...

    async def flush(self) -> None:
        """Everything appended until now is where `read` finds it."""
        ...

    async def close(self) -> None:
        """Everything appended is on disk afterwards."""
        ...
