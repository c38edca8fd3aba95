"""From the output of an operation, or an error, to an HTTP response: `rest-json`, server side.

For each operation the way from output to wire is compiled once into closures. Members that are
None are left out, as every SDK reads them; a member that the model does not have is a mistake of
the operation's, and fails.

https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from email.utils import format_datetime
from typing import Any, Final

from lampyr.api.spec import Member, Operation, ServiceModel, Shape
from lampyr.errors import (
    AccessDeniedException,
    IncompleteSignatureException,
    NotServedError,
    RequestEntityTooLargeException,
    ServiceError,
    UnknownOperationException,
)
from lampyr.http1 import Response

Serialize = Callable[[Mapping[str, Any], str], Response]
"""An operation's output and the request's id to the response."""

Convert = Callable[[Any], Any]
"""A value as operations have it to the value as JSON has it."""

CONTENT_TYPE: Final = ("content-type", "application/json")
REQUEST_ID: Final = "x-amzn-RequestId"
ERROR_TYPE: Final = "x-amzn-ErrorType"
_NO_CONTENT: Final = 204
_STATUS_WITHOUT_SHAPE: Final[Mapping[type[ServiceError], int]] = {
    AccessDeniedException: 403,
    IncompleteSignatureException: 403,
    UnknownOperationException: 404,
    RequestEntityTooLargeException: 413,
    NotServedError: 501,
}
"""Of errors that the model has no shape for; the others are answered 400."""

_encode = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False
).encode


def to_json(value: Any) -> bytes:
    """Half surrogate pairs, which UTF-8 cannot say, become question marks as they do in Java."""
    return _encode(value).encode("utf-8", "replace")


def compile_serializer(model: ServiceModel, operation: Operation) -> Serialize:
    if operation.output is None:
        return _without_output(operation.status)
    shape = model.shape(operation.output)
    status_member = next((m.name for m in shape.located("statusCode")), "")
    headers = tuple((m.name, m.wire, _to_header(model, m)) for m in shape.located("header"))
    prefixed = tuple((m.name, m.wire) for m in shape.located("headers"))
    sets_type = any(wire.lower() == "content-type" for _, wire, _ in headers)
    to_body = _body(model, shape)
    default_status = operation.status

    def serialize(output: Mapping[str, Any], request_id: str) -> Response:
        status = (output.get(status_member) or default_status) if status_member else default_status
        lines = [(REQUEST_ID, request_id)]
        for name, wire, convert in headers:
            if (value := output.get(name)) is not None:
                lines.append((wire, convert(value)))
        for name, prefix in prefixed:
            for key, value in (output.get(name) or {}).items():
                lines.append((prefix + key, _one_line(value)))
        if status == _NO_CONTENT:
            return Response(status, lines)
        if not sets_type:
            lines.append(CONTENT_TYPE)
        return Response(status, lines, to_body(output))

    return serialize


class ErrorSerializer:
    """Any `ServiceError` as Lambda answers it."""

    def __init__(self, model: ServiceModel) -> None:
        self._model = model

    def __call__(self, error: ServiceError, request_id: str) -> Response:
        shape = self._model.error(error.code)
        lines = [(REQUEST_ID, request_id), CONTENT_TYPE, (ERROR_TYPE, error.code)]
        members: Mapping[str, Member] = {} if shape is None else shape.members
        fields: dict[str, Any] = {}
        if error.type is not None and (shape is None or "Type" in members):
            fields["Type"] = error.type
        capital = "Message" in members or isinstance(error, AccessDeniedException)
        fields["Message" if capital else "message"] = error.message
        for name, value in error.members.items():
            member = members.get(name)
            if member is not None and member.location == "header":
                lines.append((member.wire, _one_line(value)))
            else:
                fields[name] = value
        return Response(_status(error, shape), lines, to_json(fields))


def _status(error: ServiceError, shape: Shape | None) -> int:
    if isinstance(error, NotServedError) or shape is None or shape.error_status is None:
        return _STATUS_WITHOUT_SHAPE.get(type(error), 400)
    return shape.error_status


def _without_output(status: int) -> Serialize:
    content = () if status == _NO_CONTENT else (CONTENT_TYPE,)

    def serialize(_output: Mapping[str, Any], request_id: str) -> Response:
        return Response(status, ((REQUEST_ID, request_id), *content))

    return serialize


def _body(model: ServiceModel, shape: Shape) -> Callable[[Mapping[str, Any]], bytes]:
    if shape.payload is None:
        known = {m.name for m in shape.members.values() if m.location is not None}
        members = shape.located(None)
        convert = _structure(model, members, {}, elsewhere=frozenset(known))
        return lambda output: to_json(convert(output))
    name = shape.payload
    payload = model.shape(shape.members[name].shape)
    if payload.event_stream:
        return _refuse_event_stream
    if payload.type == "blob":
        return lambda output: output.get(name) or b""
    convert_payload = _converter(model, payload.name, {}) or _as_it_is
    return lambda output: to_json(convert_payload(output.get(name) or {}))


def _refuse_event_stream(_output: Mapping[str, Any]) -> bytes:
    raise NotServedError("Lampyr does not stream responses yet")


def _as_it_is(value: Any) -> Any:
    return value


# Headers ------------------------------------------------------------------------------------


def _to_header(model: ServiceModel, member: Member) -> Callable[[Any], str]:
    shape = model.shape(member.shape)
    if shape.type == "boolean":
        return lambda value: "true" if value else "false"
    if shape.type == "timestamp":
        return _http_date
    return _one_line


def _http_date(value: datetime) -> str:
    return format_datetime(value, usegmt=True)


def _one_line(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    if "\n" in text or "\r" in text:
        raise ValueError("a header may not have a line break")
    return text


# JSON ---------------------------------------------------------------------------------------


def _converter(model: ServiceModel, name: str, made: dict[str, Convert | None]) -> Convert | None:
    """The closure for a shape; None when its values are JSON already.

    `made` ends the recursion of shapes that contain themselves.
    """
    if name not in made:
        made[name] = _later(made, name)
        shape = model.shape(name)
        if shape.type == "structure":
            made[name] = _structure(model, list(shape.members.values()), made)
        elif shape.type == "list":
            made[name] = _list(_converter(model, shape.item, made))
        elif shape.type == "map":
            made[name] = _map(_converter(model, shape.item, made))
        elif shape.type == "blob":
            made[name] = _blob
        elif shape.type == "timestamp":
            made[name] = _epoch_seconds
        else:
            made[name] = None
    return made[name]


def _later(made: Mapping[str, Convert | None], name: str) -> Convert:
    return lambda value: (made[name] or _as_it_is)(value)  # noqa: PLW0108 - `made` changes


def _structure(
    model: ServiceModel,
    members: Sequence[Member],
    made: dict[str, Convert | None],
    elsewhere: frozenset[str] = frozenset(),
) -> Convert:
    table = {m.name: (m.wire, _converter(model, m.shape, made)) for m in members}

    def convert(value: Mapping[str, Any]) -> dict[str, Any]:
        found = {}
        for name, item in value.items():
            if item is None or name in elsewhere:
                continue
            wire, convert_item = table[name]
            found[wire] = item if convert_item is None else convert_item(item)
        return found

    return convert


def _list(convert_item: Convert | None) -> Convert:
    if convert_item is None:
        return list
    return lambda value: [convert_item(item) for item in value]


def _map(convert_item: Convert | None) -> Convert:
    if convert_item is None:
        return dict
    return lambda value: {key: convert_item(item) for key, item in value.items()}


def _blob(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _epoch_seconds(value: datetime | float) -> float:
    return value.timestamp() if isinstance(value, datetime) else value
