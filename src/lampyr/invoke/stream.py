"""A streamed response on its way from the runtime to the caller: a few pieces at a time.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

HIGH_BYTES: Final = 1024 * 1024
"""So much may wait for a caller who reads slowly; then the runtime waits as well."""
DEFAULT_TYPE: Final = "application/octet-stream"


class ResponseStream:
    """Implements `ResponseSink`; iterated over by one caller."""

    def __init__(self) -> None:
        self.content_type = DEFAULT_TYPE
        self.begun = False
        self._pieces: deque[bytes] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()
        self._ended = False
        self._resume: Callable[[], None] | None = None

    def begin(self, content_type: str, resume: Callable[[], None]) -> None:
        self.content_type = content_type or DEFAULT_TYPE
        self.begun = True
        self._resume = resume
        self._changed.set()

    def write(self, data: bytes) -> bool:
        self._pieces.append(data)
        self._bytes += len(data)
        self._changed.set()
        return self._bytes < HIGH_BYTES

    def end(self) -> None:
        """The invocation has its outcome: nothing more comes."""
        self._ended = True
        self._changed.set()

    async def started(self) -> None:
        """Wait until the runtime begins to stream, or the invocation has its outcome."""
        while not (self.begun or self._ended):
            self._changed.clear()
            await self._changed.wait()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            while self._pieces:
                data = b"".join(self._pieces)
                self._pieces.clear()
                self._bytes = 0
                yield data
            if self._resume is not None:
                self._resume()
            if self._ended and not self._pieces:
                return
            self._changed.clear()
            if not self._pieces and not self._ended:
                await self._changed.wait()
