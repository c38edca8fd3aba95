"""Requests whose head came before are not read anew, and mean what they mean all the same."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from lampyr.api import server
from lampyr.api.app import LambdaApi
from lampyr.api.server import FrontDoor
from lampyr.api.warm import Plan, success
from lampyr.http1 import Request, Response, encode
from lampyr.model.invocation import InvokeResult
from lampyr.testing.clock import ManualClock
from tests.unit.api.fakes import api, request
from tests.unit.api.test_server import Wire

HEAD = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
PATH = "/2015-03-31/functions/hello/invocations"


class Api:
    """Plans for the path `/a`, and echoes the body there; `/b` it serves in a task."""

    def __init__(self, *, repeats: bool = True) -> None:
        self.planned = 0
        self.got: list[bytes] = []
        self._plan = cast("Plan", type("P", (), {"repeats": repeats}))

    def plan(self, request: Request) -> Plan | None:
        self.planned += request.path == "/a"
        return self._plan if request.path == "/a" else None

    def begin(self, plan: Plan, body: bytes, done: Callable[[bytes], None]) -> bool:
        self.got.append(body)
        asyncio.get_running_loop().call_soon(done, encode(Response(200, (), body)))
        return True

    def read(self, request: Request) -> bytes | None:
        return None

    async def handle(self, request: Request) -> Response:
        return Response(200, (), b"task " + request.body)

    def body_limit(self, request: Request) -> int:
        return 1_000

    def too_large(self, request: Request) -> Response:
        return Response(413)


class Caller:
    def __init__(self, api: Api) -> None:
        self.door = FrontDoor(ManualClock())
        self.door.api = api
        self.wire = Wire(self.door.connection())

    async def send(self, *pieces: bytes) -> bytes:
        """What comes back."""
        before = len(self.wire.sent)
        for piece in pieces:
            self.wire.connection.data_received(piece)
        for _ in range(5):
            await asyncio.sleep(0)
        return self.wire.sent[before:]


async def known(api: Api) -> Caller:
    """A caller whose head the door has come to know."""
    caller = Caller(api)
    for body in (b"11", b"22", b"33"):
        assert (await caller.send(HEAD + body)).endswith(body)
    return caller


async def test_a_head_is_read_twice_and_known_then() -> None:
    api = Api()
    caller = await known(api)
    assert api.planned == 2
    assert api.got == [b"11", b"22", b"33"]
    again = Caller(api)
    again.door = caller.door
    again.wire = Wire(caller.door.connection())
    assert (await again.send(HEAD + b"44")).endswith(b"44")
    assert api.planned == 2, "another connection profits as well"


@pytest.mark.parametrize(
    ("pieces", "bodies"),
    [
        pytest.param([HEAD, b"44"], [b"44"], id="the body comes later"),
        pytest.param([HEAD[:20], HEAD[20:] + b"44"], [b"44"], id="the head comes in pieces"),
        pytest.param([HEAD + b"4", b"4"], [b"44"], id="half of the body comes later"),
        pytest.param([HEAD + b"44" + HEAD + b"55"], [b"44", b"task 55"], id="two at once"),
        pytest.param([HEAD + b"44", HEAD + b"55"], [b"44", b"task 55"], id="not waiting"),
        pytest.param([HEAD + b"44\r\n"], [b"44"], id="a line feed too many"),
    ],
)
async def test_pieces_of_any_size_mean_the_same(pieces: list[bytes], bodies: list[bytes]) -> None:
    caller = await known(Api())
    sent = await caller.send(*pieces)
    assert sent == b"".join(encode(Response(200, (), body)) for body in bodies)


async def test_a_known_head_inside_another_request_is_none() -> None:
    api = Api()
    caller = await known(api)
    inside = HEAD + b"44"
    other = f"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: {len(inside)}\r\n\r\n".encode()
    assert (await caller.send(other, inside)).endswith(b"task " + inside)
    assert (await caller.send(b"POST /b HTTP/1.1\r\nX: ", inside)).endswith(b"task 44")
    assert len(api.got) == 3


async def test_what_came_in_pieces_does_not_teach_the_meaning_of_another_head() -> None:
    api = Api()
    caller = Caller(api)
    head = HEAD.replace(b"Length: 2", b"Length: 0")
    other = head.replace(b"/a", b"/b")
    await caller.send(head[:9], head[9:])
    for _ in range(3):
        assert (await caller.send(other)).endswith(b"task ")
    assert len(api.got) == 1
    assert not caller.door.repeats


async def test_a_known_head_is_the_last_one_of_a_server_that_stops() -> None:
    caller = await known(Api())
    caller.wire.connection.data_received(HEAD + b"44")
    caller.wire.connection.last_request()
    assert b"\r\nconnection: close\r\n" in await caller.send()
    assert not caller.wire.is_open


async def test_credentials_that_end_are_asked_for_every_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api = Api(repeats=False)
    await known(api)
    assert api.planned == 3
    monkeypatch.setattr(server, "REPEATS_MAX", 1)
    caller = await known(Api())
    for number in range(3):
        head = HEAD.replace(b": x", b": x%d" % number)
        await caller.send(head + b"11")
        await caller.send(head + b"22")
        assert len(caller.door.repeats) == 1, "no more heads are kept than may be"


@pytest.mark.parametrize(
    ("headers", "planned"),
    [
        ({}, True),
        ({"x-amz-invocation-type": "RequestResponse", "x-amz-log-type": "Tail"}, True),
        ({"x-amz-invocation-type": "Event"}, True),
        ({"x-amz-invocation-type": "DryRun"}, False),
        ({"x-amz-durable-execution-name": "one"}, False),
        ({"content-encoding": "gzip"}, False),
        ({"x-amz-client-context": "no base64"}, False),
        ({"origin": "http://elsewhere.example"}, False),
        ({"authorization": "AWS4-HMAC-SHA256 nonsense"}, False),
    ],
)
def test_what_is_more_than_an_invocation_has_no_plan(
    headers: dict[str, str], planned: bool
) -> None:
    assert (_api().plan(request("POST", PATH, b"{}", headers)) is not None) == planned


def test_the_keys_of_functions_make_no_plan_that_lasts() -> None:
    scope = "20261129/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0"
    served = _api(account_of={"ASIAFUNCTION": "000000000000"}.get)
    for key, lasting in (("AKIAUSER", True), ("ASIAFUNCTION", False)):
        headers = {"authorization": f"AWS4-HMAC-SHA256 Credential={key}/{scope}"}
        plan = served.plan(request("POST", PATH, b"{}", headers))
        assert plan is not None
        assert plan.repeats == lasting


def signed(key: str = "AKIAUSER", **fields: str) -> Request:
    scope = f"{key}/20261129/us-east-1/lambda/aws4_request"
    found = {
        "Host": "127.0.0.1:4566",
        "X-Amz-Date": "20261129T130000Z",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        **{name.replace("_", "-"): value for name, value in fields.items()},
    }
    raw = {name.encode(): value.encode() for name, value in found.items() if value}
    return Request("POST", PATH, "", fields=raw)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param(signed(X_Amz_Date="20261129T130001Z", amz_sdk_request="a"), True, id="date"),
        pytest.param(signed(X_Amz_Log_Type="Tail"), False, id="log type"),
        pytest.param(signed(X_Amz_Invocation_Type="Event"), False, id="invocation type"),
        pytest.param(signed(X_Amzn_Trace_Id="Root=1-2-3"), False, id="trace"),
        pytest.param(signed(Origin="http://127.0.0.1:4566"), False, id="origin"),
        pytest.param(signed(Host="localhost:4566"), False, id="host"),
        pytest.param(signed(host="localhost"), False, id="two hosts"),
        pytest.param(signed("123456789012"), False, id="account"),
        pytest.param(signed("ASIAFUNCTION"), False, id="a function's key"),
        pytest.param(signed(Authorization=""), False, id="not signed"),
    ],
)
def test_callers_who_sign_have_one_plan_for_what_they_repeat(other: Request, same: bool) -> None:
    served = _api(account_of={"ASIAFUNCTION": "000000000000"}.get)
    first = served.plan(signed())
    assert first is not None
    assert served.plan(signed()) is first
    found = served.plan(other)
    assert found is not None
    assert (found is first) == same


def test_a_plain_success_is_written_as_the_serializer_writes_it() -> None:
    result = InvokeResult(executed_version="$LATEST", payload=b'{"a":1}')
    served = _api()
    output = {"StatusCode": 200, "ExecutedVersion": "$LATEST", "Payload": b'{"a":1}'}
    assert success(result, "id") == encode(served._tables["Invoke"].serialize(output, "id"))


def _api(**options: Any) -> LambdaApi:
    return api(**options)
