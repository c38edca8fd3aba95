"""A store in one directory: SQLite for rows, files for packages; for one process on one host.

Everything is read once, at `open`, and kept in memory (`Index`); the database is written
by one thread (`Writer`). WAL with `synchronous=FULL`: what was answered survives a power cut.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lampyr.store.base import StoreError
from lampyr.store.blobs import FileBlobs
from lampyr.store.kinds import KINDS
from lampyr.store.lock import DirectoryLock
from lampyr.store.row_store import RowStore
from lampyr.store.rows import Rows, load

if TYPE_CHECKING:
    from sqlalchemy import Connection

DATABASE: Final = "lampyr.db"
HEAD: Final = "0003"
"""The revision of `schema.sql` and of the last migration."""
APPLICATION_ID: Final = 0x4C4D5052
"""`LMPR`: tells our database from another program's."""


class SqliteStore(RowStore):
    """A `Store`. Made by `open_store`."""

    def __init__(
        self, directory: Path, lock: DirectoryLock, rows: Rows, kinds: Mapping[str, type[Any]]
    ) -> None:
        super().__init__(lambda: _connect(directory / DATABASE), directory, rows, kinds)
        self._lock = lock

    async def close(self) -> None:
        await self._writer.close()
        self._lock.release()


async def open_store(directory: Path, kinds: Mapping[str, type[Any]] = KINDS) -> SqliteStore:
    """Open or create; raise `StoreError` when the directory is taken or holds something else."""
    lock, rows = await asyncio.to_thread(_open, directory, kinds)
    return SqliteStore(directory, lock, rows, kinds)


def _open(directory: Path, kinds: Mapping[str, type[Any]]) -> tuple[DirectoryLock, Rows]:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{directory} cannot be made: {error.strerror}") from error
    lock = DirectoryLock(directory)
    lock.acquire()
    try:
        FileBlobs(directory / "blobs").open()
        return lock, _open_database(directory / DATABASE, kinds)
    except BaseException:
        lock.release()
        raise


def _open_database(path: Path, kinds: Mapping[str, type[Any]]) -> Rows:
    try:
        path.touch(mode=0o600)  # It holds the environment variables of functions.
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            revision = _revision(connection, path)
            if revision is None:
                _create(connection)
        if revision not in (None, HEAD):
            _upgrade(path)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            return load(connection.execute, kinds)
    except (OSError, sqlite3.Error, ValueError, KeyError, TypeError) as error:
        message = (
            f"{path} cannot be read: {error}. "
            "Restore it from a backup, or move it away and deploy the functions again"
        )
        raise StoreError(message) from error


def _revision(connection: sqlite3.Connection, path: Path) -> str | None:
    """Which schema the database has; None for an empty file."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
        return None
    if application != APPLICATION_ID:
        raise StoreError(f"{path} is another program's database: choose another --data-dir")
    (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if revision > HEAD:
        message = f"{path} was written by a newer Lampyr (schema {revision}, this one has {HEAD})"
        raise StoreError(f"{message}: start that one")
    return str(revision)


def _create(connection: sqlite3.Connection) -> None:
    schema = Path(__file__).with_name("schema.sql").read_text()
    connection.execute("PRAGMA journal_mode=WAL")
    connection.executescript(f"BEGIN EXCLUSIVE; PRAGMA application_id={APPLICATION_ID}; {schema}")
    connection.execute("INSERT INTO alembic_version VALUES (?)", (HEAD,))
    connection.execute("COMMIT")


def _upgrade(path: Path) -> None:
    from lampyr.store.migrate import upgrade  # noqa: PLC0415 - takes 0.3 s, and is rarely needed

    connection = _connect(path)
    try:
        with connection.begin():
            upgrade(connection)
    finally:
        connection.close()
        connection.engine.dispose()


def _connect(path: Path) -> Connection:
    """The writer's connection; imports SQLAlchemy."""
    from sqlalchemy import create_engine, event  # noqa: PLC0415 - see `Writer`
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    # Opened on the thread that opens the store when it must migrate, else on the writer's.
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # Transactions begin where `begin` below says.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine.connect()
