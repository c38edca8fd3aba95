"""Recursive loops, runtime updates and scaling: what a function's user says of how it is run.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-update.html
"""

from dataclasses import replace
from typing import Final, NoReturn

from lampyr.arn import FunctionReference, key_arn
from lampyr.control.functions import change_function, find, find_version
from lampyr.control.plane import ControlPlane
from lampyr.errors import (
    InvalidParameterValueException,
    NotServedError,
    ResourceNotFoundException,
)
from lampyr.model.function import LATEST, Function

AUTO: Final = "Auto"


async def put_recursion(
    plane: ControlPlane, reference: FunctionReference, recursive_loop: str
) -> Function:
    def change(function: Function) -> Function:
        return replace(function, recursive_loop=recursive_loop)

    return await change_function(plane, reference.key, change)


async def put_runtime_management(
    plane: ControlPlane, reference: FunctionReference, mode: str, runtime_version_arn: str | None
) -> None:
    """Runtimes are the host's: who keeps the host decides when they change, as with `Auto`."""
    if mode == "Manual" and runtime_version_arn is None:
        raise InvalidParameterValueException(
            "RuntimeVersionArn is required when UpdateRuntimeOn is Manual."
        )
    if mode != "Manual" and runtime_version_arn is not None:
        raise InvalidParameterValueException(
            f"RuntimeVersionArn can't be set when UpdateRuntimeOn is {mode}."
        )
    await find_managed(plane, reference)
    if mode != AUTO:
        raise NotServedError(
            f"Lampyr does not serve UpdateRuntimeOn {mode}: a function runs with the runtime that "
            "is on the host"
        )


async def find_managed(plane: ControlPlane, reference: FunctionReference) -> None:
    """Refuse an alias: runtimes belong to versions."""
    function = await find(plane, reference)
    if reference.qualifier is not None and reference.qualifier in function.aliases:
        raise InvalidParameterValueException(
            "Runtime management is not supported for aliases. Please specify a version."
        )
    await find_version(plane, reference)


async def refuse_scaling(plane: ControlPlane, reference: FunctionReference) -> NoReturn:
    """Scaling is configured of functions on managed instances: here is none."""
    function = await find(plane, reference)
    qualifier = reference.qualifier or LATEST
    if function.version(qualifier.removesuffix(".PUBLISHED")) is None:
        raise ResourceNotFoundException(f"Function not found: {key_arn(reference.key, qualifier)}")
    raise InvalidParameterValueException(
        "Function scaling configuration is only supported for functions with a capacity provider "
        "configuration."
    )
