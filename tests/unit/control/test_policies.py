"""Resource-based policies: principals, conditions, sizes and whole documents."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lampyr.arn import FunctionReference
from lampyr.control import aliases, functions, permissions, policies, policy_documents
from lampyr.control.permissions import Permission
from lampyr.control.requests import CreateAlias
from lampyr.errors import (
    InvalidParameterValueException,
    PolicyLengthExceededException,
    PreconditionFailedException,
    ResourceConflictException,
    ResourceNotFoundException,
)
from lampyr.model.policy import Policy, Statement
from lampyr.testing.builders import a_key
from lampyr.testing.control import Control
from tests.unit.control.calls import create, look, publish, refer

ARN = "arn:aws:lambda:us-east-1:123456789012:function:hello"
USER = "arn:aws:iam::210987654321:user/path/someone"


def a_statement(sid: str = "a", padding: int = 0) -> Statement:
    return policies.statement(
        sid,
        principal="*",
        action="lambda:InvokeFunction",
        resource=ARN,
        conditions={"StringEquals": {"k": "v" * padding}} if padding else {},
    )


def a_document(**members: Any) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": {"AWS": USER},
        "Action": "lambda:InvokeFunction",
        "Resource": ARN,
        **members,
    }


def a_policy(*statements: Any, **members: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements), **members})


@pytest.mark.parametrize(
    ("text", "region", "shown"),
    [
        ("*", "us-east-1", "*"),
        ("210987654321", "us-east-1", {"AWS": "arn:aws:iam::210987654321:root"}),
        ("210987654321", "cn-north-1", {"AWS": "arn:aws-cn:iam::210987654321:root"}),
        ("210987654321", "us-gov-west-1", {"AWS": "arn:aws-us-gov:iam::210987654321:root"}),
        (USER, "us-east-1", {"AWS": USER}),
        ("s3.amazonaws.com", "us-east-1", {"Service": "s3.amazonaws.com"}),
        ("alexa-appkit.amazon.com", "us-east-1", {"Service": "alexa-appkit.amazon.com"}),
        ("ec2.amazonaws.com.cn", "cn-north-1", {"Service": "ec2.amazonaws.com.cn"}),
        ("s3.amazonaws.eu", "eusc-de-east-1", {"Service": "s3.amazonaws.eu"}),
    ],
)
def test_principals(text: str, region: str, shown: Any) -> None:
    assert policies.principal(text, region) == shown


@pytest.mark.parametrize("text", ["", "12345", "someone", "arn:aws:iam::1:root", "a.example.com"])
def test_what_is_no_principal(text: str) -> None:
    with pytest.raises(InvalidParameterValueException, match="principal was invalid"):
        policies.principal(text, "us-east-1")


def test_every_condition_has_its_operator() -> None:
    permission = Permission(
        sid="a",
        action="lambda:InvokeFunctionUrl",
        principal="*",
        source_arn="arn:aws:s3:::b",
        source_account="210987654321",
        organization_id="o-abcdefghij",
        event_source_token="token",
        url_auth_type="NONE",
        invoked_via_url=True,
    )
    assert permissions.conditions(permission) == {
        "StringEquals": {
            "AWS:SourceAccount": "210987654321",
            "aws:PrincipalOrgID": "o-abcdefghij",
            "lambda:EventSourceToken": "token",
            "lambda:FunctionUrlAuthType": "NONE",
        },
        "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::b"},
        "Bool": {"lambda:InvokedViaFunctionUrl": "true"},
    }
    assert permissions.conditions(Permission(sid="a", action="*", principal="*")) == {}


def test_statements_come_and_go_and_the_last_takes_the_policy_with_it() -> None:
    one = policies.added(None, a_statement("a"), "r1")
    assert policies.shown(one) == (
        '{"Version":"2012-10-17","Id":"default","Statement":[{"Sid":"a","Effect":"Allow",'
        f'"Principal":"*","Action":"lambda:InvokeFunction","Resource":"{ARN}"}}]}}'
    )
    with pytest.raises(ResourceConflictException, match=r"\(a\) provided already exists"):
        policies.added(one, a_statement("a"), "r2")
    two = policies.added(one, a_statement("b"), "r2")
    assert [statement.sid for statement in two.statements] == ["a", "b"]
    with pytest.raises(ResourceNotFoundException, match=r"^Statement c is not found"):
        policies.removed(two, "c", "r3")
    left = policies.removed(two, "a", "r3")
    assert left is not None
    assert (left.statements, left.revision_id) == ((a_statement("b"),), "r3")
    assert policies.removed(left, "b", "r4") is None


def test_a_policy_has_a_limit_of_bytes() -> None:
    bare = policies.added(None, a_statement("a", 1), "r")
    room = policies.POLICY_BYTES_MAX - len(policies.shown(bare))
    policies.added(None, a_statement("a", 1 + room), "r")
    with pytest.raises(PolicyLengthExceededException) as refused:
        policies.added(None, a_statement("a", 2 + room), "r")
    assert refused.value.message == (
        "The final policy size (20481) is bigger than the limit (20480)."
    )


def test_a_revision_is_that_of_the_policy() -> None:
    policy = policies.added(None, a_statement(), "r")
    for current, revision in ((None, None), (policy, None), (policy, "r")):
        policies.check_revision(current, revision, "GetPolicy")
    for current in (None, policy):
        with pytest.raises(PreconditionFailedException, match="Call the GetLayerPolicy API"):
            policies.check_revision(current, "other", "GetLayerPolicy")


def parsed(document: str, qualifier: str | None = None) -> Policy:
    return policy_documents.parsed(document, FunctionReference.of(a_key(), qualifier), "r")


@pytest.mark.parametrize(
    "document",
    [
        a_policy(a_document()),
        a_policy(a_document(Sid="a", Effect="Deny", Principal="*"), Id="mine"),
        a_policy(a_document(Action=["lambda:Invoke*", "lambda:GetFunction"])),
        a_policy(a_document(Resource=[ARN, f"{ARN}:*"])),
        a_policy(a_document(Condition={"StringEquals": {"aws:PrincipalOrgID": ["o-a", "o-b"]}})),
        json.dumps({"Version": "2008-10-17", "Statement": a_document()}),
    ],
)
def test_a_whole_policy_is_shown_as_it_was_given(document: str) -> None:
    shown, given = json.loads(policies.shown(parsed(document))), json.loads(document)
    if isinstance(given["Statement"], dict):
        given["Statement"] = [given["Statement"]]
    assert shown == given


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("{", "no JSON"),
        ("[]", "must be an object"),
        ('{"Statement": [{"Sid": NaN}]}', "no JSON"),
        ('{"Statement": [{"Sid": "\\ud800"}]}', "no JSON"),
        ("[" * 100_000, "no JSON"),
        (a_policy(), "must have a Statement"),
        (a_policy(a_document(), Version="2020-01-01"), "Version must be one of"),
        (a_policy(a_document(), Id=1), "Id must be a string"),
        (a_policy(a_document(), Other=1), "cannot have Other"),
        (a_policy(1), "Each statement must be an object"),
        (a_policy(a_document(Sid="")), "Sid must be a string"),
        (a_policy(a_document(Sid="a"), a_document(Sid="a")), "Sid must be unique"),
        (a_policy(a_document(Effect="Maybe")), "Effect must be Allow or Deny"),
        (a_policy(a_document(NotAction="*")), "must have Action or NotAction"),
        (a_policy(a_document(Principal=None)), "Principal must be an object"),
        (a_policy(a_document(Principal={})), "Principal must not be empty"),
        (a_policy(a_document(Principal={"Planet": "x"})), "Principal cannot have Planet"),
        (a_policy(a_document(Principal={"AWS": []})), "Principal AWS must be a string or a list"),
        (a_policy(a_document(Action="s3:GetObject")), "s3:GetObject is no action of Lambda"),
        (a_policy(a_document(Resource="*")), "Resource must be arn"),
        (a_policy(a_document(Condition=[])), "Condition must be an object"),
        (a_policy(a_document(Condition={"Bool": {"a": {}}})), "values of a must be strings"),
        (a_policy(a_document(Extra=1)), "A statement cannot have Extra"),
    ],
)
def test_what_is_no_policy(document: str, why: str) -> None:
    with pytest.raises(InvalidParameterValueException, match=why):
        parsed(document)


members = st.sampled_from(
    [
        *("Version", "Id", "Statement", "Sid", "Effect", "Principal", "Action", "Resource", ""),
        *("Condition", "NotAction", "NotPrincipal", "AWS", "Service", "StringEquals"),
    ]
)
words = st.sampled_from(["2012-10-17", "Allow", "Deny", "*", "lambda:*", ARN, f"{ARN}:*", USER])
anything = st.recursive(
    words | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(members, inner, max_size=6),
    max_leaves=20,
)


@given(anything, st.dictionaries(members, anything, max_size=3))
def test_whatever_a_document_says_it_is_kept_as_it_is_or_refused(
    whole: Any, changed: dict[str, Any]
) -> None:
    for given_ in (whole, {"Version": "2012-10-17", "Statement": {**a_document(), **changed}}):
        with suppress(InvalidParameterValueException):
            kept = policies.shown(parsed(json.dumps(given_)))
            assert policies.shown(parsed(kept)) == kept
            assert json.loads(kept)["Version"] == given_.get("Version", "2008-10-17")


def test_a_policy_of_an_alias_is_about_the_alias() -> None:
    parsed(a_policy(a_document(Resource=f"{ARN}:live")), "live")
    for resource in (ARN, f"{ARN}:live:*", f"{ARN}:2"):
        with pytest.raises(InvalidParameterValueException, match=f"must be {ARN}:live"):
            parsed(a_policy(a_document(Resource=resource)), "live")


async def test_a_document_replaces_statements_and_goes_with_what_it_belongs_to(
    control: Control,
) -> None:
    plane = control.plane
    await create(control)
    await publish(control)
    alias = CreateAlias(key=a_key(), name="live", version="1")
    await aliases.create(plane, alias)
    added = Permission(sid="a", action="lambda:InvokeFunction", principal="s3.amazonaws.com")
    for qualifier in (None, "1", "live"):
        await permissions.add(plane, refer(qualifier=qualifier), added)
    put = await permissions.put_document(plane, refer(), a_policy(a_document(Sid="b")))
    assert await permissions.get(plane, refer()) == put
    more = Permission(sid="c", action="lambda:InvokeFunction", principal="*")
    await permissions.add(plane, refer(), more, put.revision_id)
    assert [s.sid for s in (await permissions.get(plane, refer())).statements] == ["b", "c"]
    with pytest.raises(PreconditionFailedException, match="GetResourcePolicy"):
        await permissions.delete_document(plane, refer(), put.revision_id)
    await permissions.delete_document(plane, refer())
    with pytest.raises(ResourceNotFoundException, match="No policy is associated"):
        await permissions.delete_document(plane, refer())
    assert set((await look(control)).policies) == {"1", "live"}
    await aliases.delete(plane, refer(), "live")
    await functions.delete(plane, refer(qualifier="1"))
    assert (await look(control)).policies == {}
    await aliases.create(plane, CreateAlias(key=a_key(), name="live", version="$LATEST"))
    with pytest.raises(ResourceNotFoundException):
        await permissions.get(plane, refer(qualifier="live"))


async def test_an_authentication_type_is_of_function_urls_alone(control: Control) -> None:
    await create(control)
    wrong = Permission(sid="a", action="lambda:InvokeFunction", principal="*", url_auth_type="NONE")
    with pytest.raises(InvalidParameterValueException, match="only supported for lambda:Inv"):
        await permissions.add(control.plane, refer(), wrong)
