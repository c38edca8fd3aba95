"""Accepted events as rows: written many at a time, each deleted when it is done.

No object of SQLAlchemy's is made for an event: at thousands a second that would be most of the
work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from lampyr.model.event import Content, Event
from lampyr.model.function import FunctionKey
from lampyr.store.base import Changes

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from lampyr.store.rows import Query
    from lampyr.store.writer import Work

_HEAD: Final = "id, account_id, region, name, created, qualifier, accepted, due, attempts, setbacks"
_CONTENT: Final = Content._fields


class MemoryEvents:
    """An `EventTable` that forgets what it held when its process ends."""

    def __init__(self) -> None:
        self.rows: dict[int, Content] = {}
        self.events: dict[int, Event] = {}

    def unfinished(self) -> Iterable[Event]:
        return ()

    def heads(self) -> list[Event]:
        """What `unfinished` of a table that remembers would give."""
        return [
            replace(event, content=None, finished=self.rows[number].outcome is not None)
            for number, event in self.events.items()
        ]

    def write(self, changes: Changes) -> asyncio.Future[None]:
        for event in changes.put:
            if event.content is not None:
                self.rows[event.id] = event.content
        for event in (*changes.put, *changes.update):
            self.events[event.id] = replace(event, content=None)
        for number, outcome in changes.finish.items():
            self.rows[number] = self.rows[number]._replace(outcome=outcome)
        for number in changes.delete:
            del self.rows[number], self.events[number]
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    async def contents(self, ids: Sequence[int]) -> Mapping[int, Content]:
        return {number: self.rows[number] for number in ids if number in self.rows}


class RowEvents:
    """An `EventTable` in a database, by the thread that writes to it."""

    def __init__(
        self, submit: Callable[[Work], asyncio.Future[None]], unfinished: Iterable[Event] = ()
    ) -> None:
        self._submit = submit
        self._unfinished: list[Event] = list(unfinished)

    def unfinished(self) -> Iterable[Event]:
        found, self._unfinished = self._unfinished, []
        return found

    def write(self, changes: Changes) -> asyncio.Future[None]:
        return self._submit(_work(changes))

    async def contents(self, ids: Sequence[int]) -> Mapping[int, Content]:
        found: dict[int, Content] = {}

        def work(connection: Connection) -> None:
            from sqlalchemy import select  # noqa: PLC0415 - see `Writer`

            from lampyr.store.tables import EVENTS  # noqa: PLC0415

            columns = [EVENTS.c[name] for name in ("id", *_CONTENT)]
            for row in connection.execute(select(*columns).where(EVENTS.c.id.in_(ids))):
                found[row[0]] = Content(*row[1:])

        await self._submit(work)
        return found


def load(query: Query) -> Iterator[Event]:
    """Every event there is, oldest first, without its content."""
    for row in query(f"SELECT {_HEAD}, outcome IS NOT NULL FROM events ORDER BY id"):  # noqa: S608
        number, account_id, region, name, created, qualifier, accepted, due, *counts = row
        attempts, setbacks, finished = counts
        yield Event(
            id=number,
            key=FunctionKey(account_id, region, name),
            created=created,
            qualifier=qualifier,
            accepted=accepted,
            due=due,
            attempts=attempts,
            setbacks=setbacks,
            finished=bool(finished),
            content=None,
        )


def _work(changes: Changes) -> Work:
    """The statements; the values are taken now, since events change."""
    put = [_row(event) for event in changes.put]
    update = [_update(event) for event in changes.update]
    finish = [{"key": number, "outcome": text} for number, text in changes.finish.items()]
    delete = [{"key": number} for number in changes.delete]

    def work(connection: Connection) -> None:
        from lampyr.store import event_statements as sql  # noqa: PLC0415

        for statement, rows in (
            (sql.INSERT, put),
            (sql.UPDATE, update),
            (sql.FINISH, finish),
            (sql.DELETE, delete),
        ):
            if rows:
                connection.execute(statement, rows)

    return work


def _row(event: Event) -> dict[str, Any]:
    content = event.content
    if content is None:
        raise ValueError("an event is put with its content")
    return {
        "id": event.id,
        "account_id": event.key.account_id,
        "region": event.key.region,
        "name": event.key.name,
        "created": event.created,
        "qualifier": event.qualifier,
        "accepted": event.accepted,
        "due": event.due,
        "attempts": event.attempts,
        "setbacks": event.setbacks,
        **content._asdict(),
    }


def _update(event: Event) -> dict[str, Any]:
    return {
        "key": event.id,
        "due": event.due,
        "attempts": event.attempts,
        "setbacks": event.setbacks,
    }
