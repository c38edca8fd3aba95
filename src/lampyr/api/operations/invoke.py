"""Invoke: run a function and wait for what it returns.

https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import random
from typing import TYPE_CHECKING, Any, Final

from lampyr.arn import function_reference
from lampyr.errors import (
    InvalidParameterValueException,
    InvalidRequestContentException,
    NotServedError,
    RecursiveInvocationException,
    RequestEntityTooLargeException,
    ResourceNotFoundException,
)
from lampyr.invoke.recursion import continued
from lampyr.invoke.rules import check_tenant, resolve
from lampyr.model.event import Content
from lampyr.model.function import LATEST
from lampyr.model.invocation import Invocation, InvocationType, InvokeResult

if TYPE_CHECKING:
    from lampyr.api.call import Call
    from lampyr.model.function import Function

LARGE_JSON_BYTES: Final = 256 * 1024
"""From here on JSON is checked on a thread, so that other callers do not wait for it."""
CLIENT_CONTEXT_BYTES_MAX: Final = 3_583


async def invoke(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    kind = request.get("InvocationType", "RequestResponse")
    if "DurableExecutionName" in request:
        raise NotServedError("Lampyr does not serve durable executions yet")
    services = call.services
    reference = function_reference(call, request["FunctionName"], request.get("Qualifier"))
    function = await services.store.functions.get(reference.key)
    if function is None:
        meant = reference.qualifier or LATEST
        raise ResourceNotFoundException(f"Function not found: {reference.unqualified_arn}:{meant}")
    dice = random.random()  # noqa: S311 - which version runs is no secret
    version = resolve(function, reference.qualifier, reference.unqualified_arn, dice)
    if kind == InvocationType.DRY_RUN:
        return {"StatusCode": 204}
    payload = request.get("Payload") or b"{}"
    if kind == InvocationType.EVENT:
        check_tenant(version, request.get("TenantId"))
        await _accept(call, request, function, reference.qualifier, payload)
        return {"StatusCode": 202}
    await _check_json(payload)
    invocation = _invocation(call, request, function, reference.arn, payload)
    return answer(await services.invoker.invoke(version, invocation))


async def invoke_async(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Invoke with type Event, as it was called until 2014.

    https://docs.aws.amazon.com/lambda/latest/api/API_InvokeAsync.html
    """
    arguments = {"Payload": request["InvokeArgs"], "InvocationType": InvocationType.EVENT}
    await invoke(call, {"FunctionName": request["FunctionName"], **arguments})
    return {"Status": 202}


def answer(result: InvokeResult) -> dict[str, Any]:
    """The output of the operation."""
    found: dict[str, Any] = {
        "StatusCode": 200,
        "ExecutedVersion": result.executed_version,
        "Payload": result.payload,
    }
    if result.function_error is not None:
        found["FunctionError"] = result.function_error
    if result.log_tail:
        found["LogResult"] = base64.b64encode(result.log_tail).decode()
    return found


async def _accept(
    call: Call, request: dict[str, Any], function: Function, qualifier: str | None, payload: bytes
) -> None:
    """Returns when the event is durable."""
    most = call.services.limits.payload_bytes_async
    if len(payload) > most:
        raise RequestEntityTooLargeException(
            f"{len(payload)} byte payload is too large for the Event invocation type "
            f"(limit {most} bytes)"
        )
    await _check_json(payload)
    content = Content(
        request_id=call.request_id,
        payload=payload,
        trace_header=call.trace_header,
        client_context=client_context(request.get("ClientContext")),
        tenant_id=request.get("TenantId"),
    )
    await call.services.queue.accept(function, qualifier, content)


def _invocation(
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


async def _check_json(payload: bytes) -> None:
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
