"""Long lists in pages: a marker says after which item the next page begins.

A marker names the last item that was shown, not its place: what is created or deleted meanwhile
neither repeats nor hides another item.
"""

import base64
import binascii
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final, Generic, TypeVar

from lampyr.errors import InvalidParameterValueException

T = TypeVar("T")

ITEMS_MAX: Final = 50
"""However many a caller asks for.

https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html
"""

Place = tuple[str, int]
"""A function's name and a version's number, 0 for `$LATEST`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    items: list[T]
    next_marker: str | None


def size(max_items: int | None) -> int:
    return min(max_items or ITEMS_MAX, ITEMS_MAX)


def page(items: Iterable[T], most: int, place: Callable[[T], Place]) -> Page[T]:
    """The first `most` of `items`, which begin after the marker's place."""
    found = list(islice(items, most + 1))
    more = len(found) > most
    shown = found[:most]
    return Page(items=shown, next_marker=_marker(place(shown[-1])) if more else None)


def _marker(place: Place) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def place_of(marker: str | None) -> Place | None:
    """Where the last page ended; None for the first page."""
    if not marker:
        return None
    try:
        name, number = json.loads(base64.b64decode(marker, altchars=b"-_", validate=True))
    except (ValueError, TypeError, binascii.Error):
        name = number = None
    if not isinstance(name, str) or not isinstance(number, int):
        raise InvalidParameterValueException("Invalid Marker")
    return name, number
