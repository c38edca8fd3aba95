"""Put-, Get-, Delete- and ListProvisionedConcurrencyConfigs.

https://docs.aws.amazon.com/lambda/latest/api/API_PutProvisionedConcurrencyConfig.html
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lampyr.arn import FunctionReference, function_reference, key_arn, unqualified
from lampyr.control import provisioned

if TYPE_CHECKING:
    from lampyr.api.call import Call
    from lampyr.control.provisioned import Provisioned


async def put_provisioned_concurrency_config(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    wanted = request["ProvisionedConcurrentExecutions"]
    made = await provisioned.put(call.services.control, _qualified(call, request), wanted)
    return _answer(made)


async def get_provisioned_concurrency_config(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    return _answer(await provisioned.get(call.services.control, _qualified(call, request)))


async def delete_provisioned_concurrency_config(
    call: Call, request: dict[str, Any]
) -> dict[str, Any]:
    await provisioned.delete(call.services.control, _qualified(call, request))
    return {}


async def list_provisioned_concurrency_configs(
    call: Call, request: dict[str, Any]
) -> dict[str, Any]:
    key = unqualified(function_reference(call, request["FunctionName"]))
    page = await provisioned.list_configs(
        call.services.control,
        FunctionReference.of(key),
        marker=request.get("Marker"),
        max_items=request.get("MaxItems"),
    )
    configs = [
        {"FunctionArn": key_arn(key, item.qualifier), **_answer(item)} for item in page.items
    ]
    return {"ProvisionedConcurrencyConfigs": configs, "NextMarker": page.next_marker}


def _qualified(call: Call, request: dict[str, Any]) -> FunctionReference:
    return function_reference(call, request["FunctionName"], request["Qualifier"])


def _answer(item: Provisioned) -> dict[str, Any]:
    modified = datetime.fromtimestamp(item.config.last_modified, UTC)
    return {
        "RequestedProvisionedConcurrentExecutions": item.config.requested,
        "AvailableProvisionedConcurrentExecutions": item.provision.available,
        "AllocatedProvisionedConcurrentExecutions": item.provision.allocated,
        "Status": item.provision.status.value,
        "StatusReason": item.provision.reason,
        "LastModified": modified.strftime("%Y-%m-%dT%H:%M:%S+0000"),
    }
