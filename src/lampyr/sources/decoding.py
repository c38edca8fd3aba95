"""What filters look at in the body of a message."""

import json
from typing import Any


def decoded(text: str) -> Any:
    """JSON when it is an object or a list, else the text.

    https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html
    """
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, (dict, list)) else text


def decoded_bytes(data: bytes | None) -> Any:
    """The same of bytes; None, which nothing matches, when they are no text."""
    try:
        return None if data is None else decoded(data.decode())
    except UnicodeDecodeError:
        return None


def signed(data: bytes) -> list[int]:
    """Bytes as Lambda's pollers write them in lists: from -128 to 127.

    https://docs.aws.amazon.com/lambda/latest/dg/with-kafka-process.html
    """
    return [byte - 256 if byte > 127 else byte for byte in data]  # noqa: PLR2004
