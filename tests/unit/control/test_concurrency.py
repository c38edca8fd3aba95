"""What functions may run at once: asked for, refused, admitted, and the same after a restart."""

import asyncio

import pytest

from lampyr.control import account, aliases, concurrency, functions, provisioned
from lampyr.control.requests import CreateAlias, UpdateAlias
from lampyr.errors import (
    InvalidParameterValueException,
    ProvisionedConcurrencyConfigNotFoundException,
    ResourceConflictException,
    ResourceNotFoundException,
    TooManyRequestsException,
)
from lampyr.invoke.admission import ACCOUNT_REASON, RESERVED_REASON, Pool
from lampyr.testing.builders import ACCOUNT, REGION, a_key
from lampyr.testing.control import Control, DictStore, running_control
from lampyr.worker.outcomes import Failure
from lampyr.worker.sandbox.base import Exit
from tests.unit.control.calls import configure, create, look, publish, refer


def reason(pool: Pool) -> str | None:
    """Why one more is refused; None when it is not."""
    try:
        pool.check()
    except TooManyRequestsException as error:
        return error.members["Reason"]
    return None


async def left(control: Control) -> int:
    return (await account.settings(control.plane, ACCOUNT, REGION)).unreserved_concurrency


async def test_what_is_reserved_is_taken_from_all_others_and_given_back(control: Control) -> None:
    await create(control)
    await create(control, "other")
    for wanted, remains in ((400, 600), (100, 900), (0, 1_000)):
        await concurrency.reserve(control.plane, refer(), wanted)
        assert await left(control) == remains
        assert control.admission.pool(a_key("other")).limit == remains
        assert control.admission.pool(a_key()).limit == wanted
    await concurrency.reserve(control.plane, refer(), 300)
    await concurrency.unreserve(control.plane, refer())
    assert control.admission.pool(a_key()) is control.admission.pool(a_key("other"))
    await concurrency.reserve(control.plane, refer(), 300)
    await functions.delete(control.plane, refer())
    assert await left(control) == control.admission.pool(a_key("other")).limit == 1_000


async def test_a_hundred_stay_for_functions_that_reserve_nothing(control: Control) -> None:
    await create(control)
    await create(control, "other")
    await concurrency.reserve(control.plane, refer("other"), 500)
    with pytest.raises(InvalidParameterValueException) as caught:
        await concurrency.reserve(control.plane, refer(), 401)
    assert caught.value.message.endswith(
        "UnreservedConcurrentExecution below its minimum value of [100]."
    )
    with pytest.raises(InvalidParameterValueException, match=r"unreserved concurrency \[500\]"):
        await concurrency.reserve(control.plane, refer(), 501)
    await concurrency.reserve(control.plane, refer(), 400)
    await concurrency.reserve(control.plane, refer(), 399)


async def test_each_pool_refuses_with_the_reason_that_is_its_own(control: Control) -> None:
    await create(control)
    await concurrency.reserve(control.plane, refer(), 2)
    own, shared = control.admission.pool(a_key()), control.admission.pool(a_key("other"))
    own.in_flight = 1
    assert reason(own) is None
    own.in_flight = 2
    assert reason(own) == RESERVED_REASON
    await concurrency.reserve(control.plane, refer(), 3)
    assert (reason(own), reason(shared)) == (None, None), "those that run are counted on"
    shared.in_flight = 997
    assert reason(shared) == ACCOUNT_REASON
    assert control.admission.in_flight(ACCOUNT, REGION) == 999
    await concurrency.reserve(control.plane, refer(), 0)
    own.in_flight = 0
    assert reason(own) == RESERVED_REASON


async def test_what_was_reserved_holds_from_the_start() -> None:
    store = DictStore()
    async with running_control(store) as control:
        await create(control)
        await concurrency.reserve(control.plane, refer(), 7)
    async with running_control(store) as again:
        assert again.admission.pool(a_key()).limit == 7
        assert again.admission.pool(a_key("other")).limit == 993


# Provisioned -----------------------------------------------------------------------------------


async def published(control: Control, count: int = 1) -> None:
    await create(control)
    for number in range(count):
        await configure(control, memory_mb=200 + number)
        await publish(control)
        await control.settle(a_key())


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


async def counts(control: Control, qualifier: str = "1") -> tuple[int, int, int, str]:
    found = (await provisioned.get(control.plane, refer(qualifier=qualifier))).provision
    return found.requested, found.allocated, found.available, found.status.value


