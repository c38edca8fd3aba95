"""The life of an event source mapping, as Lambda shows it.

    Creating ──▶ Enabled ◀──▶ Updating          Disabled ◀──▶ Updating
                 Enabled ───▶ Disabling ──────▶ Disabled
                 Enabled ◀─── Enabling ◀─────── Disabled
                 Enabled ───▶ Deleting ◀─────── Disabled

While it is on its way, it is not changed. A mapping that is created disabled is Disabled at once.
"""

from dataclasses import replace
from typing import Final

from lampyr.errors import ResourceInUseException
from lampyr.model.mapping import EventSourceMapping, MappingState, SourceKind

_STREAMS: Final = frozenset({SourceKind.KINESIS, SourceKind.DYNAMODB})
_AT_REST: Final = frozenset({MappingState.ENABLED, MappingState.DISABLED})


def reason_of_user(kind: SourceKind) -> str:
    """Who moved the state: of streams Lambda words it in its own way."""
    return "User action" if kind in _STREAMS else "USER_INITIATED"


def first_state(enabled: bool) -> MappingState:
    return MappingState.CREATING if enabled else MappingState.DISABLED


def is_unsettled(mapping: EventSourceMapping) -> bool:
    return mapping.state not in _AT_REST


def changing(
    mapping: EventSourceMapping, new: EventSourceMapping, now: float
) -> EventSourceMapping:
    """`new`, on the way from `mapping`."""
    check_at_rest(mapping, "update")
    state = MappingState.UPDATING
    if new.enabled and mapping.state is MappingState.DISABLED:
        state = MappingState.ENABLING
    elif not new.enabled and mapping.state is MappingState.ENABLED:
        state = MappingState.DISABLING
    return _moved(new, state, now)


def deleting(mapping: EventSourceMapping, now: float) -> EventSourceMapping:
    check_at_rest(mapping, "delete")
    return _moved(mapping, MappingState.DELETING, now)


def settled(mapping: EventSourceMapping, now: float) -> EventSourceMapping | None:
    """The mapping at the end of its way; None: it is gone."""
    if mapping.state is MappingState.DELETING:
        return None
    state = MappingState.ENABLED if mapping.enabled else MappingState.DISABLED
    return replace(mapping, state=state, last_modified=now)


def check_at_rest(mapping: EventSourceMapping, verb: str) -> None:
    if is_unsettled(mapping):
        raise ResourceInUseException(
            f"Cannot {verb} the event source mapping because it is in use."
        )


def _moved(mapping: EventSourceMapping, state: MappingState, now: float) -> EventSourceMapping:
    reason = reason_of_user(mapping.source.kind)
    return replace(mapping, state=state, state_reason=reason, last_modified=now)
