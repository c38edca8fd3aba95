"""What makes a resource-based policy: statements added, removed and shown. For any resource.

Pure functions of what they are given; each returns a value or raises what Lambda answers.

https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from lampyr.arn import partition
from lampyr.errors import (
    InvalidParameterValueException,
    PolicyLengthExceededException,
    PreconditionFailedException,
    ResourceConflictException,
    ResourceNotFoundException,
)
from lampyr.model.policy import Policy, Statement

POLICY_BYTES_MAX: Final = 20_480
"""https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html."""
ANYONE: Final = "*"
_ACCOUNT: Final = re.compile(r"\d{12}", re.ASCII)
_SERVICE: Final = re.compile(
    r"[a-z0-9][a-z0-9.-]*\.(amazonaws\.(com(\.cn)?|eu)|amazon\.com|c2s\.ic\.gov|sc2s\.sgov\.gov)",
    re.ASCII,
)
_IDENTITY: Final = re.compile(
    r"arn:aws[a-zA-Z-]*:(iam|sts)::\d{12}:(root|(user|role|assumed-role|federated-user)/\S+)"
    r"|arn:aws[a-zA-Z-]*:iam::cloudfront:user/\S+",
    re.ASCII,
)

Conditions = Mapping[str, Mapping[str, str]]
"""By operator, such as `ArnLike`, and key, such as `AWS:SourceArn`."""


def principal(text: str, region: str) -> str | Mapping[str, str]:
    """As a statement shows it: anyone, an account, an identity of one, or a service."""
    if text == ANYONE:
        return ANYONE
    if _ACCOUNT.fullmatch(text):
        return {"AWS": f"arn:{partition(region)}:iam::{text}:root"}
    if _IDENTITY.fullmatch(text):
        return {"AWS": text}
    if _SERVICE.fullmatch(text):
        return {"Service": text}
    raise InvalidParameterValueException(
        "The provided principal was invalid. Please check the principal and try again."
    )


def statement(
    sid: str,
    *,
    principal: str | Mapping[str, str],
    action: str,
    resource: str,
    conditions: Conditions,
) -> Statement:
    """A permission, with its members in the order in which Lambda shows them."""
    document: dict[str, Any] = {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": principal,
        "Action": action,
        "Resource": resource,
    }
    if conditions:
        document["Condition"] = conditions
    return Statement(sid=sid, document=_json(document))


def added(policy: Policy | None, new: Statement, revision_id: str) -> Policy:
    """The policy with one more statement, and the revision that this makes."""
    statements = () if policy is None else policy.statements
    if any(known.sid == new.sid for known in statements):
        raise ResourceConflictException(
            f"The statement id ({new.sid}) provided already exists. Please provide a new statement "
            "id, or remove the existing statement."
        )
    base = policy or Policy(statements=(), revision_id=revision_id)
    grown = replace(base, statements=(*statements, new), revision_id=revision_id)
    check_size(shown(grown))
    return grown


def removed(policy: Policy, sid: str, revision_id: str) -> Policy | None:
    """The policy without one of its statements; None when that was the last."""
    left = tuple(known for known in policy.statements if known.sid != sid)
    if len(left) == len(policy.statements):
        raise ResourceNotFoundException(f"Statement {sid} is not found in resource policy.")
    return replace(policy, statements=left, revision_id=revision_id) if left else None


def shown(policy: Policy) -> str:
    """The whole policy as JSON."""
    head: dict[str, str] = {"Version": policy.version}
    if policy.id is not None:
        head["Id"] = policy.id
    statements = ",".join(statement.document for statement in policy.statements)
    return f'{_json(head)[:-1]},"Statement":[{statements}]}}'


def check_revision(policy: Policy | None, revision_id: str | None, operation: str) -> None:
    """`operation` is the one that shows the policy's revision, such as `GetPolicy`."""
    if revision_id is None or (policy is not None and policy.revision_id == revision_id):
        return
    raise PreconditionFailedException(
        "The Revision Id provided does not match the latest Revision Id. "
        f"Call the {operation} API to retrieve the latest Revision Id"
    )


def check_size(document: str) -> None:
    size = len(document.encode())
    if size > POLICY_BYTES_MAX:
        raise PolicyLengthExceededException(
            f"The final policy size ({size}) is bigger than the limit ({POLICY_BYTES_MAX})."
        )


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
