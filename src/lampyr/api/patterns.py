"""The service model's patterns, which are Java's regular expressions, as Python's.

The two read most things alike. What differs and occurs in the model is translated; what is not
known to be read alike is refused, so that a newer model cannot bring in a pattern misunderstood.

https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/util/regex/Pattern.html
"""

import re
from functools import cache
from typing import Final

_SEPARATORS: Final = "\\x20\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"
_ANY: Final = "[^\\n\\r\\u0085\\u2028\\u2029]"
"""Java's dot leaves out more line ends than Python's."""
_ESCAPES: Final = frozenset("dDsSwWx.$*+/-\\[](){}?^|'\"")
"""Escapes that mean the same in both, with Python's ASCII flag."""


@cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """For `fullmatch`, as Lambda wants a value to match as a whole.

    Raises `ValueError` for what is not known to mean the same in Python.
    """
    properties = "\\p" in pattern
    text = _properties(pattern) if properties else _escapes_checked(pattern)
    # With properties `\\w` stands for the letters and digits of every script.
    return re.compile(_dots(text), 0 if properties else re.ASCII)


def _properties(pattern: str) -> str:
    r"""`\p{L}`, `\p{N}` and the underscore together are Python's `\w`; `\p{Z}` are few."""
    for wanted in ("\\p{L}", "\\p{Z}", "\\p{N}", "_"):
        if wanted not in pattern:
            raise ValueError(f"no translation for the properties in {pattern}")
    found = pattern.replace("\\p{L}", "\\w").replace("\\p{N}", "").replace("\\p{Z}", _SEPARATORS)
    if "\\p" in found or "\\d" in found or "\\s" in found:
        raise ValueError(f"no translation for the properties in {pattern}")
    return found


def _escapes_checked(pattern: str) -> str:
    for escape in re.findall(r"\\(.)", pattern, re.DOTALL):
        if escape not in _ESCAPES:
            raise ValueError(f"no translation for \\{escape} in {pattern}")
    if "&&" in pattern or re.search(r"[*+?}]\+", re.sub(r"\\.", "", pattern)):
        raise ValueError(f"no translation for {pattern}")
    return pattern


def _dots(pattern: str) -> str:
    """Replace each dot that stands for any character."""
    found = []
    in_class = False
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character == "\\":
            found.append(pattern[position : position + 2])
            position += 2
            continue
        if character == "[" and not in_class:
            in_class = True
            # A bracket that comes first in a class is a member of it.
            if pattern[position + 1 : position + 2] == "]":
                found.append("[")
                position += 1
                character = "]"
        elif character == "]":
            in_class = False
        found.append(_ANY if character == "." and not in_class else character)
        position += 1
    return "".join(found)
