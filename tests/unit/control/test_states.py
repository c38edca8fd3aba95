"""The life of a function: how it comes to run, and what runs while it changes."""

from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lampyr.control.states import (
    CREATING,
    check_idle,
    is_unfinished,
    last_published,
    published,
    settled,
    unfinished,
    updated,
    with_snapshot,
)
from lampyr.errors import ResourceConflictException
from lampyr.model.function import Function, FunctionVersion, Reason, State, UpdateStatus
from lampyr.testing.builders import a_function, a_version

BROKEN = Reason(message="python3.14 is not installed", code="InvalidRuntime")
PENDING = a_function(latest=a_version(state=State.PENDING, state_reason=CREATING))
ACTIVE = a_function()


def update(function: Function, deployment_id: str = "new") -> Function:
    return updated(function, replace(function.latest, deployment_id=deployment_id))


def publish(function: Function, description: str | None = None) -> Function:
    ids = (f"id-{n}" for n in count())
    return published(
        function,
        description=description,
        now=2.0,
        deployment_id=f"deployment-{function.last_version + 1}",
        new_id=lambda: next(ids),
    )


def settle(function: Function, reason: Reason | None = None) -> Function:
    for version in list(unfinished(function)):
        function = settled(function, version, reason, "settled") or function
    return function


def test_of_versions_with_a_snapshot_the_newest_of_each_function_come_first() -> None:
    def versions(*numbers: str, **changes: object) -> dict[str, FunctionVersion]:
        made = replace(a_version(), snap_start=True, **changes)  # type: ignore[arg-type]
        return {number: replace(made, version=number) for number in numbers}

    some = [
        a_function(published=versions("9", "10")),
        a_function(published=versions("1", "2")),
        a_function(published=versions("1", state=State.FAILED)),
        a_function(published={"1": replace(a_version(), version="1")}),
    ]
    assert [version.version for version in with_snapshot(some)] == ["10", "2", "9", "1"]


def test_a_new_function_becomes_active() -> None:
    function = settle(PENDING)
    assert function.latest.state is State.ACTIVE
    assert function.latest.state_reason is None
    assert function.latest.last_update_status is UpdateStatus.SUCCESSFUL
    assert function.latest.revision_id == "settled"


def test_a_new_function_that_cannot_run_fails_and_says_why() -> None:
    function = settle(PENDING, BROKEN)
    assert function.latest.state is State.FAILED
    assert function.latest.state_reason == BROKEN
    assert function.latest.last_update_status is UpdateStatus.SUCCESSFUL


def test_while_an_update_is_in_progress_the_old_version_runs() -> None:
    function = update(ACTIVE)
    assert function.serving == ACTIVE.latest
    assert function.latest.state is State.ACTIVE
    assert function.latest.last_update_status is UpdateStatus.IN_PROGRESS
    assert function.latest.last_update_reason == CREATING
    done = settle(function)
    assert done.serving is None
    assert done.latest.last_update_status is UpdateStatus.SUCCESSFUL
    assert done.latest.last_update_reason is None


def test_after_a_failed_update_the_old_version_goes_on_running() -> None:
    failed = settle(update(ACTIVE), BROKEN)
    assert failed.latest.state is State.ACTIVE
    assert failed.latest.last_update_status is UpdateStatus.FAILED
    assert failed.latest.last_update_reason == BROKEN
    assert failed.serving == ACTIVE.latest
    again = update(failed, "newer")
    assert again.serving == ACTIVE.latest
    assert settle(again).serving is None


def test_a_failed_function_gets_another_chance_by_an_update() -> None:
    failed = settle(PENDING, BROKEN)
    function = update(failed)
    assert function.latest.state is State.PENDING
    assert function.serving is None
    assert settle(function).latest.state is State.ACTIVE
    hopeless = settle(function, BROKEN)
    assert hopeless.latest.state is State.FAILED
    assert hopeless.latest.last_update_status is UpdateStatus.FAILED


