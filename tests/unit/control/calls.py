"""What the tests of the use cases have in common: short ways to call them."""

from dataclasses import replace

from lampyr.arn import FunctionReference
from lampyr.control import functions, versions
from lampyr.control.requests import (
    ConfigurationChange,
    CreateFunction,
    PublishVersion,
    S3Object,
    UpdateCode,
    UpdateConfiguration,
)
from lampyr.model.function import (
    Function,
    FunctionVersion,
    Reason,
)
from lampyr.testing.builders import ROLE, a_key, a_zip
from lampyr.testing.control import Control, DictBlobs

CONFIGURATION = ConfigurationChange(role=ROLE, runtime="python3.12", handler="app.handler")
BROKEN = Reason(message="python3.12 is not installed", code="InvalidRuntime")
OTHER = a_zip({"app.py": "handler = print"})


def creating(
    name: str = "hello",
    package: bytes | S3Object | None = None,
    layers: tuple[str, ...] | None = None,
    **more: object,
) -> CreateFunction:
    return CreateFunction(
        key=a_key(name),
        configuration=replace(CONFIGURATION, layers=layers),
        package=a_zip() if package is None else package,
        **more,  # type: ignore[arg-type]
    )


def refer(name: str = "hello", qualifier: str | None = None) -> FunctionReference:
    return FunctionReference.of(a_key(name), qualifier)


async def create(control: Control, name: str = "hello", **more: object) -> FunctionVersion:
    version = await functions.create(control.plane, creating(name, **more))  # type: ignore[arg-type]
    await control.settle(a_key(name))
    return version


async def update(control: Control, package: bytes = OTHER, **more: object) -> FunctionVersion:
    return await functions.update_code(
        control.plane,
        UpdateCode(key=a_key(), package=package, **more),  # type: ignore[arg-type]
    )


async def configure(control: Control, **members: object) -> FunctionVersion:
    change = ConfigurationChange(**members)  # type: ignore[arg-type]
    version = await functions.update_configuration(
        control.plane, UpdateConfiguration(key=a_key(), configuration=change)
    )
    await control.settle(a_key())
    return version


async def publish(control: Control, **more: str) -> FunctionVersion:
    return await versions.publish(control.plane, PublishVersion(key=a_key(), **more))


async def look(control: Control, name: str = "hello") -> Function:
    return await functions.find(control.plane, refer(name))


def packages(control: Control) -> set[bytes]:
    blobs = control.store.blobs
    assert isinstance(blobs, DictBlobs)
    return set(blobs.packages.values())
