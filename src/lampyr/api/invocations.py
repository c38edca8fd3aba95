"""What the operations that invoke have in common: which version runs, with what."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import random
from typing import TYPE_CHECKING, Any, Final

from lampyr.arn import FunctionReference, function_reference
from lampyr.errors import (
    InvalidParameterValueException,
    InvalidRequestContentException,
    RecursiveInvocationException,
    ResourceNotFoundException,
)
from lampyr.invoke.recursion import continued
from lampyr.invoke.rules import resolve
from lampyr.model.function import LATEST, Function, FunctionVersion
from lampyr.model.invocation import Invocation

if TYPE_CHECKING:
    from collections.abc import Callable

    from lampyr.api.call import Call

LARGE_JSON_BYTES: Final = 256 * 1024
"""From here on JSON is checked on a thread, so that other callers do not wait for it."""
CLIENT_CONTEXT_BYTES_MAX: Final = 3_583
_scan: Final[Callable[[str, int], tuple[Any, int]]] = vars(json.JSONDecoder())["scan_once"]
"""What `json.loads` calls in the end: a value, and where it ended."""


async def found_version(
    call: Call, request: dict[str, Any]
) -> tuple[FunctionReference, Function, FunctionVersion]:
    """What the call names, and the version that it gets this time."""
    reference = function_reference(call, request["FunctionName"], request.get("Qualifier"))
    function = await call.services.store.functions.get(reference.key)
    if function is None:
        meant = reference.qualifier or LATEST
        raise ResourceNotFoundException(f"Function not found: {reference.unqualified_arn}:{meant}")
    dice = random.random()  # noqa: S311 - which version runs is no secret
    version = resolve(function, reference.qualifier, reference.unqualified_arn, dice)
    return reference, function, version


def invocation_of(
    call: Call, request: dict[str, Any], function: Function, arn: str, payload: bytes
) -> Invocation:
    return Invocation(
        request_id=call.request_id,
        payload=payload,
        invoked_arn=arn,
        client_context=client_context(request.get("ClientContext")),
        trace_header=_continued(call, function),
        tenant_id=request.get("TenantId"),
        wants_log_tail=request.get("LogType") == "Tail",
        nested=call.from_function,
    )


def _continued(call: Call, function: Function) -> str:
    try:
        return continued(call.trace_header, function)
    except RecursiveInvocationException:
        call.services.metrics.record(function.key, "RecursiveInvocationsDropped")
        raise


async def check_json(payload: bytes) -> None:
    if len(payload) < LARGE_JSON_BYTES:
        check_small_json(payload)
    else:
        await asyncio.to_thread(check_small_json, payload)


def check_small_json(payload: bytes) -> None:
    """Raises what Lambda says to a payload that is not JSON; blocks for as long as it is."""
    try:
        json.loads(payload.decode())
    except (ValueError, RecursionError) as error:
        message = (
            f"Could not parse request body into json: Could not parse payload into json: {error}"
        )
        raise InvalidRequestContentException(message) from error


def check_small_payload(payload: bytes) -> None:
    """The same, faster where there is nothing around the JSON: as it nearly always is."""
    try:
        text = payload.decode()
        if _scan(text, 0)[1] == len(text):
            return
    except (ValueError, StopIteration, RecursionError):
        pass
    check_small_json(payload)  # White space around it; or it says what is wrong.


def client_context(value: str | None) -> str | None:
    """The JSON inside the base64 of X-Amz-Client-Context, fit to be a header again."""
    if value is None:
        return None
    if len(value) > CLIENT_CONTEXT_BYTES_MAX:
        raise InvalidParameterValueException(
            f"Client context must be no more than {CLIENT_CONTEXT_BYTES_MAX} bytes "
            "when base64-encoded"
        )
    try:
        return json.dumps(json.loads(base64.b64decode(value, validate=True)))
    except (ValueError, binascii.Error) as error:
        raise InvalidRequestContentException(
            "Client context must be a valid Base64-encoded JSON object."
        ) from error
