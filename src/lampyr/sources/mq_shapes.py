"""Messages of Amazon MQ as they stand in events, and where a mapping takes them from.

https://docs.aws.amazon.com/lambda/latest/dg/with-mq.html
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from lampyr.sources.brokers import Broker, Credentials
from lampyr.sources.decoding import signed
from lampyr.sources.settings import EVENT_BYTES_MAX

_AMQP_PROPERTIES: Final = (
    ("contentType", "content_type"),
    ("contentEncoding", "content_encoding"),
    ("headers", "headers"),
    ("deliveryMode", "delivery_mode"),
    ("priority", "priority"),
    ("correlationId", "correlation_id"),
    ("replyTo", "reply_to"),
    ("expiration", "expiration"),
    ("messageId", "message_id"),
    ("timestamp", "timestamp"),
    ("type", "message_type"),
    ("userId", "user_id"),
    ("appId", "app_id"),
    ("clusterId", "cluster_id"),
)
_STOMP_HEADERS: Final = frozenset(
    {
        *("ack", "content-length", "content-type", "correlation-id", "destination", "expires"),
        *("message-id", "original-destination", "persistent", "priority", "redelivered"),
        *("reply-to", "subscription", "timestamp", "transformation", "type"),
    }
)
_PERSISTENT, _NOT_PERSISTENT = 2, 1
_NOON: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class MqPlace:
    """A queue, and how it is reached."""

    arn: str
    """The broker's."""
    queue: str
    broker: Broker
    credentials: Credentials
    virtual_host: str = "/"
    """Of RabbitMQ."""


def fits(text: str) -> bool:
    """Whether a message can be in an event at all; Lambda drops it when it cannot."""
    return len(text) <= EVENT_BYTES_MAX


def amqp_properties(properties: Any, body_size: int) -> dict[str, Any]:
    found = {name: getattr(properties, member) for name, member in _AMQP_PROPERTIES}
    found = {name: value if value != "" else None for name, value in found.items()}
    if found["headers"] is not None:
        found["headers"] = _amqp_value(found["headers"])
    if isinstance(found["timestamp"], datetime):
        found["timestamp"] = _date(found["timestamp"])
    return {**found, "bodySize": body_size}


def _amqp_value(value: Any) -> Any:
    """As Lambda's poller writes AMQP's types: texts as their bytes, the others as JSON has them."""
    if isinstance(value, str):
        return {"bytes": signed(value.encode())}
    if isinstance(value, (bytes, bytearray)):
        return signed(bytes(value))
    if isinstance(value, datetime):
        return _date(value)
    if isinstance(value, Mapping):
        return {key: _amqp_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_amqp_value(item) for item in value]
    return float(value) if isinstance(value, Decimal) else value


def _date(moment: datetime) -> str:
    """`Jan 1, 1970, 12:33:41 AM`."""
    there = moment.astimezone(UTC)
    half = "AM" if there.hour < _NOON else "PM"
    clock = f"{there.hour % _NOON or _NOON}:{there:%M:%S}"
    return f"{there:%b} {there.day}, {there.year}, {clock} {half}"


def jms_message(
    headers: Mapping[str, str], body: bytes, queue: str, now: float, *, redelivered: bool
) -> str:
    """JSON of a message that came as a STOMP frame.

    When the broker took it in and gave it out STOMP does not say: it is the time that its sender
    put on it, and the time when it came here.
    """
    sent = _number(headers.get("timestamp"))
    binary = "content-length" in headers
    shown = {
        "messageID": headers.get("message-id"),
        "messageType": "jms/bytes-message" if binary else "jms/text-message",
        "deliveryMode": _PERSISTENT if headers.get("persistent") == "true" else _NOT_PERSISTENT,
        "replyTo": headers.get("reply-to"),
        "type": headers.get("type"),
        "expiration": headers.get("expires", "0"),
        "priority": _number(headers.get("priority", "4")),
        "correlationId": headers.get("correlation-id"),
        "redelivered": redelivered or headers.get("redelivered") == "true",
        "destination": {"physicalName": queue},
        "data": base64.b64encode(body).decode(),
        "timestamp": sent,
        "brokerInTime": sent,
        "brokerOutTime": int(now * 1_000),
        "properties": {k: v for k, v in headers.items() if k not in _STOMP_HEADERS},
    }
    return json.dumps(shown, separators=(",", ":"))


def expired(headers: Mapping[str, str], now: float) -> bool:
    at = _number(headers.get("expires"))
    return 0 < at < now * 1_000


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0
