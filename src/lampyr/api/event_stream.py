"""Messages of `application/vnd.amazon.eventstream`: a prelude, headers, a payload, checksums.

https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html#streaming-event-stream
"""

import struct
from collections.abc import Mapping
from typing import Final
from zlib import crc32

CONTENT_TYPE: Final = "application/vnd.amazon.eventstream"
_STRING: Final = 7
"""The type of a header's value, after its name."""
_AROUND: Final = 16
"""Bytes of the prelude with its checksum, and of the message's."""


def event(kind: str, payload: bytes, content_type: str) -> bytes:
    """One message of the event type `kind`."""
    headers = {":event-type": kind, ":content-type": content_type, ":message-type": "event"}
    return message(headers, payload)


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    encoded = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack(">II", _AROUND + len(encoded) + len(payload), len(encoded))
    head = prelude + struct.pack(">I", crc32(prelude)) + encoded
    checksum = crc32(payload, crc32(head))
    return b"".join((head, payload, struct.pack(">I", checksum)))


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return struct.pack(">B", len(key)) + key + struct.pack(">BH", _STRING, len(text)) + text
