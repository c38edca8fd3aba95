"""When memory is looked at: after what may have used more, and never most of the time."""

import pytest

from lampyr.worker.memory_looks import GROWS_SECONDS, LONG_SECONDS, OVERDUE_SECONDS, MemoryLooks

NOW = 100.0


@pytest.mark.parametrize(
    ("ran", "ago", "due"),
    [
        (0.0, 0.0, False),
        (0.0, OVERDUE_SECONDS * 1.1, True),
        (GROWS_SECONDS * 1.1, 0.01, True),
        (GROWS_SECONDS * 0.9, 0.01, False),
    ],
)
def test_it_is_due_after_a_while_and_after_what_took_some_time(
    ran: float, ago: float, due: bool
) -> None:
    assert MemoryLooks().due(NOW, started=NOW - ran, looked=NOW - ago) == due


def test_looks_after_short_invocations_take_a_twentieth_of_the_time() -> None:
    looks = MemoryLooks()
    looks.took(NOW, NOW + 0.001)
    ran = GROWS_SECONDS * 2
    for later, due in ((0.0015, False), (0.015, False), (0.0215, True)):
        assert looks.due(NOW + later, started=NOW + later - ran, looked=NOW - ran) == due
    assert looks.due(NOW + 0.0015, started=NOW - LONG_SECONDS, looked=NOW), "a long one in any case"
