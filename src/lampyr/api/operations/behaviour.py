"""Recursion, runtime management and scaling configurations.

https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionRecursionConfig.html
https://docs.aws.amazon.com/lambda/latest/api/API_PutRuntimeManagementConfig.html
https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionScalingConfig.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lampyr.arn import FunctionReference, function_reference, key_arn
from lampyr.control import behaviour
from lampyr.control.functions import find
from lampyr.model.function import LATEST

if TYPE_CHECKING:
    from lampyr.api.call import Call


async def put_function_recursion_config(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    function = await behaviour.put_recursion(
        call.services.control, _reference(call, request), request["RecursiveLoop"]
    )
    return {"RecursiveLoop": function.recursive_loop}


async def get_function_recursion_config(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    function = await find(call.services.control, _reference(call, request))
    return {"RecursiveLoop": function.recursive_loop}


async def put_runtime_management_config(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    reference, mode = _reference(call, request), request["UpdateRuntimeOn"]
    await behaviour.put_runtime_management(
        call.services.control, reference, mode, request.get("RuntimeVersionArn")
    )
    return _runtime_management(reference)


async def get_runtime_management_config(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    reference = _reference(call, request)
    await behaviour.find_managed(call.services.control, reference)
    return _runtime_management(reference)


async def put_function_scaling_config(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    await behaviour.refuse_scaling(call.services.control, _reference(call, request))


async def get_function_scaling_config(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    await behaviour.refuse_scaling(call.services.control, _reference(call, request))


def _reference(call: Call, request: dict[str, Any]) -> FunctionReference:
    return function_reference(call, request["FunctionName"], request.get("Qualifier"))


def _runtime_management(reference: FunctionReference) -> dict[str, Any]:
    arn = key_arn(reference.key, reference.qualifier or LATEST)
    return {"UpdateRuntimeOn": behaviour.AUTO, "FunctionArn": arn}
