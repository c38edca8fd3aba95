"""The warm path of Invoke: from the head of a request to an invocation, with nothing done twice.

What the head says is a `Plan`. A client whose heads are the same every time has the same plan every
time, so the front door keeps it by the head's bytes. All rules are those of `operations/invoke.py`,
which serves whatever is refused here, and says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lampyr.api.accepting import AcceptingPath
from lampyr.api.call import trace_of
from lampyr.api.invocations import LARGE_JSON_BYTES, check_small_payload, client_context
from lampyr.api.operations import invoke
from lampyr.arn import function_reference
from lampyr.errors import ServiceError
from lampyr.http1 import encode
from lampyr.invoke.recursion import continued
from lampyr.invoke.rules import is_split, resolve
from lampyr.model.invocation import Invocation, InvocationType

if TYPE_CHECKING:
    from collections.abc import Callable

    from lampyr.api.call import Call, Services
    from lampyr.api.serializer import ErrorSerializer, Serialize
    from lampyr.arn import FunctionReference
    from lampyr.model.invocation import InvokeResult

    Done = Callable[[bytes], None]
    """Takes the answer, as it goes over the wire."""


class Plan:
    """What the head of a request says about the invocation it asks for. Nobody writes to it."""

    __slots__ = (
        "client_context",
        "is_event",
        "reference",
        "repeats",
        "tenant_id",
        "trace",
        "wants_log_tail",
    )

    def __init__(self, call: Call, arguments: dict[str, Any], *, repeats: bool) -> None:
        """`arguments` without a payload. Raises `ServiceError`."""
        self.trace = call.trace
        self.reference: FunctionReference = function_reference(
            call, arguments["FunctionName"], arguments.get("Qualifier")
        )
        self.client_context = client_context(arguments.get("ClientContext"))
        self.tenant_id: str | None = arguments.get("TenantId")
        self.wants_log_tail = arguments.get("LogType") == "Tail"
        self.is_event = arguments.get("InvocationType") == InvocationType.EVENT
        """Its caller does not wait for the result."""
        self.repeats = repeats
        """Whether the same head will mean the same the next time."""


def is_plain(arguments: dict[str, Any]) -> bool:
    """Whether these are arguments of an invocation that runs, and is nothing but that."""
    kind = arguments.get("InvocationType", InvocationType.REQUEST_RESPONSE)
    return kind != InvocationType.DRY_RUN and "DurableExecutionName" not in arguments


class WarmPath:
    def __init__(self, services: Services, serialize: Serialize, error: ErrorSerializer) -> None:
        self._now = services.clock.now
        self._functions = services.store.functions
        self._invoker = services.invoker
        self._serialize = serialize
        self._error = error
        self._accepting = AcceptingPath(services, serialize, error)

    def begin(self, plan: Plan, payload: bytes, request_id: str, done: Done) -> bool:
        """Run it where an environment is warm: `done` gets the answer, some time later.

        False, and nothing is done, where there is none or the call would be refused.
        """
        if plan.is_event:
            return self._accepting.begin(plan, payload, request_id, done)
        if len(payload) >= LARGE_JSON_BYTES:
            return False
        reference = plan.reference
        function = self._functions.known(reference.key)
        if function is None or is_split(function, reference.qualifier):
            # Chosen here, a version without an idle environment would be chosen anew in `invoke`:
            # the one that is warm would get more than its weight.
            return False

        def tell(outcome: InvokeResult | ServiceError) -> None:
            if isinstance(outcome, ServiceError):
                done(encode(self._error(outcome, request_id)))
            elif outcome.function_error is None and not outcome.log_tail:
                done(success(outcome, request_id))
            else:
                done(encode(self._serialize(invoke.answer(outcome), request_id)))

        try:
            version = resolve(function, reference.qualifier, reference.unqualified_arn)
            if payload:
                check_small_payload(payload)
            invocation = Invocation(
                request_id=request_id,
                payload=payload or b"{}",
                invoked_arn=reference.arn,
                client_context=plan.client_context,
                trace_header=continued(trace_of(plan.trace, self._now()), function),
                tenant_id=plan.tenant_id,
                wants_log_tail=plan.wants_log_tail,
            )
            return self._invoker.begin(version, invocation, tell)
        except ServiceError:
            return False  # The other way comes to the same error, and says it.


def success(result: InvokeResult, request_id: str) -> bytes:
    """What the serializer of Invoke makes of a success without a log: nearly every answer."""
    head = (
        f"HTTP/1.1 200 OK\r\nx-amzn-RequestId: {request_id}\r\n"
        f"X-Amz-Executed-Version: {result.executed_version}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(result.payload)}\r\n\r\n"
    )
    return head.encode() + result.payload
