"""`kill -9` of a process that writes its log."""

import signal
import subprocess
import sys
from pathlib import Path

from lampyr.clock import SystemClock
from lampyr.observe.base import LogGroup
from lampyr.observe.logs import FileLogStore

GROUP = LogGroup("000000000000", "us-east-1", "/aws/lambda/hello")

WRITER = """
import asyncio, pathlib, sys
from lampyr.clock import SystemClock
from lampyr.observe.base import LogEvent, LogGroup
from lampyr.observe.logs import FileLogStore

async def main():
    store = FileLogStore(pathlib.Path(sys.argv[1]), 10_000_000, SystemClock())
    group = LogGroup(*sys.argv[2:5])
    number = 0
    while True:
        for _ in range(100):
            store.append(group, [LogEvent(1, "s", f"{number} " + "x" * 500)])
            number += 1
        await store.read(group, cursor="999999999999999999-0")
        print(number, flush=True)

asyncio.run(main())
"""


async def test_what_was_on_disk_stays_whole_and_once_after_kill_9(tmp_path: Path) -> None:
    cursor = None
    seen: list[int] = []
    for round_number in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), *GROUP],
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": "src"},
        )
        assert process.stdout is not None
        for _ in range(3 + round_number):
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        store = FileLogStore(tmp_path, 10_000_000, SystemClock())
        found: list[int] = []
        while (page := await store.read(GROUP, cursor=cursor)).events:
            cursor = page.cursor
            assert all(len(item.message) > 500 for item in page.events)
            found += [int(item.message.split()[0]) for item in page.events]
        await store.close()
        assert found == list(range(len(found)))
        assert len(found) >= acknowledged
        seen += found
    assert len(seen) > 900
