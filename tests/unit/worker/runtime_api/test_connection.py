"""The Runtime API, byte for byte, as a runtime sees it.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import base64
import json
from typing import Any

import pytest

from lampyr.model.invocation import InvokeResult
from lampyr.testing.clock import ManualClock
from lampyr.testing.environments import a_version, an_environment, an_invocation
from lampyr.worker.class_archives import Recorder
from lampyr.worker.environment import ExecutionEnvironment
from lampyr.worker.runtime_api.connection import RuntimeConnection
from lampyr.worker.sandbox.base import Exit
from lampyr.worker.states import State
from lampyr.worker.told import EventUnreadError
from tests.unit.test_http1 import Wire

NEXT = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n"
ID = an_invocation().request_id


class Guest:
    """A runtime at one end of a connection."""

    def __init__(self) -> None:
        self.clock = ManualClock(1_000.0)
        self.environment: ExecutionEnvironment = an_environment(a_version(), self.clock)
        self.here: set[RuntimeConnection] = set()
        self.connect()

    def connect(self) -> None:
        self.connection = RuntimeConnection(
            self.environment, arrived=self.here.add, left=self.here.discard
        )
        self.wire = Wire()
        self.connection.connection_made(self.wire)

    def on_another_connection(self) -> "Guest":
        other = Guest.__new__(Guest)
        other.clock, other.environment, other.here = self.clock, self.environment, self.here
        other.connect()
        return other

    def send(self, data: bytes) -> bytes:
        """What comes back at once."""
        before = len(self.wire.sent)
        self.connection.data_received(data)
        return self.wire.sent[before:]

    def post(self, path: str, body: bytes = b"", headers: str = "") -> bytes:
        head = f"POST /2018-06-01/runtime/{path} HTTP/1.1\r\n{headers}"
        return self.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def invoke(self, **more: Any) -> Any:
        now = self.clock.monotonic()
        invocation = an_invocation(**more)
        return self.environment.invoke(invocation, started=now, deadline=now + 3)


@pytest.fixture
async def guest() -> Guest:
    return Guest()


def split(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, body


async def test_next_gives_the_event_with_all_its_headers(guest: Guest) -> None:
    assert guest.send(NEXT) == b"", "next waits until there is work"
    guest.invoke(
        payload=b'{"k":1}',
        client_context='{"client":{}}',
        cognito_identity='{"cognitoIdentityId":"i"}',
        tenant_id="blue",
    )
    status, headers, body = split(guest.wire.sent)
    assert (status, body) == (200, b'{"k":1}')
    assert headers == {
        "content-type": "application/json",
        "Lambda-Runtime-Aws-Request-Id": ID,
        "Lambda-Runtime-Deadline-Ms": "1003000",
        "Lambda-Runtime-Invoked-Function-Arn": (
            "arn:aws:lambda:us-east-1:000000000000:function:hello"
        ),
        "Lambda-Runtime-Trace-Id": "Root=1-2-3;Parent=4;Sampled=0",
        "Lambda-Runtime-Client-Context": '{"client":{}}',
        "Lambda-Runtime-Cognito-Identity": '{"cognitoIdentityId":"i"}',
        "Lambda-Runtime-Aws-Tenant-Id": "blue",
        "content-length": "7",
    }


async def test_a_response_and_the_next_next_may_come_in_one_write(guest: Guest) -> None:
    guest.send(NEXT)
    result = guest.invoke()
    head = f"POST /2018-06-01/runtime/invocation/{ID}/response HTTP/1.1\r\nContent-Length: 2"
    assert guest.send(head.encode() + b"\r\n\r\n42" + NEXT) == b"", "nobody waits for the 202"
    assert (await result).payload == b"42"
    assert guest.environment.state is State.READY
    before = len(guest.wire.sent)
    guest.invoke(payload=b"43")
    accepted, event = guest.wire.sent[before:].split(b"HTTP/1.1 200 OK")
    assert accepted.startswith(b"HTTP/1.1 202 Accepted")
    assert event.endswith(b"\r\n\r\n43")


async def test_an_error_carries_its_body_to_the_caller(guest: Guest) -> None:
    guest.send(NEXT)
    result = guest.invoke()
    body = b'{"errorType":"ValueError","errorMessage":"no","stackTrace":[]}'
    status, _, _ = split(guest.post(f"invocation/{ID}/error", body))
    answer: InvokeResult = await result
    assert (status, answer.function_error, answer.payload) == (202, "Unhandled", body)


async def test_a_streamed_response_is_gathered(guest: Guest) -> None:
    guest.send(NEXT)
    result = guest.invoke()
    head = (
        f"POST /2018-06-01/runtime/invocation/{ID}/response HTTP/1.1\r\n"
        "Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    guest.send(head.encode() + b"3\r\nabc\r\n")
    guest.send(b"2\r\nde\r\n0\r\n\r\n")
    assert (await result).payload == b"abcde"


async def test_a_stream_that_broke_tells_why_in_its_trailers(guest: Guest) -> None:
    guest.send(NEXT)
    result = guest.invoke()
    error = b'{"errorType":"StreamError"}'
    head = (
        f"POST /2018-06-01/runtime/invocation/{ID}/response HTTP/1.1\r\n"
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
        "Lambda-Runtime-Function-Error-Type: StreamError\r\n"
        f"Lambda-Runtime-Function-Error-Body: {base64.b64encode(error).decode()}\r\n\r\n"
    )
    guest.send(head.encode())
    answer: InvokeResult = await result
    assert (answer.function_error, answer.payload) == ("Unhandled", error)


async def test_a_response_over_the_limit_is_refused_and_the_environment_goes_on(
    guest: Guest,
) -> None:
    guest.send(NEXT)
    result = guest.invoke()
    status, _, body = split(guest.post(f"invocation/{ID}/response", bytes(7 * 1024 * 1024)))
    assert (status, json.loads(body)["errorType"]) == (413, "RequestEntityTooLarge")
    assert b"ResponseSizeTooLarge" in (await result).payload
    guest.send(NEXT)
    assert guest.environment.state is State.READY


async def test_an_init_error_ends_the_environment(guest: Guest) -> None:
    body = b'{"errorType":"Runtime.ImportModuleError","errorMessage":"m"}'
    header = "Lambda-Runtime-Function-Error-Type: Runtime.ImportModuleError\r\n"
    status, _, _ = split(guest.post("init/error", body, header))
    failure = await guest.environment.initialized(1)
    assert status == 202
    assert failure is not None
    assert (failure.error_type, failure.payload) == ("Runtime.ImportModuleError", body)


async def test_restore_ends_at_once_because_nothing_was_frozen(guest: Guest) -> None:
    get = b"GET /2018-06-01/runtime/restore/next HTTP/1.1\r\n\r\n"
    assert split(guest.send(get))[0] == 200
    guest.send(NEXT)
    assert guest.environment.state is State.READY
    assert split(guest.on_another_connection().send(get))[0] == 403


class Archive(Recorder):
    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.whole: bool | None = None

    def write(self, data: bytes) -> bool:
        self.pieces.append(data)
        return True

    def finish(self, *, whole: bool) -> None:
        self.whole = whole


@pytest.mark.lampyr_only
async def test_an_archive_of_classes_is_taken_in_pieces_once_and_by_who_was_asked(
    guest: Guest,
) -> None:
    data = bytes(range(256)) * 40_000
    assert split(guest.post("restore/archive", data))[0] == 404
    archive = Archive()
    guest.environment.recorder = archive
    assert split(guest.post("restore/archive", data))[0] == 202
    assert b"".join(archive.pieces) == data
    assert archive.whole
    assert split(guest.post("restore/archive", b"x"))[0] == 404


@pytest.mark.parametrize(
    ("path", "status", "error_type"),
    [
        pytest.param("invocation/other/response", 400, "InvalidRequestID", id="another's id"),
        pytest.param("invocation/other/error", 400, "InvalidRequestID", id="an error, too"),
        pytest.param("invocation/other/nonsense", 404, "NotFound", id="no such verb"),
        pytest.param("nonsense", 404, "NotFound", id="no such path"),
        pytest.param("init/error", 403, "InvalidStateTransition", id="Init is over"),
    ],
)
async def test_what_a_runtime_may_not_say_is_refused(
    guest: Guest, path: str, status: int, error_type: str
) -> None:
    guest.send(NEXT)
    got, _, body = split(guest.on_another_connection().post(path))
    assert (got, json.loads(body)["errorType"]) == (status, error_type)
    assert guest.environment.state is State.READY


async def test_answers_come_in_the_order_of_the_requests(guest: Guest) -> None:
    guest.send(NEXT)
    assert guest.post("nonsense") == b""
    assert guest.send(NEXT) == b""
    guest.invoke()
    statuses = [int(part.split()[0]) for part in guest.wire.sent.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200, 404, 403]


async def test_a_connection_that_is_lost_is_forgotten(guest: Guest) -> None:
    guest.send(NEXT)
    guest.connection.connection_lost(None)
    assert not guest.here


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ("User-Agent: a\r\nContent-Type: application/json\r\nContent-Length: 2", b"42"),
        ("content-length: 2\r\nAccept: */*", b"42"),
        ("Content-Length: 2\r\nConnection: keep-alive", b"42"),
        ("Content-Length: 2\r\nLambda-Runtime-Function-Response-Mode: buffered", b"42"),
        ("Content-Length: 0", b""),
        ("Transfer-Encoding: chunked", b"2\r\n42\r\n0\r\n\r\n"),
        ("Content-Length: 2\r\nX: \x07", b"42"),
        ("Content-Length: 2\r\nContent-Length: 3", b"42"),
        ("Content-Length: -2", b"42"),
        ("Content-Length: 2\r\nConnection: close", b"42"),
        ("Content-Length: 2\r\nExpect: 100-continue", b"42"),
    ],
)
async def test_a_response_means_the_same_in_one_piece_and_byte_by_byte(
    headers: str, body: bytes
) -> None:
    line = f"POST /2018-06-01/runtime/invocation/{ID}/response HTTP/1.1\r\n"
    data = f"{line}{headers}\r\n\r\n".encode() + body
    seen = []
    for pieces in ([data], [data[at : at + 1] for at in range(len(data))]):
        guest = Guest()
        guest.send(NEXT)
        outcome = guest.invoke()
        answers = b""
        for piece in pieces:
            if b" 400 " not in answers:  # After that the connection is closed.
                answers += guest.send(piece)
        answers = answers.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
        told = outcome.result().payload if outcome.done() else None
        seen.append((answers, told, guest.environment.state))
        outcome.cancel()
    assert seen[0] == seen[1]


async def test_a_response_to_what_is_over_is_refused_also_when_it_is_plain(guest: Guest) -> None:
    guest.send(NEXT)
    guest.invoke()
    other = guest.on_another_connection()
    assert other.post(f"invocation/{ID}/response", b"1").startswith(b"HTTP/1.1 202 ")
    assert guest.post(f"invocation/{ID}/response", b"2").startswith(b"HTTP/1.1 400 ")
    assert guest.send(NEXT) == b""
    second = guest.invoke(request_id="2" * 36)
    assert guest.post(f"invocation/{ID}/response", b"3").startswith(b"HTTP/1.1 400 ")
    assert not second.done()
    assert guest.post(f"invocation/{'2' * 36}/response", b"4").startswith(b"HTTP/1.1 202 ")
    assert (await second).payload == b"4"


@pytest.mark.parametrize("how", ["closed before", "reset after"])
async def test_an_event_that_nobody_read_is_handed_back(guest: Guest, how: str) -> None:
    guest.send(NEXT)
    if how == "closed before":
        guest.wire.close()
    result = guest.invoke()
    reset = None if how == "closed before" else ConnectionResetError()
    guest.connection.connection_lost(reset)
    guest.environment.exited(Exit(signal=9))
    with pytest.raises(EventUnreadError) as caught:
        await result
    assert b"signal: killed" in caught.value.failure.payload


async def test_an_event_that_was_read_is_not_handed_back(guest: Guest) -> None:
    guest.send(NEXT)
    result = guest.invoke()
    guest.connection.connection_lost(None)
    guest.environment.exited(Exit(signal=9))
    assert (await result).function_error == "Unhandled"
