"""Every operation of a running Lampyr, asked about things that are there, rightly and wrongly.

`test_api_fuzz` looks at the API before the operations; here the operations themselves answer.
`LAMPYR_TEST_FUZZ` sets how many requests each operation gets.
"""

import http.client
import json
import os
import random
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import quote, urlsplit

import pytest

from lampyr.testing.builders import ROLE, a_zip
from lampyr.testing.server import LampyrServer
from tests.conformance.test_api_fuzz import BOTOCORE, METHODS, MODEL, spoil, target_of
from tests.unit.api.generate import Generator

pytestmark = pytest.mark.lampyr_only

TIMES: Final = int(os.environ.get("LAMPYR_TEST_FUZZ", "25"))
ANSWER_SECONDS: Final = 60
ARN: Final = "arn:aws:lambda:us-east-1:000000000000"
NAMES: Final = ("one", "two", f"{ARN}:function:one", "one:live", "000000000000:function:two", "no")
UUID: Final = "11111111-2222-3333-4444-555555555555"
POOLS: Final[dict[str, tuple[Any, ...]]] = {
    "FunctionName": NAMES,
    "Qualifier": ("$LATEST", "1", "2", "live", "99", "no"),
    "Name": ("live", "next", "no"),
    "FunctionVersion": ("$LATEST", "1", "2", "99"),
    "LayerName": ("words", f"{ARN}:layer:words", "no"),
    "VersionNumber": (1, 2, 99),
    "Role": (ROLE, "arn:aws:iam::000000000000:role/other"),
    "Runtime": ("python3.11", "nodejs20.x", "provided.al2023"),
    "Handler": ("app.handler",),
    "Marker": ("", "x", "one"),
    "MaxItems": (1, 50),
    "UUID": (UUID, "no"),
    "EventSourceArn": (
        "arn:aws:sqs:us-east-1:000000000000:q",
        "arn:aws:kinesis:us-east-1:000000000000:stream/s",
        "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2026-01-01T00:00:00.000",
    ),
    "Resource": (f"{ARN}:function:one", f"{ARN}:event-source-mapping:{UUID}", f"{ARN}:layer:words"),
    "ResourceArn": (f"{ARN}:function:one", f"{ARN}:function:one:live", f"{ARN}:layer:words:1"),
    "Arn": (f"{ARN}:layer:words:1", f"{ARN}:layer:words:9"),
    "CodeSigningConfigArn": (f"{ARN}:code-signing-config:csc-0123456789abcdef0",),
    "StatementId": ("s1", "s2"),
    "Action": ("lambda:InvokeFunction", "lambda:GetLayerVersion", "lambda:*"),
    "Principal": ("s3.amazonaws.com", "111122223333", "*"),
    "RoutingConfig": ({"AdditionalVersionWeights": {"2": 0.5}}, {}),
    "Code": ({"ZipFile": a_zip()}, {"ZipFile": b"no zip"}),
    "ZipFile": (a_zip(), b"no zip"),
    "Content": ({"ZipFile": a_zip({"python/x.py": "X = 1\n"})}, {"ZipFile": b"no zip"}),
}
NEVER_SENT: Final = {
    # It waits until the network time-out of a host that is not there.
    "S3Bucket",
    "S3Key",
    "ImageUri",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LampyrServer]:
    server = LampyrServer(
        tmp_path_factory.mktemp("fuzz"), arguments=["--egress", "none", "--neighbours", "off"]
    )
    server.start()
    client = server.client()
    for name in ("one", "two"):
        client.create_function(
            FunctionName=name,
            Runtime="python3.11",
            Handler="app.handler",
            Role=ROLE,
            Code={"ZipFile": a_zip()},
            Publish=True,
        )
        client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        client.update_function_configuration(FunctionName=name, MemorySize=256)
        client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        client.publish_version(FunctionName=name)
    yield server
    server.stop()


def _known(value: Any, dice: random.Random) -> Any:
    """The same request about things that are there, mostly."""
    if isinstance(value, list):
        return [_known(item, dice) for item in value]
    if not isinstance(value, dict):
        return value
    found = {name: item for name, item in value.items() if name not in NEVER_SENT}
    return {
        name: dice.choice(POOLS[name])
        if name in POOLS and dice.random() < 0.8
        else _known(item, dice)
        for name, item in found.items()
    }


def _request(name: str, generate: Generator) -> dict[str, Any]:
    from botocore.serialize import create_serializer

    dice = generate.dice
    arguments = _known(generate.input(MODEL.operations[name], sparse=dice.random() < 0.8), dice)
    serializer = create_serializer("rest-json", include_validation=False)
    made = serializer.serialize_to_request(arguments, BOTOCORE.operation_model(name))
    body = made["body"]
    return {
        "method": made["method"],
        "target": made["url_path"],
        "query": dict(made["query_string"]),
        "headers": {k.lower(): str(v) for k, v in made["headers"].items()},
        "body": body if isinstance(body, bytes) else str(body or "").encode(errors="replace"),
    }


def _send(connection: http.client.HTTPConnection, made: dict[str, Any]) -> tuple[int, bytes]:
    target = quote(target_of(made), safe="/?&=%:+$@!*'(),;~-._", errors="replace")
    headers = {
        name: value
        for name, value in made["headers"].items()
        # What http.client cannot send, or what would make it another request.
        if name not in {"content-length", "transfer-encoding", "host", "te"} and value.isascii()
    }
    connection.request(made["method"], target, made["body"], headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


@pytest.mark.parametrize("name", MODEL.operations)
def test_no_operation_answers_500_or_hangs(server: LampyrServer, name: str) -> None:
    generate = Generator(MODEL, seed=sum(map(ord, name)))
    connection = http.client.HTTPConnection(
        urlsplit(server.endpoint_url).netloc, timeout=ANSWER_SECONDS
    )
    before = len(server.errors)
    for _ in range(TIMES):
        made = _request(name, generate)
        if generate.dice.random() < 0.4:
            spoil(made, generate.dice)
        if made["method"] not in METHODS or not made["method"].isalpha():
            continue
        status, body = _send(connection, made)
        assert status < 500 or status == 501, (made, status, body)
        # What is not HTTP is refused before it is the API's.
        if status >= 400 and made["method"] != "HEAD" and body != b"malformed HTTP request":
            error = json.loads(body)
            assert error.get("message") or error.get("Message"), (made, error)
    connection.close()
    assert server.errors[before:] == [], name


def test_afterwards_it_still_creates_and_invokes(server: LampyrServer) -> None:
    client = server.client()
    make: Callable[..., Any] = client.create_function
    make(
        FunctionName="afterwards",
        Runtime="python3.11",
        Handler="app.handler",
        Role=ROLE,
        Code={"ZipFile": a_zip()},
    )
    client.get_waiter("function_active_v2").wait(
        FunctionName="afterwards", WaiterConfig={"Delay": 1}
    )
    answer = client.invoke(FunctionName="afterwards", Payload=b"[1]")
    assert (answer.get("FunctionError"), answer["Payload"].read()) == (None, b"[1]")
