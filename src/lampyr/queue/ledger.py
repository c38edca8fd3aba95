"""Changes of the queue on their way to the disk: what comes while one is written goes next.

Alone a change is written at once; in a crowd many share one commit, and one statement for all of
a kind. Only what is done can wait a moment to be deleted, for the next change to take it along: if
Lampyr is killed in that moment, an event is run once more.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from lampyr.clock import Clock
from lampyr.model.event import Event
from lampyr.store.base import Changes, EventTable
from lampyr.tasks import Tasks

log = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 1.0
"""After a failed write; what it was to put is refused, the rest tried again."""
DELETE_SECONDS: Final = 0.05
"""A deletion waits no longer than that for company."""
CROWD: Final = 16
"""So many callers who share one commit are one."""

Done = Callable[[BaseException | None], None]


class Ledger:
    def __init__(self, table: EventTable, tasks: Tasks, clock: Clock) -> None:
        self._table = table
        self._tasks = tasks
        self._clock = clock
        self._put: list[tuple[Event, Done]] = []
        self._update: dict[int, Event] = {}
        self._finish: dict[int, str] = {}
        self._delete: dict[int, None] = {}
        self._busy = False
        self.crowded = False
        """Many callers share the commit that is under way."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._ended = False
        self._linger: asyncio.TimerHandle | None = None

    def put(self, event: Event, done: Done) -> None:
        """`done` hears when the event is durable, or why it is not."""
        self._put.append((event, done))
        self._wake()

    def update(self, event: Event, outcome: str | None = None) -> None:
        self._update[event.id] = event
        if outcome is not None:
            self._finish[event.id] = outcome
        self._wake()

    def delete(self, event: Event) -> None:
        self._delete[event.id] = None
        self._update.pop(event.id, None)
        self._finish.pop(event.id, None)
        self._idle.clear()
        if not self._busy and self._linger is None:
            loop = asyncio.get_running_loop()
            self._linger = loop.call_later(DELETE_SECONDS, self._wake)

    def end(self) -> None:
        """Write nothing more."""
        self._ended = True
        if self._linger is not None:
            self._linger.cancel()

    async def written(self) -> None:
        """Wait until nothing is on its way."""
        if self._delete:
            self._wake()
        await self._idle.wait()

    def _wake(self) -> None:
        if not self._busy:
            self._busy = True
            self._idle.clear()
            # What else this turn of the loop brings goes along.
            asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        if self._ended:
            return
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        put, self._put = self._put, []
        update, self._update = self._update, {}
        finish, self._finish = self._finish, {}
        delete, self._delete = self._delete, {}
        self.crowded = len(put) >= CROWD
        changes = Changes(
            put=[event for event, _ in put],
            update=list(update.values()),
            finish=finish,
            delete=list(delete),
        )

        def written(future: "asyncio.Future[None]") -> None:
            error = None if future.cancelled() else future.exception()
            if error is None:
                self._next()
            else:
                self._keep(changes, error)
            self._tell([done for _, done in put], error)

        self._table.write(changes).add_done_callback(written)

    def _next(self) -> None:
        if self._put or self._update or self._finish or self._delete:
            self._write()
        else:
            self._busy = self.crowded = False
            self._idle.set()

    def _keep(self, changes: Changes, error: BaseException) -> None:
        """Try what is no caller's to hear of again; newer changes of the same event prevail."""
        log.error("events not written", exc_info=error)
        self._delete.update(dict.fromkeys(changes.delete))
        for event in changes.update:
            if event.id not in self._delete:
                self._update.setdefault(event.id, event)
        for number, outcome in changes.finish.items():
            if number not in self._delete:
                self._finish.setdefault(number, outcome)
        if self._update or self._finish or self._delete:
            self._tasks.start(self._again(), "events written again")
        else:
            self._next()

    async def _again(self) -> None:
        await self._clock.sleep(AGAIN_SECONDS)
        self._next()

    def _tell(self, all_done: Sequence[Done], error: BaseException | None) -> None:
        for done in all_done:
            done(error)