async def point(control: Control, version: str, **weights: float) -> None:
    """Alias `live` leads there from now on."""
    given = {number.removeprefix("v"): weight for number, weight in weights.items()}
    if "live" in (await look(control)).aliases:
        change = UpdateAlias(key=a_key(), name="live", version=version, weights=given)
        await aliases.update(control.plane, change)
    else:
        made = CreateAlias(key=a_key(), name="live", version=version, weights=given)
        await aliases.create(control.plane, made)


async def test_provisioned_environments_are_started_ahead_and_counted_as_they_are(
    control: Control,
) -> None:
    await published(control)
    put = await provisioned.put(control.plane, refer(qualifier="1"), 3)
    assert (put.provision.allocated, put.provision.status) == (0, "IN_PROGRESS")
    await settle()
    assert await counts(control) == (3, 3, 3, "READY")
    assert all(start["provisioned"] for start in control.environments.starts)
    assert {start["init_seconds"] for start in control.environments.starts} == {130.0}
    await provisioned.put(control.plane, refer(qualifier="1"), 1)
    await settle()
    assert await counts(control) == (1, 1, 1, "READY")
    assert len(control.environments.stopped) == 2
    await provisioned.delete(control.plane, refer(qualifier="1"))
    await settle()
    assert len(control.environments.stopped) == 3
    with pytest.raises(ProvisionedConcurrencyConfigNotFoundException):
        await counts(control)


async def test_one_that_ends_is_started_anew(control: Control) -> None:
    await published(control)
    await provisioned.put(control.plane, refer(qualifier="1"), 2)
    await settle()
    control.environments.started["e1"].environment.exited(Exit(code=1))
    assert await counts(control) == (2, 1, 1, "IN_PROGRESS")
    await settle()
    assert await counts(control) == (2, 2, 2, "READY")
    assert sorted(control.environments.started) == ["e1", "e2", "e3"]


async def test_an_init_that_fails_is_told_and_tried_later_and_later(control: Control) -> None:
    await published(control)
    broken = Failure(error_type="E", payload=b"{}")
    control.environments.failures = [broken] * 3
    await provisioned.put(control.plane, refer(qualifier="1"), 1)
    for seconds in (1.0, 2.0):
        await settle()
        assert await counts(control) == (1, 0, 0, "IN_PROGRESS")
        await control.clock.advance(seconds)
    await settle()
    failed = (await provisioned.get(control.plane, refer(qualifier="1"))).provision
    assert (failed.status, failed.reason) == ("FAILED", "FUNCTION_ERROR_INIT_FAILURE")
    await control.clock.advance(4.0)
    await settle()
    assert await counts(control) == (1, 1, 1, "READY")


async def test_what_the_host_has_no_room_for_comes_when_there_is(control: Control) -> None:
    await published(control, 2)
    await provisioned.put(control.plane, refer(qualifier="1"), 8)
    await provisioned.put(control.plane, refer(qualifier="2"), 4)
    await settle()
    assert await counts(control) == (8, 8, 8, "READY")
    assert await counts(control, "2") == (4, 2, 2, "IN_PROGRESS")
    await provisioned.delete(control.plane, refer(qualifier="1"))
    await settle()
    await control.clock.advance(1.0)
    await settle()
    assert await counts(control, "2") == (4, 4, 4, "READY")


async def test_an_alias_takes_its_environments_to_the_versions_it_leads_to(
    control: Control,
) -> None:
    await published(control, 2)
    await point(control, "1")
    await provisioned.put(control.plane, refer(qualifier="live"), 4)
    await settle()
    one, two = (await look(control)).published.values()
    arn = f"{refer().unqualified_arn}:live"
    found = control.provisioned.find(one, arn)
    assert found is not None
    assert control.provisioned.find(one, refer().unqualified_arn + ":1") is None
    assert control.provisioned.find(two, arn) is None
    await point(control, "1", v2=0.25)
    await settle()
    assert await counts(control, "live") == (4, 4, 4, "READY")
    other = control.provisioned.find(two, arn)
    assert other is not None
    assert (len(found.ready), len(other.ready)) == (3, 1)
    await point(control, "2")
    await settle()
    assert (len(found.ready), len(other.ready)) == (0, 4)
    await aliases.delete(control.plane, refer(), "live")
    await settle()
    assert sorted(control.environments.stopped) == sorted(control.environments.started)


