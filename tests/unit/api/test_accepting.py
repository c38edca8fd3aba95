"""Events that are accepted without a task: what the long way would have said, or left to it."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from lampyr.api.app import LambdaApi
from lampyr.errors import TooManyRequestsException
from lampyr.http1 import encode
from lampyr.model.event import Content
from lampyr.model.function import Function, FunctionKey
from lampyr.testing.builders import a_function, a_key
from tests.unit.api.fakes import api, request, services

KEY = a_key(account_id="000000000000", region="eu-west-1")
PATH = "/2015-03-31/functions/hello/invocations"


class Queue:
    def __init__(self) -> None:
        self.put_in: list[tuple[str | None, Content, Callable[[BaseException | None], None]]] = []
        self.full = False

    def put(
        self,
        function: Function,
        qualifier: str | None,
        content: Content,
        durable: Callable[[BaseException | None], None],
    ) -> None:
        assert function.key == KEY
        if self.full:
            raise TooManyRequestsException("Rate Exceeded.")
        self.put_in.append((qualifier, content, durable))


class Functions:
    def __init__(self, function: Function | None) -> None:
        self.function = function

    def known(self, key: FunctionKey) -> Function | None:
        return self.function if key == KEY else None


class Bench:
    def __init__(self, function: Function | None = None) -> None:
        self.queue = Queue()
        functions = Functions(function or a_function(KEY))
        store = cast("Any", type("Store", (), {"functions": functions}))
        given = replace(services(), store=store, queue=cast("Any", self.queue))
        self.api: LambdaApi = api(services=given)
        self.answers: list[bytes] = []

    def begin(self, body: bytes, path: str = PATH, **headers: str) -> bool:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        event = {"x-amz-invocation-type": "Event", **named}
        plan = self.api.plan(request("POST", path, b"", event))
        assert plan is not None
        return self.api.begin(plan, body, self.answers.append)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_an_event_is_answered_when_it_is_durable_as_the_serializer_writes_it(bench: Bench) -> None:
    assert bench.begin(b'{"a": 1}', x_amzn_trace_id="Root=1-2-3;Parent=4;Sampled=1")
    ((qualifier, content, durable),) = bench.queue.put_in
    assert (qualifier, content.payload) == (None, b'{"a": 1}')
    assert content.trace_header == "Root=1-2-3;Parent=4;Sampled=1"
    assert not bench.answers
    durable(None)
    written = bench.api._tables["Invoke"].serialize({"StatusCode": 202}, content.request_id)
    assert bench.answers == [encode(written)]


def test_an_event_without_a_payload_is_an_empty_object(bench: Bench) -> None:
    assert bench.begin(b"", path=f"{PATH}?Qualifier=$LATEST")
    ((qualifier, content, _),) = bench.queue.put_in
    assert (qualifier, content.payload) == ("$LATEST", b"{}")


def test_who_cannot_be_kept_hears_of_it(bench: Bench) -> None:
    bench.begin(b"{}")
    bench.queue.put_in[0][2](OSError("no space left"))
    (answer,) = bench.answers
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 500 ")
    assert b"ServiceException" in head
    assert "no space" not in json.loads(body)["Message"]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(b"{no json", {}, id="no JSON"),
        pytest.param(b"{}", {"x_amz_tenant_id": "t"}, id="a tenant of a function without"),
        pytest.param(b'"' + b"x" * 300_000 + b'"', {}, id="takes long to check"),
    ],
)
def test_what_is_refused_or_takes_longer_goes_the_long_way(
    bench: Bench, body: bytes, headers: dict[str, str]
) -> None:
    assert not bench.begin(body, **headers)
    assert not bench.queue.put_in
    assert not bench.answers


def test_a_full_queue_and_an_unknown_function_are_the_long_ways_to_say(bench: Bench) -> None:
    bench.queue.full = True
    assert not bench.begin(b"{}")
    assert not bench.begin(b"{}", path=PATH.replace("hello", "other"))
    assert not bench.begin(b"{}", path=f"{PATH}?Qualifier=7")
    assert not bench.answers
