"""Event source mappings: created, found, listed, updated and deleted.

https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html and its neighbours.

They are kept apart from functions and live on when their function is deleted, as on AWS.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from lampyr.arn import FunctionReference, key_arn
from lampyr.control import rules as function_rules
from lampyr.control.pages import Page, page, place_of
from lampyr.control.plane import ControlPlane
from lampyr.control.sources.lookup import check_source
from lampyr.control.sources.requests import CreateMapping, UpdateMapping
from lampyr.control.sources.rules import (
    RULES,
    already_there,
    change_of,
    check_change,
    check_settings,
    completed,
    merged,
    overlaps,
    source_of,
)
from lampyr.control.sources.states import changing, deleting, first_state, reason_of_user
from lampyr.errors import (
    InvalidParameterValueException,
    ResourceConflictException,
    ResourceNotFoundException,
)
from lampyr.model.function import LATEST
from lampyr.model.mapping import EventSource, EventSourceMapping, SourceKind
from lampyr.model.resource import ResourceKey
from lampyr.store.base import Table

ITEMS_MAX: Final = 100
"""However many a caller asks for."""
NOTHING_READ: Final = "No records processed"


async def create(plane: ControlPlane, request: CreateMapping) -> EventSourceMapping:
    now, uuid = plane.clock.now(), plane.new_id()
    source = source_of(request, uuid, now)
    check_change(source.kind, request.settings)
    settings = completed(source.kind, merged(RULES[source.kind].defaults, request.settings))
    check_settings(source, settings, plane.limits)
    tags = function_rules.tagged({}, request.tags, plane.limits)
    function = request.function
    await _check_ends(plane, source, function)
    mapping = EventSourceMapping(
        key=ResourceKey(function.key.account_id, function.key.region, uuid),
        source=source,
        function=function.key,
        qualifier=function.qualifier,
        settings=settings,
        enabled=request.enabled,
        state=first_state(request.enabled),
        state_reason=reason_of_user(source.kind),
        last_processing_result=None if source.kind is SourceKind.SQS else NOTHING_READ,
        last_modified=now,
        tags=tags,
    )
    async with plane.mappings.changes:
        await _check_single(plane, mapping)
        await _table(plane).create(mapping)
    plane.mappings.wake(mapping.key)
    return mapping


async def get(plane: ControlPlane, key: ResourceKey) -> EventSourceMapping:
    mapping = await _table(plane).get(key)
    if mapping is None:
        raise ResourceNotFoundException("The resource you requested does not exist.")
    return mapping


async def list_mappings(
    plane: ControlPlane,
    account_id: str,
    region: str,
    *,
    source_arn: str | None = None,
    function: FunctionReference | None = None,
    marker: str | None = None,
    max_items: int | None = None,
) -> Page[EventSourceMapping]:
    """By UUID; those of a source, and those that name the function in just this way."""
    start = place_of(marker)
    mappings = await _table(plane).all(account_id, region)

    def items() -> Iterator[EventSourceMapping]:
        for mapping in mappings:
            if start is not None and _place(mapping) <= start:
                continue
            if source_arn is not None and mapping.source.arn != source_arn:
                continue
            if function is None or _names(mapping, function):
                yield mapping

    return page(items(), min(max_items or ITEMS_MAX, ITEMS_MAX), _place)


async def update(
    plane: ControlPlane, key: ResourceKey, request: UpdateMapping
) -> EventSourceMapping:
    """On its way to what the request says."""
    source = (await get(plane, key)).source
    if request.function is not None:
        await _check_ends(plane, source, request.function)
    async with plane.mappings.changes:
        while True:
            mapping = await get(plane, key)
            new = changing(mapping, _changed(plane, mapping, request), plane.clock.now())
            await _check_single(plane, new)
            if await _table(plane).replace(mapping, new):
                break
    plane.mappings.wake(key)
    return new


def _changed(
    plane: ControlPlane, mapping: EventSourceMapping, request: UpdateMapping
) -> EventSourceMapping:
    change = change_of(mapping, request)
    settings = completed(mapping.source.kind, merged(mapping.settings, change))
    check_settings(mapping.source, settings, plane.limits)
    function = request.function
    return replace(
        mapping,
        settings=settings,
        function=mapping.function if function is None else function.key,
        qualifier=mapping.qualifier if function is None else function.qualifier,
        enabled=mapping.enabled if request.enabled is None else request.enabled,
    )


async def delete(plane: ControlPlane, key: ResourceKey) -> EventSourceMapping:
    """On its way to be gone."""
    new = await change_mapping(plane, key, lambda mapping: deleting(mapping, plane.clock.now()))
    plane.mappings.wake(key)
    return new


async def processed(plane: ControlPlane, key: ResourceKey, result: str) -> None:
    """Note what came of reading, for whoever looks at the mapping; stored when it differs."""
    mapping = _table(plane).known(key)
    if mapping is None or mapping.last_processing_result == result:
        return
    try:
        await change_mapping(
            plane, key, lambda mapping: replace(mapping, last_processing_result=result)
        )
    except ResourceNotFoundException:
        return  # Deleted meanwhile: nobody looks at it any more.


async def change_mapping(
    plane: ControlPlane,
    key: ResourceKey,
    change: Callable[[EventSourceMapping], EventSourceMapping],
) -> EventSourceMapping:
    """Store what `change` makes of the mapping, or of what another made of it meanwhile."""
    while True:
        mapping = await get(plane, key)
        new = change(mapping)
        if new == mapping or await _table(plane).replace(mapping, new):
            return new


async def _check_ends(
    plane: ControlPlane, source: EventSource, reference: FunctionReference
) -> None:
    """Both have to be there: the function, and the source, as far as it can be asked."""
    function = await plane.store.functions.get(reference.key)
    version = None if function is None else function.qualified(reference.qualifier or LATEST)
    if function is None or version is None:
        raise InvalidParameterValueException("Function does not exist")
    function_rules.check_shared(function, "Event source mapping")
    await check_source(plane.aws, source, version.timeout_seconds)


async def _check_single(plane: ControlPlane, new: EventSourceMapping) -> None:
    """A function gets the events of a source through one mapping."""
    for other in await _table(plane).all(new.key.account_id, new.key.region):
        if (
            other.key != new.key
            and (other.function, other.qualifier) == (new.function, new.qualifier)
            and overlaps(other.source, new.source)
        ):
            raise ResourceConflictException(_conflict(new, other.key.id))


def _conflict(new: EventSourceMapping, uuid: str) -> str:
    source: EventSource = new.source
    name = new.function.name if new.qualifier is None else f"{new.function.name}:{new.qualifier}"
    return already_there(source, key_arn(new.function, new.qualifier), name, uuid)


def _names(mapping: EventSourceMapping, function: FunctionReference) -> bool:
    return (mapping.function, mapping.qualifier) == (function.key, function.qualifier)


def _place(mapping: EventSourceMapping) -> tuple[str, int]:
    return mapping.key.id, 0


def _table(plane: ControlPlane) -> Table[EventSourceMapping]:
    return plane.store.table(EventSourceMapping)
