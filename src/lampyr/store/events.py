"""Accepted events as rows: written many at a time, each deleted when it is done.

The statements are text that every database understands, handed to its driver: SQLAlchemy's own
would be more than half of the time that a commit of one event takes.
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
        text = f"SELECT id, {', '.join(_CONTENT)} FROM events WHERE id IN ({_marks(len(ids))})"  # noqa: S608

        def work(connection: Connection) -> None:
            rows = connection.exec_driver_sql(_for(connection, text), tuple(ids))
            found.update((row[0], Content(*row[1:])) for row in rows)

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
    statements = [
        (_INSERT, [_row(event) for event in changes.put]),
        (_UPDATE, [(e.due, e.attempts, e.setbacks, e.id) for e in changes.update]),
        (_FINISH, [(outcome, number) for number, outcome in changes.finish.items()]),
        (_DELETE, [(number,) for number in changes.delete]),
    ]

    def work(connection: Connection) -> None:
        for text, rows in statements:
            if rows:
                connection.exec_driver_sql(_for(connection, text), rows)

    return work


def _row(event: Event) -> tuple[Any, ...]:
    content = event.content
    if content is None:
        raise ValueError("an event is put with its content")
    return (
        event.id,
        *event.key,
        event.created,
        event.qualifier,
        event.accepted,
        event.due,
        event.attempts,
        event.setbacks,
        *content,
    )


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def _for(connection: Connection, text: str) -> str:
    """The statement as the driver of this database wants the places of values marked."""
    return text if connection.dialect.paramstyle == "qmark" else text.replace("?", "%s")


_COLUMNS: Final = (*_HEAD.split(", "), *_CONTENT)
_INSERT: Final = f"INSERT INTO events ({', '.join(_COLUMNS)}) VALUES ({_marks(len(_COLUMNS))})"  # noqa: S608
_UPDATE: Final = "UPDATE events SET due = ?, attempts = ?, setbacks = ? WHERE id = ?"
_FINISH: Final = "UPDATE events SET outcome = ? WHERE id = ?"
_DELETE: Final = "DELETE FROM events WHERE id = ?"
