"""The life of a function and its versions, as Lambda shows it.

A function is created Pending and becomes Active or Failed. Once it is Active, an update leaves it
so, and is InProgress until it is Successful or Failed; meanwhile, and after a failure, `$LATEST`
runs what it ran before (`Function.serving`).

https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final

from lampyr.arn import key_arn
from lampyr.control.qualifiers import without
from lampyr.errors import ResourceConflictException
from lampyr.model.function import (
    LATEST,
    Function,
    FunctionVersion,
    Reason,
    State,
    UpdateStatus,
)

CREATING: Final = Reason(message="The function is being created.", code="Creating")
_BUSY: Final = "The operation cannot be performed at this time. "


def unfinished(function: Function) -> Iterator[FunctionVersion]:
    """Versions that are on their way to a state in which they stay."""
    for version in (function.latest, *function.published.values()):
        if is_unfinished(version):
            yield version


def with_snapshot(functions: Iterable[Function]) -> list[FunctionVersion]:
    """Active versions that are restored: the latest of each function first."""
    ranked = [
        (age, version)
        for function in functions
        for age, version in enumerate(sorted(function.published.values(), key=_newest_first))
        if version.has_snapshot and version.state is State.ACTIVE
    ]
    return [version for _, version in sorted(ranked, key=lambda pair: pair[0])]


def _newest_first(version: FunctionVersion) -> int:
    return -int(version.version)


def is_unfinished(version: FunctionVersion) -> bool:
    return version.state is State.PENDING or version.last_update_status is UpdateStatus.IN_PROGRESS


def check_idle(function: Function) -> None:
    """Refuse a change of `$LATEST` while another one is under way."""
    latest = function.latest
    if latest.last_update_status is UpdateStatus.IN_PROGRESS:
        raise ResourceConflictException(
            f"{_BUSY}An update is in progress for resource: {key_arn(function.key)}"
        )
    if latest.state is State.PENDING:
        raise ResourceConflictException(
            f"{_BUSY}The function is currently in the following state: {latest.state}"
        )


def updated(function: Function, latest: FunctionVersion) -> Function:
    """The function at the start of an update to `latest`, whose content is new."""
    if function.latest.state is State.FAILED:
        # It never ran: the update is its second chance to become Active.
        begun = replace(
            latest,
            state=State.PENDING,
            state_reason=CREATING,
            last_update_status=UpdateStatus.IN_PROGRESS,
            last_update_reason=CREATING,
        )
        return replace(function, latest=begun)
    begun = replace(
        latest, last_update_status=UpdateStatus.IN_PROGRESS, last_update_reason=CREATING
    )
    return replace(function, latest=begun, serving=function.serving or function.latest)


def published(
    function: Function,
    *,
    description: str | None,
    now: float,
    deployment_id: str,
    new_id: Callable[[], str],
) -> Function:
    """The function with `$LATEST` as its next version. The version has `$LATEST`'s state."""
    source = function.latest
    number = function.last_version + 1
    # With SnapStart it is Active once it has been initialised, and has a snapshot.
    pending = is_unfinished(source) or (source.snap_start and source.state is State.ACTIVE)
    version = replace(
        source,
        version=str(number),
        deployment_id=deployment_id,
        revision_id=new_id(),
        last_modified=now,
        description=source.description if description is None else description,
        state=State.PENDING if pending else source.state,
        state_reason=CREATING if pending else source.state_reason,
        last_update_status=UpdateStatus.SUCCESSFUL,
        last_update_reason=None,
    )
    if source.last_update_status is UpdateStatus.FAILED:
        # What `$LATEST` says does not run; what it runs is another version's content.
        version = replace(version, state=State.FAILED, state_reason=source.last_update_reason)
    latest = replace(source, revision_id=new_id())
    return replace(
        function,
        latest=latest,
        published={**function.published, str(number): version},
        published_from=latest,
        last_version=number,
    )


def without_version(function: Function, number: str) -> Function:
    """The function without one of its versions; refused while an alias leads there."""
    aliases = [alias.name for alias in function.aliases.values() if number in alias.versions]
    if aliases:
        raise ResourceConflictException(
            "Unable to delete version because the following aliases reference it: "
            f"[{', '.join(sorted(aliases))}]"
        )
    left = {name: version for name, version in function.published.items() if name != number}
    return without(replace(function, published=left), number)


def last_published(function: Function) -> FunctionVersion | None:
    """The last version, when it still is there and `$LATEST` has not changed since."""
    source = function.published_from
    if source is None or _content(source) != _content(function.latest):
        return None
    return function.published.get(str(function.last_version))


def _content(version: FunctionVersion) -> FunctionVersion:
    """What makes two versions two: code and configuration."""
    return replace(
        version,
        deployment_id="",
        revision_id="",
        last_modified=0.0,
        state=State.ACTIVE,
        state_reason=None,
        last_update_status=UpdateStatus.SUCCESSFUL,
        last_update_reason=None,
    )


def settled(
    function: Function, prepared: FunctionVersion, reason: Reason | None, new_revision: str
) -> Function | None:
    """The function once `prepared` can run (or, with a reason, cannot); None: it has moved on."""
    current = function.version(prepared.version)
    if current is None or current.deployment_id != prepared.deployment_id:
        return None
    if not is_unfinished(current):
        return None
    version = replace(_settled_version(current, reason), revision_id=new_revision)
    if current.version != LATEST:
        return replace(function, published={**function.published, current.version: version})
    source = function.published_from
    if source is not None and source.deployment_id == current.deployment_id:
        function = replace(function, published_from=version)
    serving = None if reason is None else function.serving
    return replace(function, latest=version, serving=serving)


def _settled_version(version: FunctionVersion, reason: Reason | None) -> FunctionVersion:
    if reason is None:
        return replace(
            version,
            state=State.ACTIVE,
            state_reason=None,
            last_update_status=UpdateStatus.SUCCESSFUL,
            last_update_reason=None,
        )
    updating = version.last_update_status is UpdateStatus.IN_PROGRESS
    failed_update = UpdateStatus.FAILED if updating else version.last_update_status
    if version.state is not State.PENDING:
        return replace(version, last_update_status=failed_update, last_update_reason=reason)
    return replace(
        version,
        state=State.FAILED,
        state_reason=reason,
        last_update_status=failed_update,
        last_update_reason=reason if updating else None,
    )
