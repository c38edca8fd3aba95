"""Functions and their packages through the use cases: created and updated."""

import asyncio
from dataclasses import replace

import pytest

from lampyr.control import functions
from lampyr.errors import (
    CodeStorageExceededException,
    InvalidParameterValueException,
    NotServedError,
    PreconditionFailedException,
    RequestEntityTooLargeException,
    ResourceConflictException,
)
from lampyr.limits import DEFAULT_LIMITS
from lampyr.model.function import (
    FunctionVersion,
    Reason,
    State,
    UpdateStatus,
)
from lampyr.testing.builders import a_key, a_zip
from lampyr.testing.control import Control, running_control
from tests.unit.control.calls import (
    BROKEN,
    OTHER,
    configure,
    create,
    creating,
    look,
    packages,
    publish,
    update,
)


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


async def test_code_for_another_processor_does_not_replace_the_old(control: Control) -> None:
    await create(control)
    await update(control, architecture="x86_64")
    await control.settle(a_key())
    with pytest.raises(NotServedError):
        await update(control, architecture="arm64")
