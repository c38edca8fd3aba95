"""How versions and aliases are invoked asynchronously: settings by qualifier.

https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionEventInvokeConfig.html
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from lampyr.arn import FunctionReference, key_arn, parse
from lampyr.control.functions import change_function
from lampyr.control.pages import Page, page, place_of, size
from lampyr.control.plane import ControlPlane
from lampyr.control.qualifiers import exists, left, place
from lampyr.errors import InvalidParameterValueException, ResourceNotFoundException
from lampyr.model.event_invoke import EventInvokeConfig
from lampyr.model.function import LATEST, Function, FunctionKey

_SUCCESS_SERVICES: Final = frozenset({"events", "lambda", "sns", "sqs"})
_FAILURE_SERVICES: Final = _SUCCESS_SERVICES | {"s3"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EventInvokeChange:
    """What a caller asks for: None is what the call left out, "" no destination."""

    retry_attempts: int | None = None
    event_age_seconds: int | None = None
    destinations_given: bool = False
    on_success: str | None = None
    on_failure: str | None = None


async def put(
    plane: ControlPlane, reference: FunctionReference, change: EventInvokeChange
) -> EventInvokeConfig:
    """The settings, in place of any that there are."""
    return await _write(plane, reference, change, lambda _: EventInvokeConfig(last_modified=0.0))


async def update(
    plane: ControlPlane, reference: FunctionReference, change: EventInvokeChange
) -> EventInvokeConfig:
    """The settings, where the change says nothing as they were."""
    return await _write(plane, reference, change, lambda function: _found(function, reference))


async def get(plane: ControlPlane, reference: FunctionReference) -> EventInvokeConfig:
    function = await plane.store.functions.get(reference.key)
    if function is None:
        raise _missing(reference)
    return _found(function, reference)


async def list_configs(
    plane: ControlPlane,
    reference: FunctionReference,
    *,
    marker: str | None = None,
    max_items: int | None = None,
) -> Page[tuple[str, EventInvokeConfig]]:
    """With their qualifiers: `$LATEST`, versions by number, aliases by name."""
    start = place_of(marker)
    function = await plane.store.functions.get(reference.key)
    if function is None:
        raise _no_function()
    configs = function.event_invoke

    def items() -> Iterator[tuple[str, EventInvokeConfig]]:
        for qualifier in sorted(configs, key=place):
            if start is None or place(qualifier) > start:
                yield qualifier, configs[qualifier]

    return page(items(), size(max_items), lambda item: place(item[0]))


async def delete(plane: ControlPlane, reference: FunctionReference) -> None:
    qualifier = reference.qualifier or LATEST
    await get(plane, reference)

    def change(function: Function) -> Function:
        _found(function, reference)
        return replace(function, event_invoke=left(function.event_invoke, qualifier))

    await change_function(plane, reference.key, change)


async def _write(
    plane: ControlPlane,
    reference: FunctionReference,
    change: EventInvokeChange,
    current: Callable[[Function], EventInvokeConfig],
) -> EventInvokeConfig:
    qualifier = reference.qualifier or LATEST
    _check_asks(change)
    function = await plane.store.functions.get(reference.key)
    if function is None or not exists(function, qualifier):
        raise _no_function()
    await _check_destinations(plane, reference.key, change)
    now = plane.clock.now()

    def changed(function: Function) -> Function:
        if not exists(function, qualifier):
            raise _no_function()
        config = replace(configured(current(function), change), last_modified=now)
        return replace(function, event_invoke={**function.event_invoke, qualifier: config})

    new = await change_function(plane, reference.key, changed)
    return new.event_invoke[qualifier]


def configured(config: EventInvokeConfig, change: EventInvokeChange) -> EventInvokeConfig:
    """`config` with what the change says."""

    def chosen(given: str | None, before: str | None) -> str | None:
        return before if given is None else given or None

    return EventInvokeConfig(
        last_modified=config.last_modified,
        retry_attempts=(
            config.retry_attempts if change.retry_attempts is None else change.retry_attempts
        ),
        event_age_seconds=change.event_age_seconds or config.event_age_seconds,
        on_success=chosen(change.on_success, config.on_success),
        on_failure=chosen(change.on_failure, config.on_failure),
    )


def _check_asks(change: EventInvokeChange) -> None:
    numbers = (change.retry_attempts, change.event_age_seconds)
    if numbers == (None, None) and not change.destinations_given:
        raise InvalidParameterValueException(
            "You must specify at least one of error handling or destination setting."
        )


async def _check_destinations(
    plane: ControlPlane, key: FunctionKey, change: EventInvokeChange
) -> None:
    sides = ((change.on_success, _SUCCESS_SERVICES), (change.on_failure, _FAILURE_SERVICES))
    for arn, services in sides:
        if not arn:
            continue
        service = arn.split(":")[2] if arn.startswith("arn:") else ""
        if service not in services:
            raise InvalidParameterValueException(
                f"The provided destination config {_printed(change)} is invalid."
            )
        if service == "lambda":
            await _check_function(plane, key, arn)
        elif service in ("sns", "sqs") and arn.endswith(".fifo"):
            raise _invalid_arn(arn)


async def _check_function(plane: ControlPlane, key: FunctionKey, arn: str) -> None:
    """Another function may be a destination, when it is there."""
    named = parse(arn)
    if named is None or named.account_id is None or named.region is None:
        raise _invalid_arn(arn)
    other = FunctionKey(named.account_id, named.region, named.name)
    if other == key:
        raise InvalidParameterValueException(
            "You can't specify the function as a destination for itself."
        )
    function = await plane.store.functions.get(other)
    if function is None or not exists(function, named.qualifier or LATEST):
        raise _invalid_arn(arn)


def _printed(change: EventInvokeChange) -> str:
    """As Lambda quotes what it was given."""

    def side(name: str, arn: str | None) -> str:
        return "null" if arn is None else f"{name}(destination={arn or 'null'})"

    success, failure = side("OnSuccess", change.on_success), side("OnFailure", change.on_failure)
    return f"DestinationConfig(onSuccess={success}, onFailure={failure})"


def _found(function: Function, reference: FunctionReference) -> EventInvokeConfig:
    config = function.event_invoke.get(reference.qualifier or LATEST)
    if config is None:
        raise _missing(reference)
    return config


def _invalid_arn(arn: str) -> InvalidParameterValueException:
    return InvalidParameterValueException(f"The destination ARN {arn} is invalid.")


def _missing(reference: FunctionReference) -> ResourceNotFoundException:
    arn = key_arn(reference.key, reference.qualifier or LATEST)
    return ResourceNotFoundException(f"The function {arn} doesn't have an EventInvokeConfig")


def _no_function() -> ResourceNotFoundException:
    return ResourceNotFoundException("The function doesn't exist.")
