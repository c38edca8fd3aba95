"""What every store promises, over each of them."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from lampyr.model.alias import Alias
from lampyr.model.function import FunctionKey, Reason, State, UpdateStatus
from lampyr.model.policy import Policy, Statement
from lampyr.model.resource import ResourceKey
from lampyr.store.base import Store, StoreError
from lampyr.store.memory import MemoryStore
from lampyr.store.postgresql import open_postgresql
from lampyr.store.sqlite import open_store
from lampyr.testing.builders import a_function, a_key, a_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    length: float
    joints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """A resource with every kind of member that one may have."""

    key: ResourceKey
    mood: State = State.ACTIVE
    legs: Mapping[str, Leg] = field(default_factory=dict)
    pair: tuple[str, int] = ("a", 1)
    best: Leg | None = None
    note: str | None = None


THINGS = {"things": Thing}


Reopen = Callable[[], Awaitable[Store]]


@pytest.fixture(params=["sqlite", "postgresql"])
def durable(request: pytest.FixtureRequest, tmp_path: Path) -> Reopen:
    """Opens a store with what the one before it, which must be closed, held."""
    if request.param == "sqlite":
        return lambda: open_store(tmp_path, THINGS)
    url = request.getfixturevalue("postgresql").new_database()
    return lambda: open_postgresql(url, tmp_path, THINGS)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store: Store
    if request.param == "memory":
        store = MemoryStore(THINGS)
    elif request.param == "sqlite":
        store = await open_store(tmp_path, THINGS)
    else:
        url = request.getfixturevalue("postgresql").new_database()
        store = await open_postgresql(url, tmp_path, THINGS)
    yield store
    await store.close()


async def test_a_created_function_is_found(store: Store) -> None:
    assert await store.functions.create(a_function())
    assert await store.functions.get(a_key()) == a_function()


async def test_a_function_that_is_not_there(store: Store) -> None:
    assert await store.functions.get(a_key()) is None
    assert not await store.functions.delete(a_key())
    assert not await store.functions.replace(a_function(), a_function())


async def test_a_name_is_taken_once(store: Store) -> None:
    assert await store.functions.create(a_function())
    assert not await store.functions.create(a_function(tags={"second": "yes"}))
    assert await store.functions.get(a_key()) == a_function()


async def test_of_many_who_create_a_name_one_does(store: Store) -> None:
    async def create(number: int) -> bool:
        return await store.functions.create(a_function(tags={"number": str(number)}))

    won = await asyncio.gather(*map(create, range(20)))
    assert won.count(True) == 1
    found = await store.functions.get(a_key())
    assert found is not None
    assert won[int(found.tags["number"])]


async def test_functions_are_listed_by_name_within_account_and_region(store: Store) -> None:
    for name in ("b", "a", "B", "c"):
        await store.functions.create(a_function(a_key(name)))
    await store.functions.create(a_function(a_key("x", account_id="222222222222")))
    await store.functions.create(a_function(a_key("y", region="eu-west-1")))
    await store.functions.delete(a_key("c"))
    listed = await store.functions.all("123456789012", "us-east-1")
    assert [function.key.name for function in listed] == ["B", "a", "b"]
    assert [f.key.name for f in await store.functions.all("222222222222", "us-east-1")] == ["x"]
    assert len(await store.functions.everywhere()) == 5


async def test_a_function_is_replaced_only_as_it_was_seen(store: Store) -> None:
    seen = a_function()
    await store.functions.create(seen)
    newer = replace(seen, tags={"a": "1"})
    assert await store.functions.replace(seen, newer)
    assert not await store.functions.replace(seen, replace(seen, tags={"b": "2"}))
    assert await store.functions.get(a_key()) == newer


async def test_of_many_who_replace_what_they_saw_one_does(store: Store) -> None:
    seen = a_function()
    await store.functions.create(seen)
    won = await asyncio.gather(
        *(store.functions.replace(seen, replace(seen, last_version=n)) for n in range(1, 20))
    )
    assert won.count(True) == 1


async def test_counting_up_with_retries_loses_nothing(store: Store) -> None:
    await store.functions.create(a_function())

    async def count() -> None:
        while True:
            seen = await store.functions.get(a_key())
            assert seen is not None
            new = replace(seen, last_version=seen.last_version + 1)
            if await store.functions.replace(seen, new):
                return

    await asyncio.gather(*(count() for _ in range(30)))
    found = await store.functions.get(a_key())
    assert found is not None
    assert found.last_version == 30


async def test_a_change_whose_caller_went_away_is_seen_by_the_next(store: Store) -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(store.functions.create(a_function()))
        await asyncio.sleep(0)
        task.cancel()
    assert not await store.functions.create(a_function())
    assert await store.functions.get(a_key()) == a_function()


async def test_a_package_is_kept_by_its_hash(store: Store) -> None:
    sha256 = await store.blobs.put(b"package")
    assert sha256 == hashlib.sha256(b"package").hexdigest()
    assert await store.blobs.put(b"package") == sha256
    path = await store.blobs.path(sha256)
    assert path is not None
    assert path.read_bytes() == b"package"
    assert list(await store.blobs.all()) == [sha256]
    await store.blobs.delete(sha256)
    await store.blobs.delete(sha256)
    assert await store.blobs.path(sha256) is None
    assert list(await store.blobs.all()) == []


async def test_a_package_cannot_be_asked_for_by_a_path(store: Store) -> None:
    with pytest.raises(ValueError):
        await store.blobs.path("../../etc/passwd")


FULL = a_function(
    latest=a_version(
        description="ünïcode ✓",
        environment={"A": "1", "B": "\u2028"},
        state=State.PENDING,
        state_reason=Reason(message="The function is being created.", code="Creating"),
        last_update_status=UpdateStatus.FAILED,
        last_update_reason=Reason(message="no", code="InvalidRuntime"),
        tenant_isolation_mode="PER_TENANT",
    ),
    serving=a_version(revision_id="serving"),
    published={str(n): a_version(version=str(n)) for n in (1, 2, 10)},
    published_from=a_version(),
    last_version=11,
    tags={"team": "a"},
    aliases={"live": Alias(name="live", version="1", weights={"2": 0.25}, revision_id="r")},
    policies={
        "live": Policy(
            statements=(Statement(sid="s", document='{"Sid":"s"}'), Statement(document="{}")),
            revision_id="r",
            id=None,
        )
    },
)


async def test_everything_survives_closing_and_opening(durable: Reopen) -> None:
    store = await durable()
    await store.functions.create(FULL)
    await store.functions.create(a_function(a_key("other")))
    await store.functions.create(a_function(a_key("gone"), published={"1": a_version()}))
    await store.functions.delete(a_key("gone"))
    without = replace(FULL, published={k: v for k, v in FULL.published.items() if k != "2"})
    changed = replace(
        without, published={**without.published, "1": a_version(version="1", memory_mb=256)}
    )
    assert await store.functions.replace(FULL, changed)
    sha256 = await store.blobs.put(b"package")
    await store.close()

    store = await durable()
    try:
        assert await store.functions.get(a_key()) == changed
        assert list(changed.published) == ["1", "10"]
        assert len(await store.functions.everywhere()) == 2
        assert await store.blobs.path(sha256) is not None
        # A new function does not inherit the versions of a deleted one of its name.
        await store.functions.create(a_function(a_key("gone")))
        await store.close()
        store = await durable()
        found = await store.functions.get(FunctionKey("123456789012", "us-east-1", "gone"))
        assert found is not None
        assert found.published == {}
    finally:
        await store.close()


def a_thing(name: str = "chair", **members: Any) -> Thing:
    return Thing(key=ResourceKey("123456789012", "us-east-1", name), **members)


async def test_a_resource_is_created_replaced_as_it_was_seen_and_deleted(store: Store) -> None:
    things, seen = store.table(Thing), a_thing()
    assert await things.create(seen)
    assert not await things.create(a_thing(note="second"))
    newer = replace(seen, best=Leg(length=1.5, joints=("knee",)))
    assert await things.replace(seen, newer)
    assert not await things.replace(seen, a_thing(note="late"))
    assert await things.get(seen.key) == newer
    assert things.known(seen.key) == newer
    await things.create(a_thing("bench"))
    assert [t.key.id for t in await things.all("123456789012", "us-east-1")] == ["bench", "chair"]
    assert await things.all("123456789012", "eu-west-1") == []
    assert await things.delete(seen.key)
    assert not await things.delete(seen.key)
    assert await things.everywhere() == [a_thing("bench")]


async def test_resources_survive_closing_and_opening(durable: Reopen) -> None:
    whole = a_thing(
        mood=State.FAILED,
        legs={"left": Leg(length=0.5), "right": Leg(length=2.0, joints=("hip", "knee"))},
        pair=("b", 2),
        best=Leg(length=1.0),
        note="ü",
    )
    store = await durable()
    await store.table(Thing).create(whole)
    await store.table(Thing).create(a_thing("stool"))
    await store.table(Thing).delete(a_thing("stool").key)
    await store.close()
    store = await durable()
    assert await store.table(Thing).everywhere() == [whole]
    await store.close()


async def test_a_resource_of_a_kind_that_is_not_known_is_not_lost_silently(tmp_path: Path) -> None:
    store = await open_store(tmp_path, THINGS)
    await store.table(Thing).create(a_thing())
    await store.close()
    with pytest.raises(StoreError, match="kind things, which this Lampyr does not know"):
        await open_store(tmp_path)
