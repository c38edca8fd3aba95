"""Filter patterns: which events of a source a function gets to see.

A pattern has the shape of the event. At its leaves stand lists of what a value may be: values
themselves, or operators such as `{"prefix": "eu-"}`. All members have to match, and of a list one.

    {"body": {"city": ["Paris"], "price": [{"numeric": [">", 10, "<=", 20]}]}}

A pattern is compiled once, when it is set, which is also when it is refused; what is compiled
then looks at each event.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
"""

import ipaddress
import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

Matches = Callable[[Any], bool]
"""Whether an event, as JSON that was read, matches; or one value of it."""

DEPTH_MAX: Final = 64
NUMBER_MAX: Final = 5e9
_RANGE_ITEMS: Final = 4
_LOWER: Final = {">": operator.gt, ">=": operator.ge}
_UPPER: Final = {"<": operator.lt, "<=": operator.le}
_COMPARISONS: Final = {"=": operator.eq, **_LOWER, **_UPPER}


class PatternError(Exception):
    """No pattern: the message says why."""


class _Absent:
    """What an event has not, which `exists` asks for."""


_ABSENT: Final = _Absent()


def compile_pattern(text: str) -> Matches:
    """What decides for a pattern, which is JSON; `PatternError` when it is none."""
    try:
        document = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise PatternError(f"not JSON: {error}") from error
    return _object(document, 1)


def compile_patterns(texts: Iterable[str]) -> Matches:
    """Of several patterns one has to match; of none, everything does."""
    patterns = [compile_pattern(text) for text in texts]
    return lambda event: not patterns or any(matches(event) for matches in patterns)


def _no_constant(name: str) -> None:
    raise PatternError(f"{name} is no number")


# Shape -----------------------------------------------------------------------------------------


def _object(document: Any, depth: int) -> Matches:
    if not isinstance(document, dict) or not document:
        raise PatternError("an object with members is expected")
    if depth > DEPTH_MAX:
        raise PatternError(f"more than {DEPTH_MAX} levels")
    members: dict[str, Matches] = {}
    choices: Matches | None = None
    for name, item in document.items():
        if name == "$or" and isinstance(item, list):
            choices = _or(item, depth)
        elif isinstance(item, list):
            members[name] = _leaf(item)
        else:
            members[name] = _inner(_object(item, depth + 1))

    def matches(event: Any) -> bool:
        found = event if isinstance(event, dict) else {}
        return all(test(found.get(name, _ABSENT)) for name, test in members.items()) and (
            choices is None or choices(event)
        )

    return matches


def _or(items: list[Any], depth: int) -> Matches:
    if len(items) < 2:  # noqa: PLR2004 - of one there is no choice
        raise PatternError("$or takes two patterns or more")
    patterns = [_object(item, depth + 1) for item in items]
    return lambda event: any(matches(event) for matches in patterns)


def _inner(matches: Matches) -> Matches:
    """Of a list of objects one has to match."""

    def test(value: Any) -> bool:
        return any(map(matches, value)) if isinstance(value, list) and value else matches(value)

    return test


def _leaf(items: list[Any]) -> Matches:
    if not items:
        raise PatternError("an empty list matches nothing")
    tests = [_operator(item) if isinstance(item, dict) else _equals(item) for item in items]

    def matches(value: Any) -> bool:
        values = list(_values(value)) or [_ABSENT]
        return any(test(each) for test in tests for each in values)

    return matches


def _values(value: Any) -> Iterator[Any]:
    """What stands at a leaf: of lists their items; an object is no leaf."""
    if isinstance(value, list):
        for item in value:
            yield from _values(item)
    elif not isinstance(value, (dict, _Absent)):
        yield value


# Values ----------------------------------------------------------------------------------------


def _equals(wanted: Any) -> Matches:
    """Also of the same type: 300 is not 300.0, and True is not 1."""
    if isinstance(wanted, list):
        raise PatternError("a list in a list")
    return lambda value: type(value) is type(wanted) and value == wanted


def _operator(document: Mapping[str, Any]) -> Matches:
    if len(document) != 1:
        raise PatternError("one operator is expected")
    ((name, operand),) = document.items()
    compiler = _OPERATORS.get(name)
    if compiler is None:
        raise PatternError(f"there is no operator {name}")
    return compiler(operand)


def _exists(operand: Any) -> Matches:
    if not isinstance(operand, bool):
        raise PatternError("exists takes true or false")
    return lambda value: (value is not _ABSENT) is operand


