"""The line before a quick function's environments: who stands in it, and when it is no more."""

import asyncio
from typing import Any, cast

import pytest

from lampyr.cluster.base import Environment
from lampyr.invoke import line as lines
from lampyr.invoke.line import (
    AT_ONCE,
    BASE_SECONDS,
    CROWD,
    MOVES,
    QUICK_SECONDS,
    REST_SECONDS,
    REST_SECONDS_MAX,
    Line,
)

ENVIRONMENT = cast("Environment", object())
QUICK = BASE_SECONDS / 4
SLOW = 0.1


def busy(line: Line, count: int = AT_ONCE) -> None:
    for _ in range(count):
        line.began()


def after(*seconds: float) -> Line:
    """A line of a function whose invocations took so long, one after the other."""
    line = Line()
    for each in seconds:
        line.began()
        line.ended(each)
    return line


def test_a_line_forms_once_as_many_are_at_work_as_keep_the_processors_busy() -> None:
    line = after(QUICK)
    busy(line, AT_ONCE - 1)
    assert not line.is_full
    line.began()
    assert line.is_full
    line.ended(QUICK)
    assert not line.is_full


@pytest.mark.parametrize(
    ("took", "forms"),
    [
        ([], True),
        ([QUICK] * 30, True),
        ([SLOW] * 40, False),
        ([QUICK] * 30 + [SLOW] * 5, True),
        ([QUICK] * 30 + [SLOW] * 60, False),
        ([SLOW] * 60 + [QUICK], True),
    ],
)
def test_only_a_function_that_is_mostly_quick_has_a_line(took: list[float], forms: bool) -> None:
    line = after(*took)
    busy(line, 10 * AT_ONCE)
    assert line.is_full == forms


def test_of_a_function_that_may_wait_for_something_more_are_at_work_at_once() -> None:
    line = after(*[3 * BASE_SECONDS] * 500)
    busy(line, 2 * AT_ONCE)
    assert not line.is_full
    busy(line, AT_ONCE)
    assert line.is_full


def test_what_takes_long_among_many_has_waited_for_a_processor() -> None:
    line = after(QUICK)
    busy(line, 10 * AT_ONCE)
    for _ in range(9 * AT_ONCE):
        line.ended(SLOW)
    assert line.is_full


def test_a_function_that_became_slow_is_tried_again_though_there_is_a_crowd() -> None:
    line = after(QUICK, *[SLOW] * 60)
    tries = []
    for number in range(1, 4 * CROWD):
        busy(line, 20 * AT_ONCE - line._busy)
        line.ended(SLOW)
        if line.is_full:
            tries.append(number)
            line._take_for(QUICK_SECONDS)  # It was in vain.
    assert tries == [CROWD, 3 * CROWD]


def test_a_line_that_moved_for_long_was_right_to_form() -> None:
    line = Line()
    line._rest = REST_SECONDS_MAX
    for _ in range(MOVES):
        line.waiting.append(lambda _: None)
        line.move(ENVIRONMENT)
        line._moves = 0  # As at each look.
    assert line._rest == REST_SECONDS


async def test_environments_go_to_those_in_line_in_their_order() -> None:
    line, got = Line(), []
    for number in range(3):
        line.join(lambda environment, number=number: got.append((number, environment)))  # type: ignore[misc]
    while line.waiting:
        line.move(ENVIRONMENT)
    assert got == [(number, ENVIRONMENT) for number in range(3)]


async def test_a_line_that_does_not_move_dissolves_and_forms_again_only_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lines, "REST_SECONDS", 0.001)
    line = Line()
    busy(line)
    turned: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    line.join(turned.set_result)
    assert await asyncio.wait_for(turned, 20) is None, "whichever environment can be had"
    assert not line.waiting
    busy(line)
    assert not line.is_full, "for a while"
    async with asyncio.timeout(20):
        while not line.is_full:
            await asyncio.sleep(0.001)


async def test_a_line_that_moves_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LOOK_SECONDS", 0.001)
    line = Line()
    busy(line)
    turns: list[Environment | None] = []
    for _ in range(30):
        line.join(turns.append)
    while line.waiting:
        line._look()
        line.move(ENVIRONMENT)
    assert turns == [ENVIRONMENT] * 30
