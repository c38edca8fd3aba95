"""Function names and ARNs, in each form that Lambda takes, parsed and printed.

Lambda takes a function's name (`hello`), a partial ARN (`123456789012:function:hello`) or an ARN,
each with or without a qualifier (`:3`, `:$LATEST`, `:live`).

https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html#API_GetFunction_RequestSyntax
"""

import functools
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

from lampyr.errors import (
    AccessDeniedException,
    InvalidParameterValueException,
    ResourceNotFoundException,
)
from lampyr.model.function import LATEST, FunctionKey
from lampyr.model.resource import ResourceKey

_FORM: Final = re.compile(
    r"(?:arn:(?P<partition>aws[a-zA-Z-]*)?:lambda:)?"
    r"(?:(?P<region>(?:eusc-)?[a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d):)?"
    r"(?:(?P<account_id>\d{12}):)?"
    r"(?:function:)?"
    r"(?P<name>[a-zA-Z0-9-_.]+)"
    r"(?::(?P<qualifier>\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9-_]+))?",
    re.ASCII,
)
_PARTITIONS: Final = (
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("us-isob-", "aws-iso-b"),
    ("us-isof-", "aws-iso-f"),
    ("eu-isoe-", "aws-iso-e"),
    ("us-iso-", "aws-iso"),
    ("eusc-", "aws-eusc"),
)
_ALIAS: Final = re.compile(r"(?!\d+\Z)[0-9a-zA-Z-_]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionName:
    """What a name or ARN says; None where it leaves something to the call."""

    name: str
    qualifier: str | None = None
    account_id: str | None = None
    region: str | None = None


class Caller(Protocol):
    """Whoever names a function; names that leave out account or Region mean the caller's."""

    @property
    def account_id(self) -> str: ...

    @property
    def region(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionReference:
    """A function that a call means, and which version or alias of it."""

    key: FunctionKey
    qualifier: str | None
    unqualified_arn: str
    arn: str
    """With the qualifier, when the call gave one."""

    @classmethod
    def of(cls, key: FunctionKey, qualifier: str | None = None) -> "FunctionReference":
        return cls(
            key=key,
            qualifier=qualifier,
            unqualified_arn=key_arn(key),
            arn=key_arn(key, qualifier),
        )


def partition(region: str) -> str:
    for prefix, name in _PARTITIONS:
        if region.startswith(prefix):
            return name
    return "aws"


def function_arn(account_id: str, region: str, name: str, qualifier: str | None = None) -> str:
    arn = f"arn:{partition(region)}:lambda:{region}:{account_id}:function:{name}"
    return arn if qualifier is None else f"{arn}:{qualifier}"


def resource_arn(account_id: str, region: str, kind: str, name: str) -> str:
    """Of what is no function, such as `event-source-mapping`."""
    return f"arn:{partition(region)}:lambda:{region}:{account_id}:{kind}:{name}"


def key_arn(key: FunctionKey, qualifier: str | None = None) -> str:
    return function_arn(key.account_id, key.region, key.name, qualifier)


@functools.lru_cache(maxsize=256)
def runtime_version_arn(region: str, runtime_version: str) -> str:
    """Names one exact build of a runtime: equal builds have equal ARNs."""
    digest = hashlib.sha256(runtime_version.encode()).hexdigest()
    return f"arn:{partition(region)}:lambda:{region}::runtime:{digest}"


def parse(text: str) -> FunctionName | None:
    """None when `text` is no form of a function's name; the API's validator says so first."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    return FunctionName(
        name=found["name"],
        qualifier=found["qualifier"],
        account_id=found["account_id"],
        region=found["region"],
    )


def is_alias(qualifier: str) -> bool:
    """Whether a qualifier could be the name of an alias, and is so no version."""
    return _ALIAS.fullmatch(qualifier) is not None


def function_reference(
    caller: Caller, name: str, qualifier: str | None = None
) -> FunctionReference:
    """The function that `name` means to `caller`.

    Raises as Lambda does: `ResourceNotFoundException` for another Region's function,
    `AccessDeniedException` for another account's, `InvalidParameterValueException` when the name
    ends in another qualifier than the parameter says.
    """
    return _reference(caller.account_id, caller.region, name, qualifier)


@lru_cache(maxsize=4_096)
def _reference(account_id: str, region: str, name: str, qualifier: str | None) -> FunctionReference:
    parsed = parse(name)
    if parsed is None:
        raise InvalidParameterValueException(f"{name!r} is not a function name or ARN")
    if parsed.region is not None and parsed.region != region:
        raise ResourceNotFoundException(
            f"Functions from '{parsed.region}' are not reachable in this region ('{region}')"
        )
    if parsed.account_id is not None and parsed.account_id != account_id:
        other = function_arn(parsed.account_id, region, parsed.name, parsed.qualifier)
        raise AccessDeniedException(
            f"Account {account_id} is not authorized to perform this operation on "
            f"resource: {other} because no resource-based policy allows it"
        )
    if None not in (parsed.qualifier, qualifier) and parsed.qualifier != qualifier:
        raise InvalidParameterValueException(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    key = FunctionKey(account_id, region, parsed.name)
    return FunctionReference.of(key, qualifier or parsed.qualifier)


def unqualified(reference: FunctionReference) -> FunctionKey:
    """The function, for operations that change it as a whole."""
    if reference.qualifier not in (None, LATEST):
        raise InvalidParameterValueException(
            "This operation is permitted on Lambda functions only. Aliases and versions do not "
            "support this operation. Please specify either a function name or an unqualified "
            "function ARN."
        )
    return reference.key


_LAYER: Final = re.compile(
    r"arn:aws[a-zA-Z-]*:lambda:(?P<region>[a-z0-9-]+):(?P<account_id>\d{12}):layer:"
    r"(?P<name>[a-zA-Z0-9-_]+)(?::(?P<number>\d+))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerReference:
    """A version of a layer that a call means."""

    key: ResourceKey
    number: int

    @property
    def arn(self) -> str:
        return layer_version_arn(self.key, self.number)


def layer_arn(key: ResourceKey) -> str:
    return f"arn:{partition(key.region)}:lambda:{key.region}:{key.account_id}:layer:{key.id}"


def layer_version_arn(key: ResourceKey, number: int) -> str:
    return f"{layer_arn(key)}:{number}"


def layer_key(caller: Caller, name: str) -> ResourceKey:
    """The layer that a name or an ARN, both without a version, means to `caller`."""
    found = _LAYER.fullmatch(name)
    if found is None:
        return ResourceKey(caller.account_id, caller.region, name)
    return ResourceKey(found["account_id"], found["region"], found["name"])


def layer_reference_of_arn(arn: str) -> LayerReference | None:
    """None for what names no version, and for AWS's own (`awslayer`)."""
    found = _LAYER.fullmatch(arn)
    if found is None or found["number"] is None:
        return None
    key = ResourceKey(found["account_id"], found["region"], found["name"])
    return LayerReference(key=key, number=int(found["number"]))