async def test_what_is_provisioned_comes_out_of_what_is_reserved(control: Control) -> None:
    await published(control)
    await provisioned.put(control.plane, refer(qualifier="1"), 5)
    assert control.admission.pool(a_key()).limit == 995
    await concurrency.reserve(control.plane, refer(), 7)
    assert control.admission.pool(a_key()).limit == 2
    assert await left(control) == 993
    with pytest.raises(InvalidParameterValueException, match="lower than function's total"):
        await concurrency.reserve(control.plane, refer(), 4)
    with pytest.raises(InvalidParameterValueException, match="should not be greater than the"):
        await provisioned.put(control.plane, refer(qualifier="1"), 8)
    await concurrency.unreserve(control.plane, refer())
    with pytest.raises(InvalidParameterValueException, match="below its minimum"):
        await provisioned.put(control.plane, refer(qualifier="1"), 901)


async def test_a_config_is_of_a_published_version_or_of_an_alias_but_not_of_both(
    control: Control,
) -> None:
    await published(control, 2)
    await point(control, "1")
    plane = control.plane
    for qualifier in (None, "$LATEST"):
        with pytest.raises(InvalidParameterValueException, match="unpublished function versions"):
            await provisioned.put(plane, refer(qualifier=qualifier), 1)
        with pytest.raises(InvalidParameterValueException, match="an alias or a published"):
            await provisioned.get(plane, refer(qualifier=qualifier))
    for qualifier, told in (("9", "Function not found"), ("none", "Cannot find alias arn")):
        for call in (provisioned.get, provisioned.delete):
            with pytest.raises(ResourceNotFoundException, match=told):
                await call(plane, refer(qualifier=qualifier))
    await provisioned.put(plane, refer(qualifier="1"), 1)
    with pytest.raises(ResourceConflictException, match="already Provisioned version"):
        await provisioned.put(plane, refer(qualifier="live"), 1)
    await provisioned.delete(plane, refer(qualifier="1"))
    await provisioned.put(plane, refer(qualifier="live"), 1)
    with pytest.raises(ResourceConflictException, match="Provisioned Concurrency alias"):
        await provisioned.put(plane, refer(qualifier="1"), 1)
    await provisioned.put(plane, refer(qualifier="2"), 1)
    with pytest.raises(ResourceConflictException, match="already Provisioned version"):
        await point(control, "2")
    with pytest.raises(InvalidParameterValueException, match="unpublished function versions"):
        await point(control, "$LATEST")
    listed = await provisioned.list_configs(plane, refer(), max_items=1)
    rest = await provisioned.list_configs(plane, refer(), marker=listed.next_marker)
    assert [item.qualifier for item in (*listed.items, *rest.items)] == ["2", "live"]


async def test_what_is_provisioned_is_started_again_after_a_restart() -> None:
    store = DictStore()
    async with running_control(store) as control:
        await published(control)
        await provisioned.put(control.plane, refer(qualifier="1"), 2)
        await settle()
    async with running_control(store) as again:
        await settle()
        assert await counts(again) == (2, 2, 2, "READY")


async def test_what_ran_ahead_and_what_spilled_over_are_counted_apart(control: Control) -> None:
    await published(control)
    await provisioned.put(control.plane, refer(qualifier="1"), 1)
    await settle()
    version = (await look(control)).published["1"]
    allotment = control.provisioned.find(version, f"{refer().unqualified_arn}:1")
    assert allotment is not None
    assert control.provisioned.take(allotment) is not None
    assert control.provisioned.take(allotment) is None
    control.provisioned.spill(allotment)
    assert await counts(control) == (1, 1, 0, "READY")
    found = (await provisioned.get(control.plane, refer(qualifier="1"))).provision
    assert (found.invocations, found.spillovers, found.utilization) == (1, 1, 1.0)
    counted = control.metrics.of(ACCOUNT, REGION)["hello"]
    assert {name: statistic.total for name, statistic in counted.items()} == {
        "ProvisionedConcurrencyInvocations": 1,
        "ProvisionedConcurrentExecutions": 1,
        "ProvisionedConcurrencyUtilization": 1,
        "ProvisionedConcurrencySpilloverInvocations": 1,
    }
