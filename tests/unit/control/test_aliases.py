"""Aliases through the use cases, and what they may point to as a table."""

from dataclasses import replace
from typing import Any

import pytest

from lampyr.control import aliases, functions
from lampyr.control.requests import CreateAlias, UpdateAlias
from lampyr.errors import (
    AliasLimitExceededException,
    InvalidParameterValueException,
    PreconditionFailedException,
    ResourceConflictException,
    ResourceNotFoundException,
    ServiceError,
)
from lampyr.limits import DEFAULT_LIMITS
from lampyr.model.alias import Alias
from lampyr.testing.builders import a_function, a_key, a_version
from lampyr.testing.control import Control, running_control
from tests.unit.control.calls import configure, create, look, publish, refer

ARN = "arn:aws:lambda:us-east-1:123456789012:function:hello"
FUNCTION = a_function(
    published={
        "1": a_version(version="1"),
        "2": a_version(version="2"),
        "3": a_version(version="3", role="arn:aws:iam::123456789012:role/other"),
        "4": a_version(version="4", dead_letter_arn="arn:aws:sqs:us-east-1:123456789012:dead"),
    }
)


def an_alias(version: str = "1", **members: Any) -> Alias:
    return Alias(**{"name": "live", "version": version, "revision_id": "r", **members})


async def make(control: Control, name: str = "live", version: str = "1", **more: Any) -> Alias:
    request = CreateAlias(key=a_key(), name=name, version=version, **more)
    return await aliases.create(control.plane, request)


async def change(control: Control, **more: Any) -> Alias:
    return await aliases.update(control.plane, UpdateAlias(key=a_key(), name="live", **more))


async def with_versions(control: Control, count: int = 2) -> None:
    await create(control)
    for number in range(count):
        await configure(control, memory_mb=128 + number)
        await publish(control)


@pytest.mark.parametrize(
    ("alias", "message"),
    [
        (an_alias("9"), f"Function not found: {ARN}:9"),
        (an_alias(weights={"9": 0.5}), f"Function not found: {ARN}:9"),
        (
            an_alias(weights={"2": 0.1, "3": 0.1}),
            "Number of items in AdditionalVersionWeights cannot be greater than 1",
        ),
        (
            an_alias("$LATEST", weights={"2": 0.1}),
            "$LATEST is not supported for an alias pointing to more than 1 version",
        ),
        (
            an_alias(weights={"1": 0.1}),
            (
                "Invalid function version 1. Function version 1 is already included in routing "
                "configuration."
            ),
        ),
        (
            an_alias(weights={"3": 0.1}),
            "The versions that an alias points to must have the same execution role.",
        ),
        (
            an_alias(weights={"4": 0.1}),
            (
                "The versions that an alias points to must have the same dead-letter queue "
                "configuration."
            ),
        ),
    ],
)
def test_what_an_alias_cannot_point_to(alias: Alias, message: str) -> None:
    with pytest.raises(ServiceError) as refused:
        aliases.check_target(FUNCTION, alias)
    assert refused.value.message == message


@pytest.mark.parametrize("alias", [an_alias("$LATEST"), an_alias(), an_alias(weights={"2": 0.1})])
def test_what_an_alias_can_point_to(alias: Alias) -> None:
    aliases.check_target(FUNCTION, alias)


async def test_an_alias_is_made_once_moved_and_deleted(control: Control) -> None:
    await with_versions(control)
    made = await make(control, description="first")
    assert await aliases.get(control.plane, refer(), "live") == made
    with pytest.raises(ResourceConflictException, match=rf"Alias already exists: {ARN}:live$"):
        await make(control)
    moved = await change(control, version="2", weights={"1": 0.25})
    assert (moved.version, moved.description, moved.weights) == ("2", "first", {"1": 0.25})
    assert moved.revision_id != made.revision_id
    kept = await change(control, description="")
    assert (kept.description, kept.weights) == ("", {"1": 0.25})
    with pytest.raises(InvalidParameterValueException, match="already included"):
        await change(control, version="1")
    assert (await change(control, version="1", weights={})).weights == {}
    for _ in range(2):
        await aliases.delete(control.plane, refer(), "live")
    with pytest.raises(ResourceNotFoundException, match=rf"Cannot find alias arn: {ARN}:live$"):
        await aliases.get(control.plane, refer(), "live")


async def test_an_update_of_another_revision_changes_nothing(control: Control) -> None:
    await with_versions(control)
    made = await make(control)
    with pytest.raises(PreconditionFailedException, match="Call the GetFunction/GetAlias API"):
        await change(control, version="2", revision_id="other")
    assert await aliases.get(control.plane, refer(), "live") == made
    assert (await change(control, version="2", revision_id=made.revision_id)).version == "2"


async def test_a_version_that_an_alias_uses_stays(control: Control) -> None:
    await with_versions(control, 3)
    await make(control, "b", "2", weights={"3": 0.5})
    await make(control, "a", "2")
    for number, names in (("2", r"\[a, b\]"), ("3", r"\[b\]")):
        with pytest.raises(ResourceConflictException, match=f"aliases reference it: {names}"):
            await functions.delete(control.plane, refer(qualifier=number))
    await functions.delete(control.plane, refer(qualifier="1"))
    await aliases.delete(control.plane, refer(), "b")
    await functions.delete(control.plane, refer(qualifier="3"))
    assert set((await look(control)).published) == {"2"}


async def test_lists_by_name_in_pages_and_by_version(control: Control) -> None:
    await with_versions(control)
    for name in "cab":
        await make(control, name, "1", weights={"2": 0.5} if name == "b" else None)
    first = await aliases.list_aliases(control.plane, refer(), max_items=2)
    await aliases.delete(control.plane, refer(), "b")
    rest = await aliases.list_aliases(control.plane, refer(), marker=first.next_marker)
    assert [alias.name for alias in (*first.items, *rest.items)] == ["a", "b", "c"]
    assert rest.next_marker is None
    await make(control, "b", "2", weights={"1": 0.5})
    for version, names in (("1", ["a", "b", "c"]), ("2", ["b"]), ("$LATEST", [])):
        found = await aliases.list_aliases(control.plane, refer(), version=version)
        assert [alias.name for alias in found.items] == names


async def test_aliases_have_a_limit() -> None:
    limits = replace(DEFAULT_LIMITS, aliases=1)
    async with running_control(limits=limits) as control:
        await with_versions(control, 1)
        await make(control)
        with pytest.raises(AliasLimitExceededException):
            await make(control, "second")
