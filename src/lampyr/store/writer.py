"""The one thread that writes to a database, many changes to a commit.

With a commit per change, a disk that takes a millisecond to sync allows under a thousand changes
a second. So whatever waits when the thread comes back from a commit goes into the next one: alone
a change waits for one sync, in a crowd it shares one (group commit; see ADR 5).

The thread makes its connection when the first change comes: importing SQLAlchemy takes longer
than the rest of Lampyr's start.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = logging.getLogger(__name__)

Work = Callable[["Connection"], None]
"""Statements of one change. Run again, alone, when another change of its batch failed."""

BATCH_MAX: Final = 512
_Item = tuple[Work, "asyncio.Future[None]"]


class Writer:
    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="lampyr-store-writer", daemon=True)
        self._closed = False
        self._thread.start()

    def submit(self, work: Work) -> asyncio.Future[None]:
        """Done once the change is durable; fails with what the database said."""
        if self._closed:
            raise RuntimeError("the store is closed")
        future: asyncio.Future[None] = self._loop.create_future()
        self._queue.put((work, future))
        return future

    async def close(self) -> None:
        """Write what was submitted, then end."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)

    # On the thread ---------------------------------------------------------------------

    def _run(self) -> None:
        connection: Connection | None = None
        going = True
        while going:
            batch, going = self._next_batch()
            if not batch:
                continue
            try:
                connection = connection or self._connect()
            except Exception as error:  # noqa: BLE001 - the callers hear it, the thread goes on
                self._settle([(future, error) for _, future in batch])
                continue
            self._settle(_write(connection, batch))
        if connection is not None:
            connection.close()
            connection.engine.dispose()

    def _next_batch(self) -> tuple[list[_Item], bool]:
        """What waits, at least one; False when the end was among it."""
        batch: list[_Item] = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) == BATCH_MAX or self._queue.empty():
                return batch, True
            item = self._queue.get()
        return batch, False

    def _settle(self, results: list[tuple[asyncio.Future[None], Exception | None]]) -> None:
        def settle() -> None:
            for future, error in results:
                if future.done():
                    continue
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)

        try:
            self._loop.call_soon_threadsafe(settle)
        except RuntimeError:  # The loop is closed: nobody waits any more.
            log.warning("written after the end", extra={"changes": len(results)})


def _write(
    connection: Connection, batch: list[_Item]
) -> list[tuple[asyncio.Future[None], Exception | None]]:
    """Commit all together; when that fails, each alone, so that only the guilty one fails."""
    error = _commit(connection, [work for work, _ in batch])
    if error is None or len(batch) == 1:
        return [(future, error) for _, future in batch]
    return [(future, _commit(connection, [work])) for work, future in batch]


def _commit(connection: Connection, works: list[Work]) -> Exception | None:
    try:
        with connection.begin():
            for work in works:
                work(connection)
    except Exception as error:  # noqa: BLE001 - handed to the caller that waits for it
        return error
    return None
