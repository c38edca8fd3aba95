"""Recursive loops: a function that is invoked by what it did itself, again and again.

Each invocation adds itself to the lineage in its trace header, which AWS's SDKs pass on with
whatever the function calls: `Lineage=3:5d41402a:2` is two times more through the function of that
hash, and three invocations in all. With more than one function there are more such entries,
separated by `|`. After sixteen invocations Lambda stops a loop, unless the function may loop.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
"""

import zlib
from functools import lru_cache
from typing import Final

from lampyr.arn import key_arn
from lampyr.errors import RecursiveInvocationException
from lampyr.model.function import Function, FunctionKey

INVOCATIONS_MAX: Final = 16
COUNT_MAX: Final = 32_767
LOOPS_MAX: Final = 255
FUNCTIONS_MAX: Final = 16
"""Entries of one lineage; the oldest make room."""
ALLOW: Final = "Allow"
_FIELD: Final = ";Lineage="
_PARTS: Final = 3


def continued(trace_header: str, function: Function) -> str:
    """The trace header of an invocation of `function`; raises when it is one too many."""
    mark = mark_of(function.key)
    if "Lineage=" not in trace_header:
        return f"{trace_header};Lineage=1:{mark}:0"
    fields = [field for field in trace_header.split(";") if field]
    rest = ";".join(field for field in fields if not field.startswith("Lineage="))
    lineage = next(field for field in reversed(fields) if "Lineage=" in field).partition("=")[2]
    entries = _entries(lineage)
    count, loops = entries.pop(mark, (0, -1))
    loops += 1
    if loops >= INVOCATIONS_MAX and function.recursive_loop != ALLOW:
        raise RecursiveInvocationException(
            "Lambda has detected your function being invoked in a recursive loop with other AWS "
            "resources and stopped your function's invocation."
        )
    most = max([count, *(count for count, _ in entries.values())])
    entries[mark] = (min(most + 1, COUNT_MAX), min(loops, LOOPS_MAX))
    kept = list(entries.items())[-FUNCTIONS_MAX:]
    shown = "|".join(f"{count}:{name}:{loops}" for name, (count, loops) in kept)
    return f"{rest}{_FIELD}{shown}"


@lru_cache(maxsize=4_096)
def mark_of(key: FunctionKey) -> str:
    """What a function is called in lineages: the same in each of its versions."""
    return f"{zlib.crc32(key_arn(key).encode()):08x}"


def _entries(lineage: str) -> dict[str, tuple[int, int]]:
    """Count and loops of each function; what cannot be read is left out."""
    found = {}
    for entry in lineage.split("|"):
        parts = entry.split(":")
        if len(parts) == _PARTS and parts[0].isdecimal() and parts[2].isdecimal():
            found[parts[1]] = (int(parts[0]), int(parts[2]))
    return found
