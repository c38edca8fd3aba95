"""From a request to an answer, whatever the request is."""

import json
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from lampyr.api.app import random_id
from lampyr.api.call import Call
from lampyr.errors import ResourceNotFoundException
from lampyr.http1 import Response
from tests.unit.api.fakes import answering, api, header, request

INVOKE = "/2015-03-31/functions/hello/invocations"


def error(response: Response) -> tuple[int, str | None, str]:
    body = json.loads(response.body)
    text = body.get("message") or body.get("Message")
    return response.status, header(response, "x-amzn-ErrorType"), text


async def test_an_operation_gets_its_input_and_knows_its_caller() -> None:
    seen: list[tuple[Call, dict[str, Any]]] = []

    async def invoke(call: Call, given: dict[str, Any]) -> Mapping[str, Any]:
        seen.append((call, given))
        return {"StatusCode": 200, "Payload": b"1"}

    scope = "123456789012/20261121/us-east-2/lambda/aws4_request"
    headers = {
        "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=h, Signature=s",
        "x-amzn-trace-id": "Root=1-a-b;Parent=c;Sampled=1",
        "host": "localhost:9",
    }
    server = api({"Invoke": invoke})
    response = await server.handle(request("POST", f"{INVOKE}?Qualifier=1", b"{}", headers))
    assert (response.status, response.body) == (200, b"1")
    [(call, given)] = seen
    assert given == {"FunctionName": "hello", "Qualifier": "1", "Payload": b"{}"}
    assert (call.account_id, call.region) == ("123456789012", "us-east-2")
    assert (call.base_url, call.trace_header) == ("http://localhost:9", headers["x-amzn-trace-id"])
    assert call.request_id == header(response, "x-amzn-RequestId")


async def test_a_refusal_is_answered_as_such() -> None:
    async def refuse(_call: Call, _given: dict[str, Any]) -> Mapping[str, Any]:
        raise ResourceNotFoundException("Function not found: x")

    response = await api({"Invoke": refuse}).handle(request("POST", INVOKE))
    assert error(response) == (404, "ResourceNotFoundException", "Function not found: x")


async def test_limits_are_checked_before_the_operation_sees_the_call() -> None:
    response = await api({"Invoke": answering({})}).handle(
        request("POST", INVOKE, headers={"x-amz-log-type": "All"})
    )
    assert error(response) == (
        400,
        "ValidationException",
        (
            "1 validation error detected: Value 'All' at 'logType' failed to satisfy constraint: "
            "Member must satisfy enum value set: [Tail, None]"
        ),
    )


async def test_a_mistake_of_ours_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(_call: Call, _given: dict[str, Any]) -> Mapping[str, Any]:
        raise RuntimeError("the password is hunter2")

    with caplog.at_level(logging.ERROR, "lampyr.api.app"):
        response = await api({"Invoke": fail}).handle(request("POST", INVOKE))
    status, kind, text = error(response)
    request_id = header(response, "x-amzn-RequestId")
    assert (status, kind) == (500, "ServiceException")
    assert json.loads(response.body)["Type"] == "Service"
    assert "hunter2" not in text
    assert request_id is not None
    assert request_id in text
    [record] = caplog.records
    assert record.__dict__["request_id"] == request_id
    assert "hunter2" in caplog.text


async def test_an_operation_that_is_not_served_says_so_and_is_no_success() -> None:
    response = await api().handle(request("GET", "/2018-10-31/layers"))
    assert error(response) == (501, "ServiceException", "Lampyr does not serve ListLayers yet")


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        ("GET", "/", "GET / is no operation of Lambda"),
        (
            "PATCH",
            "/2015-03-31/functions/f",
            "PATCH /2015-03-31/functions/f is no operation of Lambda; this path takes DELETE, GET",
        ),
    ],
)
async def test_a_path_that_is_no_operation_is_named(method: str, path: str, text: str) -> None:
    response = await api().handle(request(method, path))
    assert error(response) == (404, "UnknownOperationException", text)


async def test_a_web_page_can_neither_change_anything_nor_pretend_to_be_here() -> None:
    server = api({"Invoke": answering({"StatusCode": 200})})
    foreign = request("POST", INVOKE, headers={"origin": "https://evil.example"})
    assert (await server.handle(foreign)).status == 403
    rebound = request("GET", "/2015-03-31/functions", headers={"host": "evil.example"})
    assert (await server.handle(rebound)).status == 403
    assert (await server.handle(request("POST", INVOKE))).status == 200


@pytest.mark.parametrize(("encoding", "status"), [("gzip", 415), ("identity", 200), ("", 200)])
async def test_a_body_that_is_encoded_is_refused(encoding: str, status: int) -> None:
    server = api({"Invoke": answering({"StatusCode": 200})})
    asked = request("POST", INVOKE, b"{}", {"content-encoding": encoding})
    assert (await server.handle(asked)).status == status


@pytest.mark.parametrize(
    ("method", "path", "limit", "kind", "text"),
    [
        (
            "POST",
            INVOKE,
            6_291_456,
            "RequestTooLargeException",
            "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
        ),
        (
            "POST",
            "/2015-03-31/functions",
            70_167_211,
            "RequestEntityTooLargeException",
            "Request must be smaller than 70167211 bytes for the CreateFunction operation",
        ),
        (
            "PUT",
            "/2015-03-31/functions/f/code",
            70_167_211,
            "RequestEntityTooLargeException",
            "Request must be smaller than 70167211 bytes for the UpdateFunctionCode operation",
        ),
        (
            "PUT",
            "/2017-10-31/functions/f/concurrency",
            1_048_576,
            "RequestEntityTooLargeException",
            "Request must be smaller than 1048576 bytes for the PutFunctionConcurrency operation",
        ),
        (
            "POST",
            "/nowhere",
            1_048_576,
            "RequestEntityTooLargeException",
            "Request must be smaller than 1048576 bytes for the request",
        ),
    ],
)
def test_each_operation_has_a_limit_on_its_body(
    method: str, path: str, limit: int, kind: str, text: str
) -> None:
    server = api()
    assert server.body_limit(request(method, path)) == limit
    assert error(server.too_large(request(method, path))) == (413, kind, text)


def test_request_ids_are_version_4_uuids() -> None:
    import uuid

    found = [random_id() for _ in range(100)]
    assert len(set(found)) == 100
    assert all(uuid.UUID(one).version == 4 and str(uuid.UUID(one)) == one for one in found)
    assert all(uuid.UUID(one).variant == uuid.RFC_4122 for one in found)
