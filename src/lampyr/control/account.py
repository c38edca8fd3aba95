"""What an account may use in a Region, and what it uses.

https://docs.aws.amazon.com/lambda/latest/api/API_GetAccountSettings.html
"""

from collections.abc import Iterable
from dataclasses import dataclass

from lampyr.control.plane import ControlPlane
from lampyr.errors import CodeStorageExceededException
from lampyr.limits import Limits
from lampyr.model.function import Function, FunctionKey
from lampyr.model.layer import Layer
from lampyr.model.resource import ResourceKey


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings:
    limits: Limits
    function_count: int
    code_bytes: int
    """Zipped, of every version of every function and layer."""
    unreserved_concurrency: int


async def settings(plane: ControlPlane, account_id: str, region: str) -> AccountSettings:
    functions = await plane.store.functions.all(account_id, region)
    layers = await plane.store.table(Layer).all(account_id, region)
    of_functions = sum(
        version.code_bytes
        for function in functions
        for version in (function.latest, *function.published.values())
    )
    of_layers = sum(version.code_bytes for layer in layers for version in layer.versions)
    return AccountSettings(
        limits=plane.limits,
        function_count=len(functions),
        code_bytes=of_functions + of_layers,
        unreserved_concurrency=_unreserved(plane.limits, functions),
    )


async def unreserved(plane: ControlPlane, account_id: str, region: str) -> int:
    """Concurrency that no function of the account has taken for itself."""
    return _unreserved(plane.limits, await plane.store.functions.all(account_id, region))


def _unreserved(limits: Limits, functions: Iterable[Function]) -> int:
    claimed = sum(function.claimed_concurrency for function in functions)
    return limits.concurrent_executions - claimed


async def check_code_storage(
    plane: ControlPlane, key: FunctionKey | ResourceKey, more_bytes: int
) -> None:
    """Refuse `more_bytes` of code when the account has no room for them in this Region."""
    used = (await settings(plane, key.account_id, key.region)).code_bytes
    if used + more_bytes > plane.limits.code_bytes_total:
        raise CodeStorageExceededException("Code storage limit exceeded.")
