"""Resource-based policies of functions, versions and aliases.

https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html
"""

from dataclasses import dataclass, replace

from lampyr.arn import FunctionReference, is_alias, key_arn
from lampyr.control import policies, policy_documents
from lampyr.control.functions import change_function
from lampyr.control.plane import ControlPlane
from lampyr.control.qualifiers import exists, left
from lampyr.errors import (
    InvalidParameterValueException,
    ResourceNotFoundException,
)
from lampyr.model.function import LATEST, Function
from lampyr.model.policy import Policy

_NOT_FOUND = "The resource you requested does not exist."
_NO_POLICY = "No policy is associated with the given resource."
_INVOKE_URL = "lambda:InvokeFunctionUrl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """What AddPermission takes; None is what the call left out."""

    sid: str
    action: str
    principal: str
    source_arn: str | None = None
    source_account: str | None = None
    organization_id: str | None = None
    event_source_token: str | None = None
    url_auth_type: str | None = None
    invoked_via_url: bool | None = None


async def add(
    plane: ControlPlane,
    reference: FunctionReference,
    permission: Permission,
    revision_id: str | None = None,
) -> str:
    """The new statement, as JSON."""
    if permission.url_auth_type is not None and permission.action != _INVOKE_URL:
        raise InvalidParameterValueException(
            f"FunctionUrlAuthType is only supported for {_INVOKE_URL} action"
        )
    new = policies.statement(
        permission.sid,
        principal=policies.principal(permission.principal, reference.key.region),
        action=permission.action,
        resource=reference.arn,
        conditions=conditions(permission),
    )
    revision = plane.new_id()

    def change(function: Function) -> Function:
        qualifier = _owner(function, reference)
        policy = function.policies.get(qualifier)
        policies.check_revision(policy, revision_id, "GetPolicy")
        return _with(function, qualifier, policies.added(policy, new, revision))

    await change_function(plane, reference.key, change)
    return new.document


async def remove(
    plane: ControlPlane,
    reference: FunctionReference,
    sid: str,
    revision_id: str | None = None,
) -> None:
    revision = plane.new_id()
    if await plane.store.functions.get(reference.key) is None:
        raise ResourceNotFoundException(f"No policy found for: {reference.arn}")

    def change(function: Function) -> Function:
        qualifier = _owner(function, reference)
        policy = function.policies.get(qualifier)
        if policy is None:
            raise ResourceNotFoundException(_NO_POLICY)
        policies.check_revision(policy, revision_id, "GetPolicy")
        return _with(function, qualifier, policies.removed(policy, sid, revision))

    await change_function(plane, reference.key, change)


async def get(plane: ControlPlane, reference: FunctionReference) -> Policy:
    function = await plane.store.functions.get(reference.key)
    policy = None if function is None else function.policies.get(reference.qualifier or LATEST)
    if policy is None:
        raise ResourceNotFoundException(_NOT_FOUND)
    return policy


async def put_document(
    plane: ControlPlane,
    reference: FunctionReference,
    document: str,
    revision_id: str | None = None,
) -> Policy:
    """A whole policy in place of any that there is."""
    policy = policy_documents.parsed(document, reference, plane.new_id())

    def change(function: Function) -> Function:
        qualifier = _owner(function, reference)
        policies.check_revision(function.policies.get(qualifier), revision_id, "GetResourcePolicy")
        return _with(function, qualifier, policy)

    await change_function(plane, reference.key, change)
    return policy


async def delete_document(
    plane: ControlPlane, reference: FunctionReference, revision_id: str | None = None
) -> None:
    def change(function: Function) -> Function:
        qualifier = _owner(function, reference)
        policy = function.policies.get(qualifier)
        if policy is None:
            raise ResourceNotFoundException(_NO_POLICY)
        policies.check_revision(policy, revision_id, "GetResourcePolicy")
        return _with(function, qualifier, None)

    await change_function(plane, reference.key, change)


def conditions(permission: Permission) -> policies.Conditions:
    """What a caller must be besides the principal, by operator and key."""
    equal = {
        "AWS:SourceAccount": permission.source_account,
        "aws:PrincipalOrgID": permission.organization_id,
        "lambda:EventSourceToken": permission.event_source_token,
        "lambda:FunctionUrlAuthType": permission.url_auth_type,
    }
    via_url = permission.invoked_via_url
    asked = {
        "StringEquals": equal,
        "ArnLike": {"AWS:SourceArn": permission.source_arn},
        "Bool": {"lambda:InvokedViaFunctionUrl": None if via_url is None else str(via_url).lower()},
    }
    given = {
        operator: {key: value for key, value in keys.items() if value}
        for operator, keys in asked.items()
    }
    return {operator: keys for operator, keys in given.items() if keys}


def _owner(function: Function, reference: FunctionReference) -> str:
    """The qualifier whose policy is meant; the function's own policy is kept as `$LATEST`'s."""
    qualifier = reference.qualifier
    if qualifier is None:
        return LATEST
    if qualifier == LATEST:
        raise InvalidParameterValueException(
            "We currently do not support adding policies for $LATEST."
        )
    if not exists(function, qualifier):
        arn = key_arn(function.key, qualifier)
        if is_alias(qualifier):
            raise ResourceNotFoundException(f"Cannot find alias arn: {arn}")
        raise ResourceNotFoundException(f"Function not found: {arn}")
    return qualifier


def _with(function: Function, qualifier: str, policy: Policy | None) -> Function:
    others = left(function.policies, qualifier)
    return replace(function, policies=others if policy is None else {**others, qualifier: policy})
