"""Whole policies that a caller writes: read, checked, and split into statements.

Pure functions. What is checked is what Lampyr would otherwise not understand later: the grammar
of IAM's policies, and that each statement is about the resource that it is attached to.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from lampyr.arn import FunctionReference
from lampyr.control.policies import check_size, shown
from lampyr.errors import InvalidParameterValueException
from lampyr.model.policy import Policy, Statement

_VERSIONS: Final = ("2012-10-17", "2008-10-17")
_MEMBERS: Final = frozenset({"Version", "Id", "Statement"})
_ONE_OF: Final = (("Principal", "NotPrincipal"), ("Action", "NotAction"), ("Resource",))
_STATEMENT_MEMBERS: Final = frozenset(
    {"Sid", "Effect", "Condition", *(name for names in _ONE_OF for name in names)}
)


def parsed(document: str, reference: FunctionReference, revision_id: str) -> Policy:
    """The policy that a document says, for the resource of `reference`."""
    policy = _object(_loaded(document), "The policy")
    _check_members(policy, _MEMBERS, "The policy")
    version = policy.get("Version", _VERSIONS[-1])
    if version not in _VERSIONS:
        raise _bad(f"Version must be one of {', '.join(_VERSIONS)}")
    identity = policy.get("Id")
    if identity is not None and not isinstance(identity, str):
        raise _bad("Id must be a string")
    given = policy.get("Statement")
    statements = given if isinstance(given, list) else [given]
    if given is None or not statements:
        raise _bad("it must have a Statement")
    made = tuple(_statement(one, reference) for one in statements)
    sids = [statement.sid for statement in made if statement.sid is not None]
    if len(sids) != len(set(sids)):
        raise _bad("each Sid must be unique")
    new = Policy(statements=made, revision_id=revision_id, version=version, id=identity)
    check_size(shown(new))
    return new


def _loaded(document: str) -> Any:
    try:
        found = json.loads(document)
        # What cannot be written again, such as an infinite number or half a character, is none.
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise _bad(f"it is no JSON: {error}") from error
    return found


def _statement(given: Any, reference: FunctionReference) -> Statement:
    statement = _object(given, "Each statement")
    _check_members(statement, _STATEMENT_MEMBERS, "A statement")
    sid = statement.get("Sid")
    if sid is not None and not (isinstance(sid, str) and sid):
        raise _bad("Sid must be a string")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise _bad("Effect must be Allow or Deny")
    for names in _ONE_OF:
        if sum(name in statement for name in names) != 1:
            raise _bad(f"each statement must have {' or '.join(names)}")
    _check_principal(statement.get("Principal", statement.get("NotPrincipal")))
    for action in _texts(statement.get("Action", statement.get("NotAction")), "Action"):
        if action != "*" and not action.lower().startswith("lambda:"):
            raise _bad(f"{action} is no action of Lambda")
    for resource in _texts(statement["Resource"], "Resource"):
        _check_resource(resource, reference)
    _check_condition(statement.get("Condition", {}))
    document = json.dumps(statement, separators=(",", ":"), ensure_ascii=False)
    return Statement(sid=sid, document=document)


def _check_principal(principal: Any) -> None:
    if principal == "*":
        return
    kinds = _object(principal, "Principal")
    _check_members(kinds, frozenset({"AWS", "Service", "Federated"}), "Principal")
    if not kinds:
        raise _bad("Principal must not be empty")
    for kind, names in kinds.items():
        _texts(names, f"Principal {kind}")


def _check_resource(resource: str, reference: FunctionReference) -> None:
    """The resource itself, or a pattern of what belongs to it."""
    arn = reference.arn
    if resource != arn and not (resource.startswith(f"{arn}:") and reference.qualifier is None):
        raise _bad(f"Resource must be {arn}, to which the policy belongs")


def _check_condition(condition: Any) -> None:
    for operator, keys in _object(condition, "Condition").items():
        for key, values in _object(keys, f"Condition {operator}").items():
            each = values if isinstance(values, list) else [values]
            if not each or not all(isinstance(value, (str, bool, int, float)) for value in each):
                raise _bad(f"the values of {key} must be strings")


def _texts(value: Any, name: str) -> list[str]:
    texts = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise _bad(f"{name} must be a string or a list of strings")
    return texts


def _object(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _bad(f"{name} must be an object")
    return value


def _check_members(value: Mapping[str, Any], known: frozenset[str], name: str) -> None:
    if unknown := sorted(value.keys() - known):
        raise _bad(f"{name} cannot have {', '.join(unknown)}")


def _bad(why: str) -> InvalidParameterValueException:
    return InvalidParameterValueException(f"The provided policy is invalid: {why}.")
