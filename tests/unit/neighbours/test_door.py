"""What is passed on to a neighbour and back, and how refusals are worded."""

from typing import Any

import pytest

from lampyr.aws.base import AwsUnreachableError, NoEndpointError
from lampyr.aws.wire import Forwarded
from lampyr.http1 import Request, encode
from lampyr.http_client import Answer
from lampyr.neighbours.door import NeighbourDoor

KEY = "ASIAFUNCTION"


class Far:
    def __init__(self, answer: Answer | Exception) -> None:
        self.answer = answer
        self.got: list[Forwarded] = []

    async def forward(self, service: str, region: str, request: Forwarded) -> Answer:
        self.got.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def through(far: Far, request: Request, service: str = "s3", key: str | None = KEY) -> Any:
    door = NeighbourDoor(far, {KEY: "123456789012"}.get)
    return await door.forward(request, service=service, region="us-east-1", access_key=key)


def asked(method: str = "GET", path: str = "/b/k", **headers: str) -> Request:
    return Request(method, path, "a=%20b", {n.replace("_", "-"): v for n, v in headers.items()})


async def test_a_functions_key_becomes_its_accounts_and_the_rest_stays() -> None:
    far = Far(Answer(200, [], b""))
    given = f"AWS4-HMAC-SHA256 Credential={KEY}/20261129/us-east-1/s3/aws4_request"
    await through(far, asked(authorization=given, x_amz_meta_a="ü", connection="close"))
    sent = far.got[0]
    assert sent.path == "/b/k?a=%20b"
    named = dict(sent.fields)
    assert named["authorization"] == given.replace(KEY, "123456789012")
    assert named["x-amz-meta-a"] == "ü"
    assert "connection" not in named
    await through(far, asked(authorization="Credential=AKIDOTHER/1"), key="AKIDOTHER")
    assert dict(far.got[1].fields)["authorization"] == "Credential=AKIDOTHER/1"


async def test_an_answer_to_head_keeps_its_length_and_no_other_site_may_read_it() -> None:
    fields = [("content-length", "42"), ("etag", "e"), ("access-control-allow-origin", "*")]
    response = await through(Far(Answer(200, fields, b"")), asked("HEAD"))
    assert b"content-length: 42\r\n" in encode(response, head_only=True)
    assert response.headers == [("etag", "e")]
    theirs = await through(Far(Answer(200, fields, b"")), asked(), "execute-api")
    assert ("access-control-allow-origin", "*") in theirs.headers


@pytest.mark.parametrize(
    ("service", "content", "expected"),
    [
        ("s3", "", b"<Error><Code>ServiceUnavailable</Code><Message>gone &lt;1&gt;"),
        ("sns", "application/x-www-form-urlencoded", b"<ErrorResponse><Error><Type>Receiver"),
        ("sqs", "application/x-amz-json-1.0", b'{"__type": "ServiceUnavailable"'),
    ],
)
async def test_a_refusal_is_in_the_words_of_the_services_protocol(
    service: str, content: str, expected: bytes
) -> None:
    far = Far(AwsUnreachableError("gone <1>"))
    response = await through(far, asked(content_type=content), service)
    assert (response.status, response.body[: len(expected)]) == (503, expected)


async def test_what_nobody_serves_is_not_tried_again_and_administration_is_not_reached() -> None:
    far = Far(NoEndpointError("no"))
    assert (await through(far, asked(), "glue")).status == 501
    assert (await through(far, asked(path="/_ministack/reset"))).status == 404
    assert len(far.got) == 1
