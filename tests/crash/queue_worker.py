"""Accepts events without end and runs them, saying what was acknowledged and what was run.

Run as a program with a directory; killed by `test_queue_kill.py`. A run is a line in a file that
outlives the process; every third event fails the first time it is run.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any, cast

from lampyr.clock import SystemClock
from lampyr.limits import DEFAULT_LIMITS
from lampyr.model.event import Content
from lampyr.model.function import FunctionVersion
from lampyr.model.invocation import Invocation, InvokeResult
from lampyr.observe.metrics import Counters
from lampyr.queue.dispatcher import AsyncQueue
from lampyr.queue.parts import QueueParts, Told
from lampyr.store.sqlite import open_store
from lampyr.tasks import Tasks
from lampyr.testing.builders import a_function, a_key

CALLERS = 8
SPEED = 6_000.0
FUNCTION = a_function(a_key("hello"))


class Runner:
    """Writes down what it is to run."""

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        self._failed: set[bytes] = set()

    def begin(self, version: FunctionVersion, invocation: Invocation, tell: Told) -> bool:
        number = invocation.payload
        os.write(self._file, number + b"\n")
        fails = int(number) % 3 == 0 and number not in self._failed
        self._failed.add(number)
        error = "Unhandled" if fails else None
        result = InvokeResult(executed_version="$LATEST", payload=b"null", function_error=error)
        asyncio.get_running_loop().call_soon(tell, result)
        return True

    async def invoke(self, version: FunctionVersion, invocation: Invocation) -> InvokeResult:
        raise AssertionError("it always begins at once")


async def main(directory: Path, first: int) -> None:
    """With a `first` below zero nothing is accepted: what there is, is run to its end."""
    store, tasks, clock = await open_store(directory), Tasks(), SystemClock()
    await store.functions.create(FUNCTION)
    parts = QueueParts(
        table=store.events,
        functions=store.functions,
        runner=Runner(directory / "runs"),
        aws=cast("Any", None),
        clock=clock,
        tasks=tasks,
        metrics=Counters(clock.now),
        limits=DEFAULT_LIMITS,
        new_id=lambda: "id",
        speed=SPEED,
    )
    queue = AsyncQueue(parts)
    queue.open()

    async def caller(number: int) -> None:
        while True:
            await queue.accept(FUNCTION, None, Content("id", str(number).encode(), "Root=1"))
            print(number, flush=True)
            number += CALLERS

    if first >= 0:
        await asyncio.gather(*(caller(first + number) for number in range(CALLERS)))
    while len(queue):
        await asyncio.sleep(0.01)
    await queue.close(30)
    await tasks.close()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
