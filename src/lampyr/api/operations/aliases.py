"""CreateAlias, GetAlias, ListAliases, UpdateAlias and DeleteAlias.

https://docs.aws.amazon.com/lambda/latest/api/API_CreateAlias.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lampyr.arn import FunctionReference, function_reference, key_arn, unqualified
from lampyr.control import aliases
from lampyr.control.requests import CreateAlias, UpdateAlias
from lampyr.model.alias import Alias
from lampyr.model.function import FunctionKey

if TYPE_CHECKING:
    from lampyr.api.call import Call


async def create_alias(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    key = _reference(call, request).key
    alias = await aliases.create(
        call.services.control,
        CreateAlias(
            key=key,
            name=request["Name"],
            version=request["FunctionVersion"],
            description=request.get("Description"),
            weights=_weights(request),
        ),
    )
    return _answer(key, alias)


async def get_alias(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    reference = _reference(call, request)
    alias = await aliases.get(call.services.control, reference, request["Name"])
    return _answer(reference.key, alias)


async def list_aliases(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    reference = _reference(call, request)
    page = await aliases.list_aliases(
        call.services.control,
        reference,
        version=request.get("FunctionVersion"),
        marker=request.get("Marker"),
        max_items=request.get("MaxItems"),
    )
    return {
        "Aliases": [_answer(reference.key, alias) for alias in page.items],
        "NextMarker": page.next_marker,
    }


async def update_alias(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    key = _reference(call, request).key
    alias = await aliases.update(
        call.services.control,
        UpdateAlias(
            key=key,
            name=request["Name"],
            version=request.get("FunctionVersion"),
            description=request.get("Description"),
            weights=_weights(request),
            revision_id=request.get("RevisionId"),
        ),
    )
    return _answer(key, alias)


async def delete_alias(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    await aliases.delete(call.services.control, _reference(call, request), request["Name"])
    return {}


def _reference(call: Call, request: Mapping[str, Any]) -> FunctionReference:
    reference = function_reference(call, request["FunctionName"])
    return FunctionReference.of(unqualified(reference))


def _weights(request: Mapping[str, Any]) -> Mapping[str, float] | None:
    """None where nothing is said of a routing; a routing without weights ends one."""
    routing = request.get("RoutingConfig")
    return None if routing is None else dict(routing.get("AdditionalVersionWeights") or {})


def _answer(key: FunctionKey, alias: Alias) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "AliasArn": key_arn(key, alias.name),
        "Name": alias.name,
        "FunctionVersion": alias.version,
        "Description": alias.description,
        "RevisionId": alias.revision_id,
    }
    if alias.weights:
        shown["RoutingConfig"] = {"AdditionalVersionWeights": dict(alias.weights)}
    return shown
