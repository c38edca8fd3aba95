"""When the memory of an environment is looked at, after an invocation of it.

A look walks through the processes of a sandbox, for some 0.1 ms. On a busy host invocations are
many, and long because they wait for each other: looks after all of them would keep it busy.
"""

from typing import Final

OVERDUE_SECONDS: Final = 0.5
"""Who was not looked at for so long is looked at in any case."""
LONG_SECONDS: Final = 0.1
"""After an invocation as long as this, too."""
GROWS_SECONDS: Final = 0.005
"""An invocation as long as this may have used much more than those before."""
PAUSE_TIMES: Final = 20
"""The next look, at whichever environment, comes this many times later than the last one took."""


class MemoryLooks:
    """Shared by the environments of one worker. All times are monotonic seconds."""

    def __init__(self) -> None:
        self._next = 0.0

    def due(self, now: float, *, started: float, looked: float) -> bool:
        """After an invocation that began at `started`, of an environment last `looked` at then."""
        ran = now - started
        if now - looked > OVERDUE_SECONDS or ran > LONG_SECONDS:
            return True
        return ran > GROWS_SECONDS and now >= self._next

    def took(self, began: float, ended: float) -> None:
        """What the last look cost."""
        self._next = ended + (ended - began) * PAUSE_TIMES
