"""Calls and tellings over one connection between the front and a worker, both ways.

A call has a number and gets one answer; a telling has none. Order is kept in each direction.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from lampyr import errors
from lampyr.cluster.frames import FrameStream, Members
from lampyr.errors import ServiceError
from lampyr.tasks import Tasks
from lampyr.worker.sandbox.base import SandboxError


class LinkLostError(Exception):
    """The other end is gone; what was asked of it may or may not have happened."""


Answer = tuple[Members, bytes]
Serve = Callable[[dict[str, Any], bytes], Awaitable[Answer]]
"""Answers a call; a `SandboxError` or `ServiceError` is an answer too, all else is a fault."""


class Listener(Protocol):
    @property
    def calls(self) -> Mapping[str, Serve]:
        """By the verb."""
        ...

    def heard(self, verb: str, members: dict[str, Any], body: bytes) -> None:
        """Something was told."""
        ...

    def lost(self) -> None:
        """Called once."""
        ...


class Link:
    def __init__(self, listener: Listener, tasks: Tasks) -> None:
        self._listener = listener
        self._tasks = tasks
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        self.stream = FrameStream(self._heard, self._ended)
        self.is_lost = False
        self.before: Callable[[], None] | None = None
        """Is called before each telling: for what has to come first."""

    async def call(self, verb: str, body: bytes = b"", **members: Any) -> Answer:
        """Raises `LinkLostError`, and `SandboxError` or `ServiceError` where the other end did."""
        if self.is_lost:
            raise LinkLostError
        number = next(self._numbers)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self.stream.send({"verb": verb, "call": number, **members}, body)
        try:
            return await answer
        finally:
            self._asked.pop(number, None)

    def tell(self, verb: str, body: bytes = b"", **members: Any) -> None:
        if self.before is not None:
            self.before()
        self.stream.send({"verb": verb, **members}, body)

    def _heard(self, head: dict[str, Any], body: bytes) -> None:
        answered = head.pop("answers", None)
        if answered is not None:
            self._answered(answered, head, body)
            return
        verb, number = head.pop("verb", ""), head.pop("call", None)
        if number is None:
            self._listener.heard(verb, head, body)
        else:
            self._tasks.start(self._serve(verb, number, head, body), f"call of {verb}")

    def _answered(self, number: int, head: dict[str, Any], body: bytes) -> None:
        waiting = self._asked.pop(number, None)
        if waiting is None or waiting.done():
            return
        if (error := head.get("sandbox_error")) is not None:
            waiting.set_exception(SandboxError(error))
        elif (refusal := head.get("refusal")) is not None:
            waiting.set_exception(getattr(errors, refusal["type"])(refusal["message"]))
        else:
            waiting.set_result((head, body))

    async def _serve(self, verb: str, number: int, members: dict[str, Any], body: bytes) -> None:
        head: Members = {"sandbox_error": f"the worker failed at {verb}; its log says why"}
        answer = b""
        try:
            head, answer = await self._listener.calls[verb](members, body)
        except SandboxError as error:
            head = {"sandbox_error": str(error)}
        except ServiceError as error:
            head = {"refusal": {"type": type(error).__name__, "message": error.message}}
        finally:
            if self.before is not None:
                self.before()
            self.stream.send({"answers": number, **head}, answer)

    def _ended(self) -> None:
        self.is_lost = True
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(LinkLostError())
        self._asked.clear()
        self._listener.lost()
