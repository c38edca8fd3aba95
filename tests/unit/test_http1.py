"""HTTP/1.1: what a connection understands, in whatever pieces it arrives."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lampyr.http1 import HEADER_BYTES_MAX, Connection, Request, Response, encode


class Wire(asyncio.Transport):
    """A transport that remembers what was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.sent += bytes(data)

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


class Recorder(Connection):
    def __init__(self, limit: int = 1_000) -> None:
        super().__init__()
        self.requests: list[Request] = []
        self.limit = limit
        self.wire = Wire()
        self.connection_made(self.wire)

    def received(self, request: Request) -> None:
        self.requests.append(request)

    def body_limit(self, request: Request) -> int:
        return self.limit


def test_a_request_has_method_path_query_headers_and_body() -> None:
    connection = Recorder()
    connection.data_received(
        b"POST /a%2Fb?x=1&y HTTP/1.1\r\nHost: h\r\nX-One: 1\r\nX-One: 2\r\n"
        b"Content-Length: 2\r\n\r\nhi"
    )
    (request,) = connection.requests
    assert (request.method, request.path, request.query) == ("POST", "/a%2Fb", "x=1&y")
    assert request.headers == {"host": "h", "x-one": "2", "content-length": "2"}
    assert request.body == b"hi"
    assert request.keep_alive


@given(st.lists(st.integers(min_value=1, max_value=40), max_size=30))
def test_it_does_not_matter_how_the_bytes_are_cut(cuts: list[int]) -> None:
    data = (
        b"POST /one HTTP/1.1\r\nContent-Length: 11\r\n\r\nhello world"
        b"POST /two?q HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n2\r\nde\r\n0\r\nX-End: z\r\n\r\n"
        b"GET /three HTTP/1.1\r\n\r\n"
    )
    connection = Recorder()
    for cut in [*cuts, len(data)]:
        part, data = data[:cut], data[cut:]
        if part:
            connection.data_received(part)
    assert [(r.path, r.body) for r in connection.requests] == [
        ("/one", b"hello world"),
        ("/two", b"abcde"),
        ("/three", b""),
    ]
    assert connection.requests[1].trailers == {"x-end": "z"}
    assert connection.requests[0].trailers == {}


def test_a_body_over_the_limit_is_forgotten_and_said() -> None:
    connection = Recorder(limit=4)
    connection.data_received(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345")
    connection.data_received(b"GET /n HTTP/1.1\r\n\r\n")
    first, second = connection.requests
    assert (first.too_large, first.body) == (True, b"")
    assert (second.path, second.too_large) == ("/n", False)


def test_expect_continue_is_answered_before_the_body() -> None:
    connection = Recorder()
    head = b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"
    connection.data_received(head)
    assert connection.wire.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.data_received(b"x")
    assert connection.requests[0].body == b"x"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(b"NONSENSE\r\n\r\n", b"400", id="no HTTP"),
        pytest.param(
            b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"400",
            id="two lengths: smuggling",
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nX: " + b"a" * (HEADER_BYTES_MAX + 1), b"431", id="endless header"
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            b"400",
            id="upgrade",
        ),
    ],
)
def test_a_peer_that_breaks_the_protocol_is_cut_off(data: bytes, status: bytes) -> None:
    connection = Recorder()
    for start in range(0, len(data), 8192):
        if not connection.wire.is_closed:
            connection.data_received(data[start : start + 8192])
    assert connection.wire.sent.startswith(b"HTTP/1.1 " + status)
    assert connection.wire.is_closed


def test_an_answer_without_a_body_says_nothing_of_its_length() -> None:
    assert encode(Response(204)) == b"HTTP/1.1 204 No Content\r\n\r\n"
    answer = encode(Response(200, (("a", "b"),), b"xyz"), keep_alive=False)
    assert answer == b"HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 3\r\nconnection: close\r\n\r\nxyz"
    assert encode(Response(200, (), b"xyz"), head_only=True).endswith(b"content-length: 3\r\n\r\n")
