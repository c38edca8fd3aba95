"""Which version a call gets, as tables and for every weight."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lampyr.errors import ResourceConflictException, ResourceNotFoundException
from lampyr.invoke.rules import is_split, resolve, route
from lampyr.model.alias import Alias
from lampyr.model.function import State
from lampyr.testing.builders import a_function, a_version

ARN = "arn:aws:lambda:us-east-1:123456789012:function:hello"
LIVE = Alias(name="live", version="2", weights={"1": 0.25}, revision_id="r")
FUNCTION = a_function(
    published={
        "1": a_version(version="1"),
        "2": a_version(version="2"),
        "3": a_version(version="3", state=State.PENDING),
    },
    aliases={
        "live": LIVE,
        "head": Alias(name="head", version="$LATEST", revision_id="r"),
        "soon": Alias(name="soon", version="3", revision_id="r"),
    },
)


@pytest.mark.parametrize(
    ("qualifier", "dice", "version"),
    [
        (None, 0.0, "$LATEST"),
        ("$LATEST", 0.0, "$LATEST"),
        ("1", 0.99, "1"),
        ("head", 0.0, "$LATEST"),
        ("live", 0.0, "1"),
        ("live", 0.249, "1"),
        ("live", 0.25, "2"),
        ("live", 1.0, "2"),
    ],
)
def test_what_a_qualifier_means(qualifier: str | None, dice: float, version: str) -> None:
    assert resolve(FUNCTION, qualifier, ARN, dice).version == version


def test_an_alias_of_a_version_in_an_update_runs_what_it_ran() -> None:
    before = a_version(deployment_id="before")
    function = a_function(serving=before, aliases=FUNCTION.aliases)
    assert resolve(function, "head", ARN) == before


def test_what_cannot_run() -> None:
    with pytest.raises(ResourceNotFoundException, match=f"^Function not found: {ARN}:lost$"):
        resolve(FUNCTION, "lost", ARN)
    with pytest.raises(ResourceConflictException, match="state: Pending"):
        resolve(FUNCTION, "soon", ARN)


def test_what_is_left_to_chance() -> None:
    split = [q for q in (None, "$LATEST", "1", "live", "head", "lost") if is_split(FUNCTION, q)]
    assert split == ["live"]


@given(st.floats(0, 1), st.integers(0, 999))
def test_the_other_version_gets_its_weight(weight: float, thousandth: int) -> None:
    alias = Alias(name="a", version="1", weights={"2": weight}, revision_id="r")
    dice = thousandth / 1000
    assert route(alias, dice) == ("2" if dice < weight else "1")
