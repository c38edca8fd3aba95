"""Aliases: names for versions, with weights between two.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-aliases.html
"""

from collections.abc import Mapping
from dataclasses import replace

from lampyr.arn import FunctionReference, key_arn
from lampyr.control import rules
from lampyr.control.functions import change_function, find
from lampyr.control.pages import Page, Place, page, place_of, size
from lampyr.control.plane import ControlPlane
from lampyr.control.provisioned import check_qualifier
from lampyr.control.qualifiers import without
from lampyr.control.requests import CreateAlias, UpdateAlias
from lampyr.errors import (
    AliasLimitExceededException,
    InvalidParameterValueException,
    ResourceConflictException,
    ResourceNotFoundException,
)
from lampyr.limits import Limits
from lampyr.model.alias import Alias
from lampyr.model.function import LATEST, Function


async def create(plane: ControlPlane, request: CreateAlias) -> Alias:
    alias = Alias(
        name=request.name,
        version=request.version,
        description=request.description or "",
        weights=request.weights or {},
        revision_id=plane.new_id(),
    )

    def change(function: Function) -> Function:
        check_target(function, alias)
        if alias.name in function.aliases:
            arn = key_arn(function.key, alias.name)
            raise ResourceConflictException(f"Alias already exists: {arn}")
        _check_count(function, plane.limits)
        return _with(function, alias)

    await change_function(plane, request.key, change)
    return alias


async def get(plane: ControlPlane, reference: FunctionReference, name: str) -> Alias:
    alias = (await find(plane, reference)).aliases.get(name)
    if alias is None:
        raise ResourceNotFoundException(f"Cannot find alias arn: {key_arn(reference.key, name)}")
    return alias


async def list_aliases(
    plane: ControlPlane,
    reference: FunctionReference,
    *,
    version: str | None = None,
    marker: str | None = None,
    max_items: int | None = None,
) -> Page[Alias]:
    """By name; with `version` those through which a call may reach it."""
    start = place_of(marker)
    aliases = (await find(plane, reference)).aliases
    items = (
        alias
        for _, alias in sorted(aliases.items())
        if (version is None or version in alias.versions)
        and (start is None or _place(alias) > start)
    )
    return page(items, size(max_items), _place)


async def update(plane: ControlPlane, request: UpdateAlias) -> Alias:
    """What is not said stays, also the weights; no weights at all are an empty mapping."""
    revision_id = plane.new_id()

    def change(function: Function) -> Function:
        alias = function.aliases.get(request.name)
        if alias is None:
            arn = key_arn(function.key, request.name)
            raise ResourceNotFoundException(f"Alias not found: {arn}")
        rules.check_revision(alias, request.revision_id)
        alias = _changed(alias, request, revision_id)
        check_target(function, alias)
        new = _with(function, alias)
        if alias.name in function.provisioned:
            check_qualifier(new, alias.name)
        return new

    return (await change_function(plane, request.key, change)).aliases[request.name]


async def delete(plane: ControlPlane, reference: FunctionReference, name: str) -> None:
    """With all that was configured for it. An alias that is not there is as good as deleted."""

    def change(function: Function) -> Function:
        if name not in function.aliases:
            return function
        left = {key: alias for key, alias in function.aliases.items() if key != name}
        return without(replace(function, aliases=left), name)

    await change_function(plane, reference.key, change)


def check_target(function: Function, alias: Alias) -> None:
    """Refuse an alias whose versions are not there, or cannot share the calls between them.

    https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html
    """
    weights: Mapping[str, float] = alias.weights
    if len(weights) > 1:
        raise InvalidParameterValueException(
            "Number of items in AdditionalVersionWeights cannot be greater than 1"
        )
    if weights and alias.version == LATEST:
        raise InvalidParameterValueException(
            "$LATEST is not supported for an alias pointing to more than 1 version"
        )
    if alias.version in weights:
        raise InvalidParameterValueException(
            f"Invalid function version {alias.version}. Function version {alias.version} is "
            "already included in routing configuration."
        )
    versions = []
    for number in (alias.version, *weights):
        version = function.version(number)
        if version is None:
            raise ResourceNotFoundException(f"Function not found: {key_arn(function.key, number)}")
        versions.append(version)
    if len({version.role for version in versions}) > 1:
        raise InvalidParameterValueException(
            "The versions that an alias points to must have the same execution role."
        )
    if len({version.dead_letter_arn for version in versions}) > 1:
        raise InvalidParameterValueException(
            "The versions that an alias points to must have the same dead-letter queue "
            "configuration."
        )


def _changed(alias: Alias, request: UpdateAlias, revision_id: str) -> Alias:
    return replace(
        alias,
        version=alias.version if request.version is None else request.version,
        description=alias.description if request.description is None else request.description,
        weights=alias.weights if request.weights is None else request.weights,
        revision_id=revision_id,
    )


def _with(function: Function, alias: Alias) -> Function:
    return replace(function, aliases={**function.aliases, alias.name: alias})


def _check_count(function: Function, limits: Limits) -> None:
    if len(function.aliases) >= limits.aliases:
        raise AliasLimitExceededException(
            f"A function cannot have more than {limits.aliases} aliases."
        )


def _place(alias: Alias) -> Place:
    return alias.name, 0
