"""Long lists in pages: nothing is missed and nothing comes twice, whatever happens between two."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lampyr.control.pages import ITEMS_MAX, Page, Place, page, place_of, size
from lampyr.errors import InvalidParameterValueException

places = st.tuples(st.text(max_size=8), st.integers(0, 2**40))
lists = st.sets(places, max_size=30)
sizes = st.integers(1, 12)


def one_page(items: set[Place], marker: str | None, most: int) -> Page[Place]:
    start = place_of(marker)
    return page((i for i in sorted(items) if start is None or i > start), most, lambda i: i)


def pages(items: set[Place], most: int) -> list[Page[Place]]:
    shown = [one_page(items, None, most)]
    while (marker := shown[-1].next_marker) is not None:
        shown.append(one_page(items, marker, most))
    return shown


@given(lists, sizes)
def test_the_pages_are_the_list(items: set[Place], most: int) -> None:
    shown = pages(items, most)
    assert [item for one in shown for item in one.items] == sorted(items)
    assert all(len(one.items) == most for one in shown[:-1])
    assert len(shown[-1].items) <= most
    assert shown[-1].items or not items, "no page is empty, unless there is nothing"


@given(lists, lists, lists, sizes)
def test_what_comes_and_goes_between_two_pages_hides_nothing_else(
    items: set[Place], new: set[Place], gone: set[Place], most: int
) -> None:
    first = one_page(items, None, most)
    if first.next_marker is None:
        return
    changed = (items | new) - gone
    rest = [i for one in _from(changed, first.next_marker, most) for i in one.items]
    end = first.items[-1]
    assert rest == sorted(item for item in changed if item > end)


def _from(items: set[Place], marker: str, most: int) -> list[Page[Place]]:
    shown = [one_page(items, marker, most)]
    while (after := shown[-1].next_marker) is not None:
        shown.append(one_page(items, after, most))
    return shown


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_a_marker_that_is_none_is_refused_and_nothing_worse(marker: str) -> None:
    with suppress(InvalidParameterValueException):
        found: Any = place_of(marker)
        assert found is None or isinstance(found, tuple)


@pytest.mark.parametrize(("asked", "got"), [(None, ITEMS_MAX), (1, 1), (50, 50), (10_000, 50)])
def test_a_page_has_its_most(asked: int | None, got: int) -> None:
    assert size(asked) == got
