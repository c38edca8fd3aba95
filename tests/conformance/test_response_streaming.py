"""Responses that are streamed: in pieces, while the function still runs."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError

from tests.conformance.deployed import create, function, zipped

API: Final = "https://docs.aws.amazon.com/lambda/latest/api/API_InvokeWithResponseStream.html"
CUSTOM: Final = "https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming"
NODE: Final = "https://docs.aws.amazon.com/lambda/latest/dg/config-rs-write-functions.html"
ARN: Final = "arn:aws:lambda:us-east-1:000000000000:function:"
BOOTSTRAP: Final = """#!/usr/bin/python3
import base64, http.client, json, os, time, urllib.request

HOST = os.environ["AWS_LAMBDA_RUNTIME_API"]
PREFIX = "/2018-06-01/runtime/invocation/"

def tagged(arn):
    url = f"{os.environ['AWS_ENDPOINT_URL']}/2017-03-31/tags/{arn}"
    with urllib.request.urlopen(url) as answer:
        return "go" in json.load(answer)["Tags"]

def send(connection, data):
    connection.send(b"%x\\r\\n%b\\r\\n" % (len(data), data))

while True:
    connection = http.client.HTTPConnection(HOST)
    connection.request("GET", PREFIX + "next")
    answer = connection.getresponse()
    event = json.load(answer)
    request_id = answer.headers["Lambda-Runtime-Aws-Request-Id"]
    connection.putrequest("POST", f"{PREFIX}{request_id}/response")
    connection.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
    connection.putheader("Content-Type", "text/plain")
    connection.putheader("Transfer-Encoding", "chunked")
    if event.get("fail"):
        connection.putheader("Trailer", "Lambda-Runtime-Function-Error-Type")
        connection.putheader("Trailer", "Lambda-Runtime-Function-Error-Body")
    connection.endheaders()
    send(connection, b"first")
    deadline = time.time() + 25
    while event.get("wait") and not tagged(event["wait"]) and time.time() < deadline:
        time.sleep(0.02)
    for _ in range(event.get("pieces", 1)):
        send(connection, b"x" * event.get("size", 3))
    if event.get("fail"):
        body = json.dumps({"errorType": "Broken", "errorMessage": "half way"}).encode()
        connection.send(
            b"0\\r\\nLambda-Runtime-Function-Error-Type: Broken\\r\\n"
            b"Lambda-Runtime-Function-Error-Body: " + base64.b64encode(body) + b"\\r\\n\\r\\n"
        )
    else:
        connection.send(b"0\\r\\n\\r\\n")
    connection.getresponse().read()
"""


@pytest.fixture(scope="module")
def streamer(lambda_client: Any) -> Iterator[str]:
    if not Path("/usr/bin/python3").exists():
        pytest.skip("there is no /usr/bin/python3 for the runtime of these tests")
    package = zipped({"bootstrap": BOOTSTRAP}, executable=("bootstrap",))
    custom = {"Runtime": "provided.al2023", "Handler": "any", "Timeout": 60, "MemorySize": 256}
    with function(lambda_client, package, **custom) as name:
        yield name


def stream(client: Any, name: str, event: Any, **members: Any) -> Any:
    return client.invoke_with_response_stream(
        FunctionName=name, Payload=json.dumps(event), **members
    )


def whole(answer: Any) -> tuple[bytes, Any]:
    """What was streamed, and how it ended."""
    data, complete = b"", None
    for event in answer["EventStream"]:
        if "PayloadChunk" in event:
            assert complete is None
            data += event["PayloadChunk"]["Payload"]
        else:
            complete = event["InvokeComplete"]
    return data, complete


@pytest.mark.documented(API)
def test_a_piece_is_here_before_the_function_writes_the_next(
    lambda_client: Any, streamer: str
) -> None:
    arn = f"{ARN}{streamer}"
    answer = stream(lambda_client, streamer, {"wait": arn}, LogType="Tail")
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    events = iter(answer["EventStream"])
    assert next(events)["PayloadChunk"]["Payload"] == b"first"
    # Only now the function is let go on.
    lambda_client.tag_resource(Resource=arn, Tags={"go": "on"})
    rest = list(events)
    assert b"".join(e["PayloadChunk"]["Payload"] for e in rest[:-1]) == b"xxx"
    tail = base64.b64decode(rest[-1]["InvokeComplete"]["LogResult"])
    assert b"REPORT RequestId:" in tail


@pytest.mark.documented(API)
def test_twenty_megabytes_pass_a_caller_who_reads_slowly(lambda_client: Any, streamer: str) -> None:
    answer = stream(lambda_client, streamer, {"pieces": 20, "size": 1_000_000})
    data, complete = whole(answer)
    assert data == b"first" + b"x" * 20_000_000
    assert "ErrorCode" not in complete


@pytest.mark.documented(CUSTOM)
def test_a_response_that_breaks_says_so_at_its_end(lambda_client: Any, streamer: str) -> None:
    data, complete = whole(stream(lambda_client, streamer, {"fail": True}))
    assert data == b"firstxxx"
    assert complete["ErrorCode"] == "Unhandled"
    assert json.loads(complete["ErrorDetails"])["errorMessage"] == "half way"
    # The environment goes on, and a caller who wants it whole gets it whole.
    answer = lambda_client.invoke(FunctionName=streamer, Payload=b"{}")
    assert answer["Payload"].read() == b"firstxxx"


@pytest.mark.documented(API)
def test_runtimes_that_cannot_stream_answer_in_one_piece(lambda_client: Any) -> None:
    code = """
def handler(event, context):
    if event == "fail":
        raise ValueError("no")
    return {"said": event}
"""
    name = create(lambda_client, code)
    data, complete = whole(stream(lambda_client, name, "hello"))
    assert json.loads(data) == {"said": "hello"}
    assert "ErrorCode" not in complete
    data, complete = whole(stream(lambda_client, name, "fail"))
    assert data == b""
    assert complete["ErrorCode"] == "Unhandled"
    assert json.loads(complete["ErrorDetails"])["errorType"] == "ValueError"
    lambda_client.delete_function(FunctionName=name)


@pytest.mark.documented(API)
def test_what_is_refused_is_refused_before_anything_is_streamed(lambda_client: Any) -> None:
    with pytest.raises(ClientError) as caught:
        stream(lambda_client, "nothing", {})
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


@pytest.mark.documented(NODE)
def test_node_functions_stream(lambda_client: Any, need: Callable[[str], None]) -> None:
    need("nodejs20.x")
    code = """
exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
  stream.setContentType("text/plain");
  stream.write("hello, ");
  stream.write(event.name);
  stream.end();
});
"""
    package = zipped({"index.js": code})
    node = {"Runtime": "nodejs20.x", "Handler": "index.handler", "Timeout": 20}
    with function(lambda_client, package, **node) as name:
        answer = stream(lambda_client, name, {"name": "Ada"})
        data, complete = whole(answer)
        assert data == b"hello, Ada"
        assert "ErrorCode" not in complete
        again, _ = whole(stream(lambda_client, name, {"name": "Bob"}))
        assert again == b"hello, Bob"
