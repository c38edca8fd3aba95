"""The life of an execution environment, as a table.

    CREATED ─start─▶ INIT ─snapshot─▶ SNAPSHOT ─restore─▶ RESTORE ─init_done─▶ READY
    CREATED ─start─▶ INIT ─init_done─▶ READY ◀────────idle──────┐
                      │                  │                      │
                      │ fault            └─invoke─▶ INVOKE ─response─▶ SETTLING
                      │ shutdown                      │ fault      │ fault
                      ▼                               ▼            ▼
                  SHUTDOWN ◀──────────────────────────┴────────────┘
                      └─stopped─▶ STOPPED

Everything that can change the state of an environment is in `TRANSITIONS`. `SETTLING` is the time
between the function's response, which the caller already has, and the moment the runtime asks for
its next event. `SNAPSHOT` is the time for which a runtime with SnapStart waits to be restored, and
in `RESTORE` its hooks run. One whose process is a copy comes from `INIT` to `SNAPSHOT` at once; the
one that is copied stays there.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

from collections.abc import Mapping
from enum import StrEnum, auto
from typing import Final


class State(StrEnum):
    CREATED = auto()
    INIT = auto()
    SNAPSHOT = auto()
    RESTORE = auto()
    READY = auto()
    INVOKE = auto()
    SETTLING = auto()
    SHUTDOWN = auto()
    STOPPED = auto()


class Event(StrEnum):
    START = auto()
    INIT_DONE = auto()
    SNAPSHOT = auto()
    RESTORE = auto()
    INVOKE = auto()
    RESPONSE = auto()
    IDLE = auto()
    FAULT = auto()
    """A timeout, a crash, or an Init error that the runtime reported."""
    SHUTDOWN = auto()
    STOPPED = auto()


TRANSITIONS: Final[Mapping[State, Mapping[Event, State]]] = {
    State.CREATED: {
        Event.START: State.INIT,
        Event.FAULT: State.SHUTDOWN,
        Event.SHUTDOWN: State.SHUTDOWN,
    },
    State.INIT: {
        Event.INIT_DONE: State.READY,
        Event.SNAPSHOT: State.SNAPSHOT,
        Event.FAULT: State.SHUTDOWN,
        Event.SHUTDOWN: State.SHUTDOWN,
    },
    State.SNAPSHOT: {
        Event.RESTORE: State.RESTORE,
        Event.FAULT: State.SHUTDOWN,
        Event.SHUTDOWN: State.SHUTDOWN,
    },
    State.RESTORE: {
        Event.INIT_DONE: State.READY,
        Event.FAULT: State.SHUTDOWN,
        Event.SHUTDOWN: State.SHUTDOWN,
    },
    State.READY: {
        Event.INVOKE: State.INVOKE,
        Event.FAULT: State.SHUTDOWN,
        Event.SHUTDOWN: State.SHUTDOWN,
    },
    State.INVOKE: {
        Event.RESPONSE: State.SETTLING,
        Event.FAULT: State.SHUTDOWN,
        Event.SHUTDOWN: State.SHUTDOWN,
    },
    State.SETTLING: {
        Event.IDLE: State.READY,
        Event.FAULT: State.SHUTDOWN,
        Event.SHUTDOWN: State.SHUTDOWN,
    },
    State.SHUTDOWN: {Event.STOPPED: State.STOPPED},
    State.STOPPED: {},
}

OVER: Final = frozenset({State.SHUTDOWN, State.STOPPED})
"""An environment in one of these takes no more work."""


class IllegalTransitionError(Exception):
    """An event arrived that the environment's state has no place for. Nothing has changed."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"{event} is not possible in state {state}")
        self.state = state
        self.event = event


def step(state: State, event: Event) -> State:
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IllegalTransitionError(state, event) from None
