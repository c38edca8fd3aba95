"""Which recorded scenarios a test replays, as the markers of the collected tests say."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

TESTS: Final = Path(__file__).parents[2]
ALONE: Final = ("crash", "load")
"""What runs by itself after the others, and replays nothing."""
REPLAYED: Final = pytest.StashKey[frozenset[str]]()
FILES: Final = pytest.StashKey[frozenset[Path]]()


def keys_of(items: Iterable[pytest.Item]) -> frozenset[str]:
    """What the markers `recorded` name; the file may stand before the key, with a colon."""
    found = set()
    for item in items:
        for marker in item.iter_markers("recorded"):
            key: str = marker.args[0]
            found.add(key[key.find("Test") :] if ":Test" in key else key)
    return frozenset(found)


def is_replayed(key: str, keys: frozenset[str]) -> bool:
    """A marker without a parameter is about every parameter."""
    return key in keys or key.partition("[")[0] in keys


def all_with_markers() -> frozenset[Path]:
    """Test files with a marker; what they say is known when all of them were collected."""
    return frozenset(
        path
        for path in TESTS.rglob("test_*.py")
        if path.relative_to(TESTS).parts[0] not in ALONE and "mark.recorded(" in path.read_text()
    )
