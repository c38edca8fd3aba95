"""Lineages of trace headers: how loops are counted, and when one is stopped."""

from dataclasses import replace

import pytest

from lampyr.errors import RecursiveInvocationException
from lampyr.invoke.recursion import FUNCTIONS_MAX, INVOCATIONS_MAX, continued, mark_of
from lampyr.model.function import Function
from lampyr.testing.builders import a_function, a_key

TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0"
HELLO = a_function()


def invoked(trace: str, *functions: Function) -> str:
    for function in functions:
        trace = continued(trace, function)
    return trace


def test_the_first_invocation_begins_a_lineage() -> None:
    mark = mark_of(HELLO.key)
    assert len(mark) == 8
    assert continued(TRACE, HELLO) == f"{TRACE};Lineage=1:{mark}:0"
    assert continued(continued(TRACE, HELLO), HELLO) == f"{TRACE};Lineage=2:{mark}:1"


def test_sixteen_invocations_are_run_and_no_more() -> None:
    trace = invoked(TRACE, *[HELLO] * INVOCATIONS_MAX)
    with pytest.raises(RecursiveInvocationException, match="recursive loop"):
        continued(trace, HELLO)
    assert continued(trace, a_function(a_key("other"))).startswith(TRACE)


def test_a_function_that_may_loop_loops_without_end() -> None:
    allowed = replace(HELLO, recursive_loop="Allow")
    trace = invoked(TRACE, *[allowed] * 40_000)
    assert trace.endswith(":255")
    assert len(trace) < 200


def test_a_loop_of_several_functions_is_found_wherever_it_was_entered() -> None:
    first, a, b, c = (a_function(a_key(name)) for name in "xabc")
    trace = invoked(TRACE, first, *[a, b, c] * INVOCATIONS_MAX)
    for function in (a, b, c):
        with pytest.raises(RecursiveInvocationException):
            continued(trace, function)
    assert continued(trace, first)


def test_versions_of_a_function_are_one_and_accounts_are_not() -> None:
    assert mark_of(a_key()) == mark_of(a_key())
    assert mark_of(a_key()) != mark_of(a_key(account_id="222222222222"))


def test_a_long_way_without_a_loop_keeps_its_header_short() -> None:
    trace = invoked(TRACE, *(a_function(a_key(f"f{number}")) for number in range(100)))
    assert trace.count("|") == FUNCTIONS_MAX - 1


@pytest.mark.parametrize("lineage", ["nonsense", "1:2", "x:y:z", "", "a|b|c", "1:00000000:3"])
def test_a_lineage_that_means_nothing_is_no_hindrance(lineage: str) -> None:
    trace = continued(f"Root=1-2-3;Lineage={lineage};Sampled=1;Parent=4", HELLO)
    assert trace.startswith("Root=1-2-3;Sampled=1;Parent=4;Lineage=")
    assert trace.endswith(f":{mark_of(HELLO.key)}:0")
