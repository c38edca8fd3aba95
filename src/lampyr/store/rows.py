"""Functions and resources as rows of a database: all read at once, and changed one at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lampyr.model.event import Event
from lampyr.model.function import Function, FunctionKey, FunctionVersion
from lampyr.store import codec, events
from lampyr.store.base import Key
from lampyr.store.writer import Work

if TYPE_CHECKING:
    from sqlalchemy import Connection

Query = Callable[[str], Iterable[Sequence[Any]]]
"""Runs a SELECT; not SQLAlchemy's, whose import takes longer than the rest of a start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    functions: Sequence[Function]
    resources: Mapping[str, Sequence[Any]]
    """By the name of their kind."""
    events: Sequence[Event] = ()


def load(query: Query, kinds: Mapping[str, type[Any]]) -> Rows:
    """Everything there is. ValueError, KeyError or TypeError when a row cannot be read."""
    resources: dict[str, list[Any]] = {name: [] for name in kinds}
    for name, text in query("SELECT kind, document FROM resources"):
        if name not in kinds:
            raise ValueError(f"a resource of kind {name}, which this Lampyr does not know")
        resources[name].append(codec.load(kinds[name], text))
    return Rows(functions=_functions(query), resources=resources, events=list(events.load(query)))


def _functions(query: Query) -> list[Function]:
    published: defaultdict[FunctionKey, dict[str, FunctionVersion]] = defaultdict(dict)
    for account_id, region, name, number, text in query(
        "SELECT account_id, region, name, number, document FROM function_versions"
        " ORDER BY account_id, region, name, number"
    ):
        key = FunctionKey(account_id, region, name)
        published[key][str(number)] = codec.load_version(key, text)
    functions = []
    for account_id, region, name, text in query(
        "SELECT account_id, region, name, document FROM functions"
    ):
        key = FunctionKey(account_id, region, name)
        functions.append(codec.load_function(key, text, published.get(key, {})))
    return functions


def resource_change(kind: str, old: Any, new: Any) -> Work:
    """The statements that make the row of `old` that of `new`."""
    key: Key = (old if new is None else new).key
    document = None if new is None else codec.dump(new)

    def work(connection: Connection) -> None:
        from sqlalchemy import delete, insert, update  # noqa: PLC0415 - see `Writer`

        from lampyr.store.tables import RESOURCES  # noqa: PLC0415

        where = dict(zip(("kind", "account_id", "region", "id"), (kind, *key), strict=True))
        mine = [RESOURCES.c[name] == value for name, value in where.items()]
        if document is not None and old is not None:
            connection.execute(update(RESOURCES).where(*mine).values(document=document))
            return
        # Also before an insert: a commit whose answer was lost may have been one.
        connection.execute(delete(RESOURCES).where(*mine))
        if document is not None:
            connection.execute(insert(RESOURCES).values(**where, document=document))

    return work


def function_change(old: Function | None, new: Function | None) -> Work:
    """The statements that make the rows of `old` those of `new`."""
    key = new.key if new is not None else old.key if old is not None else None
    row = None if new is None else codec.dump_function(new)
    before = {} if old is None else old.published
    after = {} if new is None else new.published
    gone = [int(n) for n in {*before, *after} if after.get(n) != before.get(n)]
    come = [
        {"number": int(number), "document": codec.dump_version(version)}
        for number, version in after.items()
        if before.get(number) != version
    ]

    def work(connection: Connection) -> None:
        from sqlalchemy import delete, insert, update  # noqa: PLC0415 - see `Writer`

        from lampyr.store.tables import FUNCTIONS, VERSIONS  # noqa: PLC0415

        assert key is not None  # noqa: S101 - a change is of something
        where = {"account_id": key.account_id, "region": key.region, "name": key.name}
        mine = [FUNCTIONS.c[name] == value for name, value in where.items()]
        theirs = [VERSIONS.c[name] == value for name, value in where.items()]
        if row is not None and old is not None:
            connection.execute(update(FUNCTIONS).where(*mine).values(document=row))
            if gone:
                connection.execute(delete(VERSIONS).where(*theirs, VERSIONS.c.number.in_(gone)))
        else:
            # Also before an insert: a commit whose answer was lost may have been one.
            connection.execute(delete(FUNCTIONS).where(*mine))
            connection.execute(delete(VERSIONS).where(*theirs))
            if row is not None:
                connection.execute(insert(FUNCTIONS).values(**where, document=row))
        if come:
            connection.execute(insert(VERSIONS), [{**where, **row} for row in come])

    return work
