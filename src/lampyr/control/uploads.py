"""Where packages come from: the request itself, an object in S3, or a registry of images.

An object is read in parts, so that one that is too large is refused before it is here, and its
bytes are kept as any other package's: what becomes of the object later is nobody's concern.

https://docs.aws.amazon.com/lambda/latest/api/API_FunctionCode.html
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

from lampyr.aws.base import AwsCallError, AwsError
from lampyr.control.image_rules import digest
from lampyr.control.packages import Package
from lampyr.control.plane import ControlPlane
from lampyr.control.requests import ImageUri, S3Object, Source
from lampyr.errors import InvalidParameterValueException, ServiceException
from lampyr.limits import MIB
from lampyr.model.function import FunctionKey
from lampyr.model.resource import ResourceKey

PART_BYTES: Final = 32 * MIB
PART_SECONDS: Final = 120.0
_EMPTY: Final = "InvalidRange"
"""What S3 calls it when even the first byte is not there."""

Key = FunctionKey | ResourceKey


@asynccontextmanager
async def kept(
    plane: ControlPlane, key: Key, source: Source, operation: str
) -> AsyncGenerator[Package]:
    """The package, checked and stored; within, what names it can be stored."""
    if source is None or isinstance(source, ImageUri):
        yield _image(source)
        return
    if isinstance(source, bytes):
        async with plane.packages.kept(source, operation) as package:
            yield package
        return
    async with plane.reading:  # Objects may be large, and are in memory until they are stored.
        data = await _read(plane, key, source)
        async with plane.packages.kept(data, None) as package:
            yield package


async def checked(plane: ControlPlane, key: Key, source: Source, operation: str) -> Package:
    """The package, for a dry run."""
    if source is None or isinstance(source, ImageUri):
        return _image(source)
    if isinstance(source, bytes):
        return await plane.packages.check(source, operation)
    async with plane.reading:
        return await plane.packages.check(await _read(plane, key, source), None)


def _image(source: ImageUri | None) -> Package:
    """An image is read when it is run; until then what its URI says is known of it."""
    if source is None:
        raise InvalidParameterValueException("Please provide a source for function code.")
    return Package(sha256=digest(source.uri), image_uri=source.uri)


async def _read(plane: ControlPlane, key: Key, source: S3Object) -> bytes:
    most = plane.limits.code_bytes_unzipped
    parts: list[bytes] = []
    size = 0
    etag: str | None = None
    while True:
        try:
            part = await _part(plane, key, source, size, etag)
        except AwsError as error:
            if error.code == _EMPTY and not parts:
                return b""
            raise _refusal(error.code, error.message) from error
        except AwsCallError as error:
            raise ServiceException(f"Error occurred while GetObject. {error}") from error
        parts.append(part["Body"])
        size += len(part["Body"])
        etag = part.get("ETag")
        total = _total(part, size)
        if total > most:
            # No archive unpacks to less than it has itself.
            raise InvalidParameterValueException(f"Unzipped size must be smaller than {most} bytes")
        if size >= total or not part["Body"]:
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def _part(
    plane: ControlPlane, key: Key, source: S3Object, start: int, etag: str | None
) -> dict[str, Any]:
    members: dict[str, Any] = {"Bucket": source.bucket, "Key": source.key}
    if source.version is not None:
        members["VersionId"] = source.version
    if etag is not None:  # The rest of the same object, and not of one put in its place.
        members["IfMatch"] = etag
    return await plane.aws.call(
        "s3",
        key.account_id,
        key.region,
        "GetObject",
        timeout_seconds=PART_SECONDS,
        Range=f"bytes={start}-{start + PART_BYTES - 1}",
        **members,
    )


def _total(part: dict[str, Any], read: int) -> int:
    """Bytes of the whole object: `bytes 0-9/10`; a server without ranges sends it all at once."""
    total: str = part.get("ContentRange", "").rpartition("/")[2]
    return int(total) if total.isdecimal() else read


def _refusal(code: str, message: str) -> InvalidParameterValueException:
    return InvalidParameterValueException(
        f"Error occurred while GetObject. S3 Error Code: {code}. S3 Error Message: {message}"
    )
