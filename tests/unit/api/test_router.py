"""From method, path and query to an operation."""

import pytest

from lampyr.api.router import SEGMENTS_MAX, Router, parse_query
from lampyr.api.spec import Operation, service_model

MODEL = service_model()
ROUTER = Router(MODEL.operations.values())


def found(method: str, target: str, router: Router = ROUTER) -> tuple[str, dict[str, str]] | None:
    path, _, query = target.partition("?")
    match = router.match(method, path, parse_query(query))
    return None if match is None else (match[0].name, match[1])


def operation(name: str, path: str, query: str = "") -> Operation:
    return Operation(
        name=name, method="GET", path=path, query=query, status=200, input=None, output=None
    )


def test_every_operation_has_a_way_of_its_own() -> None:
    for name, one in MODEL.operations.items():
        path = one.path
        for label in path.split("{")[1:]:
            path = path.replace(f"{{{label.split('}')[0]}}}", "x")
        match = ROUTER.match(one.method, path, parse_query(one.query))
        assert match is not None
        assert match[0].name == name


@pytest.mark.parametrize(
    ("method", "target", "name", "labels"),
    [
        ("POST", "/2015-03-31/functions/hello/invocations", "Invoke", {"FunctionName": "hello"}),
        ("POST", "/2015-03-31/functions/hello/invocations/", "Invoke", {"FunctionName": "hello"}),
        ("GET", "/2015-03-31/functions", "ListFunctions", {}),
        ("GET", "/2015-03-31/functions/", "ListFunctions", {}),
        ("GET", "/2015-03-31/functions/f%3A1", "GetFunction", {"FunctionName": "f:1"}),
        ("GET", "/2015-03-31/functions/f:1", "GetFunction", {"FunctionName": "f:1"}),
        ("GET", "/2017-03-31/tags/a%2Fb%252F", "ListTags", {"Resource": "a/b%2F"}),
        ("GET", "/2017-03-31/tags/a+b", "ListTags", {"Resource": "a+b"}),
        ("GET", "/2018-10-31/layers", "ListLayers", {}),
        ("GET", "/2018-10-31/layers?find=LayerVersion&Arn=a", "GetLayerVersionByArn", {}),
        ("GET", "/2018-10-31/layers?find=Other", "ListLayers", {}),
    ],
)
def test_paths_that_are_operations(
    method: str, target: str, name: str, labels: dict[str, str]
) -> None:
    assert found(method, target) == (name, labels)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/"),
        ("GET", ""),
        ("GET", "/2015-03-31"),
        ("GET", "/2015-03-31/functions//configuration"),
        ("GET", "//2015-03-31/functions"),
        ("PATCH", "/2015-03-31/functions/hello"),
        ("GET", "/2015-03-31/functions/hello/invocations"),
        ("GET", "/2015-03-31/functions/hello/configuration/more"),
        ("GET", "/2015-03-31/Functions"),
        ("GET", "/x" * (SEGMENTS_MAX + 1)),
    ],
)
def test_paths_that_are_none(method: str, target: str) -> None:
    assert found(method, target) is None


def test_the_methods_of_a_path_are_known_although_the_call_had_another() -> None:
    assert ROUTER.methods("/2015-03-31/functions/hello") == ("DELETE", "GET")
    assert ROUTER.methods("/2015-03-31/nonsense") == ()
    assert ROUTER.methods("/x" * (SEGMENTS_MAX + 1)) == ()


def test_a_greedy_label_takes_slashes_and_leaves_what_must_follow() -> None:
    router = Router(
        [operation("Get", "/{Bucket}/{Key+}"), operation("Acl", "/{Bucket}/{Key+}/acl")]
    )
    assert found("GET", "/b/x/y/z", router) == ("Get", {"Bucket": "b", "Key": "x/y/z"})
    assert found("GET", "/b/x/y/acl", router) == ("Acl", {"Bucket": "b", "Key": "x/y"})
    assert found("GET", "/b", router) is None


def test_a_literal_that_leads_nowhere_gives_way_to_a_label() -> None:
    router = Router([operation("A", "/fixed/one"), operation("B", "/{Name}/two")])
    assert found("GET", "/fixed/one", router) == ("A", {})
    assert found("GET", "/fixed/two", router) == ("B", {"Name": "fixed"})


def test_a_query_is_decoded_once_with_all_values_of_a_name() -> None:
    assert parse_query("a=1&a=2&b=x%20y+z&c&&%C3%A4=%ff") == {
        "a": ["1", "2"],
        "b": ["x y z"],
        "c": [""],
        "ä": ["\ufffd"],
    }
