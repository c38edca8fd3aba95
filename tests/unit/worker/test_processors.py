"""What is said of how long one processor takes to wake the other."""

import pytest

from lampyr.worker.processors import SLOW_MICROSECONDS, hand_over

SLOW = SLOW_MICROSECONDS + 1


@pytest.mark.parametrize(
    ("microseconds", "polling", "ok", "mends"),
    [
        (3.0, 0, True, False),
        (SLOW, 0, False, True),
        (SLOW, 200_000, False, False),  # It does already what could be done.
        (SLOW, None, False, False),
    ],
)
def test_a_slow_hand_over_is_told_and_mended_where_linux_has_a_say(
    microseconds: float, polling: int | None, ok: bool, mends: bool
) -> None:
    fact = hand_over(microseconds, polling)
    assert fact.ok is ok
    assert bool(fact.mend) is mends
