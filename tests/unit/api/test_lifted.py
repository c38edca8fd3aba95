"""A package inside JSON is read the same, however large it is."""

import base64
import json
import random
from typing import Any

import pytest

from lampyr.api.lifted import LIFT_BYTES_MIN, PIECE_CHARACTERS, QUOTES_MAX, lift
from lampyr.api.parser import compile_parser, parse_json
from lampyr.api.spec import service_model
from lampyr.errors import InvalidRequestContentException, SerializationException
from tests.unit.api.fakes import answering, api, request

MODEL = service_model()
PARSE = compile_parser(MODEL, MODEL.operations["CreateFunction"])


def parsed(body: bytes) -> Any:
    return PARSE({}, "", {}, body)


def document(package: str, **others: Any) -> bytes:
    return json.dumps({"Handler": "a.b", "Code": {"ZipFile": package}, **others}).encode()


@pytest.mark.parametrize(
    "size",
    [
        *(LIFT_BYTES_MIN - 1, LIFT_BYTES_MIN, LIFT_BYTES_MIN + 1, LIFT_BYTES_MIN + 2),
        *(PIECE_CHARACTERS // 4 * 3 * 3, PIECE_CHARACTERS // 4 * 3 * 3 + 3, 1_000_000),
    ],
)
def test_what_was_sent_is_what_is_read(size: int) -> None:
    package = random.Random(size).randbytes(size)
    body = document(base64.b64encode(package).decode(), Timeout=3)
    assert parsed(body) == {"Handler": "a.b", "Code": {"ZipFile": package}, "Timeout": 3}


def test_a_long_text_is_cut_out_of_the_body() -> None:
    found = lift(document("A" * (LIFT_BYTES_MIN + 4)))
    assert found is not None
    rest, name, lifted = found
    assert json.loads(rest) == {"Handler": "a.b", "Code": {"ZipFile": name}}
    assert str(lifted) == "A" * (LIFT_BYTES_MIN + 4)


LONG = "A" * (LIFT_BYTES_MIN + 4)


@pytest.mark.parametrize(
    "package",
    [
        f"{LONG}A",
        f"{LONG}A===",
        f"AA=={LONG}",
        f"!!!!{LONG}",
        f"{LONG}!!!!",
        f"{LONG[:-4]}    ",
        f"AAA={LONG}",
        f"A\u00e9A{LONG}A",
    ],
)
def test_what_is_no_base64_is_refused_at_any_size(package: str) -> None:
    body = json.dumps({"Code": {"ZipFile": package}}, ensure_ascii=False).encode()
    with pytest.raises(SerializationException, match="can not be converted to a Blob"):
        parsed(body)


@pytest.mark.parametrize(
    "body",
    [
        document("\\n" + LONG),
        document("A\\/" + LONG),
        json.dumps(["x"] * QUOTES_MAX + [LONG]).encode(),
        b'"' + LONG.encode(),
        b"1" * (LIFT_BYTES_MIN + 10),
    ],
)
def test_what_is_not_plain_is_left_to_json(body: bytes) -> None:
    assert lift(body) is None


def test_escapes_are_understood_at_any_size() -> None:
    body = document(LONG).replace(b"AAAA", b"A\\/AA", 1)
    assert parsed(body)["Code"]["ZipFile"][:3] == base64.b64decode("A/AA")


def test_a_long_text_that_is_no_package_is_a_text() -> None:
    body = json.dumps({"Description": LONG, "Layers": ["é" + LONG], "No": [LONG]}).encode()
    assert parsed(body) == {"Description": LONG, "Layers": ["é" + LONG]}
    assert parsed(json.dumps({"Layers": [LONG]}).encode()) == {"Layers": [LONG]}
    with pytest.raises(SerializationException, match="Invalid UTF-8 in a String"):
        parsed(b'{"Description":"%s\xff"}' % LONG.encode())


def test_a_long_text_where_none_belongs_is_refused_as_a_short_one_is() -> None:
    for member, message in (
        ("Timeout", "STRING_VALUE can not be converted to an Integer"),
        ("Publish", "STRING_VALUE can not be converted to a Boolean"),
        ("Layers", "Expected list or null"),
        ("Code", "Expected null"),
    ):
        with pytest.raises(SerializationException) as caught:
            parsed(json.dumps({member: LONG}).encode())
        assert caught.value.message == message


def test_around_a_long_text_json_must_be_right() -> None:
    for broken in (b'{"a":"%s"', b'{"a":"%s"}}', b'"%s" "', b"[" * 9_000 + b'"%s"'):
        with pytest.raises(InvalidRequestContentException):
            parse_json(broken % LONG.encode())


async def test_a_large_body_is_served_like_a_small_one() -> None:
    server = api({"CreateFunction": answering({"Version": "1"})})
    body = document(
        LONG, FunctionName="f", Role="arn:aws:iam::000000000000:role/r", Runtime="python3.12"
    )
    response = await server.handle(request("POST", "/2015-03-31/functions", body))
    assert (response.status, response.body) == (201, b'{"Version":"1"}')
