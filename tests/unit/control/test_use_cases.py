"""Functions, versions, tags and packages through the use cases."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from lampyr.arn import FunctionReference
from lampyr.control import account, functions, tags, versions
from lampyr.control.requests import (
    ConfigurationChange,
    CreateFunction,
    PublishVersion,
    UpdateCode,
    UpdateConfiguration,
)
from lampyr.errors import (
    CodeStorageExceededException,
    InvalidParameterValueException,
    PreconditionFailedException,
    RequestEntityTooLargeException,
    ResourceConflictException,
    ResourceNotFoundException,
)
from lampyr.limits import DEFAULT_LIMITS
from lampyr.model.function import (
    Function,
    FunctionKey,
    FunctionVersion,
    Reason,
    State,
    UpdateStatus,
)
from lampyr.testing.builders import ACCOUNT, REGION, ROLE, a_function, a_key, a_zip
from lampyr.testing.control import Control, DictBlobs, DictStore, running_control

CONFIGURATION = ConfigurationChange(role=ROLE, runtime="python3.12", handler="app.handler")
BROKEN = Reason(message="python3.12 is not installed", code="InvalidRuntime")
OTHER = a_zip({"app.py": "handler = print"})


@pytest.fixture
async def control() -> AsyncIterator[Control]:
    async with running_control() as control:
        yield control


def creating(name: str = "hello", package: bytes | None = None, **more: object) -> CreateFunction:
    return CreateFunction(
        key=a_key(name),
        configuration=CONFIGURATION,
        package=a_zip() if package is None else package,
        **more,  # type: ignore[arg-type]
    )


def refer(name: str = "hello", qualifier: str | None = None) -> FunctionReference:
    return FunctionReference(key=a_key(name), qualifier=qualifier)


async def create(control: Control, name: str = "hello", **more: object) -> FunctionVersion:
    version = await functions.create(control.plane, creating(name, **more))  # type: ignore[arg-type]
    await control.settle(a_key(name))
    return version


async def update(control: Control, package: bytes = OTHER, **more: object) -> FunctionVersion:
    return await functions.update_code(
        control.plane,
        UpdateCode(key=a_key(), package=package, **more),  # type: ignore[arg-type]
    )


async def configure(control: Control, **members: object) -> FunctionVersion:
    change = ConfigurationChange(**members)  # type: ignore[arg-type]
    version = await functions.update_configuration(
        control.plane, UpdateConfiguration(key=a_key(), configuration=change)
    )
    await control.settle(a_key())
    return version


async def publish(control: Control, **more: str) -> FunctionVersion:
    return await versions.publish(control.plane, PublishVersion(key=a_key(), **more))


async def look(control: Control, name: str = "hello") -> Function:
    return await functions.find(control.plane, refer(name))


def packages(control: Control) -> set[bytes]:
    blobs = control.store.blobs
    assert isinstance(blobs, DictBlobs)
    return set(blobs.packages.values())


# Create ------------------------------------------------------------------------------------


async def test_a_function_is_created_pending_and_becomes_active(control: Control) -> None:
    version = await functions.create(control.plane, creating())
    assert version.state is State.PENDING
    assert version.state_reason == Reason(message="The function is being created.", code="Creating")
    await control.settle(a_key())
    latest = (await look(control)).latest
    assert latest.state is State.ACTIVE
    assert latest.revision_id != version.revision_id
    assert [v.deployment_id for v in control.cluster.prepared] == [version.deployment_id]


async def test_a_function_that_cannot_run_fails_with_the_reason(control: Control) -> None:
    control.cluster.reason = BROKEN
    await create(control)
    latest = (await look(control)).latest
    assert (latest.state, latest.state_reason) == (State.FAILED, BROKEN)


async def test_a_fault_of_the_platform_does_not_leave_a_function_pending(
    control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    control.cluster.error = OSError("disk is full")
    await create(control)
    latest = (await look(control)).latest
    assert latest.state is State.FAILED
    assert latest.state_reason is not None
    assert latest.state_reason.code == "InternalError"
    assert "disk is full" in caplog.text


async def test_a_name_is_taken_once(control: Control) -> None:
    await create(control)
    with pytest.raises(ResourceConflictException) as refused:
        await create(control)
    assert refused.value.message == "Function already exist: hello"


async def test_of_many_who_create_a_name_one_does(control: Control) -> None:
    answers = await asyncio.gather(
        *(functions.create(control.plane, creating()) for _ in range(10)), return_exceptions=True
    )
    assert sum(isinstance(answer, FunctionVersion) for answer in answers) == 1
    assert sum(isinstance(answer, ResourceConflictException) for answer in answers) == 9
    assert packages(control) == {a_zip()}


async def test_accounts_and_regions_do_not_see_each_other(control: Control) -> None:
    await create(control)
    for key in (a_key(account_id="222222222222"), a_key(region="eu-west-1")):
        await functions.create(control.plane, replace(creating(), key=key))
        page = await functions.list_functions(control.plane, key.account_id, key.region)
        assert [version.key for version in page.items] == [key]


@pytest.mark.parametrize(
    ("package", "message"),
    [
        (b"", "Uploaded file must be a non-empty zip"),
        (
            b"no zip",
            "Could not unzip uploaded file. Please check your file, then try to upload again.",
        ),
    ],
)
async def test_what_is_no_package(control: Control, package: bytes, message: str) -> None:
    with pytest.raises(InvalidParameterValueException) as refused:
        await create(control, package=package)
    assert refused.value.message == message
    assert packages(control) == set()


@pytest.mark.recorded("TestLambdaSizeLimits::test_oversized_lambda")
async def test_a_package_that_is_too_large_unzipped() -> None:
    limits = replace(DEFAULT_LIMITS, code_bytes_unzipped=1_000)
    async with running_control(limits=limits) as control:
        with pytest.raises(InvalidParameterValueException) as refused:
            await create(control, package=a_zip({"a": "x" * 1_001}))
        assert refused.value.message == "Unzipped size must be smaller than 1000 bytes"


async def test_a_package_that_is_too_large_zipped() -> None:
    limits = replace(DEFAULT_LIMITS, code_bytes_zipped=100)
    async with running_control(limits=limits) as control:
        with pytest.raises(RequestEntityTooLargeException, match="smaller than 134 bytes for the"):
            await create(control)


async def test_an_account_has_room_for_so_much_code() -> None:
    limits = replace(DEFAULT_LIMITS, code_bytes_total=2 * len(a_zip()))
    async with running_control(limits=limits) as control:
        await create(control)
        await publish(control)
        with pytest.raises(CodeStorageExceededException, match="Code storage limit exceeded"):
            await create(control, "other")
        await configure(control, memory_mb=256)
        with pytest.raises(CodeStorageExceededException):
            await publish(control)
        assert (await look(control)).last_version == 1


# Update ------------------------------------------------------------------------------------


async def test_an_update_runs_in_the_background_and_the_old_code_meanwhile(
    control: Control,
) -> None:
    await create(control)
    old = (await look(control)).latest
    control.cluster.gate.clear()
    version = await update(control)
    assert version.last_update_status is UpdateStatus.IN_PROGRESS
    function = await look(control)
    assert function.serving == old
    assert packages(control) == {a_zip(), OTHER}
    for change in (update(control), configure(control, memory_mb=256), publish(control)):
        with pytest.raises(ResourceConflictException, match="An update is in progress for"):
            await change
    assert control.retired == []
    control.cluster.gate.set()
    await control.settle(a_key())
    function = await look(control)
    assert function.serving is None
    assert function.latest.last_update_status is UpdateStatus.SUCCESSFUL
    await asyncio.sleep(0)
    assert control.retired == [old.deployment_id]
    assert packages(control) == {OTHER}


async def test_a_pending_function_is_not_updated(control: Control) -> None:
    control.cluster.gate.clear()
    await functions.create(control.plane, creating())
    with pytest.raises(ResourceConflictException, match="in the following state: Pending"):
        await configure(control, memory_mb=256)
    control.cluster.gate.set()


async def test_after_a_failed_update_the_old_code_goes_on(control: Control) -> None:
    await create(control)
    old = (await look(control)).latest
    control.cluster.reason = BROKEN
    await configure(control, runtime="python3.14")
    function = await look(control)
    assert function.serving == old
    assert function.latest.last_update_reason == BROKEN
    assert control.retired == []
    control.cluster.reason = None
    await configure(control, runtime="python3.12")
    assert (await look(control)).serving is None
    await asyncio.sleep(0)
    assert control.retired == [old.deployment_id]


async def test_the_package_of_a_failed_update_goes_with_the_next(control: Control) -> None:
    await create(control)
    control.cluster.reason = BROKEN
    await update(control)
    await control.settle(a_key())
    assert packages(control) == {a_zip(), OTHER}
    control.cluster.reason = None
    await update(control, package=a_zip())
    await control.settle(a_key())
    assert packages(control) == {a_zip()}


async def test_a_change_of_what_another_has_changed_is_refused(control: Control) -> None:
    version = await create(control)
    with pytest.raises(PreconditionFailedException) as refused:
        await update(control, revision_id=version.revision_id)
    assert refused.value.message == (
        "The Revision Id provided does not match the latest Revision Id. "
        "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
    )
    with pytest.raises(PreconditionFailedException):
        await publish(control, revision_id=version.revision_id)
    await update(control, revision_id=(await look(control)).latest.revision_id)


async def test_a_dry_run_changes_nothing(control: Control) -> None:
    await create(control)
    before = await look(control)
    answer = await update(control, dry_run=True)
    assert answer.code_bytes == len(OTHER)
    assert await look(control) == before
    assert packages(control) == {a_zip()}


async def test_code_and_version_in_one_step(control: Control) -> None:
    await create(control)
    version = await update(control, publish=True)
    assert (version.version, version.state) == ("1", State.PENDING)
    await control.settle(a_key())
    function = await look(control)
    assert function.published["1"].state is State.ACTIVE
    assert function.published["1"].code_sha256 == function.latest.code_sha256
    assert await publish(control) == function.published["1"]


async def test_a_function_and_its_first_version_in_one_step(control: Control) -> None:
    version = await create(control, publish=True)
    assert (version.version, version.state) == ("1", State.PENDING)
    assert (await look(control)).published["1"].state is State.ACTIVE


# Versions ----------------------------------------------------------------------------------


async def test_versions_are_numbered_and_numbers_do_not_return(control: Control) -> None:
    await create(control)
    numbers = []
    for memory_mb in (128, 129, 130):
        await configure(control, memory_mb=memory_mb)
        numbers.append((await publish(control)).version)
    await functions.delete(control.plane, refer(qualifier="3"))
    numbers.append((await publish(control)).version)
    assert numbers == ["1", "2", "3", "4"]
    assert list((await look(control)).published) == ["1", "2", "4"]


async def test_what_has_not_changed_is_not_published_twice(control: Control) -> None:
    await create(control)
    first = await publish(control, description="first")
    await configure(control, memory_mb=128)
    assert await publish(control, description="second") == first
    await configure(control, description="changed")
    assert (await publish(control)).version == "2"


async def test_a_version_does_not_change(control: Control) -> None:
    await create(control)
    await publish(control)
    before = (await look(control)).published["1"]
    await update(control)
    await control.settle(a_key())
    await configure(control, memory_mb=512)
    assert (await look(control)).published["1"] == before
    assert packages(control) == {a_zip(), OTHER}


async def test_publishing_what_is_not_there(control: Control) -> None:
    with pytest.raises(ResourceNotFoundException):
        await publish(control)


@pytest.mark.recorded("TestLambdaImages::test_lambda_image_versions")
async def test_only_the_expected_code_is_published(control: Control) -> None:
    version = await create(control)
    with pytest.raises(InvalidParameterValueException) as refused:
        await publish(control, code_sha256="a" * 64)
    assert refused.value.message == (
        f"CodeSHA256 ({'a' * 64}) is different from current CodeSHA256 in $LATEST "
        f"({version.code_sha256}). Please try again with the CodeSHA256 in $LATEST."
    )
    assert (await publish(control, code_sha256=version.code_sha256)).version == "1"


# Delete ------------------------------------------------------------------------------------


async def test_a_deleted_function_takes_everything_with_it(control: Control) -> None:
    await create(control)
    await publish(control)
    function = await look(control)
    await functions.delete(control.plane, refer())
    with pytest.raises(ResourceNotFoundException):
        await look(control)
    assert packages(control) == set()
    assert set(control.retired) == {
        function.latest.deployment_id,
        function.published["1"].deployment_id,
    }


async def test_a_package_stays_as_long_as_a_function_needs_it(control: Control) -> None:
    await create(control)
    await create(control, "other")
    await functions.delete(control.plane, refer())
    assert packages(control) == {a_zip()}
    await functions.delete(control.plane, refer("other"))
    assert packages(control) == set()


async def test_a_version_is_deleted_alone(control: Control) -> None:
    await create(control)
    version = await publish(control)
    for _ in range(2):
        await functions.delete(control.plane, refer(qualifier="1"))
    assert (await look(control)).published == {}
    assert control.retired == [version.deployment_id]


@pytest.mark.recorded("TestLambdaFunction::test_ops_with_arn_qualifier_mismatch")
async def test_what_cannot_be_deleted(control: Control) -> None:
    for qualifier, message in (
        ("$LATEST", "$LATEST version cannot be deleted without deleting the function."),
        ("live", "Deletion of aliases is not currently supported."),
    ):
        with pytest.raises(InvalidParameterValueException) as refused:
            await functions.delete(control.plane, refer(qualifier=qualifier))
        assert refused.value.message == message
    for absent in (None, "1", "$latest"):
        with pytest.raises(ResourceNotFoundException) as missing:
            await functions.delete(control.plane, refer(qualifier=absent))
        assert missing.value.message == (
            "Function not found: arn:aws:lambda:us-east-1:123456789012:function:hello"
        )


async def test_a_function_deleted_while_it_is_prepared_stays_deleted(control: Control) -> None:
    control.cluster.gate.clear()
    await functions.create(control.plane, creating())
    await functions.delete(control.plane, refer())
    await functions.create(control.plane, creating(package=OTHER))
    control.cluster.gate.set()
    await control.settle(a_key())
    assert (await look(control)).latest.state is State.ACTIVE
    assert packages(control) == {OTHER}


# Lists -------------------------------------------------------------------------------------


async def test_lists_come_in_pages_that_neither_repeat_nor_leave_out(control: Control) -> None:
    names = [f"f{n:03d}" for n in range(120)]
    for name in names:
        await control.store.functions.create(a_function(a_key(name)))
    seen, marker, pages = [], None, 0
    while True:
        page = await functions.list_functions(control.plane, ACCOUNT, REGION, marker=marker)
        seen += [version.key.name for version in page.items]
        pages += 1
        if pages == 1:
            await functions.delete(control.plane, refer(names[49]))  # The last one shown.
            await control.store.functions.create(a_function(a_key("f000a")))  # Shown already.
        marker = page.next_marker
        if marker is None:
            break
    assert (seen, pages) == (names, 3)


async def test_all_versions_are_listed_after_their_function(control: Control) -> None:
    await create(control, "a")
    await create(control)
    await publish(control)
    await configure(control, memory_mb=256)
    await publish(control)
    seen: list[tuple[str, str]] = []
    marker: str | None = None
    for _ in range(4):
        page = await functions.list_functions(
            control.plane, ACCOUNT, REGION, all_versions=True, marker=marker, max_items=1
        )
        seen += [(version.key.name, version.version) for version in page.items]
        marker = page.next_marker
    assert seen == [("a", "$LATEST"), ("hello", "$LATEST"), ("hello", "1"), ("hello", "2")]
    assert marker is None
    listed = await versions.list_versions(control.plane, refer(), max_items=2)
    assert [version.version for version in listed.items] == ["$LATEST", "1"]
    rest = await versions.list_versions(control.plane, refer(), marker=listed.next_marker)
    assert [version.version for version in rest.items] == ["2"]


@pytest.mark.parametrize("marker", ["x", "bnVsbA==", "WzEsIDJd", "é"])
async def test_a_marker_that_is_none(control: Control, marker: str) -> None:
    with pytest.raises(InvalidParameterValueException, match="Invalid Marker"):
        await functions.list_functions(control.plane, ACCOUNT, REGION, marker=marker)


# Tags, account, start ----------------------------------------------------------------------


async def test_tags_are_added_and_removed(control: Control) -> None:
    await create(control, tags={"a": "1"})
    before = (await look(control)).latest
    await tags.tag(control.plane, refer(), {"b": "2", "a": "3"})
    assert await tags.list_tags(control.plane, refer()) == {"a": "3", "b": "2"}
    await tags.untag(control.plane, refer(), ["a", "none"])
    assert await tags.list_tags(control.plane, refer()) == {"b": "2"}
    assert (await look(control)).latest == before


@pytest.mark.recorded("TestLambdaTags::test_tag_exceptions")
async def test_what_cannot_be_tagged(control: Control) -> None:
    with pytest.raises(ResourceNotFoundException):
        await tags.tag(control.plane, refer(), {"a": "1"})
    with pytest.raises(ResourceNotFoundException):
        await tags.list_tags(control.plane, refer())
    with pytest.raises(InvalidParameterValueException, match="aliases and versions"):
        await tags.tag(control.plane, refer(qualifier="$LATEST"), {"a": "1"})
    await create(control)
    with pytest.raises(InvalidParameterValueException) as refused:
        await tags.tag(control.plane, refer(), {})
    assert refused.value.message == "An error occurred and the request cannot be processed."


async def test_what_an_account_uses(control: Control) -> None:
    await create(control)
    await publish(control)
    await create(control, "other", package=OTHER)
    used = await account.settings(control.plane, ACCOUNT, REGION)
    assert used.function_count == 2
    assert used.code_bytes == 2 * len(a_zip()) + len(OTHER)
    elsewhere = await account.settings(control.plane, ACCOUNT, "eu-west-1")
    assert (elsewhere.function_count, elsewhere.code_bytes) == (0, 0)


async def test_a_start_takes_up_what_a_crash_interrupted() -> None:
    store = DictStore()
    async with running_control(store) as control:
        control.cluster.gate.clear()
        await functions.create(control.plane, creating())
        await functions.create(control.plane, creating("other", publish=True))
        await store.blobs.put(b"an upload that no function came to name")
    async with running_control(store) as control:
        for name in ("hello", "other"):
            await control.settle(a_key(name))
            assert (await look(control, name)).latest.state is State.ACTIVE
        assert (await look(control, "other")).published["1"].state is State.ACTIVE
        assert packages(control) == {a_zip()}
        assert await control.plane.packages_in_use() == {hashlib.sha256(a_zip()).hexdigest()}


async def test_a_package_whose_uploader_hung_up_is_kept(control: Control) -> None:
    """He may have hung up after the function was stored: only the next start can tell."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(functions.create(control.plane, creating()))
        while not packages(control):
            await asyncio.sleep(0)
        task.cancel()
    await functions.create(control.plane, creating("other"))
    await functions.delete(control.plane, refer("other"))
    assert packages(control) == {a_zip()}


async def test_many_functions_are_prepared_a_few_at_a_time(control: Control) -> None:
    control.cluster.gate.clear()
    for number in range(10):
        await functions.create(control.plane, creating(f"f{number}"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(control.cluster.prepared) == 4
    control.cluster.gate.set()
    for number in range(10):
        await control.settle(FunctionKey(ACCOUNT, REGION, f"f{number}"))
