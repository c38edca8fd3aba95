"""CreateCodeSigningConfig and its neighbours, and the configurations that functions have.

https://docs.aws.amazon.com/lambda/latest/api/API_CreateCodeSigningConfig.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lampyr.api.operations.configuration import timestamp
from lampyr.arn import function_reference, key_arn, unqualified
from lampyr.control import code_signing, function_signing
from lampyr.control.code_signing import SigningChange, arn_of, key_of
from lampyr.model.code_signing import UntrustedArtifact

if TYPE_CHECKING:
    from lampyr.api.call import Call
    from lampyr.arn import FunctionReference
    from lampyr.model.code_signing import CodeSigningConfig
    from lampyr.model.resource import ResourceKey


async def create_code_signing_config(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    config = await code_signing.create(
        call.services.control,
        call.account_id,
        call.region,
        _change(request),
        request.get("Tags") or {},
    )
    return {"CodeSigningConfig": _answer(config)}


async def update_code_signing_config(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    config = await code_signing.update(call.services.control, _key(call, request), _change(request))
    return {"CodeSigningConfig": _answer(config)}


async def get_code_signing_config(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    config = await code_signing.get(call.services.control, _key(call, request))
    return {"CodeSigningConfig": _answer(config)}


async def list_code_signing_configs(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    page = await code_signing.list_configs(
        call.services.control,
        call.account_id,
        call.region,
        marker=request.get("Marker"),
        max_items=request.get("MaxItems"),
    )
    shown = [_answer(config) for config in page.items]
    return {"CodeSigningConfigs": shown, "NextMarker": page.next_marker}


async def delete_code_signing_config(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    await code_signing.delete(call.services.control, _key(call, request))
    return {}


async def put_function_code_signing_config(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    reference, key = _function(call, request), _key(call, request)
    await function_signing.put(call.services.control, reference, key)
    return {"CodeSigningConfigArn": arn_of(key), "FunctionName": reference.key.name}


async def get_function_code_signing_config(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    reference = _function(call, request)
    key = await function_signing.get(call.services.control, reference)
    if key is None:
        return {}
    return {"CodeSigningConfigArn": arn_of(key), "FunctionName": reference.key.name}


async def delete_function_code_signing_config(
    call: Call, request: dict[str, Any]
) -> dict[str, Any]:
    await function_signing.delete(call.services.control, _function(call, request))
    return {}


async def list_functions_by_code_signing_config(
    call: Call, request: dict[str, Any]
) -> dict[str, Any]:
    page = await function_signing.list_functions(
        call.services.control,
        _key(call, request),
        marker=request.get("Marker"),
        max_items=request.get("MaxItems"),
    )
    arns = [key_arn(function.key) for function in page.items]
    return {"FunctionArns": arns, "NextMarker": page.next_marker}


def _function(call: Call, request: dict[str, Any]) -> FunctionReference:
    reference = function_reference(call, request["FunctionName"])
    unqualified(reference)
    return reference


def _key(call: Call, request: dict[str, Any]) -> ResourceKey:
    return key_of(call, request["CodeSigningConfigArn"])


def _change(request: dict[str, Any]) -> SigningChange:
    publishers = request.get("AllowedPublishers")
    policy = (request.get("CodeSigningPolicies") or {}).get("UntrustedArtifactOnDeployment")
    return SigningChange(
        publishers=publishers and tuple(publishers["SigningProfileVersionArns"]),
        untrusted=policy and UntrustedArtifact(policy),
        description=request.get("Description"),
    )


def _answer(config: CodeSigningConfig) -> dict[str, Any]:
    return {
        "CodeSigningConfigId": config.key.id,
        "CodeSigningConfigArn": arn_of(config.key),
        "Description": config.description,
        "AllowedPublishers": {"SigningProfileVersionArns": config.publishers},
        "CodeSigningPolicies": {"UntrustedArtifactOnDeployment": config.untrusted},
        "LastModified": timestamp(config.last_modified),
    }
