"""Most of what AWS was recorded to answer is replayed; of the rest it is said why not."""

from pathlib import Path

import pytest

from tests.conformance.recorded.answers import answers
from tests.conformance.recorded.covered import FILES, REPLAYED, all_with_markers, is_replayed
from tests.conformance.recorded.not_covered import NOT_COVERED

LEAST = 0.8


@pytest.fixture
def replayed(request: pytest.FixtureRequest) -> frozenset[str]:
    """The scenarios that the collected tests replay, if all of them were collected."""
    keys, files = request.config.stash[REPLAYED], request.config.stash[FILES]
    if missing := len(all_with_markers() - files):
        told = f"{missing} files with recorded answers are not part of this run"
        if any(Path(__file__).name in argument for argument in request.config.args):
            # Asked for by name, as a test that failed is for a second try: no reason to pass.
            pytest.fail(f"{told}: run all tests")
        pytest.skip(told)
    return frozenset(key for key in answers() if is_replayed(key, keys))


@pytest.mark.lampyr_only
def test_what_is_not_replayed_is_listed_with_the_reason(replayed: frozenset[str]) -> None:
    reasons = {key: why for why, keys in NOT_COVERED.items() for key in keys}
    assert all(why.strip() for why in reasons.values())
    left = {key for key, steps in answers().items() if steps and key not in replayed}
    assert left - set(reasons) == set()
    assert set(reasons) - set(answers()) == set()


@pytest.mark.lampyr_only
def test_most_is_replayed(replayed: frozenset[str]) -> None:
    recorded = [key for key, steps in answers().items() if steps]
    assert len(replayed.intersection(recorded)) / len(recorded) >= LEAST
