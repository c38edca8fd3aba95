"""Account and Region of a call, from its credentials and the scope of its signature."""

import pytest

from lampyr.api.auth import KNOWN_MAX, Caller, SignatureAuth
from lampyr.errors import IncompleteSignatureException


def header(key: str = "AKIDEXAMPLE", region: str = "ap-south-1", rest: str = "") -> dict[str, str]:
    scope = f"{key}/20261121/{region}/lambda/aws4_request"
    end = rest or ", SignedHeaders=host;x-amz-date, Signature=abc"
    return {"authorization": f"AWS4-HMAC-SHA256 Credential={scope}{end}"}


def auth() -> SignatureAuth:
    return SignatureAuth("eu-west-1", {"ASIAFUNCTION": "222222222222"}.get)


def test_without_a_signature_it_is_the_default_account_and_region() -> None:
    assert auth().caller({}, "") == Caller("000000000000", "eu-west-1")
    assert auth().caller({}, "Qualifier=1") == Caller("000000000000", "eu-west-1")
    assert auth().caller({}, "a=X-Amz-Credential=x") == Caller("000000000000", "eu-west-1")


def test_twelve_digits_are_an_account_and_other_keys_the_default_one() -> None:
    assert auth().caller(header("123456789012"), "") == Caller(
        "123456789012", "ap-south-1", "123456789012"
    )
    assert auth().caller(header("AKIDEXAMPLE"), "") == Caller(
        "000000000000", "ap-south-1", "AKIDEXAMPLE"
    )
    assert auth().caller(header("1234567890123"), "").account_id == "000000000000"


def test_keys_of_functions_belong_to_their_functions_account() -> None:
    assert auth().caller(header("ASIAFUNCTION"), "").account_id == "222222222222"


def test_keys_of_functions_are_asked_for_every_time() -> None:
    accounts = {"ASIAFUNCTION": "222222222222"}
    one = SignatureAuth("eu-west-1", accounts.get)
    assert one.caller(header("ASIAFUNCTION"), "").account_id == "222222222222"
    accounts.clear()
    assert one.caller(header("ASIAFUNCTION"), "").account_id == "000000000000"


def test_a_presigned_query_says_the_same() -> None:
    query = (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="
        "123456789012%2F20261121%2Fus-gov-west-1%2Flambda%2Faws4_request&X-Amz-Signature=1"
    )
    assert auth().caller({}, query)[:2] == ("123456789012", "us-gov-west-1")


def test_version_4a_names_its_regions_in_a_header() -> None:
    credential = "Credential=AKID/20261121/lambda/aws4_request, SignedHeaders=h, Signature=s"
    headers = {"authorization": f"AWS4-ECDSA-P256-SHA256 {credential}"}
    assert auth().caller(headers, "").region == "eu-west-1"
    assert auth().caller({**headers, "x-amz-region-set": "*"}, "").region == "eu-west-1"
    assert auth().caller({**headers, "x-amz-region-set": "us-west-2"}, "").region == "us-west-2"


@pytest.mark.parametrize(
    ("authorization", "message"),
    [
        ("Bearer x", "Unsupported AWS 'algorithm': 'Bearer'"),
        ("", "Unsupported AWS 'algorithm': ''"),
        (
            "AWS4-HMAC-SHA256",
            "requires 'Credential' parameter. Authorization header requires 'Sign",
        ),
        ("AWS4-HMAC-SHA256 Credential=a/b", "requires 'Signature' parameter"),
        ("AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=h, Signature=s", "exactly 5 slash-del"),
        (header("a b")["authorization"], "'a b' is not an access key"),
        (header(region="..")["authorization"], "scoped to a valid region"),
        (header(region="US-EAST-1")["authorization"], "scoped to a valid region"),
        (header(rest=", SignedHeaders=h")["authorization"], "requires 'Signature' parameter"),
        ("AWS4-HMAC-SHA256 \x01", "Authorization=AWS4-HMAC-SHA256 ?"),
    ],
)
def test_a_signature_that_cannot_be_read(authorization: str, message: str) -> None:
    with pytest.raises(IncompleteSignatureException) as caught:
        auth().caller({"authorization": authorization}, "")
    assert message in caught.value.message


def test_what_was_read_once_is_remembered_but_a_signature_must_be_there() -> None:
    one = auth()
    first = one.caller(header(), "")
    assert one.caller(header(), "") is first
    with pytest.raises(IncompleteSignatureException):
        one.caller(header(rest=", SignedHeaders=h"), "")


def test_no_more_is_remembered_than_there_is_room_for() -> None:
    one = auth()
    for number in range(KNOWN_MAX + 2):
        one.caller(header(f"AKID{number}"), "")
    assert len(one._known) == 2
