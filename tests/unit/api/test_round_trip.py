"""What botocore sends we read, and what we send botocore reads: for every operation."""

import io
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.awsrequest import AWSRequest, HeadersDict, prepare_request_dict
from botocore.model import ServiceModel as BotocoreModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from lampyr.api.parser import compile_parser
from lampyr.api.router import Router, parse_query
from lampyr.api.serializer import compile_serializer
from lampyr.api.spec import service_model
from tests.unit.api.botocore_model import raw_model
from tests.unit.api.generate import Generator

MODEL = service_model()
BOTOCORE = BotocoreModel(raw_model(), "lambda")
ROUTER = Router(MODEL.operations.values())
TIMES = 20
STREAMS = {"InvokeWithResponseStream"}


def prepared(name: str, arguments: dict[str, Any]) -> Any:
    serializer = create_serializer("rest-json", include_validation=False)
    made = serializer.serialize_to_request(arguments, BOTOCORE.operation_model(name))
    prepare_request_dict(made, endpoint_url="http://127.0.0.1:4566")
    return AWSRequest(
        method=made["method"], url=made["url"], headers=made["headers"], data=made["body"]
    ).prepare()


@pytest.mark.parametrize("name", MODEL.operations)
def test_what_botocore_sends_is_read_as_it_was_meant(name: str) -> None:
    generate = Generator(MODEL, seed=len(name))
    parse = compile_parser(MODEL, MODEL.operations[name])
    for turn in range(TIMES):
        arguments = generate.input(MODEL.operations[name], sparse=turn % 2 == 0)
        sent = prepared(name, arguments)
        url = urlsplit(sent.url)
        found = ROUTER.match(sent.method, url.path, parse_query(url.query))
        assert found is not None
        operation, labels = found
        assert operation.name == name
        headers = {
            k.lower(): v if isinstance(v, str) else v.decode() for k, v in sent.headers.items()
        }
        body = sent.body if isinstance(sent.body, bytes) else (sent.body or "").encode()
        read = parse(labels, url.query, headers, body)
        assert _said(name, read) == _said(name, arguments)


def _said(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Without what looks on the wire as if it were not there: empty lists in a query, and a
    structure without members that is the body."""
    if (input_shape := MODEL.operations[name].input) is None:
        return arguments
    shape = MODEL.shape(input_shape)
    return {
        key: value
        for key, value in arguments.items()
        if not (shape.members[key].location == "querystring" and value == [])
        and not (key == shape.payload and value == {})
    }


@pytest.mark.parametrize("name", [n for n in MODEL.operations if n not in STREAMS])
def test_what_is_answered_is_read_by_botocore_as_it_was_meant(name: str) -> None:
    generate = Generator(MODEL, seed=len(name))
    serialize = compile_serializer(MODEL, MODEL.operations[name])
    parser = create_parser("rest-json")
    shape: Any = BOTOCORE.operation_model(name).output_shape
    for _ in range(TIMES):
        output = generate.output(MODEL.operations[name])
        response = serialize(output, "id")
        parsed = parser.parse(
            {
                "status_code": response.status,
                "headers": HeadersDict(response.headers),
                # A body that is a member as it stands is streamed.
                "body": io.BytesIO(response.body) if name == "Invoke" else response.body,
            },
            shape,
        )
        metadata = parsed.pop("ResponseMetadata")
        assert metadata["RequestId"] == "id"
        for member, location in _defaults(name):
            parsed.setdefault(member, None)
            output.setdefault(member, response.status if location == "statusCode" else b"")
        if name == "Invoke":
            parsed["Payload"] = parsed["Payload"].read()
        assert parsed == output


def _defaults(name: str) -> list[tuple[str, str | None]]:
    """Members that botocore fills in when they are not there: the status and a streamed body."""
    output = MODEL.operations[name].output
    if output is None:
        return []
    shape = MODEL.shape(output)
    return [
        (m.name, m.location)
        for m in shape.members.values()
        if m.location == "statusCode" or m.name == shape.payload
    ]
