"""One request to run a function, and what came of it."""

from dataclasses import dataclass
from enum import StrEnum

from lampyr.model.streaming import ResponseSink


class InvocationType(StrEnum):
    REQUEST_RESPONSE = "RequestResponse"
    EVENT = "Event"
    DRY_RUN = "DryRun"


@dataclass(slots=True, kw_only=True, eq=False)
class Invocation:
    """Not frozen: a frozen dataclass costs 2 µs more to make, on the warm path. Nobody writes."""

    request_id: str
    payload: bytes
    invoked_arn: str
    client_context: str | None = None
    """JSON, decoded from the base64 that Invoke takes."""
    cognito_identity: str | None = None
    trace_header: str
    """`Root=…;Parent=…;Sampled=…`."""
    tenant_id: str | None = None
    wants_log_tail: bool = False
    nested: bool = False
    """Made by a function, which waits for it."""
    stream: ResponseSink | None = None
    """Where the response goes piece by piece, when the runtime streams it."""


@dataclass(slots=True, eq=False)
class InvokeResult:
    """Not frozen, for the same reason as `Invocation`."""

    executed_version: str
    payload: bytes
    function_error: str | None = None
    """`Unhandled` when the function failed; the call itself still succeeded."""
    log_tail: bytes = b""
    """The last 4 KB of the invocation's log, when the caller asked for it."""
