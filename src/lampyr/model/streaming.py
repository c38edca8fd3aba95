"""Where a response goes piece by piece, while the function still writes it."""

from collections.abc import Callable
from typing import Protocol


class ResponseSink(Protocol):
    """Whoever waits for a streamed response. Its end is the end of the invocation."""

    def begin(self, content_type: str, resume: Callable[[], None]) -> None:
        """The runtime begins to stream. `resume` is called when there is room again."""
        ...

    def write(self, data: bytes) -> bool:
        """Take a piece; false when the runtime shall wait until it is resumed."""
        ...
