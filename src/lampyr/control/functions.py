"""Functions: created, found, listed, updated and deleted.

https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html and its neighbours.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from lampyr.arn import FunctionReference, is_alias, key_arn
from lampyr.control import code_signing, layers, rules, uploads
from lampyr.control.account import check_code_storage
from lampyr.control.image_rules import (
    check_complete,
    check_members,
    check_new_source,
    check_update_source,
)
from lampyr.control.layer_rules import check_unzipped
from lampyr.control.packages import Package, blobs_of, versions
from lampyr.control.pages import Page, page, place_of, size
from lampyr.control.plane import ControlPlane
from lampyr.control.requests import CreateFunction, UpdateCode, UpdateConfiguration
from lampyr.control.states import CREATING, check_idle, published, updated, without_version
from lampyr.errors import (
    InvalidParameterValueException,
    ResourceConflictException,
    ResourceNotFoundException,
)
from lampyr.model.function import LATEST, Function, FunctionKey, FunctionVersion, State

_UPDATE: Final = "UpdateFunctionCode"


async def create(plane: ControlPlane, request: CreateFunction) -> FunctionVersion:
    """The new `$LATEST`, Pending; with `publish` version 1."""
    rules.check_name(request.key.name, plane.limits)
    rules.check_configuration(request.configuration, plane.limits, plane.reserved)
    check_complete(request.configuration, request.package_type)
    check_new_source(request.package, request.package_type)
    code_signing.check_signable(request.package_type, request.signing_config)
    architecture = request.architecture or plane.architecture
    rules.check_architecture(architecture, plane.architecture)
    tags = rules.tagged({}, request.tags, plane.limits)
    if await plane.store.functions.get(request.key) is not None:
        raise _taken(request.key)
    async with (
        uploads.kept(plane, request.key, request.package, "CreateFunction") as package,
        layers.taken(plane, request.key, request.configuration.layers) as with_layers,
        code_signing.taken(plane, request.signing_config) as signing_config,
    ):
        await code_signing.check_code(plane, request.key, signing_config)
        await check_code_storage(plane, request.key, package.size)
        now = plane.clock.now()
        latest = rules.new_version(
            request.key,
            request.configuration,
            package_type=request.package_type,
            architecture=architecture,
            tenant_isolation_mode=request.tenant_isolation_mode,
            layers=with_layers,
            **_identity(plane, package, now),
        )
        check_unzipped(latest.unzipped_bytes, latest.layers, plane.limits)
        latest = replace(latest, state=State.PENDING, state_reason=CREATING)
        function = Function(
            key=request.key, latest=latest, tags=tags, created=now, signing_config=signing_config
        )
        if request.publish:
            function = _published(plane, function, now)
        if not await plane.store.functions.create(function):
            raise _taken(request.key)
    plane.activation.wake(request.key)
    return function.published["1"] if request.publish else function.latest


async def find(plane: ControlPlane, reference: FunctionReference) -> Function:
    """Raise as Lambda does when it is not there."""
    function = await plane.store.functions.get(reference.key)
    if function is None:
        raise ResourceNotFoundException(f"Function not found: {reference.arn}")
    return function


async def find_version(
    plane: ControlPlane, reference: FunctionReference
) -> tuple[Function, FunctionVersion]:
    """The function, and the version that the qualifier means."""
    function = await find(plane, reference)
    version = function.qualified(reference.qualifier or LATEST)
    if version is None:
        raise ResourceNotFoundException(f"Function not found: {reference.arn}")
    return function, version


async def list_functions(
    plane: ControlPlane,
    account_id: str,
    region: str,
    *,
    all_versions: bool = False,
    marker: str | None = None,
    max_items: int | None = None,
) -> Page[FunctionVersion]:
    """`$LATEST` of each function, by name; with `all_versions` followed by its versions."""
    start = place_of(marker)
    functions = await plane.store.functions.all(account_id, region)

    def items() -> Iterator[FunctionVersion]:
        for function in functions:
            if start is not None and function.key.name < start[0]:
                continue
            every = (function.latest, *function.published.values())
            for version in every if all_versions else every[:1]:
                if start is None or place(version) > start:
                    yield version

    return page(items(), size(max_items), place)


def place(version: FunctionVersion) -> tuple[str, int]:
    """Where a version stands in lists."""
    return version.key.name, 0 if version.version == LATEST else int(version.version)


async def update_code(plane: ControlPlane, request: UpdateCode) -> FunctionVersion:
    """`$LATEST` with the new code, InProgress; with `publish` the new version, Pending."""
    if request.architecture is not None:
        rules.check_architecture(request.architecture, plane.architecture)
    function = await _existing(plane, request.key)
    _check_update(function, request.revision_id)
    check_update_source(request.package, function.latest.package_type)
    await code_signing.check_code(plane, request.key, function.signing_config)
    if request.dry_run:
        package = await uploads.checked(plane, request.key, request.package, _UPDATE)
        return replace(function.latest, code_sha256=package.sha256, code_bytes=package.size)
    async with uploads.kept(plane, request.key, request.package, _UPDATE) as package:
        await check_code_storage(plane, request.key, package.size)

        def change(function: Function) -> Function:
            _check_update(function, request.revision_id)
            check_unzipped(package.unzipped, function.latest.layers, plane.limits)
            now = plane.clock.now()
            latest = replace(
                function.latest,
                architecture=request.architecture or function.latest.architecture,
                **_identity(plane, package, now),
            )
            new = updated(function, latest)
            return _published(plane, new, now) if request.publish else new

        new = await _change(plane, request.key, change)
    plane.activation.wake(request.key)
    await plane.packages.forget(blobs_of(function.latest) - blobs_of(new.latest))
    return new.published[str(new.last_version)] if request.publish else new.latest


async def update_configuration(
    plane: ControlPlane, request: UpdateConfiguration
) -> FunctionVersion:
    """`$LATEST` with the new configuration, InProgress."""
    rules.check_configuration(request.configuration, plane.limits, plane.reserved)
    before = await _existing(plane, request.key)
    if request.configuration.layers:
        await code_signing.check_code(plane, request.key, before.signing_config)
    async with layers.taken(plane, request.key, request.configuration.layers) as with_layers:

        def change(function: Function) -> Function:
            _check_update(function, request.revision_id)
            check_members(request.configuration, function.latest.package_type)
            latest = replace(
                rules.configured(function.latest, request.configuration, with_layers),
                deployment_id=plane.new_id(),
                revision_id=plane.new_id(),
                last_modified=plane.clock.now(),
            )
            check_unzipped(latest.unzipped_bytes, latest.layers, plane.limits)
            return updated(function, latest)

        new = await _change(plane, request.key, change)
    plane.activation.wake(request.key)
    await plane.packages.forget(blobs_of(before.latest) - blobs_of(new.latest))
    return new.latest


async def delete(plane: ControlPlane, reference: FunctionReference) -> None:
    """The function with all its versions; with a qualifier that version."""
    qualifier = reference.qualifier
    if qualifier is not None and is_alias(qualifier):
        raise InvalidParameterValueException("Deletion of aliases is not currently supported.")
    if qualifier == LATEST:
        raise InvalidParameterValueException(
            "$LATEST version cannot be deleted without deleting the function."
        )
    if qualifier is not None:
        await _delete_version(plane, reference.key, qualifier)
        return
    function = await _existing(plane, reference.key)
    if not await plane.store.functions.delete(reference.key):
        raise _missing(reference.key)
    plane.capacity.forget(reference.key)
    gone = list(versions(function))
    plane.retire([version.deployment_id for version in gone])
    await plane.packages.forget({name for version in gone for name in blobs_of(version)})


async def _delete_version(plane: ControlPlane, key: FunctionKey, number: str) -> None:
    """A version that is not there is as good as deleted."""
    gone: list[FunctionVersion] = []

    def change(function: Function) -> Function:
        gone[:] = [function.published[number]] if number in function.published else []
        return without_version(function, number)

    await _change(plane, key, change)
    if gone:
        plane.retire([version.deployment_id for version in gone])
        await plane.packages.forget({name for version in gone for name in blobs_of(version)})


async def _change(
    plane: ControlPlane, key: FunctionKey, change: Callable[[Function], Function]
) -> Function:
    """Store what `change` makes of the function, or of what another caller made of it meanwhile."""
    while True:
        function = await _existing(plane, key)
        new = change(function)
        if new == function:
            return new
        if await plane.store.functions.replace(function, new):
            plane.changed(new)
            return new


change_function = _change
"""For the other resources of a function."""


async def _existing(plane: ControlPlane, key: FunctionKey) -> Function:
    function = await plane.store.functions.get(key)
    if function is None:
        raise _missing(key)
    return function


def _check_update(function: Function, revision_id: str | None) -> None:
    rules.check_revision(function.latest, revision_id)
    check_idle(function)


def _identity(plane: ControlPlane, package: Package, now: float) -> dict[str, Any]:
    """What every change of code gives `$LATEST` anew."""
    return {
        "deployment_id": plane.new_id(),
        "revision_id": plane.new_id(),
        "last_modified": now,
        "image_uri": package.image_uri,
        "code_sha256": package.sha256,
        "code_bytes": package.size,
        "unzipped_bytes": package.unzipped,
    }


def _published(plane: ControlPlane, function: Function, now: float) -> Function:
    return published(
        function, description=None, now=now, deployment_id=plane.new_id(), new_id=plane.new_id
    )


def _missing(key: FunctionKey) -> ResourceNotFoundException:
    return ResourceNotFoundException(f"Function not found: {key_arn(key)}")


def _taken(key: FunctionKey) -> ResourceConflictException:
    return ResourceConflictException(f"Function already exist: {key.name}")
