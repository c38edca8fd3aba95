"""What AWS answered, and whether an answer of ours is the same.

`<name:1>` in a recording stands for a value that differs from run to run: where the same name
comes again, the value must be the same, and another name of that kind must be another value.
A name without a number, and a date, stand for anything of their kind.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from lampyr.api.spec import service_model

FOLDER: Final = Path(__file__).parent / "answers"
FIXED: Final = {"partition": "aws", "region": "us-east-1"}
_NAME: Final = re.compile(r"<([a-z_A-Z0-9-]+)(?::(\d+))?>|<a:len\((\d+)\)>")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d((\.\d{3})?\+0000|\.\d{6}Z)")
_DATES: Final = frozenset({"date", "datetime", "<date>"})
_ANYTHING: Final = frozenset({"code-sha256", "function-url", "lambda-url", "log-result"})
_PATTERNS: Final[Mapping[str, str]] = {
    # What may be tagged has become more, and so has the pattern that AWS quotes.
    "TaggableResource": (
        r"arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:"
        r"(function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?|layer:([a-zA-Z0-9-_]+)|"
        r"code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-"
        r"[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|capacity-provider:[a-zA-Z0-9-_]+)"
    ),
}
"""By shape, patterns of then: the model has others now."""


@cache
def answers() -> Mapping[str, Mapping[str, Any]]:
    """Every scenario by its key: the answers in it by their names."""
    found: dict[str, Mapping[str, Any]] = {}
    for path in sorted(FOLDER.glob("*.json")):
        found |= json.loads(path.read_text(), object_hook=_current)
    return found


def _current(recorded: dict[str, Any]) -> dict[str, Any]:
    """With the patterns that the model has now."""
    for name, pattern in _PATTERNS.items():
        now = service_model().shape(name).pattern or ""
        for member, value in recorded.items():
            if isinstance(value, str) and value.endswith(pattern):
                recorded[member] = value.removesuffix(pattern) + now
    return recorded


class Likeness:
    """Compares the answers of one scenario; remembers what the names in it stand for.

    `apart` are names of members that may differ.
    """

    def __init__(self, apart: Collection[str] = ()) -> None:
        self._values: dict[tuple[str, str], str] = {}
        self.apart = set(apart)

    def differences(self, recorded: Any, answer: Any, place: str = "") -> Iterator[str]:
        match recorded:
            case dict() | list() if isinstance(answer, str):
                # JSON in a string, such as a policy, was recorded as what it says.
                yield from self.differences(recorded, json.loads(answer), place)
            case None:  # Whatever it was, it was not kept.
                pass
            case str() if recorded in _ANYTHING or _is_unnumbered(recorded):
                pass
            case dict():
                yield from self._of_object(recorded, answer, place)
            case list() if isinstance(answer, list) and len(answer) == len(recorded):
                for number, (one, other) in enumerate(zip(recorded, answer, strict=True)):
                    yield from self.differences(one, other, f"{place}[{number}]")
            case str() if self._is_like(recorded, answer):
                pass
            case _ if recorded == answer and type(recorded) is type(answer):
                pass
            case _:
                yield f"{place}: recorded {recorded!r}, answered {answer!r}"

    def _of_object(self, recorded: Mapping[str, Any], answer: Any, place: str) -> Iterator[str]:
        if not isinstance(answer, dict):
            yield f"{place}: recorded an object, answered {answer!r}"
            return
        for name in sorted(recorded.keys() | answer.keys()):
            inside = f"{place}.{name}"
            if name in self.apart:
                continue
            if name == "ResponseMetadata":
                status = "HTTPStatusCode"
                yield from self.differences(recorded[name][status], answer[name][status], status)
            elif name not in answer:
                yield f"{inside}: recorded {recorded[name]!r}, not answered"
            elif name not in recorded:
                yield f"{inside}: answered {answer[name]!r}, not recorded"
            else:
                yield from self.differences(recorded[name], answer[name], inside)

    def _is_like(self, recorded: str, answer: Any) -> bool:
        if recorded in _DATES:
            return isinstance(answer, datetime) or bool(_DATE.fullmatch(str(answer)))
        if isinstance(answer, (int, float)) and not isinstance(answer, bool):
            return _NAME.fullmatch(recorded) is not None
        if not isinstance(answer, str):
            return False
        pattern, names = _pattern(recorded)
        found = re.fullmatch(pattern, answer, re.DOTALL)
        return found is not None and all(
            self._agrees(kind, number, value)
            for (kind, number), value in zip(names, found.groups(), strict=True)
        )

    def _agrees(self, kind: str, number: str, value: str) -> bool:
        known = self._values.setdefault((kind, number), value)
        others = {v for (k, n), v in self._values.items() if k == kind and n != number}
        return known == value and value not in others


def _is_unnumbered(recorded: str) -> bool:
    """Whether it says no more than what kind of thing there was, such as `<stack-trace>`."""
    found = _NAME.fullmatch(recorded)
    return (
        found is not None and found[1] is not None and found[2] is None and (found[1] not in FIXED)
    )


@cache
def _pattern(recorded: str) -> tuple[str, list[tuple[str, str]]]:
    """As a regular expression, with a group for each numbered name."""
    made, names, end = "", [], 0
    if recorded.startswith("date\t"):  # A line of a log.
        made, end = r"[0-9TZ:.-]+", len("date")
    for found in _NAME.finditer(recorded):
        made += re.escape(recorded[end : found.start()])
        end = found.end()
        kind, number, length = found.groups()
        if length is not None:
            made += f"a{{{length}}}"
        elif kind in FIXED:
            made += re.escape(FIXED[kind])
        elif number is None:
            made += ".+"
        else:
            made += "(.+)"
            names.append((kind, number))
    return made + re.escape(recorded[end:]), names


class Comparison:
    """The recorded answers of one scenario: each is compared with one of ours, or left."""

    def __init__(self, recorded: Mapping[str, Any], apart: Collection[str] = ()) -> None:
        self.recorded = {step: _unwrapped(answer) for step, answer in recorded.items()}
        self._likeness = Likeness(apart)
        self._failed = True
        """Until the first answer is compared, and from the first that differs."""

    def compare(self, step: str, answer: Any) -> None:
        differences = list(self._likeness.differences(self.recorded.pop(step), answer))
        self._failed = bool(differences)
        assert not differences, f"{step}: {'; '.join(differences)}"

    def leave(self, *steps: str, why: str) -> None:
        """Answers that this replay does not compare, for a reason."""
        assert why
        for step in steps:
            del self.recorded[step]

    def differs(self, *members: str, why: str) -> None:
        """Members whose value is Lampyr's own, for a reason, in any of the answers."""
        assert why
        self._likeness.apart |= set(members)

    def without(self, *members: str, why: str) -> None:
        """Members that AWS shows and Lampyr does not, for a reason, in any of the answers."""
        assert why

        def stripped(value: Any) -> Any:
            if isinstance(value, Mapping):
                return {k: stripped(v) for k, v in value.items() if k not in members}
            return [stripped(v) for v in value] if isinstance(value, list) else value

        self.recorded = {step: stripped(answer) for step, answer in self.recorded.items()}

    def ends(self) -> None:
        """All was compared, unless the test has failed or was skipped before."""
        assert self._failed or not self.recorded, f"not compared: {', '.join(self.recorded)}"


def _unwrapped(recorded: Any) -> Any:
    """Some answers were recorded inside that of the helper which had made the request."""
    wrapped = isinstance(recorded, dict) and "CreateFunctionResponse" in recorded
    return recorded["CreateFunctionResponse"] if wrapped else recorded
