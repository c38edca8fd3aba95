"""Provisioned concurrency: environments of a version or alias, initialised ahead.

What a config asks for is kept with the function; `ControlPlane.capacity` makes it so, and says
how far it is. Whatever scales a config (a schedule, target tracking) reads `find` and calls `put`.
https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html
"""

from dataclasses import dataclass, replace

from lampyr.arn import FunctionReference, key_arn
from lampyr.control.concurrency import check_unreserved
from lampyr.control.functions import change_function, find
from lampyr.control.pages import Page, page, place_of, size
from lampyr.control.plane import ControlPlane
from lampyr.control.qualifiers import left, place
from lampyr.control.rules import check_shared
from lampyr.errors import (
    InvalidParameterValueException,
    ProvisionedConcurrencyConfigNotFoundException,
    ResourceConflictException,
    ResourceNotFoundException,
)
from lampyr.invoke.allotment import Provision
from lampyr.model.concurrency import ProvisionedConfig
from lampyr.model.function import LATEST, Function, FunctionVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioned:
    """A config, and what became of it so far."""

    qualifier: str
    config: ProvisionedConfig
    provision: Provision


async def put(plane: ControlPlane, reference: FunctionReference, requested: int) -> Provisioned:
    qualifier = reference.qualifier or LATEST
    if qualifier == LATEST:
        raise _unpublished()
    config = ProvisionedConfig(requested=requested, last_modified=plane.clock.now())

    def change(function: Function) -> Function:
        check_shared(function, "Provisioned concurrency")
        check_qualifier(function, qualifier)
        _check_no_snapshot(function.qualified(qualifier))
        new = replace(function, provisioned={**function.provisioned, qualifier: config})
        _check_reserved(new)
        return new

    async with plane.concurrency_changes:
        function = await find(plane, FunctionReference.of(reference.key))
        more = change(function).claimed_concurrency - function.claimed_concurrency
        await check_unreserved(plane, reference.key, more)
        new = await change_function(plane, reference.key, change)
    return _shown(plane, new, qualifier)


def _check_no_snapshot(version: FunctionVersion | None) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html#snapstart-runtimes."""
    if version is not None and version.snap_start:
        raise InvalidParameterValueException(
            "Provisioned Concurrency is not supported for SnapStart enabled functions."
        )


async def get(plane: ControlPlane, reference: FunctionReference) -> Provisioned:
    qualifier = _published(reference)
    function = await find(plane, FunctionReference.of(reference.key))
    check_exists(function, qualifier)
    if qualifier not in function.provisioned:
        raise ProvisionedConcurrencyConfigNotFoundException(
            "No Provisioned Concurrency Config found for this function"
        )
    return _shown(plane, function, qualifier)


async def delete(plane: ControlPlane, reference: FunctionReference) -> None:
    """A config that is not there is as good as deleted."""
    qualifier = _published(reference)

    def change(function: Function) -> Function:
        check_exists(function, qualifier)
        return replace(function, provisioned=left(function.provisioned, qualifier))

    await change_function(plane, reference.key, change)


async def list_configs(
    plane: ControlPlane,
    reference: FunctionReference,
    *,
    marker: str | None = None,
    max_items: int | None = None,
) -> Page[Provisioned]:
    """Versions by number, then aliases by name."""
    start = place_of(marker)
    function = await find(plane, reference)
    items = (
        _shown(plane, function, qualifier)
        for qualifier in sorted(function.provisioned, key=place)
        if start is None or place(qualifier) > start
    )
    return page(items, size(max_items), lambda item: place(item.qualifier))


def check_qualifier(function: Function, qualifier: str) -> None:
    """Refuse a config for what is not published, or is provisioned by another config already."""
    check_exists(function, qualifier)
    alias = function.aliases.get(qualifier)
    if alias is None:
        pointing = (function.aliases.get(name) for name in function.provisioned)
        if any(each is not None and qualifier in each.versions for each in pointing):
            raise ResourceConflictException("Version is pointed by a Provisioned Concurrency alias")
        return
    if alias.version == LATEST:
        raise _unpublished()
    if any(version in function.provisioned for version in alias.versions):
        raise ResourceConflictException(
            "Alias can't be used for Provisioned Concurrency configuration on an already "
            "Provisioned version"
        )


def check_exists(function: Function, qualifier: str) -> None:
    if function.qualified(qualifier) is not None:
        return
    arn = key_arn(function.key, qualifier)
    kind = "Function not found:" if qualifier.isdecimal() else "Cannot find alias arn:"
    raise ResourceNotFoundException(f"{kind} {arn}")


def _check_reserved(function: Function) -> None:
    reserved = function.reserved_concurrency
    if reserved is not None and function.provisioned_concurrency > reserved:
        raise InvalidParameterValueException(
            "Requested Provisioned Concurrency should not be greater than the "
            "reservedConcurrentExecution for function"
        )


def _shown(plane: ControlPlane, function: Function, qualifier: str) -> Provisioned:
    return Provisioned(
        qualifier=qualifier,
        config=function.provisioned[qualifier],
        provision=plane.capacity.provision(function, qualifier),
    )


def _published(reference: FunctionReference) -> str:
    if reference.qualifier in (None, LATEST):
        raise InvalidParameterValueException(
            "The function resource provided must be an alias or a published version."
        )
    return reference.qualifier


def _unpublished() -> InvalidParameterValueException:
    return InvalidParameterValueException(
        "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
    )
