"""The fast path of JSON gives the bytes that AWS's own client gives, or keeps out of the way."""

import importlib.util
import json
from collections import namedtuple
from decimal import Decimal
from enum import IntEnum
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from awslambdaric import lambda_runtime_client  # type: ignore[import-untyped]
from awslambdaric.lambda_runtime_marshaller import (  # type: ignore[import-untyped]
    LambdaMarshaller,
)
from hypothesis import given
from hypothesis import strategies as st

import lampyr.worker

CLIENTS = Path(lampyr.worker.__path__[0]) / "runtime_clients/python"
Point = namedtuple("Point", "x y")  # noqa: PYI024 - the kind that functions return


class Colour(IntEnum):
    RED = 1


class Shouting(str):
    __slots__ = ()


def _module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lampyr_runtime", CLIENTS / "lampyr_runtime.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RUNTIME = _module()


@pytest.fixture(params=["AWS_Lambda_python3.10", "AWS_Lambda_python3.13"], scope="module")
def pair(request: pytest.FixtureRequest) -> Any:
    """Ours and AWS's, as they are made in that runtime."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_EXECUTION_ENV", request.param)
        client = lambda_runtime_client.BaseLambdaRuntimeClient
        patch.setattr(client, "marshaller", client.marshaller)
        RUNTIME._make_marshaller(lambda_runtime_client)
        return client.marshaller, LambdaMarshaller()


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.none() | st.floats(), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(value=values)
def test_a_response_has_awss_bytes(pair: Any, value: object) -> None:
    ours, theirs = pair
    assert ours.marshal_response(value) == theirs.marshal_response(value)


@given(value=values)
def test_an_event_has_awss_values(pair: Any, value: object) -> None:
    ours, theirs = pair
    body = json.dumps(value, allow_nan=False) if _is_json(value) else json.dumps(str(value))
    mine = ours.unmarshal_request(body.encode(), "application/json")
    assert repr(mine) == repr(theirs.unmarshal_request(body.encode(), "application/json"))


@pytest.mark.parametrize(
    "value",
    [
        Point(1, 2),
        [Point(1, [Point(3, 4)])],
        {"a": Decimal("1.10")},
        {Decimal(1): 1},
        {"a": b"abc"},
        Colour.RED,
        {Colour.RED: Colour.RED},
        Shouting("x"),
        {Shouting("x"): 1},
        b"raw",
    ],
    ids=repr,
)
def test_what_only_simplejson_knows_is_left_to_it(pair: Any, value: object) -> None:
    ours, theirs = pair
    assert _told(ours, value) == _told(theirs, value)


@pytest.mark.parametrize("value", [object(), {"a": {1, 2}}, [print]], ids=["object", "set", "list"])
def test_an_error_is_awss(pair: Any, value: object) -> None:
    ours, theirs = pair
    assert "Runtime.MarshalError" in _told(ours, value)
    assert _told(ours, value) == _told(theirs, value)


def test_a_number_too_long_to_print_is_awss_error(pair: Any) -> None:
    ours, theirs = pair
    assert _told(ours, 10**5000) == _told(theirs, 10**5000)


def test_a_circle_is_awss_error(pair: Any) -> None:
    ours, _ = pair
    circle: list[object] = []
    circle.append(circle)
    assert "Runtime.MarshalError" in _told(ours, circle)


@pytest.mark.parametrize(
    "body", [b"{nonsense", b"", b"[1,]", b"\xff", b"NaN", b"\xef\xbb\xbf1", "1".encode("utf-16")]
)
def test_an_event_that_is_no_json_is_awss_error(pair: Any, body: bytes) -> None:
    ours, theirs = pair
    told = [_raised(each.unmarshal_request, body, "application/json") for each in (ours, theirs)]
    assert told[0] == told[1]


def test_an_event_of_another_type_is_left_as_it_is(pair: Any) -> None:
    assert pair[0].unmarshal_request(b"{}", "text/plain") == b"{}"


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def _told(marshaller: Any, value: object) -> str:
    return _raised(marshaller.marshal_response, value)


def _raised(call: Any, *arguments: object) -> str:
    try:
        return repr(call(*arguments))
    except Exception as error:  # noqa: BLE001 - which one is what is compared
        return f"{getattr(error, 'exception_type', type(error))}: {getattr(error, 'msg', error)}"