def test_nothing_is_changed_while_a_change_is_under_way() -> None:
    check_idle(ACTIVE)
    check_idle(settle(PENDING, BROKEN))
    with pytest.raises(ResourceConflictException) as refused:
        check_idle(PENDING)
    assert refused.value.message == (
        "The operation cannot be performed at this time. "
        "The function is currently in the following state: Pending"
    )
    with pytest.raises(ResourceConflictException) as refused:
        check_idle(update(ACTIVE))
    assert refused.value.message == (
        "The operation cannot be performed at this time. An update is in progress for resource: "
        "arn:aws:lambda:us-east-1:123456789012:function:hello"
    )


def test_what_has_moved_on_is_not_settled() -> None:
    assert settled(ACTIVE, ACTIVE.latest, BROKEN, "r") is None
    newer = update(ACTIVE, "newer")
    assert settled(newer, update(ACTIVE, "older").latest, None, "r") is None
    version = next(iter(unfinished(publish(PENDING))))
    assert settled(ACTIVE, replace(version, version="7"), None, "r") is None


@pytest.mark.recorded("TestLambdaVersions::test_version_lifecycle")
def test_a_version_of_an_active_function_is_active_at_once() -> None:
    function = publish(ACTIVE, "first")
    version = function.published["1"]
    assert (version.state, version.version, version.description) == (State.ACTIVE, "1", "first")
    assert version.deployment_id != function.latest.deployment_id
    assert len({version.revision_id, function.latest.revision_id, "revision-$LATEST"}) == 3
    assert not any(unfinished(function))


@pytest.mark.recorded("TestLambdaVersions::test_publish_with_update")
def test_a_version_of_a_function_on_its_way_is_pending() -> None:
    for function in (publish(PENDING), publish(update(ACTIVE))):
        assert function.published["1"].state is State.PENDING
        assert function.published["1"].state_reason == CREATING
        assert len(list(unfinished(function))) == 2
        done = settle(function)
        assert done.published["1"].state is State.ACTIVE
        assert last_published(done) == done.published["1"]


def test_a_version_of_what_does_not_run_does_not_run_either() -> None:
    for function in (settle(PENDING, BROKEN), settle(update(ACTIVE), BROKEN)):
        version = publish(function).published["1"]
        assert version.state is State.FAILED
        assert version.state_reason == BROKEN


def test_what_has_not_changed_is_not_published_twice() -> None:
    function = publish(ACTIVE, "first")
    assert last_published(ACTIVE) is None
    assert last_published(function) == function.published["1"]
    same = settle(update(function))
    assert last_published(same) == function.published["1"]
    changed = settle(update(replace(function, latest=replace(function.latest, memory_mb=256))))
    assert last_published(changed) is None
    assert last_published(replace(function, published={})) is None


@given(st.lists(st.sampled_from(["update", "publish", "delete", "settle", "fail"]), max_size=30))
def test_a_function_that_ran_once_always_has_something_to_run(steps: list[str]) -> None:
    function, number = ACTIVE, 0
    given_out: list[int] = []
    for step in steps:
        match step:
            case "update" if not is_unfinished(function.latest):
                number += 1
                latest = replace(function.latest, memory_mb=128 + number)
                function = update(replace(function, latest=latest), f"update-{number}")
            case "publish" if not is_unfinished(function.latest):
                function = publish(function)
                given_out.append(function.last_version)
            case "delete" if function.published:
                function = replace(function, published={})
            case "settle":
                function = settle(function)
            case "fail":
                function = settle(function, BROKEN)
            case _:
                pass
        runs = function.serving or function.latest
        assert runs.state is State.ACTIVE
        assert runs.last_update_status is UpdateStatus.SUCCESSFUL
        assert (function.serving is None) == (
            function.latest.last_update_status is UpdateStatus.SUCCESSFUL
        )
    assert given_out == sorted(set(given_out))
