"""Calls that only read: answered on the spot, without a task.

What they read is in memory, so their coroutine ends at its first step. One that has to wait after
all is dropped there, and begun anew in a task: reading changes nothing. As of an invocation, what
the head of a request says is kept for heads that say the same (`plans.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lampyr.api.call import Call
from lampyr.arn import function_reference
from lampyr.http1 import Response, encode

if TYPE_CHECKING:
    from lampyr.api.operations import Handler
    from lampyr.api.serializer import Serialize
    from lampyr.model.function import Function, FunctionKey

METHOD: Final = "GET"
OF_FUNCTION: Final = frozenset({"GetFunctionConfiguration"})
"""Operations whose answer follows from the head and the function alone: it is made once, and given
to all who wait for the function to become another."""


class Read:
    """What the head of a request says about what is to be read."""

    __slots__ = ("_answer", "_arguments", "_call", "_function", "_handler", "_key", "_serialize")

    def __init__(
        self,
        operation: str,
        call: Call,
        arguments: dict[str, Any],
        handler: Handler,
        serialize: Serialize,
    ) -> None:
        """Raises `ServiceError` where no function can be meant."""
        self._call = call
        self._arguments = arguments
        self._handler = handler
        self._serialize = serialize
        self._key: FunctionKey | None = None
        if operation in OF_FUNCTION:
            name, qualifier = arguments["FunctionName"], arguments.get("Qualifier")
            self._key = function_reference(call, name, qualifier).key
        self._function: Function | None = None
        self._answer = (b"", b"")
        """The one about `_function`: what comes before and after the request's id."""

    def answer(self, request_id: str) -> bytes | None:
        """As it goes over the wire; None where it has to wait. Raises what the operation raises."""
        if self._key is None:
            return self._make(request_id)
        function = self._call.services.store.functions.known(self._key)
        if function is not None and function is self._function:
            before, after = self._answer
            return before + request_id.encode() + after
        made = self._make(request_id)
        if made is not None:
            before, _, after = made.partition(request_id.encode())
            self._answer, self._function = (before, after), function
        return made

    def _make(self, request_id: str) -> bytes | None:
        told = self._call
        call = Call(
            request_id=request_id,
            account_id=told.account_id,
            region=told.region,
            base_url=told.base_url,
            services=told.services,
            trace=told.trace,
        )
        # The operation may write to its input.
        running = self._handler(call, dict(self._arguments)).__await__()
        try:
            next(running)
        except StopIteration as end:
            output = end.value
        else:
            running.close()
            return None
        response = output if isinstance(output, Response) else self._serialize(output, request_id)
        return None if response.stream is not None else encode(response)
