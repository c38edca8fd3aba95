"""AWS clients against a small server of the test's own: what is sent, read, and tried again."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from lampyr.aws.base import AwsError, AwsUnreachableError, Endpoint
from lampyr.aws.clients import AwsClients
from lampyr.http1 import Connection, Request, Response, encode
from lampyr.http_client import HttpClient
from lampyr.testing.clock import ManualClock

ACCOUNT = "123456789012"
REGION = "eu-west-1"
Handle = Callable[[Request], Response | None]


class At:
    """The resolver of one socket."""

    def __init__(self, socket: str) -> None:
        self.socket = socket

    async def endpoint(self, service: str) -> Endpoint:
        return Endpoint(url="http://neighbours", socket=self.socket)


@asynccontextmanager
async def served(path: Path, handle: Handle) -> AsyncGenerator[AwsClients]:
    """Clients of a server that answers with `handle`, and hangs up where that says None."""

    class Peer(Connection):
        def received(self, request: Request) -> None:
            answer = handle(request)
            if answer is None:
                self.close()
            else:
                self.write(encode(answer))

        def body_limit(self, request: Request) -> int:
            return 1_000_000

    class Impatient(ManualClock):
        async def sleep(self, seconds: float) -> None:
            await asyncio.sleep(0)

    clock = Impatient()
    http = HttpClient(clock)
    socket = str(path / "s")
    server = await asyncio.get_running_loop().create_unix_server(Peer, socket)
    try:
        yield AwsClients(At(socket), http, clock)
    finally:
        await http.close()
        server.close()
        await server.wait_closed()


async def test_a_call_is_written_and_signed_as_boto3_writes_it(tmp_path: Path) -> None:
    seen: list[Request] = []

    def handle(request: Request) -> Response:
        seen.append(request)
        return Response(200, (), json.dumps({"MessageId": "m"}).encode())

    async with served(tmp_path, handle) as aws:
        answer = await aws.call(
            "sqs", ACCOUNT, REGION, "SendMessage", QueueUrl="q", MessageBody="ü"
        )
    assert answer == {"MessageId": "m"}
    request = seen[0]
    assert (request.method, request.path) == ("POST", "/")
    assert request.headers["x-amz-target"] == "AmazonSQS.SendMessage"
    assert f"Credential={ACCOUNT}/" in request.headers["authorization"]
    assert f"/{REGION}/sqs/aws4_request" in request.headers["authorization"]
    assert json.loads(request.body) == {"QueueUrl": "q", "MessageBody": "ü"}


async def test_a_body_of_s3_is_bytes_whatever_is_in_it(tmp_path: Path) -> None:
    paths: list[str] = []

    def handle(request: Request) -> Response:
        paths.append(request.path)
        return Response(200, (("etag", '"e"'),), b"\xff\x00zip")

    async with served(tmp_path, handle) as aws:
        answer = await aws.call("s3", ACCOUNT, REGION, "GetObject", Bucket="b", Key="a b/c+d.zip")
        empty = await aws.call("s3", ACCOUNT, REGION, "HeadObject", Bucket="b", Key="k")
    assert answer["Body"] == b"\xff\x00zip"
    assert answer["ETag"] == empty["ETag"] == '"e"'
    assert paths == ["/b/a%20b/c%2Bd.zip", "/b/k"]


async def test_a_refusal_has_the_services_code_and_is_not_tried_again(tmp_path: Path) -> None:
    tried = []

    def handle(request: Request) -> Response:
        tried.append(request)
        return Response(404, (), b'{"__type":"ResourceNotFoundException","message":"gone"}')

    async with served(tmp_path, handle) as aws:
        with pytest.raises(AwsError, match="gone") as caught:
            await aws.call("kinesis", ACCOUNT, REGION, "ListShards", StreamName="s")
    assert (caught.value.code, caught.value.status) == ("ResourceNotFoundException", 404)
    assert len(tried) == 1


@pytest.mark.parametrize(("status", "code"), [(400, "ThrottlingException"), (503, "Sorry")])
async def test_a_throttled_or_failed_call_is_tried_three_times(
    tmp_path: Path, status: int, code: str
) -> None:
    tried = []

    def handle(request: Request) -> Response:
        tried.append(request)
        if len(tried) < 3:
            return Response(status, (), json.dumps({"__type": code}).encode())
        return Response(200, (), b"{}")

    async with served(tmp_path, handle) as aws:
        assert await aws.call("events", ACCOUNT, REGION, "ListRules") == {}
    assert len(tried) == 3


async def test_a_server_that_is_not_there_or_hangs_up_is_unreachable(tmp_path: Path) -> None:
    async with served(tmp_path, lambda _: None) as aws:
        with pytest.raises(AwsUnreachableError, match="closed"):
            await aws.call("sqs", ACCOUNT, REGION, "ListQueues")
    clock = ManualClock()
    nowhere = AwsClients(At(str(tmp_path / "none")), HttpClient(clock), clock)
    with pytest.raises(AwsUnreachableError, match="no connection"):
        await nowhere.call("sqs", ACCOUNT, REGION, "ListQueues")


async def test_a_kept_connection_that_was_closed_is_replaced(tmp_path: Path) -> None:
    answers = iter([Response(200, (), b"{}"), None, Response(200, (), b'{"QueueUrls":["q"]}')])

    async with served(tmp_path, lambda _: next(answers)) as aws:
        await aws.call("sqs", ACCOUNT, REGION, "ListQueues")
        second = await aws.call("sqs", ACCOUNT, REGION, "ListQueues")
    assert second == {"QueueUrls": ["q"]}


async def test_times_and_bytes_are_times_and_bytes_whatever_way_a_call_takes(
    tmp_path: Path,
) -> None:
    bodies: list[bytes] = []
    records = {"Records": [{"Data": "aGk=", "PartitionKey": "p", "SequenceNumber": "1"}]}
    answers = iter([records, {"Records": []}, {}])

    def handle(request: Request) -> Response:
        bodies.append(request.body)
        return Response(200, (), json.dumps(next(answers)).encode())

    async with served(tmp_path, handle) as aws:
        got = await aws.call("kinesis", ACCOUNT, REGION, "GetRecords", ShardIterator="i")
        none = await aws.call("kinesis", ACCOUNT, REGION, "GetRecords", ShardIterator="i")
        put: dict[str, Any] = {"StreamName": "s", "PartitionKey": "p", "Data": b"\xff"}
        await aws.call("kinesis", ACCOUNT, REGION, "PutRecord", **put)
    assert got["Records"][0]["Data"] == b"hi"
    assert none == {"Records": []}
    assert json.loads(bodies[0]) == {"ShardIterator": "i"}
    assert json.loads(bodies[2])["Data"] == "/w=="


async def test_services_of_the_query_protocol_get_a_form(tmp_path: Path) -> None:
    seen: list[Request] = []

    def handle(request: Request) -> Response:
        seen.append(request)
        body = b"<PublishResponse><PublishResult><MessageId>m</MessageId></PublishResult>"
        return Response(200, (), body + b"</PublishResponse>")

    async with served(tmp_path, handle) as aws:
        answer = await aws.call("sns", ACCOUNT, REGION, "Publish", TopicArn="t", Message="a&b=ü")
    assert answer == {"MessageId": "m"}
    form = parse_qs(seen[0].body.decode())
    assert (form["Action"], form["Message"], form["TopicArn"]) == (["Publish"], ["a&b=ü"], ["t"])
    assert seen[0].headers["content-type"].startswith("application/x-www-form-urlencoded")
