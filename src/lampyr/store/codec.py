"""Functions as JSON documents, and back; their keys and published versions are stored apart."""

import json
from collections.abc import Mapping
from typing import Any

from lampyr.model.function import Function, FunctionKey, FunctionVersion
from lampyr.store.documents import from_document, to_document


def dump(value: Any) -> str:
    """A resource, whole."""
    return json.dumps(to_document(value), separators=(",", ":"))


def load(kind: type[Any], text: str) -> Any:
    return from_document(kind, json.loads(text))


def dump_version(version: FunctionVersion) -> str:
    return _text(_keyless(to_document(version)))


def load_version(key: FunctionKey, text: str) -> FunctionVersion:
    version: FunctionVersion = from_document(FunctionVersion, _keyed(json.loads(text), key))
    return version


def dump_function(function: Function) -> str:
    """Without its published versions, which are documents of their own."""
    document = _keyless(to_document(function))
    del document["published"]
    for name in _VERSIONS:
        if document[name] is not None:
            document[name] = _keyless(document[name])
    return _text(document)


def load_function(
    key: FunctionKey, text: str, published: Mapping[str, FunctionVersion]
) -> Function:
    document = _keyed(json.loads(text), key)
    for name in _VERSIONS:
        if document[name] is not None:
            document[name] = _keyed(document[name], key)
    document["published"] = {}
    function: Function = from_document(Function, document)
    object.__setattr__(function, "published", published)
    return function


_VERSIONS = ("latest", "serving", "published_from")


def _text(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"))


def _keyless(document: dict[str, Any]) -> dict[str, Any]:
    del document["key"]
    return document


def _keyed(document: dict[str, Any], key: FunctionKey) -> dict[str, Any]:
    document["key"] = list(key)
    return document
