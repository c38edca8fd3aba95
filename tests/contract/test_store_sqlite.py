"""What only the SQLite store promises: who may open a directory, and what it may hold."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import lampyr
from lampyr.store.base import StoreError
from lampyr.store.sqlite import DATABASE, HEAD, _connect, open_store
from lampyr.testing.builders import a_function, a_key

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(lampyr.__file__).parents[1])}


def _schema(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        columns = "SELECT m.name, c.name, c.type, c.'notnull', c.pk FROM sqlite_master m"
        return {str(row) for row in connection.execute(f"{columns}, pragma_table_info(m.name) c")}


async def test_a_second_process_is_told_who_has_the_directory(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys, pathlib\n"
        "from lampyr.store.sqlite import open_store\n"
        "async def main():\n"
        "    store = await open_store(pathlib.Path(sys.argv[1]))\n"
        "    print('open', flush=True)\n"
        "    sys.stdin.read()\n"
        "    await store.close()\n"
        "asyncio.run(main())\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(StoreError, match=f"in use by another Lampyr .process {holder.pid}"):
            await open_store(tmp_path)
        holder.communicate()
    assert holder.returncode == 0
    store = await open_store(tmp_path)
    await store.close()


async def test_the_directory_is_free_again_after_a_failed_open(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_bytes(b"not a database" * 100)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"lampyr\.db cannot be read: file is not a database"):
            await open_store(tmp_path)


async def test_a_foreign_database_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StoreError, match="another program's database"):
        await open_store(tmp_path)


async def test_a_newer_database_is_left_alone(tmp_path: Path) -> None:
    await (await open_store(tmp_path)).close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(StoreError, match="newer Lampyr"):
        await open_store(tmp_path)


async def test_a_damaged_row_is_named(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    await store.functions.create(a_function())
    await store.close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
        connection.execute("UPDATE functions SET document = '{}'")
        connection.commit()
    with pytest.raises(StoreError, match="cannot be read"):
        await open_store(tmp_path)


async def test_the_migrations_make_the_schema_of_a_new_database(tmp_path: Path) -> None:
    from alembic.script import ScriptDirectory

    from lampyr.store.migrate import configuration, upgrade

    await (await open_store(tmp_path)).close()
    migrated = tmp_path / "migrated.db"
    connection = _connect(migrated)
    with connection.begin():
        upgrade(connection)
    connection.close()
    connection.engine.dispose()
    assert _schema(migrated) == _schema(tmp_path / DATABASE)
    assert ScriptDirectory.from_config(configuration()).get_heads() == [HEAD]


async def test_an_older_database_goes_through_the_migrations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_store(tmp_path)
    await store.functions.create(a_function())
    await store.close()
    monkeypatch.setattr("lampyr.store.sqlite.HEAD", "9998")
    store = await open_store(tmp_path)
    assert await store.functions.everywhere() == [a_function()]
    await store.close()


async def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        await open_store(tmp_path / "file" / "data")


async def test_nobody_else_can_read_the_database(tmp_path: Path) -> None:
    await (await open_store(tmp_path / "data")).close()
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "data" / DATABASE).stat().st_mode) == 0o600


async def test_what_an_interrupted_upload_left_is_removed(tmp_path: Path) -> None:
    await (await open_store(tmp_path)).close()
    (tmp_path / "blobs" / "partial-abc").write_bytes(b"half")
    store = await open_store(tmp_path)
    assert list((tmp_path / "blobs").iterdir()) == []
    await store.close()


async def test_a_failing_change_fails_alone(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    await store.functions.create(a_function(a_key("first")))

    def fail(_connection: object) -> None:
        raise RuntimeError("no")

    results = await asyncio.gather(
        store.functions.create(a_function(a_key("before"))),
        store._writer.submit(fail),
        store.functions.create(a_function(a_key("after"))),
        return_exceptions=True,
    )
    assert results[0] is True
    assert isinstance(results[1], RuntimeError)
    assert results[2] is True
    await store.close()
    store = await open_store(tmp_path)
    assert len(await store.functions.everywhere()) == 3
    await store.close()


async def test_a_change_that_is_not_durable_is_not_seen(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    await store.functions.create(a_function(a_key("first")))
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
        connection.execute("DROP TABLE functions")
    with pytest.raises(Exception, match="no such table"):
        await store.functions.create(a_function(a_key("second")))
    assert await store.functions.get(a_key("second")) is None
    await store.close()


async def test_opening_imports_no_database_library(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys, pathlib\n"
        "from lampyr.store.sqlite import open_store\n"
        "async def main():\n"
        "    store = await open_store(pathlib.Path(sys.argv[1]))\n"
        "    print([m for m in ('sqlalchemy', 'alembic') if m in sys.modules])\n"
        "    await store.close()\n"
        "asyncio.run(main())\n"
    )
    for _ in range(2):
        answer = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)],
            capture_output=True,
            check=True,
            env=ENVIRONMENT,
        )
        assert answer.stdout == b"[]\n"


async def test_a_database_that_cannot_be_opened_for_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_store(tmp_path)

    def fail(_path: Path) -> None:
        raise OSError("no more files")

    with monkeypatch.context() as patch:
        patch.setattr("lampyr.store.sqlite._connect", fail)
        with pytest.raises(OSError, match="no more files"):
            await store.functions.create(a_function())
    assert await store.functions.create(a_function())
    await store.close()
    with pytest.raises(RuntimeError, match="closed"):
        await store.functions.create(a_function(a_key("late")))
    await store.close()


async def test_the_writer_can_be_ready_ahead(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    await store.warm_up()
    await store.close()


async def test_an_upload_that_the_disk_refuses_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_store(tmp_path)

    def fail(_descriptor: int) -> None:
        raise OSError("disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="disk is full"):
            await store.blobs.put(b"package")
    assert list((tmp_path / "blobs").iterdir()) == []
    await store.close()
