"""From an HTTP request to the input of an operation: the `rest-json` protocol, server side.

For each operation the way from wire to input is compiled once into closures. What does not fit the
model's types is refused as Lambda does, before any limit is looked at. Members that the model does
not know are ignored, and so is the `Content-Type`, which some SDKs set to anything.

https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html
"""

import binascii
import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, NoReturn

from lampyr.api.lifted import LIFT_BYTES_MIN, Lifted, lift, put_back
from lampyr.api.router import Query, parse_query
from lampyr.api.spec import Member, Operation, ServiceModel, Shape
from lampyr.errors import InvalidRequestContentException, SerializationException

Parse = Callable[[dict[str, str], str, Mapping[str, str], bytes], dict[str, Any]]
"""Labels, query as sent, headers (names in lower case) and body to the operation's input."""

Convert = Callable[[Any], Any]
"""A value as JSON has it to the value as an operation sees it."""

_INTEGER_BITS: Final = {"integer": 32, "long": 64}
_NAMES: Final = {
    "integer": "an Integer",
    "long": "a Long",
    "float": "a Float",
    "double": "a Double",
    "boolean": "a Boolean",
    "string": "a String",
    "blob": "a Blob",
    "timestamp": "a Timestamp",
}


def compile_parser(model: ServiceModel, operation: Operation) -> Parse:
    if operation.input is None:
        return lambda _labels, _query, _headers, _body: {}
    shape = model.shape(operation.input)
    in_path = _located(model, shape, "uri")
    in_headers = tuple(
        (name, wire.lower(), convert) for name, wire, convert in _located(model, shape, "header")
    )
    in_query = tuple((m.name, m.wire, _from_query(model, m)) for m in shape.located("querystring"))
    prefixed = tuple((m.name, m.wire.lower()) for m in shape.located("headers"))
    # True for every operation so far: then what the router found is the beginning of the input.
    labels_are_input = all(n == w and convert is _as_it_is for n, w, convert in in_path)
    take_body = _body_taker(model, shape)

    def parse(
        labels: dict[str, str], query: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, Any]:
        found: dict[str, Any] = labels
        if not labels_are_input:
            found = {name: convert(labels[wire]) for name, wire, convert in in_path}
        for name, wire, convert in in_headers:
            if wire in headers:
                found[name] = convert(headers[wire])
        if query and in_query:
            _take_query(found, in_query, parse_query(query))
        for name, prefix in prefixed:
            found[name] = _header_map(headers, prefix)
        if body:
            take_body(found, body)
        return found

    return parse


def _located(
    model: ServiceModel, shape: Shape, location: str
) -> tuple[tuple[str, str, Convert], ...]:
    members = shape.located(location)
    return tuple((m.name, m.wire, _from_text(model.shape(m.shape))) for m in members)


def _take_query(
    found: dict[str, Any], members: Sequence[tuple[str, str, Convert]], values: Query
) -> None:
    for name, wire, convert in members:
        if wire in values:
            found[name] = convert(values[wire])


def parse_json(body: bytes) -> Any:
    """JSON as Lambda reads it: no NaN, no infinity, and a depth that a program can walk.

    One very long text in it may come as a `Lifted`.
    """
    try:
        if len(body) > LIFT_BYTES_MIN and (found := lift(body)) is not None:
            rest, name, lifted = found
            return put_back(_DECODER.decode(rest.decode()), name, lifted)
        return _DECODER.decode(body.decode())
    except RecursionError:
        reason = "too deeply nested"
    except UnicodeDecodeError as error:
        reason = f"Invalid UTF-8 at byte {error.start}"
    except ValueError as error:
        reason = str(error)
    message = f"Could not parse request body into json: {reason}"
    raise InvalidRequestContentException(message)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"Non-standard token '{name}'")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)


def _body_taker(model: ServiceModel, shape: Shape) -> Callable[[dict[str, Any], bytes], None]:
    """What puts the body's members where the others are."""
    if shape.payload is None:
        members = shape.located(None)
        if not members:
            return lambda _found, _body: None
        convert = _structure(model, members, {})

        def take_members(found: dict[str, Any], body: bytes) -> None:
            found.update(convert(parse_json(body)))

        return take_members
    name = shape.payload
    payload = model.shape(shape.members[name].shape)
    if payload.type == "blob":

        def take_bytes(found: dict[str, Any], body: bytes) -> None:
            found[name] = body

        return take_bytes
    convert = _converter(model, payload.name, {})

    def take_payload(found: dict[str, Any], body: bytes) -> None:
        found[name] = convert(parse_json(body))

    return take_payload


def _header_map(headers: Mapping[str, str], prefix: str) -> dict[str, str]:
    size = len(prefix)
    return {name[size:]: value for name, value in headers.items() if name.startswith(prefix)}


# Text: labels, queries, headers -------------------------------------------------------------


def _from_query(model: ServiceModel, member: Member) -> Callable[[Sequence[str]], Any]:
    shape = model.shape(member.shape)
    if shape.type == "list":
        convert_item = _from_text(model.shape(shape.item))
        return lambda values: [convert_item(value) for value in values]
    convert = _from_text(shape)
    return lambda values: convert(values[-1])


def _from_text(shape: Shape) -> Convert:
    if shape.type == "boolean":
        return _text_to_boolean
    if shape.type == "timestamp":
        return _timestamp
    if shape.type in _INTEGER_BITS:
        return lambda text: _integer(_number(text, int, shape.type), shape.type)
    if shape.type in {"double", "float"}:
        return lambda text: _double(_number(text, float, shape.type), shape.type)
    return _as_it_is


def _as_it_is(value: Any) -> Any:
    return value


