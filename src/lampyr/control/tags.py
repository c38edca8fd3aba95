"""Tags of functions and of other resources.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from lampyr.arn import FunctionReference
from lampyr.control import rules
from lampyr.control.functions import change_function, find
from lampyr.control.plane import ControlPlane
from lampyr.errors import InvalidParameterValueException, ResourceNotFoundException
from lampyr.model.code_signing import CodeSigningConfig
from lampyr.model.function import Function, FunctionKey
from lampyr.model.mapping import EventSourceMapping
from lampyr.model.resource import ResourceKey
from lampyr.store.base import Table

Tags = Mapping[str, str]


_WORDS: Final[Mapping[type, str]] = {
    CodeSigningConfig: "Code signing config",
    EventSourceMapping: "Event source mapping",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceReference:
    """Another resource than a function, which a call means."""

    kind: type[CodeSigningConfig] | type[EventSourceMapping]
    key: ResourceKey
    arn: str


Taggable = FunctionReference | ResourceReference


async def tag(plane: ControlPlane, resource: Taggable, tags: Tags) -> None:
    _check(resource)
    if not tags:
        raise InvalidParameterValueException(
            "An error occurred and the request cannot be processed."
        )
    await _change(plane, resource, lambda before: rules.tagged(before, tags, plane.limits))


async def untag(plane: ControlPlane, resource: Taggable, names: Collection[str]) -> None:
    """Names that are not there are no error."""
    _check(resource)

    def left(before: Tags) -> Tags:
        return {name: value for name, value in before.items() if name not in names}

    await _change(plane, resource, left)


async def list_tags(plane: ControlPlane, resource: Taggable) -> Tags:
    _check(resource)
    if isinstance(resource, FunctionReference):
        return (await find(plane, resource)).tags
    return (await _resource(plane, resource)).tags


async def _change(plane: ControlPlane, resource: Taggable, change: Callable[[Tags], Tags]) -> None:
    if isinstance(resource, FunctionReference):
        key: FunctionKey = resource.key

        def changed(function: Function) -> Function:
            return replace(function, tags=change(function.tags))

        await change_function(plane, key, changed)
        return
    table: Table[Any] = plane.store.table(resource.kind)
    while True:
        item = await _resource(plane, resource)
        if await table.replace(item, replace(item, tags=change(item.tags))):
            return


async def _resource(
    plane: ControlPlane, reference: ResourceReference
) -> CodeSigningConfig | EventSourceMapping:
    table: Table[Any] = plane.store.table(reference.kind)
    item: CodeSigningConfig | EventSourceMapping | None = await table.get(reference.key)
    if item is None:
        raise ResourceNotFoundException(f"{_WORDS[reference.kind]} not found: {reference.arn}")
    return item


def _check(resource: Taggable) -> None:
    if isinstance(resource, FunctionReference) and resource.qualifier is not None:
        raise InvalidParameterValueException(
            "Tags on function aliases and versions are not supported. "
            "Please specify a function ARN."
        )
