"""Where Lambda answers otherwise than its own model says: each case, with how it is known.

Every entry comes from an answer that was recorded from the service. A rule that can be stated in
general belongs in `validator.py`; this is the rest.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any, Final

from lampyr.errors import InvalidParameterValueException, ServiceError

ServiceCheck = Callable[[Any], ServiceError | None]
"""Looks at one member in the service's own way; the error, when it refuses the value."""

KEYS_WITHOUT_NULL: Final = frozenset({"EnvironmentVariableName"})
"""Of these map keys Lambda does not add that they must not be null; of others it does."""

_RUNTIMES: Final = (
    "nodejs20.x, python3.14, provided.al2023, python3.12, python3.13, nodejs24.x, nodejs22.x, "
    "java25, python3.10, python3.11, java21, ruby3.3, ruby3.4, ruby3.2, python3.8, python3.9, "
    "java17, nodejs16.x, dotnet10, dotnet8, java11, dotnet6, nodejs18.x, provided.al2, java8.al2"
)
"""What a function or layer may name today. The model's enum has every runtime there ever was."""

_LIST_LIMITS: Final[Mapping[tuple[str, str], str]] = {
    # Checked by the service itself, which words it without the list around the limit.
    ("PublishLayerVersion", "CompatibleRuntimes"): (
        f"Member must satisfy enum value set: [{_RUNTIMES}]"
    ),
}
_ORDERS: Final[Mapping[str, tuple[str, ...]]] = {
    # Recorded in this order, which is not that of the model.
    "PublishLayerVersion": ("CompatibleRuntimes", "CompatibleArchitectures"),
}
_PATTERNS: Final[Mapping[str, str]] = {
    # The model wraps these in one more pair of parentheses than the service shows.
    "LayerVersionArn": (
        r"(arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:"
        r"\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+)"
    ),
}


def _no_such_runtime(allowed: Collection[str], value: Any) -> ServiceError | None:
    """CreateFunction and UpdateFunctionConfiguration do not leave the runtime to the model."""
    if value is None or value in allowed:
        return None
    return InvalidParameterValueException(
        f"Value {value} at 'runtime' failed to satisfy constraint: "
        f"Member must satisfy enum value set: [{_RUNTIMES}] or be a valid ARN"
    )


_RUNTIME_CHECK: Final[Mapping[str, ServiceCheck]] = {
    "Runtime": partial(_no_such_runtime, frozenset(_RUNTIMES.split(", ")))
}
_SERVICE_CHECKS: Final[Mapping[str, Mapping[str, ServiceCheck]]] = {
    "CreateFunction": _RUNTIME_CHECK,
    "UpdateFunctionConfiguration": _RUNTIME_CHECK,
}


def service_checks(operation: str) -> Mapping[str, ServiceCheck]:
    """Members that the service checks itself, after all that the model says was kept."""
    return _SERVICE_CHECKS.get(operation, {})


def list_limit(operation: str, shape: str) -> str | None:
    return _LIST_LIMITS.get((operation, shape))


def order(operation: str, members: Iterable[str]) -> list[str]:
    """Members of a structure in the order in which their breaches are told."""
    names = list(members)
    first = [name for name in _ORDERS.get(operation, ()) if name in names]
    return first + [name for name in names if name not in first]


def shown_pattern(shape: str, pattern: str) -> str:
    """The pattern as the service quotes it."""
    return _PATTERNS.get(shape, pattern)
