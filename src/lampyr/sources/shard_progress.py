"""How far a shard is done, while its records are run out of order by several lanes."""

from collections import deque
from collections.abc import Iterable

from lampyr.sources.stream_base import Record


class Frontier:
    """Records in the order of the shard; the done ones at the front are what a checkpoint says."""

    def __init__(self) -> None:
        self._order: deque[str] = deque()
        self._done: set[str] = set()
        self.sequence: str | None = None
        """The last record before which, itself included, everything is done; None: none yet."""

    def __len__(self) -> int:
        """Records that were read and are not behind the frontier."""
        return len(self._order)

    def read(self, records: Iterable[Record]) -> None:
        self._order.extend(record.sequence for record in records)

    def done(self, records: Iterable[Record]) -> bool:
        """True when the frontier moved."""
        self._done.update(record.sequence for record in records)
        moved = False
        while self._order and self._order[0] in self._done:
            self.sequence = self._order.popleft()
            self._done.discard(self.sequence)
            moved = True
        return moved
