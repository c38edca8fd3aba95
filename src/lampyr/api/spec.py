"""Lambda's API as AWS publishes it in botocore: the source of every path, name, limit and status.

The model's file is read directly. `botocore.loaders` and `botocore.model` would give the same data,
but importing them takes 0.2 s and this takes 8 ms, of which every start of Lampyr would pay.

https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html
"""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import botocore

SERVICE: Final = "lambda"
ERROR_STATUS: Final = 400
"""Of an error shape that names no status of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member of a structure, and where it travels."""

    name: str
    shape: str
    location: str | None = None
    """`uri`, `querystring`, `header`, `headers` or `statusCode`; None is the body."""
    wire: str
    """Its name on the wire."""
    timestamp_format: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A type of the model with its limits."""

    name: str
    type: str
    members: Mapping[str, Member] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    payload: str | None = None
    """The member that is the body as a whole."""
    item: str = ""
    """Name of the shape of a list's items or of a map's values."""
    key: str = ""
    minimum: float | None = None
    maximum: float | None = None
    """Of the value of a number, and of the length of anything else."""
    pattern: str | None = None
    enum: tuple[str, ...] = ()
    sensitive: bool = False
    event_stream: bool = False
    timestamp_format: str | None = None
    error_status: int | None = None
    """HTTP status, where this is the shape of an error."""

    def located(self, location: str | None) -> list[Member]:
        """The members that travel there; None is the body."""
        return [member for member in self.members.values() if member.location == location]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    name: str
    method: str
    path: str
    """With labels in braces, without a query."""
    query: str
    """What tells this operation from another with the same path; mostly empty."""
    status: int
    input: str | None
    output: str | None


class ServiceModel:
    """The operations of a service and, each made when it is first asked for, their shapes."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._shapes: Mapping[str, Any] = document["shapes"]
        self._made: dict[str, Shape] = {}
        self.operations: Mapping[str, Operation] = {
            name: _operation(name, operation)
            for name, operation in sorted(document["operations"].items())
        }

    def shape(self, name: str) -> Shape:
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = _shape(name, self._shapes[name])
        return made

    @property
    def shape_names(self) -> frozenset[str]:
        return frozenset(self._shapes)

    def error(self, code: str) -> Shape | None:
        """The shape of the error of this name; None when the model has no such error."""
        return self.shape(code) if self._shapes.get(code, {}).get("exception") else None


@cache
def service_model() -> ServiceModel:
    """Lambda's model in the botocore that is installed; read once."""
    return ServiceModel(_without_prose(json.loads(gzip.decompress(model_file().read_bytes()))))


def model_file() -> Path:
    """The newest API version that botocore has of Lambda."""
    versions = Path(botocore.BOTOCORE_ROOT, "data", SERVICE)
    return max(versions.iterdir()) / "service-2.json.gz"


def _without_prose(document: dict[str, Any]) -> dict[str, Any]:
    """The documentation is two thirds of the model; nothing here reads it."""
    for operation in document["operations"].values():
        operation.pop("documentation", None)
        operation.pop("errors", None)
    for shape in document["shapes"].values():
        shape.pop("documentation", None)
        members = shape.get("members")
        for member in members.values() if members else ():
            member.pop("documentation", None)
    return document


def _operation(name: str, raw: Mapping[str, Any]) -> Operation:
    http = raw["http"]
    path, _, query = http["requestUri"].partition("?")
    return Operation(
        name=name,
        method=http["method"],
        path=path,
        query=query,
        status=http.get("responseCode", 200),
        input=raw.get("input", {}).get("shape"),
        output=raw.get("output", {}).get("shape"),
    )


def _shape(name: str, raw: Mapping[str, Any]) -> Shape:
    item = raw.get("member") or raw.get("value") or {}
    return Shape(
        name=name,
        type=raw["type"],
        members={key: _member(key, value) for key, value in raw.get("members", {}).items()},
        required=tuple(raw.get("required", ())),
        payload=raw.get("payload"),
        item=item.get("shape", ""),
        key=raw.get("key", {}).get("shape", ""),
        minimum=raw.get("min"),
        maximum=raw.get("max"),
        pattern=raw.get("pattern"),
        enum=tuple(raw.get("enum", ())),
        sensitive=raw.get("sensitive", False),
        event_stream=raw.get("eventstream", False),
        timestamp_format=raw.get("timestampFormat"),
        error_status=raw.get("error", {}).get("httpStatusCode", ERROR_STATUS)
        if raw.get("exception")
        else None,
    )


def _member(name: str, raw: Mapping[str, Any]) -> Member:
    return Member(
        name=name,
        shape=raw["shape"],
        location=raw.get("location"),
        wire=raw.get("locationName", name),
        timestamp_format=raw.get("timestampFormat"),
    )
