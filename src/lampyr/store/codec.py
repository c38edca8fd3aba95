"""Functions as JSON documents, and back.

A document holds every member of the dataclass under its own name. A member added later gets its
default when an older document is read; any other change of the format is a migration.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from lampyr.model.function import (
    Function,
    FunctionKey,
    FunctionVersion,
    LoggingConfig,
    Reason,
    State,
    UpdateStatus,
)

_NESTED: Final = frozenset({"key", "logging", "state_reason", "last_update_reason"})
_PLAIN: Final = tuple(f.name for f in fields(FunctionVersion) if f.name not in _NESTED)


def dump_version(version: FunctionVersion) -> str:
    return json.dumps(_version_document(version), separators=(",", ":"))


def load_version(key: FunctionKey, text: str) -> FunctionVersion:
    return _version(key, json.loads(text))


def dump_function(function: Function) -> str:
    """Without its published versions, which are documents of their own."""
    document = {
        "latest": _version_document(function.latest),
        "serving": _version_document(function.serving),
        "published_from": _version_document(function.published_from),
        "last_version": function.last_version,
        "tags": dict(function.tags),
        "created": function.created,
    }
    return json.dumps(document, separators=(",", ":"))


def load_function(
    key: FunctionKey, text: str, published: Mapping[str, FunctionVersion]
) -> Function:
    document = json.loads(text)
    latest, serving = document["latest"], document["serving"]
    source = document["published_from"]
    return Function(
        key=key,
        latest=_version(key, latest),
        serving=None if serving is None else _version(key, serving),
        published_from=None if source is None else _version(key, source),
        published=published,
        last_version=document["last_version"],
        tags=document["tags"],
        created=document["created"],
    )


def _version_document(version: FunctionVersion | None) -> Mapping[str, Any] | None:
    if version is None:
        return None
    document = {name: getattr(version, name) for name in _PLAIN}
    document["logging"] = {f.name: getattr(version.logging, f.name) for f in fields(LoggingConfig)}
    for name in ("state_reason", "last_update_reason"):
        reason: Reason | None = getattr(version, name)
        document[name] = None if reason is None else [reason.message, reason.code]
    return document


def _version(key: FunctionKey, document: dict[str, Any]) -> FunctionVersion:
    document["logging"] = LoggingConfig(**document["logging"])
    document["state"] = State(document["state"])
    document["last_update_status"] = UpdateStatus(document["last_update_status"])
    for name in ("state_reason", "last_update_reason"):
        if (pair := document[name]) is not None:
            document[name] = Reason(message=pair[0], code=pair[1])
    return FunctionVersion(key=key, **document)
