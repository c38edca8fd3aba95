"""PublishLayerVersion, and the other operations on layers.

https://docs.aws.amazon.com/lambda/latest/api/API_PublishLayerVersion.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lampyr.api.downloads import location
from lampyr.api.operations.configuration import layer_source, timestamp
from lampyr.arn import (
    LayerReference,
    layer_arn,
    layer_key,
    layer_reference_of_arn,
    layer_version_arn,
)
from lampyr.control import layer_permissions, layers, policies
from lampyr.control.layer_permissions import Grant
from lampyr.control.layer_rules import denied
from lampyr.control.requests import LayerFilter, PublishLayer
from lampyr.errors import InvalidParameterValueException, ResourceNotFoundException

if TYPE_CHECKING:
    from lampyr.api.call import Call
    from lampyr.model.layer import LayerVersion
    from lampyr.model.resource import ResourceKey


async def publish_layer_version(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    key = _own(call, request["LayerName"], "lambda:PublishLayerVersion")
    package = layer_source(request["Content"])
    if package is None:
        raise InvalidParameterValueException("Please provide a source for layer code.")
    version = await layers.publish(
        call.services.control,
        PublishLayer(
            key=key,
            package=package,
            description=request.get("Description", ""),
            license_info=request.get("LicenseInfo"),
            runtimes=tuple(request.get("CompatibleRuntimes") or ()),
            architectures=tuple(request.get("CompatibleArchitectures") or ()),
        ),
    )
    return _answer(call, key, version)


async def get_layer_version(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    key = _reachable(call, request["LayerName"])
    return await _found(call, LayerReference(key=key, number=request["VersionNumber"]))


async def get_layer_version_by_arn(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    reference = layer_reference_of_arn(request["Arn"])
    if reference is None or reference.key.region != call.region:
        raise ResourceNotFoundException("The resource you requested does not exist.")
    return await _found(call, reference)


async def list_layer_versions(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    key = _own(call, request["LayerName"], "lambda:ListLayerVersions")
    page = await layers.list_versions(
        call.services.control,
        key,
        wanted=_filter(request),
        marker=request.get("Marker"),
        max_items=request.get("MaxItems"),
    )
    shown: dict[str, Any] = {"LayerVersions": [_item(key, version) for version in page.items]}
    if page.next_marker is not None:
        shown["NextMarker"] = page.next_marker
    return shown


async def list_layers(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    page = await layers.list_layers(
        call.services.control,
        call.account_id,
        call.region,
        wanted=_filter(request),
        marker=request.get("Marker"),
        max_items=request.get("MaxItems"),
    )
    shown: dict[str, Any] = {
        "Layers": [
            {
                "LayerName": key.id,
                "LayerArn": layer_arn(key),
                "LatestMatchingVersion": _item(key, version),
            }
            for key, version in page.items
        ]
    }
    if page.next_marker is not None:
        shown["NextMarker"] = page.next_marker
    return shown


async def delete_layer_version(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    reference = _version(call, request, "lambda:DeleteLayerVersion")
    await layers.delete_version(call.services.control, reference)
    return {}


async def add_layer_version_permission(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    statement, revision_id = await layer_permissions.add(
        call.services.control,
        _version(call, request, "lambda:AddLayerVersionPermission"),
        Grant(
            sid=request["StatementId"],
            action=request["Action"],
            principal=request["Principal"],
            organization_id=request.get("OrganizationId"),
        ),
        request.get("RevisionId"),
    )
    return {"Statement": statement, "RevisionId": revision_id}


async def remove_layer_version_permission(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    await layer_permissions.remove(
        call.services.control,
        _version(call, request, "lambda:RemoveLayerVersionPermission"),
        request["StatementId"],
        request.get("RevisionId"),
    )
    return {}


async def get_layer_version_policy(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    policy = await layer_permissions.get(
        call.services.control, _version(call, request, "lambda:GetLayerVersionPolicy")
    )
    return {"Policy": policies.shown(policy), "RevisionId": policy.revision_id}


async def _found(call: Call, reference: LayerReference) -> dict[str, Any]:
    version = await layers.find_version(call.services.control, reference, call.account_id)
    return _answer(call, reference.key, version)


def _reachable(call: Call, name: str) -> ResourceKey:
    """The layer that a name or ARN means."""
    key = layer_key(call, name)
    if key.region != call.region:
        raise ResourceNotFoundException(
            f"Layers from '{key.region}' are not reachable in this region ('{call.region}')"
        )
    return key


def _own(call: Call, name: str, action: str) -> ResourceKey:
    """For what only a layer's account may do."""
    key = _reachable(call, name)
    if key.account_id != call.account_id:
        raise denied(call.account_id, action, layer_arn(key))
    return key


def _version(call: Call, request: dict[str, Any], action: str) -> LayerReference:
    key = _own(call, request["LayerName"], action)
    return LayerReference(key=key, number=request["VersionNumber"])


def _filter(request: dict[str, Any]) -> LayerFilter:
    return LayerFilter(
        runtime=request.get("CompatibleRuntime"),
        architecture=request.get("CompatibleArchitecture"),
    )


def _answer(call: Call, key: ResourceKey, version: LayerVersion) -> dict[str, Any]:
    return {
        "Content": {
            "Location": location(call, version.code_sha256),
            "CodeSha256": version.code_sha256,
            "CodeSize": version.code_bytes,
        },
        "LayerArn": layer_arn(key),
        **_item(key, version),
    }


def _item(key: ResourceKey, version: LayerVersion) -> dict[str, Any]:
    """A version as lists show it."""
    shown: dict[str, Any] = {
        "LayerVersionArn": layer_version_arn(key, version.number),
        "Version": version.number,
        "Description": version.description,
        "CreatedDate": timestamp(version.created),
        "CompatibleRuntimes": list(version.runtimes),
        "CompatibleArchitectures": list(version.architectures),
    }
    if version.license_info is not None:
        shown["LicenseInfo"] = version.license_info
    return shown
