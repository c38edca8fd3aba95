"""PutFunctionEventInvokeConfig and its neighbours: settings of asynchronous invocations.

https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionEventInvokeConfig.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lampyr.arn import FunctionReference, function_reference, key_arn
from lampyr.control import event_invoke
from lampyr.control.event_invoke import EventInvokeChange
from lampyr.model.function import LATEST

if TYPE_CHECKING:
    from lampyr.api.call import Call
    from lampyr.model.event_invoke import EventInvokeConfig


async def put_function_event_invoke_config(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    reference = _reference(call, request)
    config = await event_invoke.put(call.services.control, reference, _change(request))
    return _answer(reference, config)


async def update_function_event_invoke_config(
    call: Call, request: dict[str, Any]
) -> dict[str, Any]:
    reference = _reference(call, request)
    config = await event_invoke.update(call.services.control, reference, _change(request))
    return _answer(reference, config)


async def get_function_event_invoke_config(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    reference = _reference(call, request)
    return _answer(reference, await event_invoke.get(call.services.control, reference))


async def list_function_event_invoke_configs(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    reference = _reference(call, request)
    page = await event_invoke.list_configs(
        call.services.control,
        reference,
        marker=request.get("Marker"),
        max_items=request.get("MaxItems"),
    )
    configs = [
        _answer(FunctionReference.of(reference.key, qualifier), config)
        for qualifier, config in page.items
    ]
    return {"FunctionEventInvokeConfigs": configs, "NextMarker": page.next_marker}


async def delete_function_event_invoke_config(
    call: Call, request: dict[str, Any]
) -> dict[str, Any]:
    await event_invoke.delete(call.services.control, _reference(call, request))
    return {}


def _reference(call: Call, request: dict[str, Any]) -> FunctionReference:
    return function_reference(call, request["FunctionName"], request.get("Qualifier"))


def _change(request: dict[str, Any]) -> EventInvokeChange:
    destinations = request.get("DestinationConfig")
    return EventInvokeChange(
        retry_attempts=request.get("MaximumRetryAttempts"),
        event_age_seconds=request.get("MaximumEventAgeInSeconds"),
        destinations_given=destinations is not None,
        on_success=_destination(destinations, "OnSuccess"),
        on_failure=_destination(destinations, "OnFailure"),
    )


def _destination(destinations: dict[str, Any] | None, side: str) -> str | None:
    """None when the call does not speak of this side; "" when it asks for no destination."""
    given: dict[str, Any] | None = (destinations or {}).get(side)
    return None if given is None else given.get("Destination", "")


def _answer(reference: FunctionReference, config: EventInvokeConfig) -> dict[str, Any]:
    return {
        "FunctionArn": key_arn(reference.key, reference.qualifier or LATEST),
        "LastModified": config.last_modified,
        "MaximumRetryAttempts": config.retry_attempts,
        "MaximumEventAgeInSeconds": config.event_age_seconds,
        "DestinationConfig": {
            "OnSuccess": {"Destination": config.on_success},
            "OnFailure": {"Destination": config.on_failure},
        },
    }
