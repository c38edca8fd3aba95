"""The limits that the service model puts on input, checked once for all operations.

Two readings of the same limits: compiled tests that only say whether a value keeps them, for every
call; and, for the few calls where one does not, a walk that words every breach. Lambda reports all
breaches of a request together.

Where the real service says something else than its model, the difference is in `quirks.py`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from lampyr.api import quirks
from lampyr.api.patterns import compile_pattern
from lampyr.api.spec import Operation, ServiceModel, Shape
from lampyr.errors import ServiceError, ValidationException

Validate = Callable[[Mapping[str, Any]], None]
"""Raises `ValidationException`, or what Lambda raises in its place, for input it refuses."""

Keeps = Callable[[Any], bool]

PATTERN_CHARACTERS_MAX: Final = 2_048
"""A longer text that breaks its length limit too is not tried on the pattern: some patterns take
time that grows with the square of the length."""
SHOWN_CHARACTERS_MAX: Final = 20_480
"""Of a value in an error: the longest that the model allows, but for payloads."""

NOT_NULL: Final = "Member must not be null"
_NUMBERS: Final = frozenset({"integer", "long", "float", "double"})
_CONTAINERS: Final = frozenset({"structure", "list", "map"})


def compile_validator(model: ServiceModel, operation: Operation) -> Validate:
    if operation.input is None:
        return lambda _request: None
    shape = model.shape(operation.input)
    tests = _member_tests(model, shape, {})
    required = shape.required
    service_checks = quirks.service_checks(operation.name)

    def validate(request: Mapping[str, Any]) -> None:
        for name in required:
            if name not in request:
                break
        else:
            for name, keeps in tests:
                if name in request and not keeps(request[name]):
                    break
            else:
                return
        raise _refusal(Breaches(model, operation.name), shape, request, service_checks)

    return validate


def _refusal(
    breaches: "Breaches",
    shape: Shape,
    request: Mapping[str, Any],
    service_checks: Mapping[str, quirks.ServiceCheck],
) -> ServiceError:
    found = list(breaches.of_structure(shape, request, "", skip=service_checks))
    if not found:
        for name, check in service_checks.items():
            if (error := check(request.get(name))) is not None:
                return error
    noun = "error" if len(found) == 1 else "errors"
    return ValidationException(f"{len(found)} validation {noun} detected: {'; '.join(found)}")


# Whether a value keeps its limits -----------------------------------------------------------


def _member_tests(
    model: ServiceModel, shape: Shape, made: dict[str, Keeps | None]
) -> tuple[tuple[str, Keeps], ...]:
    return tuple(
        (member.name, keeps)
        for member in shape.members.values()
        if (keeps := _test(model, member.shape, made)) is not None
    )


def _test(model: ServiceModel, name: str, made: dict[str, Keeps | None]) -> Keeps | None:
    """A test for values of this shape; None when the model puts no limit on them."""
    if name not in made:
        made[name] = _later(made, name)
        shape = model.shape(name)
        if shape.type == "structure":
            made[name] = _structure_test(model, shape, made)
        elif shape.type == "list":
            made[name] = _list_test(model, shape, made)
        elif shape.type == "map":
            made[name] = _map_test(model, shape, made)
        else:
            made[name] = _scalar_test(shape)
    return made[name]


def _later(made: Mapping[str, Keeps | None], name: str) -> Keeps:
    return lambda value: (made[name] or _anything)(value)  # noqa: PLW0108 - `made` changes


def _anything(_value: Any) -> bool:
    return True


def _structure_test(
    model: ServiceModel, shape: Shape, made: dict[str, Keeps | None]
) -> Keeps | None:
    tests = _member_tests(model, shape, made)
    required = shape.required
    if not tests and not required:
        return None

    def keeps(value: Any) -> bool:
        return all(name in value for name in required) and all(
            test(value[name]) for name, test in tests if name in value
        )

    return keeps


def _list_test(model: ServiceModel, shape: Shape, made: dict[str, Keeps | None]) -> Keeps:
    item = _test(model, shape.item, made) or _anything
    least, most = _bounds(shape)

    def keeps(value: Any) -> bool:
        return least <= len(value) <= most and all(one is not None and item(one) for one in value)

    return keeps


def _map_test(model: ServiceModel, shape: Shape, made: dict[str, Keeps | None]) -> Keeps:
    key = _test(model, shape.key, made) or _anything
    item = _test(model, shape.item, made) or _anything
    least, most = _bounds(shape)

    def keeps(value: Any) -> bool:
        return least <= len(value) <= most and all(
            key(name) and one is not None and item(one) for name, one in value.items()
        )

    return keeps


def _scalar_test(shape: Shape) -> Keeps | None:
    if shape.enum:
        return frozenset(shape.enum).__contains__
    least, most = _bounds(shape)
    if shape.type in _NUMBERS:
        bounded = shape.minimum is not None or shape.maximum is not None
        return (lambda value: least <= value <= most) if bounded else None
    if shape.pattern is not None:
        fits = compile_pattern(shape.pattern).fullmatch
        return lambda value: least <= len(value) <= most and fits(value) is not None
    if shape.maximum is not None or shape.minimum:
        return lambda value: least <= len(value) <= most
    return None


def _bounds(shape: Shape) -> tuple[float, float]:
    least = float("-inf") if shape.minimum is None else shape.minimum
    return least, float("inf") if shape.maximum is None else shape.maximum


# What is wrong with a value that does not ---------------------------------------------------


class Breaches:
    """Words every breach in the input of one operation."""

    def __init__(self, model: ServiceModel, operation: str) -> None:
        self._model = model
        self._operation = operation

    def of_structure(
        self, shape: Shape, value: Mapping[str, Any], path: str, skip: Iterable[str] = ()
    ) -> Iterator[str]:
        for name in quirks.order(self._operation, shape.members):
            at = f"{path}.{_lower(name)}" if path else _lower(name)
            member = self._model.shape(shape.members[name].shape)
            if name not in value:
                if name in shape.required:
                    yield _sentence(None, at, NOT_NULL)
            elif name not in skip:
                yield from self._of(member, value[name], at)

    def _of(self, shape: Shape, value: Any, path: str) -> Iterator[str]:
        if shape.type == "structure":
            yield from self.of_structure(shape, value, path)
        elif shape.type == "list":
            yield from self._of_list(shape, value, path)
        elif shape.type == "map":
            yield from self._of_map(shape, value, path)
        else:
            for limit in _breached(shape, value):
                yield _sentence(value, path, limit, sensitive=shape.sensitive)

    def _of_list(self, shape: Shape, value: list[Any], path: str) -> Iterator[str]:
        item = self._model.shape(shape.item)
        for limit in _breached(shape, value):
            yield _sentence(value, path, limit, sensitive=shape.sensitive)
        if item.type in _CONTAINERS:
            for number, one in enumerate(value, start=1):
                if one is None:
                    yield _sentence(None, f"{path}.{number}.member", NOT_NULL)
                else:
                    yield from self._of(item, one, f"{path}.{number}.member")
        elif any(one is None or any(_breached(item, one)) for one in value):
            limit = quirks.list_limit(self._operation, shape.name) or (
                f"Member must satisfy constraint: [{', '.join([*limits(item), NOT_NULL])}]"
            )
            yield _sentence(value, path, limit, sensitive=shape.sensitive or item.sensitive)

    def _of_map(self, shape: Shape, value: Mapping[str, Any], path: str) -> Iterator[str]:
        key, item = self._model.shape(shape.key), self._model.shape(shape.item)
        for limit in _breached(shape, value):
            yield _sentence(value, path, limit, sensitive=shape.sensitive)
        if any(any(_breached(key, name)) for name in value):
            null = () if key.name in quirks.KEYS_WITHOUT_NULL else (NOT_NULL,)
            limit = f"Map keys must satisfy constraint: [{', '.join([*limits(key), *null])}]"
            yield _sentence(value, path, limit, sensitive=shape.sensitive)
        if item.type in _CONTAINERS:
            for name, one in value.items():
                at = f"{path}.{name}.member"
                if one is None:
                    yield _sentence(None, at, NOT_NULL)
                else:
                    yield from self._of(item, one, at)
        elif any(one is None or any(_breached(item, one)) for one in value.values()):
            limit = ", ".join(limits(item) or [NOT_NULL])
            limit = f"Map value must satisfy constraint: [{limit}]"
            yield _sentence(value, path, limit, sensitive=shape.sensitive or item.sensitive)


def limits(shape: Shape) -> list[str]:
    """Every limit on a value, in the order that Lambda lists them for members of a collection."""
    noun = "value" if shape.type in _NUMBERS else "length"
    found = []
    if shape.maximum is not None:
        bound = _number(shape, shape.maximum)
        found.append(f"Member must have {noun} less than or equal to {bound}")
    if shape.minimum is not None:
        bound = _number(shape, shape.minimum)
        found.append(f"Member must have {noun} greater than or equal to {bound}")
    if shape.pattern is not None:
        pattern = quirks.shown_pattern(shape.name, shape.pattern)
        found.append(f"Member must satisfy regular expression pattern: {pattern}")
    if shape.enum:
        found.append(f"Member must satisfy enum value set: [{', '.join(enum_order(shape.enum))}]")
    return found


def enum_order(values: Iterable[str]) -> list[str]:
    """The order in which Lambda lists the values of an enum.

    It is that of a table with 32 chains by Java's hash of the text, the last one put in first;
    every list that is recorded from the service is in this order.
    """
    newest_first = list(values)[::-1]
    return sorted(newest_first, key=lambda value: _java_hash(value) & 31)


def _java_hash(text: str) -> int:
    number = 0
    for character in text:
        number = (31 * number + ord(character)) & 0xFFFFFFFF
    return number


def _breached(shape: Shape, value: Any) -> Iterator[str]:
    """The limits that this one value breaks; of a collection, only those on its size."""
    if shape.enum:
        if value not in shape.enum:
            yield from limits(shape)
        return
    size = value if shape.type in _NUMBERS else _length(value)
    if size is None:
        return
    noun = "value" if shape.type in _NUMBERS else "length"
    too_long = shape.maximum is not None and size > shape.maximum
    tried = shape.pattern is not None and not (too_long and size > PATTERN_CHARACTERS_MAX)
    if tried and compile_pattern(shape.pattern or "").fullmatch(value) is None:
        pattern = quirks.shown_pattern(shape.name, shape.pattern or "")
        yield f"Member must satisfy regular expression pattern: {pattern}"
    if shape.minimum is not None and size < shape.minimum:
        bound = _number(shape, shape.minimum)
        yield f"Member must have {noun} greater than or equal to {bound}"
    if too_long and shape.maximum is not None:
        bound = _number(shape, shape.maximum)
        yield f"Member must have {noun} less than or equal to {bound}"


def _length(value: Any) -> int | None:
    return len(value) if isinstance(value, (str, bytes, list, dict)) else None


def _number(shape: Shape, bound: float) -> str:
    return str(float(bound)) if shape.type in {"double", "float"} else str(int(bound))


def _sentence(value: Any, path: str, limit: str, *, sensitive: bool = False) -> str:
    shown = "" if sensitive else f" '{_shown(value)[:SHOWN_CHARACTERS_MAX]}'"
    if value is None:
        shown = " null"
    return f"Value{shown} at '{path}' failed to satisfy constraint: {limit}"


def _shown(value: Any) -> str:
    """A value as Java prints it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case list():
            return f"[{', '.join(_shown(one) for one in value)}]"
        case dict():
            return f"{{{', '.join(f'{key}={_shown(one)}' for key, one in value.items())}}}"
        case bytes():
            return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
        case _:
            return str(value)


def _lower(name: str) -> str:
    return name[0].lower() + name[1:]
