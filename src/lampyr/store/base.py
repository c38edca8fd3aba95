"""What the rest of Lampyr may ask of durable storage."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from lampyr.model.function import Function, FunctionKey


class StoreError(Exception):
    """The store cannot be used; the message says which file it is about and what to do."""


class FunctionTable(Protocol):
    """Functions with their versions. What a method returned from is durable."""

    def known(self, key: FunctionKey) -> Function | None:
        """What can be said without waiting; None does not mean that there is none."""
        ...

    async def get(self, key: FunctionKey) -> Function | None: ...

    async def all(self, account_id: str, region: str) -> Sequence[Function]:
        """Of one account and Region, ordered by name."""
        ...

    async def everywhere(self) -> Sequence[Function]:
        """Of every account and Region: for reconcilers, at start."""
        ...

    async def create(self, function: Function) -> bool:
        """False, and nothing is stored, when the name is taken."""
        ...

    async def replace(self, old: Function, new: Function) -> bool:
        """Store `new` if the function still is what `old` shows; False when another came first."""
        ...

    async def delete(self, key: FunctionKey) -> bool:
        """False when there was no such function."""
        ...


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


class Store(Protocol):
    @property
    def functions(self) -> FunctionTable: ...

    @property
    def blobs(self) -> BlobStore: ...

    async def close(self) -> None: ...