def _numeric(operand: Any) -> Matches:
    """One comparison, or a lower and an upper bound."""
    if not isinstance(operand, list) or len(operand) not in (2, _RANGE_ITEMS):
        raise PatternError("numeric takes one comparison or two")
    pairs = list(zip(operand[::2], operand[1::2], strict=True))
    tables = [_COMPARISONS] if len(pairs) == 1 else [_LOWER, _UPPER]
    tests = []
    for (sign, bound), table in zip(pairs, tables, strict=True):
        if not isinstance(sign, str) or sign not in table or not _is_number(bound):
            raise PatternError(f"no comparison: {sign} {bound}")
        if not -NUMBER_MAX <= bound <= NUMBER_MAX:
            raise PatternError(f"{bound} is out of range")
        tests.append((table[sign], bound))
    if len(tests) > 1 and not tests[0][1] < tests[1][1]:
        raise PatternError("the lower bound is not below the upper one")
    return lambda value: _is_number(value) and all(test(value, bound) for test, bound in tests)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _anything_but(operand: Any) -> Matches:
    """A value, but none of these: values, or those that one other operator finds."""
    if isinstance(operand, dict):
        if not operand.keys() <= {"prefix", "suffix", "equals-ignore-case", "wildcard"}:
            raise PatternError(f"anything-but takes no {', '.join(operand)}")
        found = _operator_of_several(operand)
    else:
        items = operand if isinstance(operand, list) else [operand]
        kinds = {str if isinstance(item, str) else float for item in items}
        if len(kinds) != 1 or not all(isinstance(i, str) or _is_number(i) for i in items):
            raise PatternError("anything-but takes strings or numbers")
        found = lambda value: any(map(_equals_loosely(value), items))  # noqa: E731
    return lambda value: value is not _ABSENT and not found(value)


def _operator_of_several(operand: Mapping[str, Any]) -> Matches:
    """Inside anything-but an operator may have several operands."""
    if len(operand) != 1:
        raise PatternError("one operator is expected")
    ((name, items),) = operand.items()
    several = items if isinstance(items, list) else [items]
    if not several:
        raise PatternError("an empty list")
    tests = [_operator({name: item}) for item in several]
    return lambda value: any(test(value) for test in tests)


def _equals_loosely(value: Any) -> Matches:
    return lambda item: isinstance(value, bool) is isinstance(item, bool) and item == value


def _text_operator(compare: Callable[[str, str], bool]) -> Callable[[Any], Matches]:
    """`prefix` and `suffix`, which may ignore the case."""

    def compiler(operand: Any) -> Matches:
        if isinstance(operand, dict):
            text = _text(operand.get("equals-ignore-case")).lower()
            if len(operand) != 1:
                raise PatternError("equals-ignore-case is expected")
            return lambda value: isinstance(value, str) and compare(value.lower(), text)
        wanted = _text(operand)
        return lambda value: isinstance(value, str) and compare(value, wanted)

    return compiler


def _ignoring_case(operand: Any) -> Matches:
    wanted = _text(operand).lower()
    return lambda value: isinstance(value, str) and value.lower() == wanted


def _wildcard(operand: Any) -> Matches:
    r"""`*` is any characters; `\*` and `\\` are these themselves."""
    parts = re.findall(r"\\.?|\*+|[^\\*]+", _text(operand), re.DOTALL)
    if any(part.startswith("**") or part == "\\" for part in parts):
        raise PatternError("consecutive wildcards, or an escape of nothing")
    if any(part[0] == "\\" and part[1] not in "*\\" for part in parts):
        raise PatternError("only * and \\ can be escaped")
    # The parts between are looked for in turn: a regular expression could be made to take for ever.
    pieces = [""]
    for part in parts:
        if part == "*":
            pieces.append("")
        else:
            pieces[-1] += part[1:] if part[0] == "\\" else part
    return lambda value: isinstance(value, str) and _fits(value, pieces)


def _fits(value: str, pieces: list[str]) -> bool:
    first, *others = pieces
    if not others:
        return value == first
    if not value.startswith(first):
        return False
    place = len(first)
    for piece in others[:-1]:
        found = value.find(piece, place)
        if found < 0:
            return False
        place = found + len(piece)
    return len(value) - len(others[-1]) >= place and value.endswith(others[-1])


def _cidr(operand: Any) -> Matches:
    try:
        network = ipaddress.ip_network(_text(operand), strict=False)
    except ValueError as error:
        raise PatternError(str(error)) from error

    def matches(value: Any) -> bool:
        try:
            return isinstance(value, str) and ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return matches


def _text(operand: Any) -> str:
    if not isinstance(operand, str):
        raise PatternError("text is expected")
    return operand


_OPERATORS: Final[Mapping[str, Callable[[Any], Matches]]] = {
    "anything-but": _anything_but,
    "cidr": _cidr,
    "equals-ignore-case": _ignoring_case,
    "exists": _exists,
    "numeric": _numeric,
    "prefix": _text_operator(str.startswith),
    "suffix": _text_operator(str.endswith),
    "wildcard": _wildcard,
}
