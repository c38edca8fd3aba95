"""CreateEventSourceMapping and its neighbours.

https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lampyr.api.operations.mapping_settings import (
    answer,
    consumer_groups,
    endpoints,
    refuse_unserved,
    settings,
)
from lampyr.arn import function_reference
from lampyr.control import mappings
from lampyr.control.sources.requests import CreateMapping, UpdateMapping
from lampyr.model.resource import ResourceKey

if TYPE_CHECKING:
    from lampyr.api.call import Call


async def create_event_source_mapping(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    refuse_unserved(request)
    timestamp = request.get("StartingPositionTimestamp")
    mapping = await mappings.create(
        call.services.control,
        CreateMapping(
            function=function_reference(call, request["FunctionName"]),
            source_arn=request.get("EventSourceArn"),
            endpoints=endpoints(request),
            topics=tuple(request.get("Topics") or ()),
            queues=tuple(request.get("Queues") or ()),
            starting_position=request.get("StartingPosition"),
            starting_timestamp=None if timestamp is None else timestamp.timestamp(),
            consumer_groups=consumer_groups(request),
            settings=settings(request),
            enabled=request.get("Enabled", True),
            tags=request.get("Tags") or {},
        ),
    )
    return answer(mapping)


async def update_event_source_mapping(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    refuse_unserved(request)
    name = request.get("FunctionName")
    mapping = await mappings.update(
        call.services.control,
        _key(call, request),
        UpdateMapping(
            function=None if name is None else function_reference(call, name),
            consumer_groups=consumer_groups(request),
            settings=settings(request),
            enabled=request.get("Enabled"),
        ),
    )
    return answer(mapping)


async def get_event_source_mapping(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    return answer(await mappings.get(call.services.control, _key(call, request)))


async def list_event_source_mappings(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    name = request.get("FunctionName")
    page = await mappings.list_mappings(
        call.services.control,
        call.account_id,
        call.region,
        source_arn=request.get("EventSourceArn"),
        function=None if name is None else function_reference(call, name),
        marker=request.get("Marker"),
        max_items=request.get("MaxItems"),
    )
    shown = [answer(mapping) for mapping in page.items]
    return {"EventSourceMappings": shown, "NextMarker": page.next_marker}


async def delete_event_source_mapping(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    return answer(await mappings.delete(call.services.control, _key(call, request)))


def _key(call: Call, request: dict[str, Any]) -> ResourceKey:
    return ResourceKey(call.account_id, call.region, request["UUID"])
