"""Filter patterns: what matches, what does not, and what is no pattern."""

import json
from typing import Any

import pytest

from lampyr.model.filters import PatternError, compile_pattern, compile_patterns

A = {"a": 1}

MATCHES: list[tuple[Any, list[Any], list[Any]]] = [
    # Pattern of the member `x`, values that match, values that do not; ... is no member at all.
    (["a"], ["a", ["b", "a"], [["a"]]], ["b", "A", 1, None, ..., A, ["b"], []]),
    (["a", 1, None, True], ["a", 1, None, True], ["1", 1.0, 0, False, ...]),
    ([300], [300, [1, 300]], [300.0, "300", True]),
    ([1.5], [1.5], [1, "1.5"]),
    ([""], [""], [None, "a", ...]),
    ([None], [None], ["", 0, ...]),
    ([{"exists": True}], ["a", None, 0, ["a"]], [..., A, [], [A]]),
    ([{"exists": False}], [..., A, []], ["a", None]),
    ([{"exists": False}, "a"], [..., "a"], ["b"]),
    ([{"prefix": "us-"}], ["us-1", "us-", ["x", "us-2"]], ["US-1", "eu", 5, None, ...]),
    ([{"prefix": {"equals-ignore-case": "Us-"}}], ["US-1", "us-"], ["eu-us-"]),
    ([{"suffix": ".png"}], ["a.png"], ["a.PNG", "a.png ", 5]),
    ([{"suffix": {"equals-ignore-case": ".Png"}}], ["a.PNG"], ["png"]),
    ([{"equals-ignore-case": "Alice"}], ["ALICE", "alice"], ["alice ", 1]),
    ([{"numeric": ["=", 100]}], [100, 100.0, 1e2], [101, "100", True, None]),
    ([{"numeric": [">", 100]}], [100.5, 1e12], [100, "200"]),
    ([{"numeric": ["<=", 0]}], [0, -1], [0.1, False]),
    ([{"numeric": [">=", 100, "<", 200]}], [100, 199.9], [99, 200]),
    ([{"anything-but": "a"}], ["b", 1, None, ["a", "b"]], ["a", ["a"], ..., A]),
    ([{"anything-but": ["a", "b"]}], ["c"], ["a", "b"]),
    ([{"anything-but": [1, 2.5]}], [3, True, "1"], [1, 1.0, 2.5]),
    ([{"anything-but": {"prefix": "us-"}}], ["eu", 5], ["us-1", ...]),
    ([{"anything-but": {"suffix": [".png", ".gif"]}}], ["a.txt"], ["a.png", "b.gif"]),
    ([{"anything-but": {"equals-ignore-case": "a"}}], ["b"], ["A"]),
    ([{"anything-but": {"wildcard": "*/lib/*"}}], ["/a/b"], ["/usr/lib/x"]),
    ([{"wildcard": "*.txt"}], ["a.txt", ".txt"], ["a.txt2", 1]),
    ([{"wildcard": "a*b*c"}], ["abc", "aXbYc", "abbc"], ["ab", "ac", "xabc", "abcd"]),
    ([{"wildcard": "a*a"}], ["aa", "aba"], ["a"]),
    ([{"wildcard": "*"}], ["", "a"], [1]),
    ([{"wildcard": r"a\*b\\"}], ["a*b\\"], ["aXb\\", "a*b"]),
    ([{"cidr": "10.0.0.0/24"}], ["10.0.0.255"], ["10.0.1.0", "text", 5, "::1"]),
    ([{"cidr": "2001:db8::/32"}], ["2001:db8::1"], ["2001:db9::1"]),
    ({"y": ["a"]}, [{"y": "a"}, [{"y": "b"}, {"y": "a"}]], ["a", {"z": "a"}, ..., []]),
    ({"y": [{"exists": False}]}, [{"z": 1}, ..., "a"], [{"y": 1}]),
    ({"y": ["a"], "z": ["b"]}, [{"y": "a", "z": "b"}], [[{"y": "a"}, {"z": "b"}]]),
    ({"$or": [{"y": ["a"]}, {"z": ["b"]}]}, [{"y": "a"}, {"z": "b", "y": 1}], [{"y": "b"}]),
    ({"w": [1], "$or": [{"y": [1]}, {"y": [2]}]}, [{"w": 1, "y": 2}], [{"y": 2}, {"w": 1}]),
]


