"""Supervised background work; the only place that makes a task outside a `TaskGroup`."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)


class Tasks:
    """Owns the tasks it starts: none outlives `close`, and none fails in silence."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def __len__(self) -> int:
        return len(self._tasks)

    async def ended(self) -> None:
        """Wait until what runs, and what it starts, has come to its end."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Cancel what still runs, also what it starts at its end, and wait until all has ended."""
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task failed", extra={"task": task.get_name()}, exc_info=error)


async def supervise(
    work: Callable[[], Awaitable[None]],
    name: str,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    first_delay_seconds: float = 0.1,
    delay_seconds_max: float = 30.0,
) -> None:
    """Run `work` until cancelled; when it fails, run it again, later and later."""
    delay = first_delay_seconds
    while True:
        try:
            await work()
            delay = first_delay_seconds
        except Exception:  # A supervisor outlives whatever its work fails with.
            log.exception("supervised work failed", extra={"work": name, "again_in": delay})
        await sleep(delay)
        delay = min(delay * 2, delay_seconds_max)
