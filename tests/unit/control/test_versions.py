"""Versions, deletion, lists, tags and starts through the use cases."""

import asyncio
import hashlib

import pytest

from lampyr.control import account, functions, tags, versions
from lampyr.errors import (
    InvalidParameterValueException,
    ResourceNotFoundException,
)
from lampyr.model.function import (
    FunctionKey,
    State,
)
from lampyr.testing.builders import ACCOUNT, REGION, a_function, a_key, a_zip
from lampyr.testing.control import Control, DictStore, running_control
from tests.unit.control.calls import (
    OTHER,
    configure,
    create,
    creating,
    look,
    packages,
    publish,
    refer,
    update,
)

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
