"""What does not fit the model's types is refused, and how."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from lampyr.api.parser import compile_parser, parse_json
from lampyr.api.spec import ServiceModel, service_model
from lampyr.errors import InvalidRequestContentException, SerializationException

MODEL = service_model()


def parsed(
    name: str,
    body: bytes = b"",
    *,
    query: str = "",
    headers: dict[str, str] | None = None,
    labels: dict[str, str] | None = None,
) -> dict[str, Any]:
    parse = compile_parser(MODEL, MODEL.operations[name])
    return parse(dict(labels or {}), query, headers or {}, body)


def test_an_invocation_is_its_headers_its_query_and_its_bytes() -> None:
    assert parsed(
        "Invoke",
        b"\xff\x00",
        query="Qualifier=live&Unknown=1",
        headers={"x-amz-log-type": "Tail", "x-amz-client-context": "e30="},
        labels={"FunctionName": "f"},
    ) == {
        "FunctionName": "f",
        "LogType": "Tail",
        "ClientContext": "e30=",
        "Qualifier": "live",
        "Payload": b"\xff\x00",
    }


def test_nothing_sent_is_nothing_given() -> None:
    assert parsed("GetAccountSettings") == {}
    assert parsed("CreateFunction") == {}
    assert parsed("Invoke", query="", labels={"FunctionName": "f"}) == {"FunctionName": "f"}


def test_members_that_are_null_or_unknown_are_not_there() -> None:
    body = b'{"Description":null,"Nonsense":{"a":[1]},"Timeout":3,"VpcConfig":{"SubnetIds":null}}'
    assert parsed("CreateFunction", body) == {"Timeout": 3, "VpcConfig": {}}


def test_of_a_key_that_comes_twice_the_last_counts() -> None:
    assert parsed("CreateFunction", b'{"Timeout":1,"Timeout":2}') == {"Timeout": 2}


def test_a_package_is_decoded() -> None:
    body = b'{"ZipFile":"%s"}' % base64.b64encode(b"PK\x03\x04")
    assert parsed("UpdateFunctionCode", body) == {"ZipFile": b"PK\x03\x04"}


def test_values_in_a_query_have_their_types() -> None:
    query = "Statuses=RUNNING&Statuses=FAILED&ReverseOrder=TRUE&MaxItems=-5&StartedAfter=1.5"
    assert parsed("ListDurableExecutionsByFunction", query=query) == {
        "Statuses": ["RUNNING", "FAILED"],
        "ReverseOrder": True,
        "MaxItems": -5,
        "StartedAfter": datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC),
    }


@pytest.mark.parametrize(
    "text",
    [
        *("1763700000", "1763700000.0", "2025-11-21T04:40:00Z", "2025-11-21T05:40:00%2B01:00"),
        *("2025-11-21T04:40:00", "Fri,%2021%20Nov%202025%2004:40:00%20GMT"),
    ],
)
def test_a_time_is_read_in_every_form_there_is(text: str) -> None:
    found = parsed("ListDurableExecutionsByFunction", query=f"StartedAfter={text}")
    assert found["StartedAfter"].timestamp() == 1_763_700_000


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("MaxItems=x", "STRING_VALUE can not be converted to an Integer"),
        ("MaxItems=1_0", "STRING_VALUE can not be converted to an Integer"),
        ("MaxItems=%201", "STRING_VALUE can not be converted to an Integer"),
        ("MaxItems=%D9%A1", "STRING_VALUE can not be converted to an Integer"),
        ("MaxItems=2147483648", "NUMBER_VALUE can not be converted to an Integer"),
        ("ReverseOrder=yes", "STRING_VALUE can not be converted to a Boolean"),
        ("StartedAfter=never", "STRING_VALUE can not be converted to a Timestamp"),
        ("StartedAfter=1e400", "STRING_VALUE can not be converted to a Timestamp"),
        ("StartedAfter=99999999999999", "STRING_VALUE can not be converted to a Timestamp"),
    ],
)
def test_values_in_a_query_that_do_not_fit(query: str, message: str) -> None:
    with pytest.raises(SerializationException) as caught:
        parsed("ListDurableExecutionsByFunction", query=query)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("operation", "body", "message"),
    [
        ("CreateFunction", '{"Timeout":"3"}', "STRING_VALUE can not be converted to an Integer"),
        ("CreateFunction", '{"Timeout":3.0}', "DECIMAL_VALUE can not be converted to an Integer"),
        ("CreateFunction", '{"Timeout":true}', "TRUE_VALUE can not be converted to an Integer"),
        ("CreateFunction", '{"Timeout":[]}', "Start of list found where not expected"),
        ("CreateFunction", '{"Timeout":1e999}', "DECIMAL_VALUE can not be converted to an Integer"),
        (
            "CreateFunction",
            f'{{"Timeout":{2**31}}}',
            "NUMBER_VALUE can not be converted to an Integer",
        ),
        ("CreateFunction", '{"Handler":1}', "NUMBER_VALUE can not be converted to a String"),
        ("CreateFunction", '{"Handler":false}', "FALSE_VALUE can not be converted to a String"),
        ("CreateFunction", '{"Handler":{}}', "Start of structure or map found where not expected."),
        ("CreateFunction", '{"Handler":"\\ud800"}', "Invalid Unicode in a String"),
        ("CreateFunction", '{"Publish":"true"}', "STRING_VALUE can not be converted to a Boolean"),
        ("CreateFunction", '{"Layers":"x"}', "Expected list or null"),
        ("CreateFunction", '{"Layers":{}}', "Start of structure or map found where not expected."),
        ("CreateFunction", '{"Code":"x"}', "Expected null"),
        ("CreateFunction", '{"Code":[]}', "Start of list found where not expected"),
        ("CreateFunction", '{"Tags":[]}', "Start of list found where not expected"),
        ("CreateFunction", '{"Tags":{"a":1}}', "NUMBER_VALUE can not be converted to a String"),
        ("CreateFunction", '{"Tags":1}', "Expected null"),
        ("CreateFunction", "[]", "Start of list found where not expected"),
        ("CreateFunction", '"x"', "Expected null"),
        ("CreateFunction", "null", "Expected null"),
        ("UpdateFunctionCode", '{"ZipFile":1}', "NUMBER_VALUE can not be converted to a Blob"),
        (
            "CreateEventSourceMapping",
            '{"StartingPositionTimestamp":true}',
            "TRUE_VALUE can not be converted to a Timestamp",
        ),
        (
            "CreateAlias",
            '{"RoutingConfig":{"AdditionalVersionWeights":{"1":"x"}}}',
            "STRING_VALUE can not be converted to a Double",
        ),
        (
            "CreateAlias",
            f'{{"RoutingConfig":{{"AdditionalVersionWeights":{{"1":{10**400}}}}}}}',
            "NUMBER_VALUE can not be converted to a Double",
        ),
        (
            "CreateAlias",
            '{"RoutingConfig":{"AdditionalVersionWeights":{"1":1e999}}}',
            "DECIMAL_VALUE can not be converted to a Double",
        ),
    ],
)
def test_json_of_the_wrong_types(operation: str, body: str, message: str) -> None:
    with pytest.raises(SerializationException) as caught:
        parsed(operation, body.encode())
    assert caught.value.message == message


@pytest.mark.parametrize("text", ["@", "YQ", "YQ=", "=YQ=", "YQ==YQ==", "Y Q==", "ä"])
def test_text_that_is_no_base64(text: str) -> None:
    with pytest.raises(SerializationException, match="can not be converted to a Blob"):
        parsed("UpdateFunctionCode", f'{{"ZipFile":"{text}"}}'.encode())


@pytest.mark.parametrize(
    "body",
    [
        *(b"{", b"", b"\xff", b'{"a":NaN}', b"-Infinity", b"{'a':1}", b"[" * 100_000, b"9" * 5_000),
        *(b'{"a":1}x', b"\xef\xbb\xbf{}"),
    ],
)
def test_what_is_no_json(body: bytes) -> None:
    with pytest.raises(InvalidRequestContentException) as caught:
        parse_json(body)
    assert caught.value.message.startswith("Could not parse request body into json: ")


def made_up(**members: Any) -> ServiceModel:
    """A model with what Lambda's has not, though the protocol has."""
    return ServiceModel(
        {
            "operations": {
                "Do": {"http": {"method": "POST", "requestUri": "/{Id}"}, "input": {"shape": "In"}}
            },
            "shapes": {
                "In": {"type": "structure", "members": members},
                "Int": {"type": "integer"},
                "Double": {"type": "double"},
                "Strings": {"type": "map", "key": {"shape": "S"}, "value": {"shape": "S"}},
                "S": {"type": "string"},
                "Tree": {"type": "structure", "members": {"Left": {"shape": "Tree"}}},
                "Odd": {"type": "bigdecimal"},
            },
        }
    )


def test_header_maps_labels_that_are_numbers_and_shapes_inside_themselves() -> None:
    model = made_up(
        Id={"shape": "Int", "location": "uri", "locationName": "Id"},
        Weight={"shape": "Double", "location": "header", "locationName": "X-Weight"},
        Meta={"shape": "Strings", "location": "headers", "locationName": "X-Meta-"},
        Tree={"shape": "Tree"},
    )
    parse = compile_parser(model, model.operations["Do"])
    headers = {"x-meta-a": "1", "x-weight": "0.5", "x-other": "2"}
    body = b'{"Tree":{"Left":{"Left":{}}}}'
    assert parse({"Id": "7"}, "", headers, body) == {
        "Id": 7,
        "Weight": 0.5,
        "Meta": {"a": "1"},
        "Tree": {"Left": {"Left": {}}},
    }


def test_a_type_that_is_not_known_is_refused_when_the_tables_are_made() -> None:
    model = made_up(Odd={"shape": "Odd"})
    with pytest.raises(ValueError, match="bigdecimal"):
        compile_parser(model, model.operations["Do"])
