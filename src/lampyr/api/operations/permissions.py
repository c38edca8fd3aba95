"""AddPermission, RemovePermission and GetPolicy; Put-, Get- and DeleteResourcePolicy.

https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lampyr.arn import FunctionReference, function_reference
from lampyr.control import permissions
from lampyr.control.permissions import Permission
from lampyr.control.policies import shown
from lampyr.errors import NotServedError
from lampyr.model.policy import Policy

if TYPE_CHECKING:
    from lampyr.api.call import Call


async def add_permission(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    statement = await permissions.add(
        call.services.control,
        _reference(call, request),
        Permission(
            sid=request["StatementId"],
            action=request["Action"],
            principal=request["Principal"],
            source_arn=request.get("SourceArn"),
            source_account=request.get("SourceAccount"),
            organization_id=request.get("PrincipalOrgID"),
            event_source_token=request.get("EventSourceToken"),
            url_auth_type=request.get("FunctionUrlAuthType"),
            invoked_via_url=request.get("InvokedViaFunctionUrl"),
        ),
        request.get("RevisionId"),
    )
    return {"Statement": statement}


async def remove_permission(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    await permissions.remove(
        call.services.control,
        _reference(call, request),
        request["StatementId"],
        request.get("RevisionId"),
    )
    return {}


async def get_policy(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    return _answer(await permissions.get(call.services.control, _reference(call, request)))


async def put_resource_policy(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    policy = await permissions.put_document(
        call.services.control,
        _resource(call, request),
        request["Policy"],
        request.get("RevisionId"),
    )
    return _answer(policy)


async def get_resource_policy(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    return _answer(await permissions.get(call.services.control, _resource(call, request)))


async def delete_resource_policy(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    await permissions.delete_document(
        call.services.control, _resource(call, request), request.get("RevisionId")
    )
    return {}


def _reference(call: Call, request: dict[str, Any]) -> FunctionReference:
    return function_reference(call, request["FunctionName"], request.get("Qualifier"))


def _resource(call: Call, request: dict[str, Any]) -> FunctionReference:
    arn: str = request["ResourceArn"]
    if arn.split(":")[5] != "function":
        raise NotServedError("Lampyr does not serve policies of runtimes yet")
    return function_reference(call, arn)


def _answer(policy: Policy) -> dict[str, Any]:
    return {"Policy": shown(policy), "RevisionId": policy.revision_id}
