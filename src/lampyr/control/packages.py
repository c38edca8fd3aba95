"""Uploads: checked before anything is answered, kept while a function or layer needs them.

A package is written before the function that names it, and removed when no function does. Between
the two it is held, so that nobody removes it; what a crash leaves is removed at the next start.
"""

import asyncio
import base64
import hashlib
import io
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from lampyr.errors import (
    InvalidParameterValueException,
    RequestEntityTooLargeException,
    ServiceError,
)
from lampyr.limits import Limits
from lampyr.model.function import Function, FunctionVersion
from lampyr.model.layer import Layer
from lampyr.store.base import Store
from lampyr.worker.archive import BadArchiveError, TooLargeError, check

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    sha256: str
    """As Lambda shows it: base64; of an image the digest, empty where it is not known."""
    size: int = 0
    """Bytes, zipped."""
    unzipped: int = 0
    image_uri: str | None = None


def blob_name(code_sha256: str) -> str:
    """The hash as the blob store writes it: hexadecimal."""
    return base64.b64decode(code_sha256).hex()


def blobs_of(version: FunctionVersion) -> set[str]:
    """The blobs that a version is run from: its code and its layers, or none for an image."""
    return set(map(blob_name, _hashes(version)))


def _hashes(version: FunctionVersion) -> Iterator[str]:
    if version.image_uri is None:
        yield version.code_sha256
    for layer in version.layers:
        yield layer.code_sha256


def versions(function: Function) -> Iterable[FunctionVersion]:
    """Every version that can still be asked for or run."""
    yield function.latest
    if function.serving is not None:
        yield function.serving
    yield from function.published.values()


class Packages:
    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._limits = limits
        self._held: Counter[str] = Counter()
        self._leaving: dict[str, asyncio.Event] = {}

    async def check(self, data: bytes, operation: str | None) -> Package:
        """Refuse as Lambda does what is no package, or too large a one for `operation`.

        `operation`: that which brought it, None for a package that came from S3.
        """
        if not data:
            raise InvalidParameterValueException("Uploaded file must be a non-empty zip")
        most = self._limits.code_bytes_zipped
        if operation is not None and len(data) > most:
            raise RequestEntityTooLargeException(
                # Lambda counts the bytes of the request, where the package is base64.
                f"Request must be smaller than {-(-4 * most // 3)} bytes for the {operation} "
                "operation"
            )
        return await asyncio.to_thread(_check, data, self._limits)

    @asynccontextmanager
    async def kept(self, data: bytes, operation: str | None) -> AsyncGenerator[Package]:
        """Check and store a package; within, a function that names it can be stored."""
        package = await self.check(data, operation)
        async with self.held([blob_name(package.sha256)]):
            await self._store.blobs.put(data)
            yield package

    @asynccontextmanager
    async def held(self, names: Iterable[str]) -> AsyncGenerator[None]:
        """Within, nobody removes these; after a refusal those that nobody needs are removed."""
        names = tuple(names)
        while leaving := [self._leaving[name] for name in names if name in self._leaving]:
            await leaving[0].wait()
        self._held.update(names)
        try:
            yield
        except ServiceError:
            self._let_go(names)
            await self.forget(names)
            raise
        # Left by any other way, such as a caller who hung up, the function may have been stored
        # or may yet be: the package is held until the next start looks.
        self._let_go(names)

    def _let_go(self, names: Iterable[str]) -> None:
        for name in names:
            self._held[name] -= 1
            if not self._held[name]:
                del self._held[name]

    async def forget(self, names: Iterable[str]) -> None:
        """Remove those of the packages that nobody needs any more."""
        names = [name for name in set(names) if not self._held[name] and name not in self._leaving]
        if not names:
            return
        for name in names:
            self._leaving[name] = asyncio.Event()
        try:
            used = await self.in_use()
            for name in names:
                if name not in used:
                    await self._store.blobs.delete(name)
        finally:
            for name in names:
                self._leaving.pop(name).set()

    async def in_use(self) -> frozenset[str]:
        """Hashes (hexadecimal) of all packages that functions name, and of all layers."""
        named = {
            sha256
            for function in await self._store.functions.everywhere()
            for version in versions(function)
            for sha256 in _hashes(version)
        }
        for layer in await self._store.table(Layer).everywhere():
            named.update(version.code_sha256 for version in layer.versions)
        return frozenset(map(blob_name, named))

    async def sweep(self) -> None:
        """Remove what a crash left: packages without a function."""
        gone = set(await self._store.blobs.all()) - await self.in_use()
        if gone:
            log.info("packages without a function", extra={"packages": len(gone)})
        await self.forget(gone)


def _check(data: bytes, limits: Limits) -> Package:
    try:
        unzipped = check(io.BytesIO(data), limits)
    except TooLargeError as error:
        raise InvalidParameterValueException(
            f"Unzipped size must be smaller than {limits.code_bytes_unzipped} bytes"
        ) from error
    except BadArchiveError as error:
        log.info("package refused", extra={"reason": str(error)})
        raise InvalidParameterValueException(
            "Could not unzip uploaded file. Please check your file, then try to upload again."
        ) from error
    digest = hashlib.sha256(data).digest()
    return Package(sha256=base64.b64encode(digest).decode(), size=len(data), unzipped=unzipped)
