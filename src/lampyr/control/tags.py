"""Tags of functions.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from lampyr.arn import FunctionReference
from lampyr.control import rules
from lampyr.control.functions import change_function, find
from lampyr.control.plane import ControlPlane
from lampyr.errors import InvalidParameterValueException
from lampyr.model.function import Function, FunctionKey


async def tag(plane: ControlPlane, reference: FunctionReference, tags: Mapping[str, str]) -> None:
    key = _taggable(reference)
    if not tags:
        raise InvalidParameterValueException(
            "An error occurred and the request cannot be processed."
        )

    def change(function: Function) -> Function:
        return replace(function, tags=rules.tagged(function.tags, tags, plane.limits))

    await change_function(plane, key, change)


async def untag(plane: ControlPlane, reference: FunctionReference, names: Collection[str]) -> None:
    """Names that are not there are no error."""
    key = _taggable(reference)

    def change(function: Function) -> Function:
        left = {name: value for name, value in function.tags.items() if name not in names}
        return replace(function, tags=left)

    await change_function(plane, key, change)


async def list_tags(plane: ControlPlane, reference: FunctionReference) -> Mapping[str, str]:
    _taggable(reference)
    return (await find(plane, reference)).tags


def _taggable(reference: FunctionReference) -> FunctionKey:
    if reference.qualifier is not None:
        raise InvalidParameterValueException(
            "Tags on function aliases and versions are not supported. "
            "Please specify a function ARN."
        )
    return reference.key
