"""What the log store on disk adds to the contract: bounds, rotation, and disks that fail."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lampyr.clock import SystemClock
from lampyr.observe import segments
from lampyr.observe.base import LogEvent, LogGroup
from lampyr.observe.logs import FileLogStore

GROUP = LogGroup("000000000000", "us-east-1", "/aws/lambda/hello")


def event(message: str) -> LogEvent:
    return LogEvent(1_000, "stream", message)


def bytes_in(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*.log"))


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def messages(store: FileLogStore, cursor: str | None = None) -> list[str]:
    found: list[str] = []
    while (page := await store.read(GROUP, cursor=cursor)).events:
        found += [item.message for item in page.events]
        cursor = page.cursor
    return found


async def test_a_restart_keeps_lines_and_cursors(tmp_path: Path) -> None:
    store = FileLogStore(tmp_path, 100_000, SystemClock())
    store.append(GROUP, [event("one"), event("two")])
    cursor = (await store.read(GROUP, most=1)).cursor
    await store.close()
    again = FileLogStore(tmp_path, 100_000, SystemClock())
    again.append(GROUP, [event("three")])
    assert await messages(again, cursor) == ["two", "three"]
    assert await messages(again) == ["one", "two", "three"]
    await again.close()


async def test_old_lines_go_first_and_the_bound_holds(tmp_path: Path) -> None:
    store = FileLogStore(tmp_path, 8_000, SystemClock())
    for number in range(1_000):
        store.append(GROUP, [event(f"{number:04d}" + "x" * 46)])
        if number % 10 == 0:
            await store.read(GROUP, cursor="999999999999999999-0")
            assert bytes_in(tmp_path) <= 8_000
    kept = [int(text[:4]) for text in await messages(store)]
    assert bytes_in(tmp_path) >= 6_000
    assert kept == list(range(kept[0], 1_000))
    await store.close()


async def test_a_cursor_whose_lines_are_gone_goes_on_at_the_oldest(tmp_path: Path) -> None:
    store = FileLogStore(tmp_path, 4_000, SystemClock())
    store.append(GROUP, [event("first")])
    cursor = (await store.read(GROUP)).cursor
    for number in range(200):
        store.append(GROUP, [event(f"{number:04d}" + "x" * 46)])
        await store.read(GROUP, cursor="999999999999999999-0")
    found = await messages(store, cursor)
    assert found == await messages(store)
    assert found[-1].startswith("0199")
    await store.close()


async def test_a_torn_last_line_is_skipped_and_the_file_goes_on(tmp_path: Path) -> None:
    store = FileLogStore(tmp_path, 100_000, SystemClock())
    store.append(GROUP, [event("whole")])
    await store.close()
    (file,) = tmp_path.rglob("*.log")
    with file.open("ab") as handle:
        handle.write(segments.encode(event("torn é"))[:-3])
    again = FileLogStore(tmp_path, 100_000, SystemClock())
    page = await again.read(GROUP)
    assert [item.message for item in page.events] == ["whole"]
    again.append(GROUP, [event("after")])
    assert await messages(again, page.cursor) == ["after"]
    assert await messages(again) == ["whole", "after"]
    await again.close()


async def test_a_cursor_that_was_never_given_is_refused_or_harmless(tmp_path: Path) -> None:
    store = FileLogStore(tmp_path, 100_000, SystemClock())
    store.append(GROUP, [event("one"), event("two"), event("three")])
    page = await store.read(GROUP, most=1)
    number, offset = page.cursor.split("-")
    assert await messages(store, f"{number}-{int(offset) + 3}") == ["three"]
    assert await messages(store, f"{number}-999999") == []
    for cursor in ("", "x", "1", "-1-2", "1-2-3", "../1-2", "1" * 30 + "-1"):
        with pytest.raises(ValueError, match="not a cursor"):
            await store.read(GROUP, cursor=cursor)
    await store.close()


async def test_a_page_is_bounded_in_bytes(tmp_path: Path) -> None:
    store = FileLogStore(tmp_path, 64 * 1024 * 1024, SystemClock())
    store.append(GROUP, [event("x" * 200_000) for _ in range(20)])
    page = await store.read(GROUP)
    assert len(page.events) < 20
    assert len(await messages(store)) == 20
    await store.close()


async def test_thousands_of_groups_do_not_keep_files_open(tmp_path: Path) -> None:
    store = FileLogStore(tmp_path, 100_000, SystemClock())
    before = open_files()
    for number in range(2_000):
        store.append(GROUP._replace(name=str(number)), [event("x")])
    await store.read(GROUP)
    assert len(list(tmp_path.iterdir())) == 2_000
    assert open_files() <= before + 8
    await store.close()


async def test_a_full_disk_keeps_lines_waiting_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileLogStore(tmp_path, 100_000, SystemClock())
    store.append(GROUP, [event("before")])
    await store.read(GROUP)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half_then_full(os.write))
        store.append(GROUP, [event("during"), event("during 2")])
        page = await store.read(GROUP)
        assert [item.message for item in page.events] == ["before"]
    store.append(GROUP, [event("after")])
    assert await messages(store) == ["before", "during", "during 2", "after"]
    await store.close()


def half_then_full(write: Callable[[int, memoryview], int]) -> Callable[[int, memoryview], int]:
    calls = iter(range(1_000_000))

    def fail(descriptor: int, data: memoryview) -> int:
        if next(calls) % 2 == 0:
            return write(descriptor, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    return fail


async def test_a_disk_that_stands_still_costs_old_lines_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileLogStore(tmp_path, 10_000_000, SystemClock(), pending_bytes_max=100_000)
    stands, goes_on = threading.Event(), threading.Event()
    write = os.write

    def stall(descriptor: int, data: memoryview) -> int:
        stands.set()
        goes_on.wait(30)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", stall)
    store.append(GROUP, [event("first")])
    stands.wait(30)
    for number in range(2_000):
        store.append(GROUP, [event(f"{number:04d}" + "x" * 96)])
    goes_on.set()
    first, *rest = await messages(store)
    assert first == "first"
    (notice,) = [text for text in rest if text.startswith("LAMPYR ")]
    kept = [int(text[:4]) for text in rest if text != notice]
    assert 100 < len(kept) < 1_000
    assert kept == list(range(2_000 - len(kept), 2_000))
    assert (
        notice == f"LAMPYR {2_000 - len(kept)} earlier lines were dropped: the disk did not keep up"
    )
    assert rest.index(notice) == 0
    await store.close()


async def test_files_that_were_moved_away_are_begun_anew(tmp_path: Path) -> None:
    store = FileLogStore(tmp_path / "logs", 100_000, SystemClock())
    store.append(GROUP, [event("before")])
    await store.read(GROUP)
    (tmp_path / "logs").rename(tmp_path / "moved")
    store.append(GROUP, [event("after")])
    await store.read(GROUP)
    store.append(GROUP, [event("later")])
    assert await messages(store) == ["after", "later"]
    await store.close()
