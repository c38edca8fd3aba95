"""What every log store keeps to."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from lampyr.clock import SystemClock
from lampyr.observe.base import LogEvent, LogGroup, LogPage, LogStore
from lampyr.observe.logs import FileLogStore
from lampyr.observe.memory import MemoryLogStore

GROUP = LogGroup("000000000000", "us-east-1", "/aws/lambda/hello")
STREAM = "2026/11/21/[$LATEST]0c5e"


@pytest.fixture(params=["files", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LogStore]:
    made: LogStore = (
        FileLogStore(tmp_path / "logs", 1024 * 1024, SystemClock())
        if request.param == "files"
        else MemoryLogStore()
    )
    yield made
    await made.close()


@dataclass
class Record:
    made: Sequence[LogEvent]

    def events(self) -> Sequence[LogEvent]:
        return self.made

    def lines(self) -> None:
        pass


def event(message: str, at: int = 1_000) -> LogEvent:
    return LogEvent(at, STREAM, message)


def messages(page: LogPage) -> list[str]:
    return [item.message for item in page.events]


async def test_what_was_appended_is_read_at_once_in_order(store: LogStore) -> None:
    store.append(GROUP, [event("one"), event("two", 2_000)])
    store.append_record(GROUP, Record([event("three", 3_000)]))
    page = await store.read(GROUP)
    assert page.events == [event("one"), event("two", 2_000), event("three", 3_000)]


async def test_a_cursor_goes_on_where_the_page_ended(store: LogStore) -> None:
    store.append(GROUP, [event(str(number)) for number in range(10)])
    seen: list[str] = []
    cursor = None
    while (page := await store.read(GROUP, cursor=cursor, most=3)).events:
        assert len(page.events) <= 3
        seen += messages(page)
        cursor = page.cursor
    assert seen == [str(number) for number in range(10)]
    store.append(GROUP, [event("later")])
    assert messages(await store.read(GROUP, cursor=cursor)) == ["later"]


async def test_since_leaves_out_what_is_older(store: LogStore) -> None:
    store.append(GROUP, [event("old", 1_000), event("new", 2_000), event("late old", 1_500)])
    assert messages(await store.read(GROUP, since_ms=2_000)) == ["new"]


async def test_a_group_that_is_not_there_has_no_lines(store: LogStore) -> None:
    page = await store.read(GROUP)
    assert page.events == []
    store.append(GROUP, [event("first")])
    assert messages(await store.read(GROUP, cursor=page.cursor)) == ["first"]
    await store.delete(LogGroup("1" * 12, "us-east-1", "never there"))


async def test_accounts_and_regions_do_not_see_each_others_groups(store: LogStore) -> None:
    others = [GROUP._replace(account_id="111111111111"), GROUP._replace(region="eu-west-1")]
    store.append(GROUP, [event("mine")])
    for other in others:
        assert (await store.read(other)).events == []


@pytest.mark.parametrize(
    "message",
    [
        "",
        " ",
        "a\nb\n",
        "\t\t",
        "\x1fn\x1f1\n\x1f",
        "\\n",
        "é 🎆",
        "\x00\r\x85\u2028",
        "x" * 300_000,
    ],
)
async def test_any_text_comes_back_as_it_was(store: LogStore, message: str) -> None:
    store.append(GROUP, [event(message), event("next")])
    page = await store.read(GROUP)
    assert page.events[0] == event(message)
    assert messages(await store.read(GROUP))[-1] == "next"


@pytest.mark.parametrize(
    "name", ["/", "..", "../../etc/passwd", "a/b", "a_b", "a\x00b", "ü" * 512, ".", "-", "A", "a"]
)
async def test_any_group_name_is_safe(store: LogStore, name: str, tmp_path: Path) -> None:
    group = GROUP._replace(name=name)
    store.append(group, [event(name)])
    assert messages(await store.read(group)) == [name]
    assert (await store.read(GROUP._replace(name=name + "x"))).events == []
    assert {path.name for path in tmp_path.iterdir()} <= {"logs"}


async def test_a_deleted_group_begins_anew(store: LogStore) -> None:
    store.append(GROUP, [event("before"), event("before 2")])
    cursor = (await store.read(GROUP)).cursor
    await store.delete(GROUP)
    assert (await store.read(GROUP)).events == []
    store.append(GROUP, [event("after"), event("after 2"), event("after 3")])
    assert messages(await store.read(GROUP)) == ["after", "after 2", "after 3"]
    assert messages(await store.read(GROUP, cursor=cursor)) == ["after", "after 2", "after 3"]


async def test_delete_takes_what_is_not_written_yet(store: LogStore) -> None:
    store.append(GROUP, [event("before")])
    await store.delete(GROUP)
    assert (await store.read(GROUP)).events == []


async def test_follow_gives_what_is_there_and_then_what_comes(store: LogStore) -> None:
    store.append(GROUP, [event("there")])
    pages = store.follow(GROUP, None)
    assert messages(await anext(pages)) == ["there"]
    waiting = asyncio.ensure_future(anext(pages))
    for _ in range(3):
        await asyncio.sleep(0)
    store.append(GROUP._replace(name="other"), [event("other")])
    store.append(GROUP, [event("new")])
    assert messages(await waiting) == ["new"]


async def test_follow_goes_on_from_a_cursor(store: LogStore) -> None:
    store.append(GROUP, [event("seen")])
    cursor = (await store.read(GROUP)).cursor
    store.append(GROUP, [event("new")])
    assert messages(await anext(store.follow(GROUP, cursor))) == ["new"]


async def test_follow_ends_when_the_store_closes(store: LogStore) -> None:
    pages = store.follow(GROUP, None)
    waiting = asyncio.ensure_future(anext(pages, None))
    for _ in range(3):
        await asyncio.sleep(0)
    await store.close()
    assert await waiting is None
