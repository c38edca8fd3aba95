"""Which code signing configuration a function has.

https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionCodeSigningConfig.html
"""

from dataclasses import replace

from lampyr.arn import FunctionReference
from lampyr.control import code_signing
from lampyr.control.functions import change_function, find
from lampyr.control.pages import Page, page, place_of
from lampyr.control.plane import ControlPlane
from lampyr.model.function import Function
from lampyr.model.resource import ResourceKey


async def put(plane: ControlPlane, reference: FunctionReference, key: ResourceKey) -> None:
    """In force from the next deployment of code on."""
    function = await find(plane, reference)
    code_signing.check_signable(function.latest.package_type, key)
    async with code_signing.taken(plane, key) as name:
        await change_function(
            plane, reference.key, lambda function: replace(function, signing_config=name)
        )


async def get(plane: ControlPlane, reference: FunctionReference) -> ResourceKey | None:
    name = (await find(plane, reference)).signing_config
    return None if name is None else ResourceKey(*reference.key[:2], name)


async def delete(plane: ControlPlane, reference: FunctionReference) -> None:
    await change_function(
        plane, reference.key, lambda function: replace(function, signing_config=None)
    )


async def list_functions(
    plane: ControlPlane,
    key: ResourceKey,
    *,
    marker: str | None = None,
    max_items: int | None = None,
) -> Page[Function]:
    """Those that have the configuration, by name."""
    start = place_of(marker)
    await code_signing.get(plane, key)
    users = await code_signing.users(plane, key)
    items = (function for function in users if start is None or _place(function) > start)
    return page(items, code_signing.most(max_items), _place)


def _place(function: Function) -> tuple[str, int]:
    return function.key.name, 0
