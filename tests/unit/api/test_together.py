"""Answers that leave together: held for a moment, and only where many wait."""

import asyncio

import pytest

from lampyr.api import together
from lampyr.api.together import CROWD, HELD_MAX, TURNS, Together


class Caller:
    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def __call__(self, answer: bytes) -> None:
        self.heard.append(answer)


def waiting(count: int) -> Together:
    answers = Together()
    answers.waiting = count
    return answers


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_whoever_is_among_few_has_his_answer_at_once() -> None:
    answers, caller = waiting(CROWD), Caller()
    answers.tell(caller, b"1")
    assert caller.heard == [b"1"]
    assert answers.waiting == CROWD - 1


async def test_among_many_an_answer_leaves_some_turns_later_with_those_that_came_meanwhile() -> (
    None
):
    answers, first, second = waiting(CROWD + 2), Caller(), Caller()
    answers.tell(first, b"1")
    await turns(TURNS - 1)
    answers.tell(second, b"2")
    assert not first.heard
    assert not second.heard
    await turns(1)
    assert (first.heard, second.heard) == ([b"1"], [b"2"])


async def test_who_is_held_is_told_in_the_order_of_the_answers() -> None:
    answers, caller = waiting(CROWD + 3), Caller()
    for answer in (b"1", b"2", b"3"):
        answers.tell(caller, answer)
    await turns(TURNS)
    assert caller.heard == [b"1", b"2", b"3"]


async def test_no_more_are_held_than_fit() -> None:
    answers, caller = waiting(CROWD + HELD_MAX), Caller()
    for number in range(HELD_MAX):
        assert not caller.heard
        answers.tell(caller, b"%d" % number)
    assert len(caller.heard) == HELD_MAX


async def test_what_comes_after_the_rest_has_left_is_held_for_as_long_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(together, "HELD_MAX", 2)
    answers, caller = waiting(CROWD + 3), Caller()
    answers.tell(caller, b"1")
    await turns(TURNS - 1)
    answers.tell(caller, b"2")
    answers.tell(caller, b"3")
    assert caller.heard == [b"1", b"2"]
    await turns(TURNS - 1)
    assert caller.heard == [b"1", b"2"]
    await turns(1)
    assert caller.heard == [b"1", b"2", b"3"]


async def test_an_answer_may_lead_to_another() -> None:
    """A connection whose peer has sent more than one request goes on with the next."""
    answers, second = waiting(CROWD + 2), Caller()

    def first(_: bytes) -> None:
        answers.tell(second, b"2")

    answers.tell(first, b"1")
    await turns(2 * TURNS + 1)
    assert second.heard == [b"2"]


async def test_one_who_cannot_be_told_keeps_nobody_else_from_his_answer() -> None:
    answers, second = waiting(CROWD + 3), Caller()

    def first(_: bytes) -> None:
        raise OSError

    answers.tell(first, b"1")
    answers.tell(second, b"2")
    await turns(TURNS)
    assert second.heard == [b"2"]
    answers.tell(second, b"3")
    await turns(TURNS)
    assert second.heard == [b"2", b"3"]
