"""A large text of base64 inside JSON, decoded without holding up every other caller.

A code package of 50 MB comes as one text of 67 million characters. `json.loads` and one call of
`a2b_base64` would each hold the interpreter for a third of a second, on whatever thread. So the
text is cut out of the body first, the small rest is read as JSON, and the text is decoded in pieces
between which other threads run. It also saves two copies of it.
"""

import binascii
import os
from typing import Any, Final

LIFT_BYTES_MIN: Final = 256 * 1024
"""Shorter texts are left to `json`."""
QUOTES_MAX: Final = 4_096
"""A body with more texts than this before the long one is left to `json` as well."""
PIECE_CHARACTERS: Final = 256 * 1024
"""Decoded in about a millisecond. A multiple of four."""


class Lifted:
    """A text of a JSON body that was not read; it has no escapes in it."""

    __slots__ = ("_text",)

    def __init__(self, text: memoryview) -> None:
        self._text = text

    def decode_base64(self) -> bytes:
        """Raises `ValueError` when it is not base64, without anything beside."""
        text, end = self._text, len(self._text) - 4
        if len(text) % 4:
            raise ValueError("the length is not a multiple of 4")
        pieces = []
        for start in range(0, end, PIECE_CHARACTERS):
            piece = text[start : min(start + PIECE_CHARACTERS, end)]
            # What is no base64 is skipped, and so leaves too few bytes; the strict mode is slower.
            decoded = binascii.a2b_base64(piece)
            if len(decoded) != len(piece) // 4 * 3:
                raise ValueError("there are characters beside those of base64")
            pieces.append(decoded)
        pieces.append(binascii.a2b_base64(text[end:], strict_mode=True))
        return b"".join(pieces)

    def __str__(self) -> str:
        return str(self._text, "utf-8")


def lift(body: bytes) -> tuple[bytes, str, Lifted] | None:
    """The body with the first long text replaced by a name for it, the name, and the text.

    None when there is no such text, or there might be escapes in it or before it.
    """
    start = body.find(b'"')
    for _ in range(QUOTES_MAX):
        end = body.find(b'"', start + 1) if start >= 0 else -1
        if end < 0:
            return None
        if end - start > LIFT_BYTES_MIN:
            if body.find(b"\\", 0, end) >= 0:
                return None
            name = f"lifted-{os.urandom(16).hex()}"
            rest = b"".join((body[: start + 1], name.encode(), body[end:]))
            return rest, name, Lifted(memoryview(body)[start + 1 : end])
        start = body.find(b'"', end + 1)
    return None


def put_back(value: Any, name: str, lifted: Lifted) -> Any:
    """`value` with the text where its name stands; as a key it is not worth having back."""
    if value == name:
        return lifted
    if isinstance(value, dict):
        return {key: put_back(item, name, lifted) for key, item in value.items()}
    if isinstance(value, list):
        return [put_back(item, name, lifted) for item in value]
    return value
