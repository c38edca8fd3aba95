"""Messages are removed with as few calls as may be, and none later than it need be."""

import asyncio
from collections.abc import Sequence

import pytest

from lampyr.sources.base import Message, SourceError
from lampyr.sources.removals import Removals

ENTRIES = 3


class Queue:
    """Says what a call was to delete; answers when told."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.answers: list[asyncio.Future[None]] = []

    async def delete(self, messages: Sequence[Message]) -> None:
        self.calls.append([message.id for message in messages])
        answer = asyncio.get_running_loop().create_future()
        self.answers.append(answer)
        await answer


def some(*names: str) -> list[Message]:
    return [
        Message(id=name, record={}, text="", receipt=name, until=0.0, trace=None) for name in names
    ]


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def removing(removals: Removals, *names: str) -> asyncio.Task[None]:
    task = asyncio.ensure_future(removals.remove(some(*names)))
    await turn()
    return task


async def test_who_is_alone_does_not_wait_and_who_comes_meanwhile_goes_together() -> None:
    queue = Queue()
    removals = Removals(queue.delete, ENTRIES)
    first = await removing(removals, "a")
    second, third = await removing(removals, "b"), await removing(removals, "c")
    assert queue.calls == [["a"]]
    queue.answers[0].set_result(None)
    await turn()
    assert first.done()
    assert not second.done()
    assert queue.calls == [["a"], ["b", "c"]]
    queue.answers[1].set_result(None)
    await asyncio.gather(second, third)
    await removals.close()


async def test_a_full_call_goes_at_once() -> None:
    queue = Queue()
    removals = Removals(queue.delete, ENTRIES)
    tasks = [await removing(removals, *names) for names in ("a", "b", "cd", "efgh")]
    assert queue.calls == [["a"], ["b", "c", "d"], ["e", "f", "g", "h"]]
    for answer in reversed(queue.answers):
        answer.set_result(None)
    await asyncio.gather(*tasks)
    await removals.close()


async def test_what_does_not_fit_into_a_call_with_the_rest_is_in_the_next() -> None:
    queue = Queue()
    removals = Removals(queue.delete, ENTRIES)
    tasks = [await removing(removals, *names) for names in ("a", "bc", "de")]
    assert queue.calls == [["a"], ["b", "c"]]
    queue.answers[0].set_result(None)
    await turn()
    assert queue.calls == [["a"], ["b", "c"]]
    queue.answers[1].set_result(None)
    await turn()
    assert queue.calls == [["a"], ["b", "c"], ["d", "e"]]
    queue.answers[2].set_result(None)
    await asyncio.gather(*tasks)
    await removals.close()


@pytest.mark.parametrize("error", [SourceError, ValueError])
async def test_a_call_that_fails_fails_for_all_who_went_with_it_and_for_nobody_else(
    error: type[Exception],
) -> None:
    queue = Queue()
    removals = Removals(queue.delete, ENTRIES)
    first, second, third = [await removing(removals, name) for name in "abc"]
    queue.answers[0].set_result(None)
    await turn()
    queue.answers[1].set_exception(error("no"))
    await turn()
    await first
    for task in (second, third):
        with pytest.raises(error):
            await task
    fourth = await removing(removals, "d")
    queue.answers[2].set_result(None)
    await fourth
    await removals.close()


async def test_a_lane_that_ends_meanwhile_keeps_nobody_else_waiting() -> None:
    queue = Queue()
    removals = Removals(queue.delete, ENTRIES)
    first, second, third = [await removing(removals, name) for name in "abc"]
    first.cancel()
    second.cancel()
    await turn()
    queue.answers[0].set_result(None)
    await turn()
    assert queue.calls == [["a"], ["b", "c"]]
    queue.answers[1].set_result(None)
    await third
    await removals.close()


async def test_closing_ends_what_is_under_way() -> None:
    queue = Queue()
    removals = Removals(queue.delete, ENTRIES)
    task = await removing(removals, "a")
    task.cancel()
    await removals.close()
    assert queue.answers[0].cancelled()
