"""Function URLs: their configurations, of functions and of aliases.

https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lampyr.arn import FunctionReference
from lampyr.control.functions import change_function
from lampyr.control.pages import Page, page, place_of, size
from lampyr.control.plane import ControlPlane
from lampyr.control.qualifiers import exists, left, place
from lampyr.control.rules import check_shared
from lampyr.errors import ResourceConflictException, ResourceNotFoundException
from lampyr.model.function import LATEST, Function
from lampyr.model.function_url import Cors, FunctionUrlConfig

_NOTHING = Cors()


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlChange:
    """None is what a caller left open; CORS without a member takes it away."""

    auth_type: str | None = None
    invoke_mode: str | None = None
    cors: Cors | None = None


async def create(
    plane: ControlPlane, reference: FunctionReference, change: UrlChange
) -> FunctionUrlConfig:
    qualifier, now = reference.qualifier or LATEST, plane.clock.now()
    config = FunctionUrlConfig(
        id=plane.new_id().replace("-", ""), auth_type="", created=now, last_modified=now
    )
    config = configured(config, change)

    def changed(function: Function) -> Function:
        if not exists(function, qualifier):
            raise _no_function()
        check_shared(function, "Function URL")
        if qualifier in function.urls:
            raise ResourceConflictException(
                f"Failed to create function url config for [functionArn = {reference.arn}]. "
                "Error message:  FunctionUrlConfig exists for this Lambda function"
            )
        return replace(function, urls={**function.urls, qualifier: config})

    await _find(plane, reference)
    await change_function(plane, reference.key, changed)
    return config


async def update(
    plane: ControlPlane, reference: FunctionReference, change: UrlChange
) -> FunctionUrlConfig:
    """The address stays as it is."""
    qualifier = reference.qualifier or LATEST

    def changed(function: Function) -> Function:
        if not exists(function, qualifier):
            raise _no_function()
        config = replace(
            configured(_config(function, qualifier), change), last_modified=plane.clock.now()
        )
        return replace(function, urls={**function.urls, qualifier: config})

    await _find(plane, reference)
    return (await change_function(plane, reference.key, changed)).urls[qualifier]


async def get(plane: ControlPlane, reference: FunctionReference) -> FunctionUrlConfig:
    function = await plane.store.functions.get(reference.key)
    if function is None:
        raise _missing()
    return _config(function, reference.qualifier or LATEST)


async def list_configs(
    plane: ControlPlane,
    reference: FunctionReference,
    *,
    marker: str | None = None,
    max_items: int | None = None,
) -> Page[tuple[str, FunctionUrlConfig]]:
    """With their qualifiers: `$LATEST`, then aliases by name."""
    start = place_of(marker)
    urls = (await _find(plane, reference)).urls

    def items() -> Iterator[tuple[str, FunctionUrlConfig]]:
        for qualifier in sorted(urls, key=place):
            if start is None or place(qualifier) > start:
                yield qualifier, urls[qualifier]

    return page(items(), size(max_items), lambda item: place(item[0]))


async def delete(plane: ControlPlane, reference: FunctionReference) -> None:
    qualifier = reference.qualifier or LATEST

    def changed(function: Function) -> Function:
        _config(function, qualifier)
        return replace(function, urls=left(function.urls, qualifier))

    await get(plane, reference)
    await change_function(plane, reference.key, changed)


def configured(config: FunctionUrlConfig, change: UrlChange) -> FunctionUrlConfig:
    """`config` with what the change says."""
    cors = config.cors if change.cors is None else change.cors
    return replace(
        config,
        auth_type=change.auth_type or config.auth_type,
        invoke_mode=change.invoke_mode or config.invoke_mode,
        cors=None if cors == _NOTHING else cors,
    )


async def _find(plane: ControlPlane, reference: FunctionReference) -> Function:
    function = await plane.store.functions.get(reference.key)
    if function is None:
        raise _no_function()
    return function


def _config(function: Function, qualifier: str) -> FunctionUrlConfig:
    config = function.urls.get(qualifier)
    if config is None:
        raise _missing()
    return config


def _missing() -> ResourceNotFoundException:
    return ResourceNotFoundException("The resource you requested does not exist.")


def _no_function() -> ResourceNotFoundException:
    return ResourceNotFoundException("Function does not exist")
