"""What comes of an invocation, as whoever handed it to an environment hears it."""

import asyncio
from collections.abc import Callable

from lampyr.model.invocation import InvokeResult
from lampyr.worker.outcomes import Failure


class EnvironmentStoppedError(Exception):
    """The environment was shut down around an invocation: no fault of the function."""


class EventUnreadError(EnvironmentStoppedError):
    """The environment ended before its runtime had read the event: nothing of it has run."""

    def __init__(self, failure: Failure) -> None:
        super().__init__()
        self.failure = failure
        """What the caller hears when nobody else can take the event."""


Tell = Callable[[InvokeResult | EnvironmentStoppedError], None]
"""Hears what came of an invocation."""


def future_of() -> "tuple[asyncio.Future[InvokeResult], Tell]":
    """A future of what `tell` hears; raises `EnvironmentStoppedError`."""
    result: asyncio.Future[InvokeResult] = asyncio.get_running_loop().create_future()

    def tell(outcome: InvokeResult | EnvironmentStoppedError) -> None:
        if result.done():
            return  # Whoever waited was cancelled: the server is stopping.
        if isinstance(outcome, EnvironmentStoppedError):
            result.set_exception(outcome)
        else:
            result.set_result(outcome)

    return result, tell
