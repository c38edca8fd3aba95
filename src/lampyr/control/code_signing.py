"""Code signing configurations: created, found, listed, updated and deleted; and enforced.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-codesigning.html

Lampyr knows no signatures: to it every package is unsigned. So a configuration that enforces
signatures lets no code in, which is what Lambda does with unsigned code, and one that warns lets in
all.
"""

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from lampyr.arn import Caller, resource_arn
from lampyr.control import rules
from lampyr.control.pages import Page, page, place_of
from lampyr.control.plane import ControlPlane
from lampyr.errors import (
    CodeSigningConfigNotFoundException,
    CodeVerificationFailedException,
    InvalidParameterValueException,
    ResourceConflictException,
    ResourceNotFoundException,
)
from lampyr.model.code_signing import CodeSigningConfig, UntrustedArtifact
from lampyr.model.function import Function, FunctionKey
from lampyr.model.resource import ResourceKey
from lampyr.store.base import Table

KIND: Final = "code-signing-config"
ITEMS_MAX: Final = 10_000
"""However many a caller asks for."""
_ID_CHARACTERS: Final = 17


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningChange:
    """None is what a caller left open."""

    publishers: tuple[str, ...] | None = None
    untrusted: UntrustedArtifact | None = None
    description: str | None = None


def arn_of(key: ResourceKey) -> str:
    return resource_arn(key.account_id, key.region, KIND, key.id)


def key_of(caller: Caller, arn: str) -> ResourceKey:
    """The configuration that an ARN, whose form was checked, means to `caller`."""
    _, _, _, region, account_id, _, name = arn.split(":")
    if (account_id, region) != (caller.account_id, caller.region):
        raise _missing(arn)
    return ResourceKey(account_id, region, name)


async def create(
    plane: ControlPlane,
    account_id: str,
    region: str,
    change: SigningChange,
    tags: dict[str, str],
) -> CodeSigningConfig:
    name = f"csc-{plane.new_id().replace('-', '')[:_ID_CHARACTERS]}"
    config = configured(
        CodeSigningConfig(
            key=ResourceKey(account_id, region, name),
            publishers=(),
            last_modified=plane.clock.now(),
            tags=rules.tagged({}, tags, plane.limits),
        ),
        change,
    )
    await _table(plane).create(config)
    return config


async def get(plane: ControlPlane, key: ResourceKey) -> CodeSigningConfig:
    config = await _table(plane).get(key)
    if config is None:
        raise _missing(arn_of(key))
    return config


async def list_configs(
    plane: ControlPlane,
    account_id: str,
    region: str,
    *,
    marker: str | None = None,
    max_items: int | None = None,
) -> Page[CodeSigningConfig]:
    """By their identifiers."""
    start = place_of(marker)
    configs = await _table(plane).all(account_id, region)
    items = (config for config in configs if start is None or _place(config) > start)
    return page(items, most(max_items), _place)


async def update(plane: ControlPlane, key: ResourceKey, change: SigningChange) -> CodeSigningConfig:
    while True:
        config = await get(plane, key)
        new = replace(configured(config, change), last_modified=plane.clock.now())
        if await _table(plane).replace(config, new):
            return new


async def delete(plane: ControlPlane, key: ResourceKey) -> None:
    """Refused while a function has it."""
    async with plane.signing_changes:
        await get(plane, key)
        if any(True for _ in await users(plane, key)):
            raise ResourceConflictException(
                f"The code signing configuration {arn_of(key)} is in use by functions and cannot "
                "be deleted."
            )
        await _table(plane).delete(key)


async def users(plane: ControlPlane, key: ResourceKey) -> Iterator[Function]:
    """Functions that have it, by name."""
    functions = await plane.store.functions.all(key.account_id, key.region)
    return (function for function in functions if function.signing_config == key.id)


@asynccontextmanager
async def taken(plane: ControlPlane, key: ResourceKey | None) -> AsyncGenerator[str | None]:
    """Within, a function that names the configuration can be stored: it is not deleted meanwhile.

    Of none, nothing is held.
    """
    if key is None:
        yield None
        return
    async with plane.signing_changes:
        if await _table(plane).get(key) is None:
            raise CodeSigningConfigNotFoundException(
                "The code signing configuration cannot be found. Check that the provided "
                f"configuration is not deleted: {arn_of(key)}."
            )
        yield key.id


def check_signable(package_type: str, key: ResourceKey | None) -> None:
    """Images are signed elsewhere, and by other means."""
    if key is not None and package_type == "Image":
        raise InvalidParameterValueException(
            "Code signing is not supported for functions created with container images."
        )


async def check_code(plane: ControlPlane, function: FunctionKey, name: str | None) -> None:
    """Refuse new code or layers of a function whose configuration, by identifier, enforces."""
    if name is None:
        return
    config = await _table(plane).get(ResourceKey(function.account_id, function.region, name))
    if config is not None and config.untrusted is UntrustedArtifact.ENFORCE:
        raise CodeVerificationFailedException(
            "Lambda cannot deploy the function. The function or layer might be signed using a "
            "signature that the client is not configured to accept. Check the provided signature "
            "for unsigned."
        )


def configured(config: CodeSigningConfig, change: SigningChange) -> CodeSigningConfig:
    """`config` with what the change says."""
    for arn in change.publishers or ():
        service, resource = arn.split(":")[2], arn.split(":", 5)[5]
        if service != "signer" or not resource.startswith("/signing-profiles/"):
            raise InvalidParameterValueException(f"{arn} is not the ARN of a signing profile.")
    return replace(
        config,
        publishers=change.publishers or config.publishers,
        untrusted=change.untrusted or config.untrusted,
        description=config.description if change.description is None else change.description,
    )


def most(max_items: int | None) -> int:
    return min(max_items or ITEMS_MAX, ITEMS_MAX)


def _missing(arn: str) -> ResourceNotFoundException:
    return ResourceNotFoundException(
        f"The Lambda code signing configuration {arn} can not be found."
    )


def _place(config: CodeSigningConfig) -> tuple[str, int]:
    return config.key.id, 0


def _table(plane: ControlPlane) -> Table[CodeSigningConfig]:
    return plane.store.table(CodeSigningConfig)
