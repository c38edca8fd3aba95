"""Names and ARNs of functions: every form that Lambda takes, and what it says to the wrong ones."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lampyr.arn import (
    FunctionName,
    function_arn,
    function_reference,
    is_alias,
    parse,
    partition,
    unqualified,
)
from lampyr.errors import (
    AccessDeniedException,
    InvalidParameterValueException,
    ResourceNotFoundException,
    ServiceError,
)
from lampyr.model.function import FunctionKey

ACCOUNT = "111111111111"


@dataclass(frozen=True)
class Us:
    account_id: str = ACCOUNT
    region: str = "us-east-1"


names = st.from_regex(r"[a-zA-Z0-9_-]{1,64}", fullmatch=True).filter(lambda n: n != "function")
regions = st.sampled_from(
    ["us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1", "us-iso-east-1", "eusc-de-east-1"]
)
qualifiers = st.none() | st.just("$LATEST") | st.from_regex(r"[a-zA-Z0-9_-]{1,20}", fullmatch=True)


@given(names, st.from_regex(r"[0-9]{12}", fullmatch=True), regions, qualifiers)
def test_an_arn_says_what_it_was_made_of(
    name: str, account_id: str, region: str, qualifier: str | None
) -> None:
    assert parse(function_arn(account_id, region, name, qualifier)) == FunctionName(
        name=name, qualifier=qualifier, account_id=account_id, region=region
    )


@given(names, regions, qualifiers, st.booleans())
def test_every_form_of_a_name_means_the_same_function(
    name: str, region: str, qualifier: str | None, twice: bool
) -> None:
    caller = Us(region=region)
    end = "" if qualifier is None else f":{qualifier}"
    references = {
        function_reference(caller, f"{form}{end}", qualifier if twice else None)
        for form in (
            name,
            f"function:{name}",
            f"{ACCOUNT}:function:{name}",
            f"{ACCOUNT}:{name}",
            function_arn(ACCOUNT, region, name),
        )
    } | {function_reference(caller, name, qualifier)}
    assert len(references) == 1
    (reference,) = references
    assert reference.arn == function_arn(ACCOUNT, region, name, qualifier)
    assert reference.arn.startswith(f"arn:{partition(region)}:lambda:{region}:{ACCOUNT}:")


parts = st.sampled_from(
    [
        *("arn", "aws", "aws-cn", "lambda", "us-east-1", "xx-east-1", ACCOUNT, "222222222222"),
        *("function", "hello", "1", "$LATEST", "$latest", "", "live", "a.b", "a b", "*", "ä", "\n"),
    ]
)


@given(st.lists(parts, max_size=10).map(":".join) | st.text(max_size=40))
def test_whatever_a_name_is_it_is_understood_or_refused(text: str) -> None:
    try:
        reference = function_reference(Us(), text)
    except ServiceError:
        return
    assert function_reference(Us(), reference.arn) == reference
    assert reference.key[:2] == (ACCOUNT, "us-east-1")


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("hello", FunctionName(name="hello")),
        ("hello:3", FunctionName(name="hello", qualifier="3")),
        ("hello:$LATEST", FunctionName(name="hello", qualifier="$LATEST")),
        ("function:hello", FunctionName(name="hello")),
        ("function:hello:live", FunctionName(name="hello", qualifier="live")),
        (f"{ACCOUNT}:function:hello", FunctionName(name="hello", account_id=ACCOUNT)),
        (f"{ACCOUNT}:hello:1", FunctionName(name="hello", account_id=ACCOUNT, qualifier="1")),
        ("function", FunctionName(name="function")),
        (
            f"arn:aws:lambda:us-east-1:{ACCOUNT}:function",
            FunctionName(name="function", account_id=ACCOUNT, region="us-east-1"),
        ),
    ],
)
def test_each_form_of_a_name(text: str, means: FunctionName) -> None:
    assert parse(text) == means


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "my-function!",
        "invalid:function:name",
        "arn:aws:ec2:us-east-1:111111111111:instance:i-1234567890abcdef0",
        "arn:aws:lambda::111111111111:function:my-function",
        "arn:aws:lambda:us-east-1::function:my-function",
        "arn:aws:lambda:invalid-region:111111111111:function:my-function",
        f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:my-function:1:2",
        f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:my-function:$LATES",
        f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:my-function:$latest",
    ],
)
def test_what_is_no_name_of_a_function(text: str) -> None:
    assert parse(text) is None
    with pytest.raises(InvalidParameterValueException):
        function_reference(Us(), text)


@pytest.mark.parametrize(
    ("region", "name"),
    [
        ("us-east-1", "aws"),
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("us-iso-east-1", "aws-iso"),
        ("us-isob-east-1", "aws-iso-b"),
        ("eu-isoe-west-1", "aws-iso-e"),
        ("us-isof-south-1", "aws-iso-f"),
        ("eusc-de-east-1", "aws-eusc"),
    ],
)
def test_each_region_lies_in_a_partition(region: str, name: str) -> None:
    assert partition(region) == name


@pytest.mark.parametrize(
    ("name", "qualifier", "means"),
    [
        ("hello", None, None),
        ("hello:1", None, "1"),
        ("hello", "1", "1"),
        ("hello:1", "1", "1"),
    ],
)
def test_a_qualifier_comes_from_the_name_or_the_parameter(
    name: str, qualifier: str | None, means: str | None
) -> None:
    reference = function_reference(Us(), name, qualifier)
    assert reference.key == FunctionKey(ACCOUNT, "us-east-1", "hello")
    assert reference.qualifier == means
    assert reference.unqualified_arn == f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:hello"
    assert reference.arn == reference.unqualified_arn + (f":{means}" if means else "")


@pytest.mark.recorded("TestLambdaFunction::test_ops_with_arn_qualifier_mismatch")
def test_two_qualifiers_must_agree() -> None:
    with pytest.raises(InvalidParameterValueException) as refused:
        function_reference(Us(), "hello:1", "2")
    assert refused.value.message == (
        "The derived qualifier from the function name does not match the specified qualifier."
    )


@pytest.mark.recorded("TestLambdaFunction::test_get_function_wrong_region")
def test_another_region_is_not_reachable() -> None:
    with pytest.raises(ResourceNotFoundException) as refused:
        function_reference(Us(), f"arn:aws:lambda:ap-southeast-1:{ACCOUNT}:function:hello")
    assert refused.value.message == (
        "Functions from 'ap-southeast-1' are not reachable in this region ('us-east-1')"
    )


@pytest.mark.recorded("TestLambdaFunction::test_function_arns")
def test_another_account_is_not_reachable() -> None:
    with pytest.raises(AccessDeniedException):
        function_reference(Us(), "arn:aws:lambda:us-east-1:222222222222:function:hello")


def test_an_alias_is_not_a_number_and_not_latest() -> None:
    assert is_alias("live")
    assert is_alias("1a")
    assert not is_alias("1")
    assert not is_alias("$LATEST")


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html")
def test_a_version_cannot_be_changed_as_if_it_were_the_function() -> None:
    assert unqualified(function_reference(Us(), "hello:$LATEST")).name == "hello"
    with pytest.raises(InvalidParameterValueException, match="Aliases and versions do not"):
        unqualified(function_reference(Us(), "hello:1"))
