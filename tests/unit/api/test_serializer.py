"""Outputs and errors as AWS writes them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from lampyr import errors
from lampyr.api.serializer import ErrorSerializer, compile_serializer, to_json
from lampyr.api.spec import ServiceModel, service_model
from lampyr.errors import ServiceError
from lampyr.http1 import Response
from tests.unit.api.fakes import header

MODEL = service_model()


def answer(name: str, output: dict[str, Any], model: ServiceModel = MODEL) -> Response:
    return compile_serializer(model, model.operations[name])(output, "id-1")


def refused(error: ServiceError) -> tuple[int, str | None, Any]:
    response = ErrorSerializer(MODEL)(error, "id-1")
    assert header(response, "x-amzn-RequestId") == "id-1"
    assert header(response, "content-type") == "application/json"
    return response.status, header(response, "x-amzn-ErrorType"), json.loads(response.body)


def test_an_invocation_answers_bytes_a_status_and_headers() -> None:
    response = answer(
        "Invoke",
        {
            "StatusCode": 200,
            "FunctionError": "Unhandled",
            "LogResult": None,
            "ExecutedVersion": "$LATEST",
            "Payload": b'{"a":1}',
        },
    )
    assert (response.status, response.body) == (200, b'{"a":1}')
    assert list(response.headers) == [
        ("x-amzn-RequestId", "id-1"),
        ("X-Amz-Function-Error", "Unhandled"),
        ("X-Amz-Executed-Version", "$LATEST"),
        ("content-type", "application/json"),
    ]


def test_an_answer_without_content_has_no_body_and_no_type() -> None:
    response = answer("Invoke", {"StatusCode": 204})
    assert (response.status, response.body) == (204, b"")
    assert header(response, "content-type") is None
    response = answer("DeleteAlias", {})
    assert (response.status, response.body, list(response.headers)) == (
        204,
        b"",
        [("x-amzn-RequestId", "id-1")],
    )


def test_the_status_is_the_models() -> None:
    assert answer("CreateFunction", {"Version": "1"}).status == 201
    assert answer("CreateEventSourceMapping", {}).body == b"{}"
    assert answer("SendDurableExecutionCallbackHeartbeat", {}).body == b"{}"


def test_members_that_are_none_are_left_out_at_every_depth() -> None:
    output = {
        "FunctionName": "größe",
        "Role": None,
        "Environment": {"Variables": {"A": ""}, "Error": None},
        "Architectures": ["x86_64"],
    }
    response = answer("GetFunctionConfiguration", output)
    assert (
        response.body
        == (
            '{"FunctionName":"größe","Environment":{"Variables":{"A":""}},"Architectures":["x86_64"]}'
        ).encode()
    )


def test_times_are_seconds_and_bytes_base64() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert json.loads(answer("GetEventSourceMapping", {"LastModified": moment}).body) == {
        "LastModified": 1_767_225_600.0
    }
    assert json.loads(answer("GetEventSourceMapping", {"LastModified": 1.5}).body) == {
        "LastModified": 1.5
    }


def test_a_member_that_the_model_does_not_have_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        answer("GetFunctionConfiguration", {"Functionname": "f"})


def test_a_header_cannot_begin_another() -> None:
    with pytest.raises(ValueError, match="line break"):
        answer("Invoke", {"ExecutedVersion": "1\r\nSet-Cookie: x"})


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    assert to_json({"a": "x\ud800"}) == b'{"a":"x?"}'


def test_a_response_that_streams_is_not_served() -> None:
    with pytest.raises(errors.NotServedError):
        answer("InvokeWithResponseStream", {"StatusCode": 200})


def test_what_lambdas_model_has_not_though_the_protocol_has() -> None:
    model = ServiceModel(
        {
            "operations": {
                "Do": {
                    "http": {"method": "POST", "requestUri": "/"},
                    "output": {"shape": "Out"},
                },
                "Whole": {
                    "http": {"method": "POST", "requestUri": "/w"},
                    "output": {"shape": "Whole"},
                },
                "Nothing": {"http": {"method": "POST", "requestUri": "/n", "responseCode": 202}},
            },
            "shapes": {
                "Out": {
                    "type": "structure",
                    "members": {
                        "Flag": {"shape": "Flag", "location": "header", "locationName": "X-Flag"},
                        "Type": {
                            "shape": "S",
                            "location": "header",
                            "locationName": "Content-Type",
                        },
                        "When": {"shape": "When", "location": "header", "locationName": "X-When"},
                        "Meta": {"shape": "M", "location": "headers", "locationName": "X-M-"},
                        "Tree": {"shape": "Tree"},
                        "Blobs": {"shape": "Blobs"},
                    },
                },
                "Whole": {
                    "type": "structure",
                    "members": {"Tree": {"shape": "Tree"}},
                    "payload": "Tree",
                },
                "Flag": {"type": "boolean"},
                "When": {"type": "timestamp"},
                "S": {"type": "string"},
                "M": {"type": "map", "key": {"shape": "S"}, "value": {"shape": "S"}},
                "Tree": {"type": "structure", "members": {"Left": {"shape": "Tree"}}},
                "Blobs": {"type": "map", "key": {"shape": "S"}, "value": {"shape": "Blob"}},
                "Blob": {"type": "blob"},
            },
        }
    )
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    output = {
        "Flag": True,
        "Type": "text/plain",
        "When": moment,
        "Meta": {"a": "1"},
        "Tree": {"Left": {"Left": {}}},
        "Blobs": {"b": b"xyz"},
    }
    response = answer("Do", output, model)
    assert list(response.headers) == [
        ("x-amzn-RequestId", "id-1"),
        ("X-Flag", "true"),
        ("Content-Type", "text/plain"),
        ("X-When", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("X-M-a", "1"),
    ]
    assert response.body == b'{"Tree":{"Left":{"Left":{}}},"Blobs":{"b":"eHl6"}}'
    assert answer("Whole", {"Tree": {"Left": {}}}, model).body == b'{"Left":{}}'
    assert answer("Whole", {}, model).body == b"{}"
    assert answer("Nothing", {}, model).status == 202


@pytest.mark.recorded("test_tag_nonexisting_resource/not_found_exception_list")
def test_one_error_says_message_with_a_capital() -> None:
    text = "Function not found: arn:aws:lambda:us-east-1:111111111111:function:f"
    assert refused(errors.ResourceNotFoundException(text)) == (
        404,
        "ResourceNotFoundException",
        {"Type": "User", "Message": text},
    )


@pytest.mark.recorded("test_lambda_eventinvokeconfig_exceptions/put_destination_recursive")
def test_another_says_it_without() -> None:
    text = "You can't specify the function as a destination for itself."
    assert refused(errors.InvalidParameterValueException(text)) == (
        400,
        "InvalidParameterValueException",
        {"Type": "User", "message": text},
    )


@pytest.mark.recorded("test_reserved_concurrency_async_queue/too_many_requests_exc")
def test_an_error_has_its_further_members_where_the_model_puts_them() -> None:
    error = errors.TooManyRequestsException(
        "Rate Exceeded.",
        Reason="ReservedFunctionConcurrentInvocationLimitExceeded",
        retryAfterSeconds="1",
    )
    assert refused(error) == (
        429,
        "TooManyRequestsException",
        {
            "Type": "User",
            "message": "Rate Exceeded.",
            "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded",
        },
    )
    assert header(ErrorSerializer(MODEL)(error, "id-1"), "Retry-After") == "1"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.ValidationException("m"), (400, "ValidationException", {"message": "m"})),
        (errors.SerializationException("m"), (400, "SerializationException", {"message": "m"})),
        (errors.AccessDeniedException("m"), (403, "AccessDeniedException", {"Message": "m"})),
        (
            errors.IncompleteSignatureException("m"),
            (403, "IncompleteSignatureException", {"message": "m"}),
        ),
        (
            errors.UnknownOperationException("m"),
            (404, "UnknownOperationException", {"message": "m"}),
        ),
        (
            errors.RequestEntityTooLargeException("m"),
            (413, "RequestEntityTooLargeException", {"message": "m"}),
        ),
        (
            errors.RequestTooLargeException("m"),
            (413, "RequestTooLargeException", {"Type": "User", "message": "m"}),
        ),
        (
            errors.ServiceException("m"),
            (500, "ServiceException", {"Type": "Service", "Message": "m"}),
        ),
        (
            errors.NotServedError("m"),
            (501, "ServiceException", {"Type": "Service", "Message": "m"}),
        ),
    ],
)
def test_each_error_has_its_status_and_body(error: ServiceError, expected: object) -> None:
    assert refused(error) == expected
