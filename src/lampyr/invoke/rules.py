"""The decisions of the invoke path: who may run, and which version.

Pure functions of what they are given; `invoker.py` does what they decide.
"""

from collections.abc import Mapping

from lampyr.errors import (
    InvalidParameterValueException,
    ResourceConflictException,
    ResourceNotFoundException,
)
from lampyr.model.alias import Alias
from lampyr.model.function import LATEST, Function, FunctionVersion, State


def resolve(
    function: Function, qualifier: str | None, arn: str, dice: float = 1.0
) -> FunctionVersion:
    """The version that a qualifier means and that can run now.

    `arn` is the function's own, unqualified, for the error. `dice`, at least 0 and less than 1,
    chooses where an alias has two versions; with 1 it is the first. Raises as Invoke does.
    """
    number = qualifier
    if number is not None and (alias := function.aliases.get(number)) is not None:
        number = route(alias, dice)
    if number is None or number == LATEST:
        version = function.serving or function.latest
    else:
        found = function.published.get(number)
        if found is None:
            raise ResourceNotFoundException(f"Function not found: {arn}:{qualifier}")
        version = found
    if version.state is not State.ACTIVE:
        raise ResourceConflictException(
            "The operation cannot be performed at this time. "
            f"The function is currently in the following state: {version.state}"
        )
    return version


def route(alias: Alias, dice: float) -> str:
    """The version that one call through `alias` gets.

    https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html
    """
    for version, weight in alias.weights.items():
        if dice < weight:
            return version
        dice -= weight
    return alias.version


def is_split(function: Function, qualifier: str | None) -> bool:
    """Whether calls with this qualifier go to one of two versions, by chance."""
    alias = None if qualifier is None else function.aliases.get(qualifier)
    return alias is not None and bool(alias.weights)


def check_tenant(version: FunctionVersion, tenant_id: str | None) -> None:
    """A function that isolates its tenants must be told whose invocation it is, no other may be.

    https://docs.aws.amazon.com/lambda/latest/dg/tenant-isolation-invoke.html
    """
    isolates = version.tenant_isolation_mode is not None
    if isolates and tenant_id is None:
        raise InvalidParameterValueException(
            "The invoked function is enabled with tenancy configuration. "
            "Add a valid tenant ID in your request and try again."
        )
    if not isolates and tenant_id is not None:
        raise InvalidParameterValueException(
            "The invoked function is not enabled with tenancy configuration. "
            "Remove the tenant ID from your request and try again."
        )


def surplus(idle_since: Mapping[str, float], now: float, idle_seconds: float) -> list[str]:
    """Which idle environments have waited long enough; `idle_since` is in order of time."""
    due = []
    for environment_id, since in idle_since.items():
        if now - since < idle_seconds:
            break
        due.append(environment_id)
    return due
