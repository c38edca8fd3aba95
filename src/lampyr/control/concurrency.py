"""Reserved concurrency: invocations that a function, and no other, may run at once.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
"""

from dataclasses import replace

from lampyr.arn import FunctionReference
from lampyr.control.account import unreserved
from lampyr.control.functions import change_function, find
from lampyr.control.plane import ControlPlane
from lampyr.errors import ConcurrencyNotAvailableError
from lampyr.model.function import Function, FunctionKey


async def reserve(plane: ControlPlane, reference: FunctionReference, concurrency: int) -> None:
    """Set `concurrency` apart for a function, which can use no more; 0 stops it."""
    key = reference.key
    async with plane.concurrency_changes:
        function = await find(plane, reference)
        check_provisioned(function, concurrency)
        more = concurrency - function.claimed_concurrency
        await check_unreserved(plane, key, more)

        def change(function: Function) -> Function:
            check_provisioned(function, concurrency)
            return replace(function, reserved_concurrency=concurrency)

        await change_function(plane, key, change)


async def reserved(plane: ControlPlane, reference: FunctionReference) -> int | None:
    return (await find(plane, reference)).reserved_concurrency


async def unreserve(plane: ControlPlane, reference: FunctionReference) -> None:
    """The function shares the account's pool again; also when it does already."""
    await find(plane, reference)
    async with plane.concurrency_changes:
        await change_function(
            plane, reference.key, lambda function: replace(function, reserved_concurrency=None)
        )


async def check_unreserved(plane: ControlPlane, key: FunctionKey, more: int) -> None:
    """Refuse to take `more` out of the account's pool when too little is left for the others."""
    if more <= 0:
        return
    left = await unreserved(plane, key.account_id, key.region)
    least = plane.limits.unreserved_concurrency_min
    if more > left:
        raise ConcurrencyNotAvailableError(
            "Specified ConcurrentExecutions for function is greater than account's unreserved "
            f"concurrency [{left}]."
        )
    if left - more < least:
        raise ConcurrencyNotAvailableError(
            "Specified ConcurrentExecutions for function decreases account's "
            f"UnreservedConcurrentExecution below its minimum value of [{least}]."
        )


def check_provisioned(function: Function, concurrency: int) -> None:
    """What is provisioned comes out of what is reserved."""
    provisioned = function.provisioned_concurrency
    if concurrency < provisioned:
        raise ConcurrencyNotAvailableError(
            f" ReservedConcurrentExecutions  {concurrency} should not be lower than function's "
            f"total provisioned concurrency [{provisioned}]."
        )
