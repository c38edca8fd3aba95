"""A store in PostgreSQL: rows there, packages as files in the data directory; for one server.

As with SQLite everything is read once, at `open_postgresql`, and kept in memory; one thread writes.
So one server at a time may own a database: it holds an advisory lock, and counts up a sequence
when it takes it. After a lost connection the thread connects again and goes on, unless the count
says that another server has owned the database meanwhile.

https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lampyr.store.base import StoreError
from lampyr.store.blobs import FileBlobs
from lampyr.store.kinds import KINDS
from lampyr.store.lock import DirectoryLock
from lampyr.store.row_store import RowStore
from lampyr.store.rows import Rows, load

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


SCHEMES: Final = ("postgresql://", "postgres://")
OWNER: Final = 0x4C4D5052
"""The number of the advisory lock: `LMPR`."""
CONNECT_SECONDS: Final = 10


class PostgresqlStore(RowStore):
    """A `Store`. Made by `open_postgresql`."""

    def __init__(
        self,
        database: _Database,
        directory: Path,
        lock: DirectoryLock,
        rows: Rows,
        kinds: Mapping[str, type[Any]],
    ) -> None:
        super().__init__(database.connect, directory, rows, kinds)
        self._lock = lock
        self._database = database

    async def close(self) -> None:
        await self._writer.close()
        self._database.close()
        self._lock.release()


async def open_postgresql(
    url: str, directory: Path, kinds: Mapping[str, type[Any]] = KINDS
) -> PostgresqlStore:
    """Open, with the schema brought up to date; raise `StoreError` when that cannot be.

    `url` is as libpq reads it, such as `postgresql://user:password@host:5432/lampyr`.
    """
    database, lock, rows = await asyncio.to_thread(_open, url, directory, kinds)
    return PostgresqlStore(database, directory, lock, rows, kinds)


def _open(
    url: str, directory: Path, kinds: Mapping[str, type[Any]]
) -> tuple[_Database, DirectoryLock, Rows]:
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - see `Writer`

    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{directory} cannot be made: {error.strerror}") from error
    database, lock = _Database(url), DirectoryLock(directory)
    lock.acquire()
    try:
        FileBlobs(directory / "blobs").open()
        return database, lock, database.open(kinds)
    except (SQLAlchemyError, ValueError, KeyError, TypeError) as error:
        database.close()
        lock.release()
        what = _shown(url)
        raise StoreError(f"the database {what} cannot be used: {_first_line(error)}") from error
    except BaseException:
        database.close()
        lock.release()
        raise


class _Database:
    """The connection that owns the database; it comes back by itself when the server does."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._epoch: int | None = None
        """The count of owners since we became one; None before."""
        self._connection: Connection | None = None

    def open(self, kinds: Mapping[str, type[Any]]) -> Rows:
        from lampyr.store.migrate import upgrade  # noqa: PLC0415 - see `Writer`

        connection = self.connect()
        try:
            with connection.begin():
                upgrade(connection)
            with connection.begin():
                rows = load(connection.exec_driver_sql, kinds)
        finally:
            self._connection = connection
        return rows

    def close(self) -> None:
        """What the writer has not taken."""
        if (connection := self._connection) is not None:
            self._connection = None
            connection.close()
            connection.engine.dispose()

    def connect(self) -> Connection:
        """For the writer, who closes it: first the one that `open` used, which has the lock."""
        from sqlalchemy import event  # noqa: PLC0415

        if (connection := self._connection) is not None:
            self._connection = None
            return connection
        engine = self._engine()
        event.listen(engine, "connect", self._own)
        event.listen(engine, "close", _give_up)
        return engine.connect()

    def _engine(self) -> Engine:
        from sqlalchemy import create_engine  # noqa: PLC0415
        from sqlalchemy.engine import make_url  # noqa: PLC0415
        from sqlalchemy.pool import NullPool  # noqa: PLC0415

        rest = self._url.partition("://")[2]
        url = make_url(f"postgresql+psycopg://{rest}")
        seconds = {"connect_timeout": CONNECT_SECONDS, "application_name": "lampyr"}
        return create_engine(url, poolclass=NullPool, connect_args=seconds)

    def _own(self, connection: Any, _record: Any) -> None:
        """Take the lock on a fresh connection of the driver; raise when another server has it."""
        try:
            self._take(connection)
        except BaseException:
            connection.close()
            raise

    def _take(self, connection: Any) -> None:
        connection.autocommit = True
        (mine,) = connection.execute(f"SELECT pg_try_advisory_lock({OWNER})").fetchone()
        if not mine:
            raise StoreError(f"the database {_shown(self._url)} is in use by another Lampyr")
        connection.execute("CREATE SEQUENCE IF NOT EXISTS lampyr_owners")
        if self._epoch is None:
            (self._epoch,) = connection.execute("SELECT nextval('lampyr_owners')").fetchone()
        (epoch,) = connection.execute("SELECT last_value FROM lampyr_owners").fetchone()
        if epoch != self._epoch:
            raise StoreError(f"the database {_shown(self._url)} has been taken by another Lampyr")
        connection.autocommit = False


def _give_up(connection: Any, _record: Any) -> None:
    """Of the lock, before the connection is closed: the server may end that a moment later."""
    with contextlib.suppress(Exception):  # It is lost, and the lock with it.
        connection.autocommit = True
        connection.execute(f"SELECT pg_advisory_unlock({OWNER})")


def _shown(url: str) -> str:
    """Without the password."""
    from sqlalchemy.engine import make_url  # noqa: PLC0415

    try:
        return make_url(url).render_as_string(hide_password=True)
    except Exception:  # noqa: BLE001 - what cannot be read is not shown, it may hold a password
        return "that is set"


def _first_line(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return str(cause).strip().partition("\n")[0]
