"""Functions as pollers call them: found anew for each batch, since aliases and code move."""

import random
from collections.abc import Callable

from lampyr.arn import key_arn
from lampyr.clock import Clock
from lampyr.errors import RecursiveInvocationException, ResourceNotFoundException
from lampyr.invoke.invoker import Invoker
from lampyr.invoke.recursion import continued
from lampyr.invoke.rules import resolve
from lampyr.model.function import Function
from lampyr.model.invocation import Invocation, InvokeResult
from lampyr.model.trace import complete_trace
from lampyr.observe.metrics import Metrics
from lampyr.sources.base import Target
from lampyr.store.base import FunctionTable


class FunctionCaller:
    """A `Caller` in this process."""

    def __init__(
        self,
        functions: FunctionTable,
        invoker: Invoker,
        clock: Clock,
        new_id: Callable[[], str],
        metrics: Metrics,
    ) -> None:
        self._functions = functions
        self._invoker = invoker
        self._clock = clock
        self._new_id = new_id
        self._metrics = metrics

    async def call(
        self, target: Target, payload: bytes, *, trace: str | None = None
    ) -> InvokeResult:
        arn = key_arn(target.key, target.qualifier)
        function = await self._functions.get(target.key)
        if function is None:
            raise ResourceNotFoundException(f"Function not found: {arn}")
        dice = random.random()  # noqa: S311 - which version runs is no secret
        version = resolve(function, target.qualifier, key_arn(target.key), dice)
        now, dice = int(self._clock.now()), random.getrandbits(160)
        invocation = Invocation(
            request_id=self._new_id(),
            payload=payload,
            invoked_arn=arn,
            trace_header=self._continued(complete_trace(trace, now, dice), function),
        )
        return await self._invoker.invoke(version, invocation)

    def _continued(self, trace_header: str, function: Function) -> str:
        try:
            return continued(trace_header, function)
        except RecursiveInvocationException:
            self._metrics.record(function.key, "RecursiveInvocationsDropped")
            raise
