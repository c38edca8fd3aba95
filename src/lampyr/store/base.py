"""What the rest of Lampyr may ask of durable storage."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from lampyr.model.event import Content, Event
from lampyr.model.function import Function
from lampyr.model.resource import Resource


class StoreError(Exception):
    """The store cannot be used; the message says which file it is about and what to do."""


Key = tuple[str, str, str]
"""Account, Region and name; a `FunctionKey` or a `ResourceKey`."""


class Keyed(Protocol):
    @property
    def key(self) -> Key: ...


T = TypeVar("T", bound=Keyed)
R = TypeVar("R", bound=Resource)


class Table(Protocol[T]):
    """Resources of one kind. What a method returned from is durable."""

    def known(self, key: Key) -> T | None:
        """What can be said without waiting; None does not mean that there is none."""
        ...

    async def get(self, key: Key) -> T | None: ...

    async def all(self, account_id: str, region: str) -> Sequence[T]:
        """Of one account and Region, ordered by name."""
        ...

    async def everywhere(self) -> Sequence[T]:
        """Of every account and Region: for reconcilers, at start."""
        ...

    async def create(self, item: T) -> bool:
        """False, and nothing is stored, when the name is taken."""
        ...

    async def replace(self, old: T, new: T) -> bool:
        """Store `new` if the resource still is `old`; False when another came first."""
        ...

    async def delete(self, key: Key) -> bool:
        """False when there was no such resource."""
        ...


FunctionTable = Table[Function]
"""Functions with their versions."""


class BlobStore(Protocol):
    """Code packages by the SHA-256 of their bytes (hexadecimal)."""

    async def put(self, data: bytes) -> str:
        """Store durably; the hash. A package that is there already is not written again."""
        ...

    async def path(self, sha256: str) -> Path | None:
        """A local file with the package; None when there is none."""
        ...

    async def delete(self, sha256: str) -> None: ...

    async def all(self) -> Sequence[str]:
        """Every hash there is a package of."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What becomes durable together, or not at all."""

    put: Sequence[Event] = ()
    update: Sequence[Event] = ()
    """When they are due, and their counts."""
    finish: Mapping[int, str] = field(default_factory=dict)
    """Outcomes, by id."""
    delete: Sequence[int] = ()
    """Ids."""


class EventTable(Protocol):
    """Events that were accepted and are not done."""

    def unfinished(self) -> Iterable[Event]:
        """Those that an earlier process left, without their contents, oldest first; read once."""
        ...

    def write(self, changes: Changes) -> asyncio.Future[None]:
        """Done when the changes are durable; failed when none of them is."""
        ...

    async def contents(self, ids: Sequence[int]) -> Mapping[int, Content]: ...


class Store(Protocol):
    @property
    def functions(self) -> FunctionTable: ...

    @property
    def blobs(self) -> BlobStore: ...

    @property
    def events(self) -> EventTable: ...

    def table(self, kind: type[R]) -> Table[R]:
        """The resources of a kind in `lampyr.store.kinds`."""
        ...

    async def close(self) -> None: ...
