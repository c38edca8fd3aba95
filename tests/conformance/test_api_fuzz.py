"""Malformed requests by the thousand: each gets an answer, and none of them is a 500."""

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from botocore.model import ServiceModel as BotocoreModel
from botocore.serialize import create_serializer

from lampyr.api.spec import service_model
from tests.unit.api.botocore_model import raw_model
from tests.unit.api.fakes import answering, api, header, request
from tests.unit.api.generate import Generator

pytestmark = pytest.mark.lampyr_only

MODEL = service_model()
BOTOCORE = BotocoreModel(raw_model(), "lambda")
JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**31, 2**63, 2**64, 10**400, 0.5, 1e308, -0.0, "", " "),
    *("\x00", "\ud800", "a\ud800b", "\U0001f41b", "${jndi:ldap://x}", "../../etc/passwd"),
    *("a" * 3_000, "a." * 5_000, "-" * 70_000, "%00", "=", "====", "YQ", "YQ==", "äöü", "$LATEST"),
    *("arn:aws:lambda:us-east-1:000000000000:function:f", "2026-13-45T99:99:99Z", "nan"),
    *([], {}, [[]], [None], [{}], {"": ""}, {"a": None}, {"$": []}, [[[[[[]]]]]]),
)
BODIES = (
    *(b"", b"{", b"}", b"[", b"null", b"true", b"1", b'"x"', b"[]", b"{}", b"{}{}", b"\xff\xfe"),
    *(b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000, b"\x00" * 10),
    *(b'{"a":NaN}', b'{"Timeout":1e999}', b'{"Timeout":Infinity}', b"1" * 5_000),
    *(b'{"Timeout":%s}' % (b"9" * 5_000), b'{"Code":{"ZipFile":"@"}}', b"\xef\xbb\xbf{}"),
    *(b'{"a":1,"a":2}', b"{'a':1}", b'{"a":"\\ud800"}', b'{"\\udfff":1}', b'{"a":1,}', b"\x1f\x8b"),
)
TEXTS = (
    *("", "x", "%", "%zz", "%00", "%ff", "%2F", "a%2Fb", "..", ".", "a b", "{}", "{F}", "a:b:c:d"),
    *("%25", "ä", "x" * 2_000, "arn%3Aaws%3Alambda%3Aus-east-1%3A1%3Afunction%3Af%3A1", "+", "-"),
)
SCOPE = "20260101/us-east-1/lambda/aws4_request"
HEADERS = (
    *("", " ", "x", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=", "Bearer x", "gzip", "\x80"),
    *(
        "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request, SignedHeaders=x, Signature=y",
        "Basic eA==",
    ),
    f"AWS4-HMAC-SHA256 Credential=a/{SCOPE}, SignedHeaders=h, Signature=s",
    *("x" * 9_000, "a:1", "127.0.0.1:99999999", "[::1]", "evil.example", "é", "0", "-1", "NaN"),
)
NAMES = (
    *("authorization", "host", "origin", "content-type", "content-encoding", "x-amz-log-type"),
    *("x-amz-invocation-type", "x-amz-client-context", "x-amz-tenant-id", "x-amzn-trace-id"),
    *("sec-fetch-site", "x-amz-region-set", "x-amz-durable-execution-name", "accept", "te"),
)
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW", "")
EVERYTHING = {
    name: answering({}) for name in MODEL.operations if name != "InvokeWithResponseStream"
}
TIMES = 30


def sent(name: str, generate: Generator) -> dict[str, Any]:
    """A request that botocore might send, as method, target, headers and body."""
    arguments = generate.input(MODEL.operations[name], sparse=generate.dice.random() < 0.5)
    serializer = create_serializer("rest-json", include_validation=False)
    made = serializer.serialize_to_request(arguments, BOTOCORE.operation_model(name))
    body = made["body"]
    return {
        "method": made["method"],
        "target": made["url_path"],
        "query": dict(made["query_string"]),
        "headers": {k.lower(): str(v) for k, v in made["headers"].items()},
        "body": body
        if isinstance(body, bytes)
        else str(body or "").encode("utf-8", "surrogatepass"),
    }


def spoil(made: dict[str, Any], dice: random.Random) -> None:
    """One thing in a request goes wrong."""
    spoilers: tuple[Callable[[dict[str, Any], random.Random], None], ...] = (
        *(_spoil_json,) * 5,
        *(_spoil_body, _spoil_path, _spoil_query, _spoil_header, _spoil_method),
    )
    dice.choice(spoilers)(made, dice)


def _spoil_json(made: dict[str, Any], dice: random.Random) -> None:
    try:
        document = json.loads(made["body"])
    except (ValueError, RecursionError):
        return
    holder = {"": document}
    places = list(_places(holder))
    where, key = dice.choice(places)
    where[key] = dice.choice(JUNK)
    made["body"] = json.dumps(holder[""]).encode()


def _places(value: Any) -> Any:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in list(pairs):
        yield value, key
        if isinstance(item, (dict, list)):
            yield from _places(item)


def _spoil_body(made: dict[str, Any], dice: random.Random) -> None:
    body = bytearray(made["body"])
    choice = dice.randint(0, 3)
    if choice == 0 or not body:
        made["body"] = dice.choice(BODIES)
    elif choice == 1:
        made["body"] = bytes(body[: dice.randrange(len(body))])
    elif choice == 2:
        body[dice.randrange(len(body))] = dice.randrange(256)
        made["body"] = bytes(body)
    else:
        made["body"] = dice.randbytes(dice.randint(1, 200))


def _spoil_path(made: dict[str, Any], dice: random.Random) -> None:
    parts = made["target"].split("/")
    choice = dice.randint(0, 2)
    if choice == 0:
        parts[dice.randrange(len(parts))] = dice.choice(TEXTS)
    elif choice == 1:
        parts.insert(dice.randint(1, len(parts)), dice.choice(TEXTS))
    else:
        parts = parts[: dice.randint(1, len(parts))] * dice.choice([1, 1, 40])
    made["target"] = "/".join(parts)


def _spoil_query(made: dict[str, Any], dice: random.Random) -> None:
    names = [*made["query"], "Qualifier", "MaxItems", "Marker", "find", "List", "X-Amz-Credential"]
    made["query"][dice.choice(names)] = dice.choice([*TEXTS, "1", "-1", "9" * 40, "1_0", "\u0661"])


def _spoil_header(made: dict[str, Any], dice: random.Random) -> None:
    made["headers"][dice.choice(NAMES)] = dice.choice(HEADERS)


def _spoil_method(made: dict[str, Any], dice: random.Random) -> None:
    made["method"] = dice.choice(METHODS)


def target_of(made: Mapping[str, Any]) -> str:
    pairs = [
        f"{name}={one}"
        for name, value in made["query"].items()
        for one in (value if isinstance(value, list) else [value])
    ]
    joint = "&" if "?" in made["target"] else "?"
    return str(made["target"]) + (f"{joint}{'&'.join(pairs)}" if pairs else "")


@pytest.mark.parametrize("name", MODEL.operations)
async def test_no_request_is_answered_500(name: str, caplog: pytest.LogCaptureFixture) -> None:
    server = api(EVERYTHING)
    generate = Generator(MODEL, seed=sum(map(ord, name)))
    for _ in range(TIMES):
        made = sent(name, generate)
        for _ in range(generate.dice.randint(0, 3)):
            spoil(made, generate.dice)
        asked = request(made["method"], target_of(made), made["body"], made["headers"])
        async with asyncio.timeout(10):
            response = await server.handle(asked)
        assert response.status < 500 or response.status == 501, (made, response.body)
        # The ways without a task come to the same, or leave it to this one.
        server.plan(asked)
        read = server.read(asked)
        assert read is None or read.startswith(f"HTTP/1.1 {response.status} ".encode()), made
        assert header(response, "x-amzn-RequestId")
        if response.status >= 400:
            error = json.loads(response.body)
            assert header(response, "x-amzn-ErrorType")
            assert error.get("message") or error.get("Message"), error
        assert server.body_limit(asked) > 0
        assert server.too_large(asked).status == 413
    assert not caplog.records
