"""What is executed for many events at once; made once, for that takes longer than to run it."""

from typing import Final

from sqlalchemy import bindparam, delete, insert, update

from lampyr.store.tables import EVENTS

_OF_KEY: Final = EVENTS.c.id == bindparam("key")
INSERT: Final = insert(EVENTS)
UPDATE: Final = (
    update(EVENTS)
    .where(_OF_KEY)
    .values({name: bindparam(name) for name in ("due", "attempts", "setbacks")})
)
FINISH: Final = update(EVENTS).where(_OF_KEY).values(outcome=bindparam("outcome"))
DELETE: Final = delete(EVENTS).where(_OF_KEY)
