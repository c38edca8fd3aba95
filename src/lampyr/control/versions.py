"""Published versions.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html
"""

from lampyr.arn import FunctionReference
from lampyr.control import rules
from lampyr.control.account import check_code_storage
from lampyr.control.functions import change_function, find, place
from lampyr.control.pages import Page, page, place_of, size
from lampyr.control.plane import ControlPlane
from lampyr.control.requests import PublishVersion
from lampyr.control.states import check_idle, last_published, published
from lampyr.errors import InvalidParameterValueException
from lampyr.model.function import Function, FunctionVersion


async def publish(plane: ControlPlane, request: PublishVersion) -> FunctionVersion:
    """A new version of `$LATEST`, or the last one when nothing has changed since."""

    def change(function: Function) -> Function:
        latest = function.latest
        rules.check_revision(latest, request.revision_id)
        _check_hash(latest, request.code_sha256)
        check_idle(function)
        if last_published(function) is not None:
            return function
        return published(
            function,
            description=request.description,
            now=plane.clock.now(),
            deployment_id=plane.new_id(),
            new_id=plane.new_id,
        )

    function = await plane.store.functions.get(request.key)
    if function is not None and last_published(function) is None:
        await check_code_storage(plane, request.key, function.latest.code_bytes)
    new = await change_function(plane, request.key, change)
    plane.activation.wake(request.key)
    return new.published[str(new.last_version)]


async def list_versions(
    plane: ControlPlane,
    reference: FunctionReference,
    *,
    marker: str | None = None,
    max_items: int | None = None,
) -> Page[FunctionVersion]:
    """`$LATEST`, then the versions by number."""
    start = place_of(marker)
    function = await find(plane, reference)
    every = (function.latest, *function.published.values())
    items = (version for version in every if start is None or place(version) > start)
    return page(items, size(max_items), place)


def _check_hash(latest: FunctionVersion, code_sha256: str | None) -> None:
    if code_sha256 and code_sha256 != latest.code_sha256:
        raise InvalidParameterValueException(
            f"CodeSHA256 ({code_sha256}) is different from current CodeSHA256 in $LATEST "
            f"({latest.code_sha256}). Please try again with the CodeSHA256 in $LATEST."
        )
