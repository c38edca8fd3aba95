"""CreateFunction, and the other operations on functions.

https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lampyr.api.downloads import location
from lampyr.api.operations.configuration import (
    answer,
    architecture,
    change,
    refuse_unserved,
    source,
)
from lampyr.arn import FunctionReference, function_reference, unqualified
from lampyr.control import code_signing, functions
from lampyr.control.requests import CreateFunction, UpdateCode, UpdateConfiguration
from lampyr.model.function import FunctionVersion

if TYPE_CHECKING:
    from lampyr.api.call import Call


async def create_function(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    refuse_unserved(request)
    refuse_unserved(request["Code"])
    signing = request.get("CodeSigningConfigArn")
    tenancy = request.get("TenancyConfig") or {}
    version = await functions.create(
        call.services.control,
        CreateFunction(
            key=unqualified(function_reference(call, request["FunctionName"])),
            configuration=change(request),
            package=source(request["Code"]),
            package_type=request.get("PackageType", "Zip"),
            architecture=architecture(request),
            tenant_isolation_mode=tenancy.get("TenantIsolationMode"),
            tags=request.get("Tags") or {},
            signing_config=signing and code_signing.key_of(call, signing),
            publish=request.get("Publish", False),
        ),
    )
    return answer(version)


async def update_function_code(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    refuse_unserved(request)
    publish = request.get("Publish", False) and not request.get("DryRun", False)
    version = await functions.update_code(
        call.services.control,
        UpdateCode(
            key=unqualified(function_reference(call, request["FunctionName"])),
            package=source(request),
            architecture=architecture(request),
            publish=publish,
            dry_run=request.get("DryRun", False),
            revision_id=request.get("RevisionId"),
        ),
    )
    return answer(version, qualified=publish)


async def update_function_configuration(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    refuse_unserved(request)
    version = await functions.update_configuration(
        call.services.control,
        UpdateConfiguration(
            key=unqualified(function_reference(call, request["FunctionName"])),
            configuration=change(request),
            revision_id=request.get("RevisionId"),
        ),
    )
    return answer(version)


async def get_function(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    reference = function_reference(call, request["FunctionName"], request.get("Qualifier"))
    function, version = await functions.find_version(call.services.control, reference)
    shown: dict[str, Any] = {
        "Configuration": _found(reference, version),
        "Code": _code(call, version),
    }
    if function.tags:
        shown["Tags"] = dict(function.tags)
    if function.reserved_concurrency is not None:
        reserved = function.reserved_concurrency
        shown["Concurrency"] = {"ReservedConcurrentExecutions": reserved}
    return shown


async def get_function_configuration(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    reference = function_reference(call, request["FunctionName"], request.get("Qualifier"))
    _, version = await functions.find_version(call.services.control, reference)
    return _found(reference, version)


async def list_functions(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    if request.get("MasterRegion", "ALL") != "ALL":
        return {"Functions": []}  # Replicas of Lambda@Edge functions: none is here.
    all_versions = request.get("FunctionVersion") == "ALL"
    page = await functions.list_functions(
        call.services.control,
        call.account_id,
        call.region,
        all_versions=all_versions,
        marker=request.get("Marker"),
        max_items=request.get("MaxItems"),
    )
    shown: dict[str, Any] = {
        "Functions": [answer(item, qualified=all_versions, state=False) for item in page.items]
    }
    if page.next_marker is not None:
        shown["NextMarker"] = page.next_marker
    return shown


async def delete_function(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    reference = function_reference(call, request["FunctionName"], request.get("Qualifier"))
    await functions.delete(call.services.control, reference)
    return {"StatusCode": 204}


def _found(reference: FunctionReference, version: FunctionVersion) -> dict[str, Any]:
    """A configuration under the ARN by which it was asked for."""
    return answer(version, qualifier=reference.qualifier)


def _code(call: Call, version: FunctionVersion) -> dict[str, Any]:
    uri = version.image_uri
    if uri is None:
        return {"RepositoryType": "S3", "Location": location(call, version.code_sha256)}
    shown = {"RepositoryType": "ECR", "ImageUri": uri}
    if version.code_sha256:  # Resolved: a tag may mean another image tomorrow.
        name = uri.partition("@")[0]
        host, _, path = name.partition("/")
        repository = path.partition(":")[0]
        shown["ResolvedImageUri"] = f"{host}/{repository}@sha256:{version.code_sha256}"
    return shown
