"""The functions in memory, where they are read, with a hook that makes each change durable first.

Every store keeps all functions in memory: `get` is on the path of each invocation. A change is
seen by readers once `Persist` says that it is durable, and not before; it is seen even when the
caller who made it has gone away in the meantime.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from lampyr.model.function import Function, FunctionKey

Persist = Callable[[Function | None, Function | None], "asyncio.Future[None] | None"]
"""Makes durable that a function (None: not there) has become another (None: deleted).

None when it is so at once.
"""


def forget(_old: Function | None, _new: Function | None) -> None:
    """A `Persist` that keeps nothing."""


class FunctionIndex:
    """A `FunctionTable` over any `Persist`."""

    def __init__(self, persist: Persist, functions: Iterable[Function] = ()) -> None:
        self._persist = persist
        self._functions: dict[FunctionKey, Function] = {}
        self._names: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self._sorted: dict[tuple[str, str], list[FunctionKey]] = {}
        self._busy: dict[FunctionKey, asyncio.Future[None]] = {}
        for function in functions:
            self._put(function)

    def known(self, key: FunctionKey) -> Function | None:
        return self._functions.get(key)

    async def get(self, key: FunctionKey) -> Function | None:
        return self._functions.get(key)

    async def all(self, account_id: str, region: str) -> Sequence[Function]:
        place = (account_id, region)
        keys = self._sorted.get(place)
        if keys is None:
            names = sorted(self._names.get(place, ()))
            keys = self._sorted[place] = [FunctionKey(*place, name) for name in names]
        return [self._functions[key] for key in keys]

    async def everywhere(self) -> Sequence[Function]:
        return list(self._functions.values())

    async def create(self, function: Function) -> bool:
        await self._turn(function.key)
        if function.key in self._functions:
            return False
        await self._change(function.key, None, function)
        return True

    async def replace(self, old: Function, new: Function) -> bool:
        await self._turn(old.key)
        current = self._functions.get(old.key)
        if current is None or (current is not old and current != old):
            return False
        await self._change(old.key, current, new)
        return True

    async def delete(self, key: FunctionKey) -> bool:
        await self._turn(key)
        current = self._functions.get(key)
        if current is None:
            return False
        await self._change(key, current, None)
        return True

    async def _turn(self, key: FunctionKey) -> None:
        """Wait until no change of this function is under way; then the caller must not wait."""
        while (busy := self._busy.get(key)) is not None:
            await asyncio.wait([busy])

    async def _change(self, key: FunctionKey, old: Function | None, new: Function | None) -> None:
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

    def _show(self, key: FunctionKey, new: Function | None) -> None:
        if new is None:
            self._remove(key)
        else:
            self._put(new)

    def _put(self, function: Function) -> None:
        key = function.key
        place = (key.account_id, key.region)
        if key not in self._functions:
            self._names[place].add(key.name)
            self._sorted.pop(place, None)
        self._functions[key] = function

    def _remove(self, key: FunctionKey) -> None:
        del self._functions[key]
        place = (key.account_id, key.region)
        self._names[place].discard(key.name)
        self._sorted.pop(place, None)
