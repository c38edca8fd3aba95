"""PutFunctionConcurrency, GetFunctionConcurrency and DeleteFunctionConcurrency.

https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionConcurrency.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lampyr.arn import FunctionReference, function_reference, unqualified
from lampyr.control import concurrency

if TYPE_CHECKING:
    from lampyr.api.call import Call


async def put_function_concurrency(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    wanted = request["ReservedConcurrentExecutions"]
    await concurrency.reserve(call.services.control, _function(call, request), wanted)
    return {"ReservedConcurrentExecutions": wanted}


async def get_function_concurrency(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    reserved = await concurrency.reserved(call.services.control, _function(call, request))
    return {"ReservedConcurrentExecutions": reserved}


async def delete_function_concurrency(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    await concurrency.unreserve(call.services.control, _function(call, request))
    return {}


def _function(call: Call, request: dict[str, Any]) -> FunctionReference:
    return FunctionReference.of(unqualified(function_reference(call, request["FunctionName"])))
