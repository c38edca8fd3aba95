"""What layers a function may have, and which versions a list shows: pure decisions."""

import json
from collections.abc import Sequence
from typing import Final

from lampyr.arn import LayerReference, layer_reference_of_arn
from lampyr.control.policies import ANYONE
from lampyr.control.requests import LayerFilter
from lampyr.errors import AccessDeniedException, InvalidParameterValueException
from lampyr.limits import Limits
from lampyr.model.layer import LayerUse, LayerVersion
from lampyr.model.policy import Statement

ACTION: Final = "lambda:GetLayerVersion"
"""The only one that a layer version's policy may allow."""


def check_number(number: int) -> None:
    if number < 1:
        raise InvalidParameterValueException("Layer Version Cannot be less than 1")


def check_access(reference: LayerReference, version: LayerVersion | None, account_id: str) -> None:
    """A layer version is for its own account, and for those that its policy lets in."""
    if reference.key.account_id == account_id:
        return
    policy = None if version is None else version.policy
    if policy is None or not any(_lets_in(each, account_id) for each in policy.statements):
        raise denied(account_id, ACTION, reference.arn)


def _lets_in(statement: Statement, account_id: str) -> bool:
    """The only condition is an organization, and no account here is in one."""
    document = json.loads(statement.document)
    principal = document["Principal"]
    anyone = principal == ANYONE
    named = not anyone and principal["AWS"].split(":")[4] == account_id
    return (anyone or named) and "Condition" not in document


def denied(account_id: str, action: str, arn: str) -> AccessDeniedException:
    return AccessDeniedException(
        f"User: arn:aws:iam::{account_id}:root is not authorized to perform: {action} on "
        f"resource: {arn} because no resource-based policy allows the {action} action"
    )


def compatible(version: LayerVersion, wanted: LayerFilter) -> bool:
    """Whether the version says of itself that it is what a caller wants to see."""
    return (wanted.runtime is None or wanted.runtime in version.runtimes) and (
        wanted.architecture is None or wanted.architecture in version.architectures
    )


def layers_named(arns: Sequence[str], region: str, limits: Limits) -> list[LayerReference]:
    """The layer versions that a function of this Region names; refuse too many and duplicates."""
    if len(arns) > limits.layers:
        raise InvalidParameterValueException(f"Cannot reference more than {limits.layers} layers.")
    references = []
    for arn in arns:
        reference = layer_reference_of_arn(arn)
        if reference is None:  # One of AWS's own, which is nowhere but there.
            raise InvalidParameterValueException(f"Layer version {arn} does not exist.")
        if reference.key.region != region:
            raise InvalidParameterValueException(
                "Layers are not in the same region as the function. "
                f"Layers are expected to be in region {region}."
            )
        references.append(reference)
    seen: dict[object, str] = {}
    for reference in references:
        if (other := seen.get(reference.key)) is not None:
            raise InvalidParameterValueException(
                "Two different versions of the same layer are not allowed to be referenced in the "
                f"same function. {other} and {reference.arn} are versions of the same layer."
            )
        seen[reference.key] = reference.arn
    return references


def check_unzipped(code_bytes: int, layers: Sequence[LayerUse], limits: Limits) -> None:
    """Code and layers have one quota together."""
    total = code_bytes + sum(layer.unzipped_bytes for layer in layers)
    if total > limits.code_bytes_unzipped:
        raise InvalidParameterValueException(
            "Function code combined with layers exceeds the maximum allowed size of "
            f"{limits.code_bytes_unzipped} bytes. The actual size is {total} bytes."
        )
