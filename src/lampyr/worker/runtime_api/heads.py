"""Headers of a runtime's request that change nothing but how long its body is: nearly all of them.

A runtime sends the same few headers again and again. Where there is nothing else among them the
request need not be parsed; whatever is not plain is left to the parser, which knows all of HTTP.
"""

import re
from functools import lru_cache
from typing import Final

NOT_PLAIN: Final = -1
BYTES_MAX: Final = 1024 * 1024
"""A longer body comes in pieces anyway."""

_LINE: Final = re.compile(rb"([A-Za-z-]+): ?([!-~](?:[ -~]*[!-~])?)")
_HARMLESS: Final = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"content-type",
        b"host",
        b"lambda-runtime-invocation-id",
        b"user-agent",
    }
)
_LENGTH: Final = re.compile(rb"[0-9]{1,7}")


@lru_cache(maxsize=1_024)
def body_bytes(lines: bytes) -> int:
    """The length of the body after these header lines, 0 when they name none; or NOT_PLAIN."""
    found: int | None = None
    for line in lines.split(b"\r\n"):
        match = _LINE.fullmatch(line)
        if match is None:
            return NOT_PLAIN
        name, value = match[1].lower(), match[2]
        if name == b"content-length":
            if found is not None or _LENGTH.fullmatch(value) is None:
                return NOT_PLAIN
            found = int(value)
        elif name not in _HARMLESS and (name, value.lower()) != (b"connection", b"keep-alive"):
            return NOT_PLAIN
    return NOT_PLAIN if found is not None and found > BYTES_MAX else found or 0