@pytest.mark.parametrize(
    ("wanted", "these", "others"), MATCHES, ids=[json.dumps(each[0]) for each in MATCHES]
)
def test_a_pattern_matches_what_it_says(wanted: Any, these: list[Any], others: list[Any]) -> None:
    matches = compile_pattern(json.dumps({"x": wanted}))

    def event(value: Any) -> dict[str, Any]:
        return {"other": 1} if value is ... else {"other": 1, "x": value}

    assert [value for value in these if not matches(event(value))] == []
    assert [value for value in others if matches(event(value))] == []


@pytest.mark.parametrize(
    "text",
    [
        *("", "simple string", '"text"', "null", "[]", "{}", "1", "{", '{"x": NaN}', "[" * 4_000),
        *('{"x": "a"}', '{"x": 1}', '{"x": null}', '{"x": []}', '{"x": {}}', '{"x": [["a"]]}'),
        *('{"x": [{}]}', '{"x": [{"a": 1}]}', '{"x": [{"prefix": "a", "suffix": "b"}]}'),
        *('{"x": [{"prefix": 1}]}', '{"x": [{"prefix": {"a": "b"}}]}', '{"x": [{"exists": 1}]}'),
        *('{"x": [{"prefix": {"equals-ignore-case": "a", "b": 1}}]}', '{"x": [{"suffix": []}]}'),
        *('{"x": [{"numeric": [">"]}]}', '{"x": [{"numeric": []}]}', '{"x": [{"numeric": 1}]}'),
        *('{"x": [{"numeric": ["~", 1]}]}', '{"x": [{"numeric": [">", "1"]}]}'),
        *('{"x": [{"numeric": ["<", 1, ">", 0]}]}', '{"x": [{"numeric": [">", 2, "<", 1]}]}'),
        *('{"x": [{"numeric": ["=", true]}]}', '{"x": [{"numeric": ["=", 6e9]}]}'),
        *('{"x": [{"numeric": [[], 1]}]}', '{"x": [{"wildcard": "a**b"}]}'),
        *('{"x": [{"anything-but": []}]}', '{"x": [{"anything-but": ["a", 1]}]}'),
        *('{"x": [{"anything-but": {"exists": true}}]}', '{"x": [{"anything-but": [null]}]}'),
        *('{"x": [{"anything-but": {}}]}', '{"x": [{"anything-but": {"prefix": []}}]}'),
        *(r'{"x": [{"wildcard": "a\\"}]}', r'{"x": [{"wildcard": "\\a"}]}'),
        *('{"x": [{"cidr": "10.0.0.0/33"}]}', '{"x": [{"cidr": 5}]}'),
        *('{"$or": []}', '{"$or": [{"x": [1]}]}', '{"$or": [{"x": [1]}, 1]}', '{"$or": {}}'),
        *('{"a":' * 100 + "[1]" + "}" * 100, '{"x": [{"equals-ignore-case": 1}]}'),
    ],
)
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(PatternError):
        compile_pattern(text)


def test_of_several_patterns_one_has_to_match() -> None:
    matches = compile_patterns(['{"x": ["a"]}', '{"y": ["b"]}'])
    assert matches({"x": "a"})
    assert matches({"y": "b"})
    assert not matches({"x": "b"})
    assert compile_patterns([])({"anything": 1})


def test_patterns_look_at_any_event() -> None:
    matches = compile_pattern('{"x": [{"exists": false}]}')
    events: list[Any] = [None, 1, "text", [], {}]
    assert all(map(matches, events))


def test_a_wildcard_takes_no_time() -> None:
    matches = compile_pattern(json.dumps({"x": [{"wildcard": "*a" * 500 + "*b"}]}))
    assert not matches({"x": "a" * 100_000})