def _text_to_boolean(text: str) -> bool:
    lower = text.lower()
    if lower not in {"true", "false"}:
        raise _not(text, "boolean")
    return lower == "true"


def _number(text: str, kind: type[int] | type[float], name: str) -> float:
    # Python also takes "1_0", " 1" and digits of other scripts.
    if not text.isascii() or "_" in text or text != text.strip():
        raise _not(text, name)
    try:
        return kind(text)
    except ValueError:
        raise _not(text, name) from None


# JSON ---------------------------------------------------------------------------------------


def _converter(model: ServiceModel, name: str, made: dict[str, Convert]) -> Convert:
    """The closure for a shape. `made` ends the recursion of shapes that contain themselves."""
    if name in made:
        return made[name]
    # Until it is made, whoever refers to the shape looks it up when the first value comes.
    made[name] = _later(made, name)
    shape = model.shape(name)
    if shape.type == "structure":
        made[name] = _structure(model, list(shape.members.values()), made)
    elif shape.type == "list":
        made[name] = _list(_converter(model, shape.item, made))
    elif shape.type == "map":
        made[name] = _map(_converter(model, shape.item, made))
    else:
        made[name] = _scalar(shape)
    return made[name]


def _later(made: Mapping[str, Convert], name: str) -> Convert:
    return lambda value: made[name](value)  # noqa: PLW0108 - `made` changes until then


def _structure(model: ServiceModel, members: Sequence[Member], made: dict[str, Convert]) -> Convert:
    table = {m.wire: (m.name, _converter(model, m.shape, made)) for m in members}

    def convert(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise _no_structure(value)
        found = {}
        for wire, item in value.items():
            if item is not None and wire in table:
                name, convert_item = table[wire]
                found[name] = convert_item(item)
        return found

    return convert


def _list(convert_item: Convert) -> Convert:
    def convert(value: Any) -> list[Any]:
        if type(value) is not list:
            if type(value) is dict:
                raise SerializationException(_MAP_UNEXPECTED)
            raise SerializationException("Expected list or null")
        return [None if item is None else convert_item(item) for item in value]

    return convert


def _map(convert_item: Convert) -> Convert:
    def convert(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise _no_structure(value)
        return {
            _string(key): None if item is None else convert_item(item)
            for key, item in value.items()
        }

    return convert


def _scalar(shape: Shape) -> Convert:
    kind = shape.type
    if kind == "string":
        return _string
    if kind == "boolean":
        return _boolean
    if kind in _INTEGER_BITS:
        return lambda value: _integer(value, kind)
    if kind in {"double", "float"}:
        return lambda value: _double(value, kind)
    if kind == "blob":
        return _blob
    if kind == "timestamp":
        return _timestamp
    raise ValueError(f"the model has a type that is not known here: {kind}")


def _string(value: Any) -> str:
    if type(value) is Lifted:
        return _lifted_string(value)
    if type(value) is not str:
        raise _not(value, "string")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:  # Half of a surrogate pair, written as an escape.
            raise SerializationException("Invalid Unicode in a String") from None
    return value


def _lifted_string(value: Lifted) -> str:
    try:
        return str(value)
    except UnicodeDecodeError:
        raise SerializationException("Invalid UTF-8 in a String") from None


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise _not(value, "boolean")
    return value


def _integer(value: Any, kind: str) -> int:
    if type(value) is not int:
        raise _not(value, kind)
    bound = 1 << (_INTEGER_BITS[kind] - 1)
    if not -bound <= value < bound:
        raise _not(value, kind)
    return value


def _double(value: Any, kind: str) -> float:
    if type(value) is not float and type(value) is not int:
        raise _not(value, kind)
    try:
        number = float(value)
    except OverflowError:
        raise _not(value, kind) from None
    if not math.isfinite(number):
        raise _not(value, kind)
    return number


def _blob(value: Any) -> bytes:
    try:
        if isinstance(value, Lifted):
            return value.decode_base64()
        if type(value) is str:
            return binascii.a2b_base64(value, strict_mode=True)
    except ValueError as error:  # Not ASCII, or not base64.
        message = f"STRING_VALUE can not be converted to a Blob: {error}"
        raise SerializationException(message) from None
    raise _not(value, "blob")


def _timestamp(value: Any) -> datetime:
    """Seconds since the epoch, ISO 8601, or a date of HTTP; whichever came."""
    try:
        if type(value) is str:
            return _text_to_timestamp(value)
        if type(value) is float or type(value) is int:
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError, IndexError, TypeError):
        raise _not(value, "timestamp") from None
    raise _not(value, "timestamp")


def _text_to_timestamp(text: str) -> datetime:
    try:
        return datetime.fromtimestamp(float(text), UTC)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = parsedate_to_datetime(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


_LIST_UNEXPECTED: Final = "Start of list found where not expected"
_MAP_UNEXPECTED: Final = "Start of structure or map found where not expected."


def _no_structure(value: Any) -> SerializationException:
    return SerializationException(_LIST_UNEXPECTED if type(value) is list else "Expected null")


def _not(value: Any, kind: str) -> SerializationException:
    """In the words of the framework that Lambda's service is built with."""
    if isinstance(value, list):
        return SerializationException(_LIST_UNEXPECTED)
    if isinstance(value, dict):
        return SerializationException(_MAP_UNEXPECTED)
    kinds = {bool: f"{value}_VALUE".upper(), int: "NUMBER_VALUE", float: "DECIMAL_VALUE"}
    found = kinds.get(type(value), "STRING_VALUE")
    return SerializationException(f"{found} can not be converted to {_NAMES[kind]}")
