"""Messages to be removed from a queue, as few calls as may be and none later than it need be.

A call takes ten messages. Who removes fewer waits while another call is under way, for those who
come meanwhile; who fills a call does not, and neither does who is alone (as Nagle's algorithm does
with packets). With batches of one and many of them at once that saves most of the calls.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from lampyr.sources.base import Message
from lampyr.tasks import Tasks


class _Removal(NamedTuple):
    messages: Sequence[Message]
    done: asyncio.Future[None]


class Removals:
    def __init__(
        self, delete: Callable[[Sequence[Message]], Awaitable[None]], entries_max: int
    ) -> None:
        """`delete` takes any number; a call takes `entries_max`."""
        self._delete = delete
        self._entries_max = entries_max
        self._waiting: deque[_Removal] = deque()
        self._tasks = Tasks()
        self._calls = 0
        """Under way."""
        self._closed = False

    async def remove(self, messages: Sequence[Message]) -> None:
        """Return when they are gone; raises what `delete` raised, also for those who went along."""
        removal = _Removal(messages, asyncio.get_running_loop().create_future())
        self._waiting.append(removal)
        self._go_on()
        await removal.done

    async def close(self) -> None:
        """Nobody waits any more."""
        self._closed = True
        await self._tasks.close()

    def _go_on(self) -> None:
        while self._waiting and not self._closed:
            group = self._first()
            full = sum(len(removal.messages) for removal in group) >= self._entries_max
            if self._calls and not full and len(group) == len(self._waiting):
                return
            for _ in group:
                self._waiting.popleft()
            self._calls += 1
            self._tasks.start(self._call(group), "removal of messages")

    def _first(self) -> list[_Removal]:
        """Those whose turn it is: as many as fit into a call, one at least."""
        group: list[_Removal] = []
        size = 0
        for removal in self._waiting:
            size += len(removal.messages)
            if group and size > self._entries_max:
                break
            group.append(removal)
        return group

    async def _call(self, group: Sequence[_Removal]) -> None:
        error: Exception | None = None
        try:
            await self._delete([each for removal in group for each in removal.messages])
        except Exception as failure:  # noqa: BLE001 - for those who wait
            error = failure
        else:
            for removal in group:
                if not removal.done.done():  # Its lane is there yet.
                    removal.done.set_result(None)
        finally:
            for removal in group:
                _fail(removal.done, error)
            self._calls -= 1
            self._go_on()


def _fail(done: asyncio.Future[None], error: Exception | None) -> None:
    """Without an error: it was cut short, as is whoever waits."""
    if done.done():
        return
    if error is None:
        done.cancel()
    else:
        done.set_exception(error)
