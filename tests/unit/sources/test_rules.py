import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lampyr.sources.rules import (
    backoff_seconds,
    failed_items,
    fitting,
    lanes_allowed,
)

IDS = ("a", "b", "c")
ALL = frozenset(IDS)


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (None, frozenset()),
        ("", frozenset()),
        ({}, frozenset()),
        ({"batchItemFailures": None}, frozenset()),
        ({"batchItemFailures": []}, frozenset()),
        ({"batchItemFailures": [{"itemIdentifier": "b"}]}, frozenset("b")),
        ({"batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "a"}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": "x"}]}, ALL),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, ALL),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, ALL),
        ({"batchItemFailures": [{"foo": "b"}]}, ALL),
        ({"batchItemFailures": [{}]}, ALL),
        ({"batchItemFailures": "b"}, ALL),
        ([1], ALL),
        ("x", ALL),
        (7, ALL),
    ],
)
def test_what_a_function_says_of_its_batch(answer: Any, failed: set[str]) -> None:
    assert failed_items(json.dumps(answer).encode(), IDS) == failed


def test_an_answer_that_is_no_json_fails_the_whole_batch_and_none_at_all_is_success() -> None:
    assert failed_items(b"{", IDS) == ALL
    assert failed_items(b"", IDS) == frozenset()


def test_lanes_grow_with_a_backlog_up_to_what_the_mapping_allows() -> None:
    assert lanes_allowed(0, None) == 5
    assert lanes_allowed(60, None) == 305
    assert lanes_allowed(3_600, None) == 1_250
    assert lanes_allowed(3_600, 2) == 2
    assert lanes_allowed(0, 100) == 5
    assert lanes_allowed(0, None, 2) == 20, "pollers of its own have ten each"
    assert lanes_allowed(60, 1_000, 2) == 1_000
    assert lanes_allowed(0, 20_000, 200) == 2_000


def test_waits_double_up_to_a_minute() -> None:
    waits = [backoff_seconds(n) for n in range(1, 40)]
    assert waits[:3] == [0.1, 0.2, 0.4]
    assert max(waits) == waits[-1] == 60


@given(st.lists(st.integers(0, 100), min_size=1), st.integers(1, 300))
def test_an_event_holds_as_much_as_fits_and_at_least_one(sizes: list[int], most: int) -> None:
    count = fitting(sizes, most)
    assert 1 <= count <= len(sizes)
    if count > 1:
        assert sum(size + 1 for size in sizes[:count]) <= most
    if count < len(sizes):
        assert sum(size + 1 for size in sizes[: count + 1]) > most
