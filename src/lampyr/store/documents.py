"""Frozen dataclasses as JSON documents, and back, by their type hints.

A document holds every member under its own name. A member added later gets its default when an
older document is read; one that is no member any more is left out; any other change of the
format is a migration.
"""

import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

Convert = Callable[[Any], Any]


def to_document(value: Any) -> Any:
    """What JSON can hold: dataclasses become objects, tuples lists."""
    if is_dataclass(value):
        return {f.name: to_document(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {name: to_document(item) for name, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_document(item) for item in value]
    return value


def from_document(kind: Any, document: Any) -> Any:
    """The value of type `kind`; TypeError or ValueError when the document does not fit."""
    return _converter(kind)(document)


@cache
def _converter(kind: Any) -> Convert:
    if is_dataclass(kind):
        return _object(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _optional(kind, arguments)
    if origin is tuple or (isinstance(kind, type) and issubclass(kind, tuple)):
        return _tuple(kind, arguments)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        convert = _converter(arguments[1])
        return lambda document: {name: convert(item) for name, item in document.items()}
    return kind if isinstance(kind, type) and issubclass(kind, Enum) else _same


def _same(value: Any) -> Any:
    return value


def _object(kind: Any) -> Convert:
    hints = get_type_hints(kind)
    names = tuple(f.name for f in fields(kind))
    # Plain members, the most, are taken as they are: a thousand functions are read at a start.
    special = tuple((name, convert) for name in names if (convert := _Lazy(hints[name])).needed)
    known = frozenset(names)

    def convert_object(document: Any) -> Any:
        if isinstance(document, list):  # As the first schema wrote reasons.
            document = dict(zip(names, document, strict=True))
        members = {name: item for name, item in document.items() if name in known}
        for name, convert in special:
            if name in members:
                members[name] = convert(members[name])
        return kind(**members)

    return convert_object


class _Lazy:
    """The converter of a member, found when first needed: types may name themselves."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self.needed = kind not in (str, int, float, bool, Any) and kind not in _PLAIN_OPTIONALS

    def __call__(self, document: Any) -> Any:
        return _converter(self._kind)(document)


_PLAIN_OPTIONALS = (str | None, int | None, float | None, bool | None)


def _optional(kind: Any, arguments: tuple[Any, ...]) -> Convert:
    (inner,) = (argument for argument in arguments if argument is not types.NoneType)
    if len(arguments) == 1:
        raise TypeError(f"a document cannot hold {kind}")
    convert = _converter(inner)
    return lambda document: None if document is None else convert(document)


def _tuple(kind: Any, arguments: tuple[Any, ...]) -> Convert:
    if not arguments:  # A NamedTuple.
        return lambda document: kind(*document)
    if len(arguments) == 2 and arguments[1] is Ellipsis:  # noqa: PLR2004
        convert = _converter(arguments[0])
        return lambda document: tuple(convert(item) for item in document)
    converts = [_converter(argument) for argument in arguments]
    return lambda document: tuple(c(item) for c, item in zip(converts, document, strict=True))
