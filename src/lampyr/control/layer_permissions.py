"""Policies of layer versions: which other accounts may use one.

https://docs.aws.amazon.com/lambda/latest/dg/permissions-layer-cross-account.html
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from lampyr.arn import LayerReference
from lampyr.control import policies
from lampyr.control.layer_rules import check_number
from lampyr.control.plane import ControlPlane
from lampyr.errors import ResourceNotFoundException
from lampyr.model.layer import Layer
from lampyr.model.policy import Policy

_OPERATION = "GetLayerPolicy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What AddLayerVersionPermission takes."""

    sid: str
    action: str
    principal: str
    organization_id: str | None = None


async def add(
    plane: ControlPlane, reference: LayerReference, grant: Grant, revision_id: str | None = None
) -> tuple[str, str]:
    """The new statement, as JSON, and the policy's new revision."""
    organization = grant.organization_id
    new = policies.statement(
        grant.sid,
        principal=policies.principal(grant.principal, reference.key.region),
        action=grant.action,
        resource=reference.arn,
        conditions={"StringEquals": {"aws:PrincipalOrgID": organization}} if organization else {},
    )
    revision = plane.new_id()

    def change(policy: Policy | None) -> Policy:
        policies.check_revision(policy, revision_id, _OPERATION)
        return policies.added(policy, new, revision)

    await _change(plane, reference, change)
    return new.document, revision


async def remove(
    plane: ControlPlane, reference: LayerReference, sid: str, revision_id: str | None = None
) -> None:
    revision = plane.new_id()

    def change(policy: Policy | None) -> Policy | None:
        found = _existing(policy)
        policies.check_revision(found, revision_id, _OPERATION)
        return policies.removed(found, sid, revision)

    await _change(plane, reference, change)


async def get(plane: ControlPlane, reference: LayerReference) -> Policy:
    check_number(reference.number)
    layer = await plane.store.table(Layer).get(reference.key)
    version = None if layer is None else layer.version(reference.number)
    if version is None:
        raise _missing(reference)
    return _existing(version.policy)


async def _change(
    plane: ControlPlane,
    reference: LayerReference,
    change: Callable[[Policy | None], Policy | None],
) -> None:
    check_number(reference.number)
    table = plane.store.table(Layer)
    while True:
        layer = await table.get(reference.key)
        version = None if layer is None else layer.version(reference.number)
        if layer is None or version is None:
            raise _missing(reference)
        changed = replace(version, policy=change(version.policy))
        versions = tuple(changed if each == version else each for each in layer.versions)
        if await table.replace(layer, replace(layer, versions=versions)):
            return


def _existing(policy: Policy | None) -> Policy:
    if policy is None:
        raise ResourceNotFoundException("No policy is associated with the given resource.")
    return policy


def _missing(reference: LayerReference) -> ResourceNotFoundException:
    return ResourceNotFoundException(f"Layer version {reference.arn} does not exist.")
