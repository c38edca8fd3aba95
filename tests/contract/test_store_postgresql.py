"""What only the PostgreSQL store promises: one owner, and a way back when the server returns."""

from pathlib import Path

import pytest

from lampyr.store.base import StoreError
from lampyr.store.postgresql import open_postgresql
from lampyr.testing.builders import a_function, a_key
from tests.postgresql import PostgresqlServer


async def test_a_second_server_is_refused_until_the_first_has_gone(
    postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    url = postgresql.new_database()
    first = await open_postgresql(url, tmp_path / "first")
    with pytest.raises(StoreError, match="in use by another Lampyr"):
        await open_postgresql(url, tmp_path / "second")
    await first.functions.create(a_function())
    await first.close()
    second = await open_postgresql(url, tmp_path / "second")
    assert await second.functions.get(a_key()) == a_function()
    await second.close()


async def test_a_database_that_cannot_be_reached_is_named_without_its_password(
    tmp_path: Path,
) -> None:
    url = f"postgresql://me:secret@/db?host={tmp_path}"
    with pytest.raises(StoreError, match="cannot be used") as caught:
        await open_postgresql(url, tmp_path / "data")
    assert "secret" not in str(caught.value)
    # The directory is free again.
    with pytest.raises(StoreError, match="cannot be used"):
        await open_postgresql(url, tmp_path / "data")


async def test_a_restart_of_the_database_fails_what_was_asked_meanwhile_and_nothing_later(
    postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    url = postgresql.new_database()
    store = await open_postgresql(url, tmp_path)
    await store.functions.create(a_function(a_key("before")))
    postgresql.stop()
    with pytest.raises(Exception, match=r"connection|terminating"):
        await store.functions.create(a_function(a_key("meanwhile")))
    assert await store.functions.get(a_key("meanwhile")) is None
    postgresql.start()
    assert await store.functions.create(a_function(a_key("after")))
    await store.close()
    store = await open_postgresql(url, tmp_path)
    assert [f.key.name for f in await store.functions.everywhere()] == ["before", "after"]
    await store.close()


async def test_who_closes_gives_the_database_up_at_once(
    postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    url = postgresql.new_database()
    for number in range(20):
        store = await open_postgresql(url, tmp_path / "store")
        await store.functions.create(a_function(a_key(f"f{number}")))
        await store.close()


async def test_who_lost_the_database_to_another_server_writes_no_more(
    postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    url = postgresql.new_database()
    lost = await open_postgresql(url, tmp_path / "lost")
    await lost.functions.create(a_function())
    postgresql.stop()
    postgresql.start()
    winner = await open_postgresql(url, tmp_path / "winner")
    await winner.functions.delete(a_key())
    await winner.close()
    for _ in range(2):  # The first may only notice that the connection is gone.
        with pytest.raises(Exception, match=r"taken by another Lampyr|connection|terminating"):
            await lost.functions.create(a_function(a_key("late")))
    with pytest.raises(StoreError, match="taken by another Lampyr"):
        await lost.functions.create(a_function(a_key("late")))
    await lost.close()
