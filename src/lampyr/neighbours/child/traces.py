"""Trace headers, from the request that caused something to whatever it causes.

Recursive loops are found by the lineage in this header. ministack keeps it nowhere; AWS's services
pass it on: SQS as an attribute of the message, SNS and S3 to the functions they invoke.
"""

import contextvars
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final

HEADER: Final = b"x-amzn-trace-id"
ATTRIBUTE: Final = "AWSTraceHeader"
PARAMETERS: Final = {
    "_build_send_sys_attrs": ("now", "sys_attrs_input"),
    "_ensure_msg_fields": ("m",),
}
"""Of ministack's SQS: what is wrapped, and the names of its parameters."""
_TRACE: Final = contextvars.ContextVar[str]("lampyr_trace", default="")

App = Callable[[Any, Any, Any], Awaitable[None]]


def current() -> str:
    """Of the request that this is done for, also on threads that took its context; or empty."""
    return _TRACE.get()


def traced(app: App) -> App:
    """The application, with the trace header of each request known to all that serves it."""

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope.get("type") == "http":
            given = next((v for k, v in scope["headers"] if k.lower() == HEADER), b"")
            _TRACE.set(given.decode("latin-1"))
        await app(scope, receive, send)

    return serve


def differences(sqs: Any) -> list[str]:
    """What of SQS is not as this was written for."""
    wrong = []
    for name, expected in PARAMETERS.items():
        found = getattr(sqs, name, None)
        if not callable(found):
            wrong.append(f"sqs.{name} is missing")
        elif tuple(inspect.signature(found).parameters) != expected:
            wrong.append(f"sqs.{name} takes other parameters than {expected}")
    return wrong


def install(sqs: Any) -> None:
    build, ensure = sqs._build_send_sys_attrs, sqs._ensure_msg_fields  # noqa: SLF001

    def with_trace(now: float, sys_attrs_input: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = build(now, sys_attrs_input)
        if trace := current():
            found.setdefault(ATTRIBUTE, trace)
        return found

    def of_fan_out(m: dict[str, Any]) -> None:
        """Messages of SNS come here first without system attributes, all others with."""
        fresh = "sys" not in m
        ensure(m)
        if fresh and (trace := current()):
            m["sys"].setdefault(ATTRIBUTE, trace)

    sqs._build_send_sys_attrs = with_trace  # noqa: SLF001
    sqs._ensure_msg_fields = of_fan_out  # noqa: SLF001
