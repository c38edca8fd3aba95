"""Invoke: run a function and wait for what it returns.

https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from lampyr.api.invocations import check_json, client_context, found_version, invocation_of
from lampyr.errors import (
    NotServedError,
    RequestEntityTooLargeException,
)
from lampyr.invoke.rules import check_tenant
from lampyr.model.event import Content
from lampyr.model.invocation import InvocationType, InvokeResult

if TYPE_CHECKING:
    from lampyr.api.call import Call
    from lampyr.model.function import Function


async def invoke(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    kind = request.get("InvocationType", "RequestResponse")
    if "DurableExecutionName" in request:
        raise NotServedError("Lampyr does not serve durable executions yet")
    services = call.services
    reference, function, version = await found_version(call, request)
    if kind == InvocationType.DRY_RUN:
        return {"StatusCode": 204}
    payload = request.get("Payload") or b"{}"
    if kind == InvocationType.EVENT:
        check_tenant(version, request.get("TenantId"))
        await _accept(call, request, function, reference.qualifier, payload)
        return {"StatusCode": 202}
    await check_json(payload)
    invocation = invocation_of(call, request, function, reference.arn, payload)
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
    await check_json(payload)
    content = Content(
        request_id=call.request_id,
        payload=payload,
        trace_header=call.trace_header,
        client_context=client_context(request.get("ClientContext")),
        tenant_id=request.get("TenantId"),
    )
    await call.services.queue.accept(function, qualifier, content)
