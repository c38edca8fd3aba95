"""One asynchronous invocation that was accepted and is not done yet."""

from dataclasses import dataclass
from typing import NamedTuple

from lampyr.model.function import FunctionKey


class Content(NamedTuple):
    """What an attempt needs of its event; not in memory while many others wait before it."""

    request_id: str
    payload: bytes
    trace_header: str
    client_context: str | None = None
    tenant_id: str | None = None
    outcome: str | None = None
    """How the last attempt ended, as JSON, while a record of it is still to be sent."""


@dataclass(slots=True, kw_only=True, eq=False)
class Event:
    """Not frozen: there may be a million of them, and the queue's dispatcher alone writes."""

    id: int
    """Later ones have greater ids."""
    key: FunctionKey
    created: float
    """When the function was created: another one of that name gets none of its events."""
    qualifier: str | None
    accepted: float
    """Seconds since the epoch."""
    due: float
    """The next attempt, of the function or of sending a record, comes not before that."""
    attempts: int = 0
    """How often the function ran and came to an end."""
    setbacks: int = 0
    """How often, since then, it could not be run, or the record not be sent."""
    finished: bool = False
    """Only a record is still to be sent."""
    content: Content | None
