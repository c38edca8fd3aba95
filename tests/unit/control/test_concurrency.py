"""What functions may run at once: asked for, refused, admitted, and the same after a restart."""

import pytest

from lampyr.control import account, concurrency, functions
from lampyr.errors import InvalidParameterValueException, TooManyRequestsException
from lampyr.invoke.admission import ACCOUNT_REASON, RESERVED_REASON, Pool
from lampyr.testing.builders import ACCOUNT, REGION, a_key
from lampyr.testing.control import Control, DictStore, running_control
from tests.unit.control.calls import create, refer


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
