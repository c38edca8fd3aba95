"""Layers: their versions published, found, listed and deleted; and taken into functions.

https://docs.aws.amazon.com/lambda/latest/dg/chapter-layers.html
"""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from lampyr.arn import LayerReference, layer_version_arn
from lampyr.control import uploads
from lampyr.control.account import check_code_storage
from lampyr.control.layer_rules import check_access, check_number, compatible, layers_named
from lampyr.control.packages import blob_name
from lampyr.control.pages import Page, page, place_of, size
from lampyr.control.plane import ControlPlane
from lampyr.control.requests import LayerFilter, PublishLayer
from lampyr.errors import InvalidParameterValueException, ResourceNotFoundException
from lampyr.model.function import FunctionKey
from lampyr.model.layer import Layer, LayerUse, LayerVersion
from lampyr.model.resource import ResourceKey

_ALL: Final = LayerFilter()


async def publish(plane: ControlPlane, request: PublishLayer) -> LayerVersion:
    """The next version. The same content twice makes two versions."""
    async with uploads.kept(plane, request.key, request.package, "PublishLayerVersion") as package:
        await check_code_storage(plane, request.key, package.size)
        new = LayerVersion(
            number=0,
            created=plane.clock.now(),
            code_sha256=package.sha256,
            code_bytes=package.size,
            unzipped_bytes=package.unzipped,
            description=request.description,
            license_info=request.license_info,
            runtimes=request.runtimes,
            architectures=request.architectures,
        )

        def change(layer: Layer) -> Layer:
            number = layer.last_version + 1
            versions = (*layer.versions, replace(new, number=number))
            return replace(layer, versions=versions, last_version=number)

        layer = await _change(plane, request.key, change)
    return layer.versions[-1]


async def find_version(
    plane: ControlPlane, reference: LayerReference, account_id: str
) -> LayerVersion:
    """Raise as Lambda does when it is not there, or not there for this account."""
    check_number(reference.number)
    version = await _get(plane, reference)
    check_access(reference, version, account_id)
    if version is None:
        raise ResourceNotFoundException("The resource you requested does not exist.")
    return version


async def list_versions(
    plane: ControlPlane,
    key: ResourceKey,
    *,
    wanted: LayerFilter = _ALL,
    marker: str | None = None,
    max_items: int | None = None,
) -> Page[LayerVersion]:
    """The latest first. A layer that is not there has none."""
    start = place_of(marker)
    layer = await plane.store.table(Layer).get(key)
    versions = reversed(layer.versions) if layer is not None else ()

    def place(version: LayerVersion) -> tuple[str, int]:
        return key.id, -version.number

    items = (
        version
        for version in versions
        if compatible(version, wanted) and (start is None or place(version) > start)
    )
    return page(items, size(max_items), place)


async def list_layers(
    plane: ControlPlane,
    account_id: str,
    region: str,
    *,
    wanted: LayerFilter = _ALL,
    marker: str | None = None,
    max_items: int | None = None,
) -> Page[tuple[ResourceKey, LayerVersion]]:
    """Layers by name, each with the latest of its versions that is `wanted`."""
    start = place_of(marker)
    layers = await plane.store.table(Layer).all(account_id, region)

    def items() -> Iterator[tuple[ResourceKey, LayerVersion]]:
        for layer in layers:
            if start is not None and (layer.key.id, 0) <= start:
                continue
            for version in reversed(layer.versions):
                if compatible(version, wanted):
                    yield layer.key, version
                    break

    return page(items(), size(max_items), lambda item: (item[0].id, 0))


async def delete_version(plane: ControlPlane, reference: LayerReference) -> None:
    """A version that is not there is as good as deleted; functions that have it keep it."""
    check_number(reference.number)
    table = plane.store.table(Layer)
    while (layer := await table.get(reference.key)) is not None:
        gone = layer.version(reference.number)
        if gone is None:
            return
        left = tuple(version for version in layer.versions if version != gone)
        if await table.replace(layer, replace(layer, versions=left)):
            await plane.packages.forget([blob_name(gone.code_sha256)])
            return


@asynccontextmanager
async def taken(
    plane: ControlPlane, key: FunctionKey, arns: tuple[str, ...] | None
) -> AsyncGenerator[tuple[LayerUse, ...] | None]:
    """Layer versions for a function; within, a function that has them can be stored.

    None stands for what a caller left as it is.
    """
    if not arns:
        yield None if arns is None else ()
        return
    references = layers_named(arns, key.region, plane.limits)
    found = [await _use(plane, key, reference) for reference in references]
    async with plane.packages.held(blob_name(use.code_sha256) for use in found):
        # Now that nobody can remove their archives: are they still there?
        for reference in references:
            await _use(plane, key, reference)
        yield tuple(found)


async def _use(plane: ControlPlane, key: FunctionKey, reference: LayerReference) -> LayerUse:
    version = await _get(plane, reference)
    check_access(reference, version, key.account_id)
    if version is None:
        raise InvalidParameterValueException(f"Layer version {reference.arn} does not exist.")
    return LayerUse(
        arn=layer_version_arn(reference.key, version.number),
        code_sha256=version.code_sha256,
        code_bytes=version.code_bytes,
        unzipped_bytes=version.unzipped_bytes,
    )


async def _get(plane: ControlPlane, reference: LayerReference) -> LayerVersion | None:
    layer = await plane.store.table(Layer).get(reference.key)
    return None if layer is None else layer.version(reference.number)


async def _change(plane: ControlPlane, key: ResourceKey, change: Callable[[Layer], Layer]) -> Layer:
    """Store what `change` makes of the layer, or of a new one."""
    table = plane.store.table(Layer)
    while True:
        old = await table.get(key)
        new = change(old or Layer(key=key))
        if await (table.create(new) if old is None else table.replace(old, new)):
            return new
