"""What every store promises of accepted events."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lampyr.model.event import Content, Event
from lampyr.store.base import Changes, EventTable, Store
from lampyr.store.memory import MemoryStore
from lampyr.store.postgresql import open_postgresql
from lampyr.store.sqlite import open_store
from lampyr.testing.builders import a_key

Reopen = Callable[[], Awaitable[Store]]
CONTENT = Content("request", b"\x00\xffnot even text", "Root=1", client_context="{}")


def an_event(number: int, content: Content = CONTENT) -> Event:
    return Event(
        # As large as they are: microseconds since the epoch.
        id=1_700_000_000_000_000 + number,
        key=a_key(),
        created=1_700_000_000.123456,
        qualifier="live" if number % 2 else None,
        accepted=1_700_000_001.5,
        due=1_700_000_002.5,
        content=content,
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def durable(request: pytest.FixtureRequest, tmp_path: Path) -> Reopen:
    """Opens a store with what the one before it, which must be closed, held."""
    if request.param == "sqlite":
        return lambda: open_store(tmp_path)
    url = request.getfixturevalue("postgresql").new_database()
    return lambda: open_postgresql(url, tmp_path)


@pytest.fixture(params=["memory", "durable"])
async def table(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventTable]:
    store: Store = MemoryStore() if request.param == "memory" else await open_store(tmp_path)
    yield store.events
    await store.close()


async def test_contents_are_read_by_id_and_gone_when_deleted(table: EventTable) -> None:
    events = [an_event(number) for number in range(5)]
    ids = [event.id for event in events]
    await table.write(Changes(put=events))
    await table.write(Changes(delete=ids[3:], finish={ids[0]: "over"}))
    found = await table.contents(ids)
    assert found == {ids[0]: CONTENT._replace(outcome="over"), ids[1]: CONTENT, ids[2]: CONTENT}
    assert list(table.unfinished()) == [], "only what an earlier process left"


async def test_what_was_written_is_there_after_a_restart(durable: Reopen) -> None:
    store = await durable()
    events = [an_event(number, CONTENT._replace(request_id=str(number))) for number in range(4)]
    await store.events.write(Changes(put=events))
    events[1].due, events[1].attempts, events[1].setbacks = 1_700_000_099.5, 2, 7
    changes = Changes(update=[events[1]], finish={events[2].id: "{}"}, delete=[events[3].id])
    await store.events.write(changes)
    await store.close()

    store = await durable()
    left = list(store.events.unfinished())
    events[2].finished = True
    expected = [replace(event, content=None) for event in events[:3]]
    assert list(map(repr, left)) == list(map(repr, expected))
    found = await store.events.contents([event.id for event in left])
    assert [content.request_id for content in found.values()] == ["0", "1", "2"]
    assert found[events[2].id].outcome == "{}"
    await store.close()


async def test_a_write_that_fails_changes_nothing(durable: Reopen) -> None:
    store = await durable()
    first = an_event(1)
    await store.events.write(Changes(put=[first]))
    with pytest.raises(Exception, match=r"(?i)unique"):
        await store.events.write(Changes(put=[an_event(2), an_event(1)]))
    assert len(await store.events.contents([first.id, first.id + 1])) == 1
    await store.close()
