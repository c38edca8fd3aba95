"""The life of an execution environment, as a table."""

import pytest

from lampyr.worker.states import OVER, TRANSITIONS, Event, IllegalTransitionError, State, step


def _reachable(state: State) -> set[State]:
    seen = {state}
    todo = [state]
    while todo:
        for following in TRANSITIONS[todo.pop()].values():
            if following not in seen:
                seen.add(following)
                todo.append(following)
    return seen


@pytest.mark.parametrize("state", State)
def test_every_state_has_a_row_and_can_be_stopped(state: State) -> None:
    assert State.STOPPED in _reachable(state)


@pytest.mark.parametrize("state", [state for state in State if state not in OVER])
@pytest.mark.parametrize("event", [Event.FAULT, Event.SHUTDOWN])
def test_every_living_state_can_fault_and_be_shut_down(state: State, event: Event) -> None:
    assert step(state, event) is State.SHUTDOWN


@pytest.mark.parametrize("state", sorted(OVER))
def test_what_is_over_takes_no_work_any_more(state: State) -> None:
    assert _reachable(state) <= OVER
    with pytest.raises(IllegalTransitionError, match="invoke is not possible"):
        step(state, Event.INVOKE)
