"""Resources of one kind in memory, where they are read, with a hook that makes changes durable.

Every store keeps them all in memory: `get` is on the path of each invocation. A change is
seen by readers once `Persist` says that it is durable, and not before; it is seen even when the
caller who made it has gone away in the meantime.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from lampyr.store.base import Key, Keyed

T = TypeVar("T", bound=Keyed)

Persist = Callable[[T | None, T | None], "asyncio.Future[None] | None"]
"""Makes durable that a resource (None: not there) has become another (None: deleted).

None when it is so at once.
"""


def forget(_old: Any, _new: Any) -> None:
    """A `Persist` that keeps nothing."""


class Index(Generic[T]):
    """A `Table` over any `Persist`."""

    def __init__(self, persist: Persist[T], items: Iterable[T] = ()) -> None:
        self._persist = persist
        self._items: dict[Key, T] = {}
        self._keys: defaultdict[tuple[str, str], set[Key]] = defaultdict(set)
        self._sorted: dict[tuple[str, str], list[Key]] = {}
        self._busy: dict[Key, asyncio.Future[None]] = {}
        for item in items:
            self._put(item)

    def known(self, key: Key) -> T | None:
        return self._items.get(key)

    async def get(self, key: Key) -> T | None:
        return self._items.get(key)

    async def all(self, account_id: str, region: str) -> Sequence[T]:
        place = (account_id, region)
        keys = self._sorted.get(place)
        if keys is None:
            keys = self._sorted[place] = sorted(self._keys.get(place, ()))
        return [self._items[key] for key in keys]

    async def everywhere(self) -> Sequence[T]:
        return list(self._items.values())

    async def create(self, item: T) -> bool:
        await self._turn(item.key)
        if item.key in self._items:
            return False
        await self._change(item.key, None, item)
        return True

    async def replace(self, old: T, new: T) -> bool:
        await self._turn(old.key)
        current = self._items.get(old.key)
        if current is None or (current is not old and current != old):
            return False
        await self._change(old.key, current, new)
        return True

    async def delete(self, key: Key) -> bool:
        await self._turn(key)
        current = self._items.get(key)
        if current is None:
            return False
        await self._change(key, current, None)
        return True

    async def _turn(self, key: Key) -> None:
        """Wait until no change of this one is under way; then the caller must not wait."""
        while (busy := self._busy.get(key)) is not None:
            await asyncio.wait([busy])

    async def _change(self, key: Key, old: T | None, new: T | None) -> None:
        durable = self._persist(old, new)
        if durable is None:
            self._show(key, new)
            return
        self._busy[key] = durable

        def settle(future: "asyncio.Future[None]") -> None:
            del self._busy[key]
            if not future.cancelled() and future.exception() is None:
                self._show(key, new)

        durable.add_done_callback(settle)
        # A caller that is cancelled stops to wait; the change goes on and is seen.
        await asyncio.shield(durable)

    def _show(self, key: Key, new: T | None) -> None:
        if new is None:
            self._remove(key)
        else:
            self._put(new)

    def _put(self, item: T) -> None:
        key = item.key
        if key not in self._items:
            place = key[:2]
            self._keys[place].add(key)
            self._sorted.pop(place, None)
        self._items[key] = item

    def _remove(self, key: Key) -> None:
        del self._items[key]
        place = key[:2]
        self._keys[place].discard(key)
        self._sorted.pop(place, None)
