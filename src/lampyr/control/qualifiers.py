"""What a function keeps for one of its qualifiers: `$LATEST`, a version's number or an alias."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from lampyr.model.function import Function

T = TypeVar("T")


def exists(function: Function, qualifier: str) -> bool:
    """Whether the function has such a version or alias."""
    return function.qualified(qualifier) is not None


def without(function: Function, qualifier: str) -> Function:
    """The function once a version or alias is gone: so is what was configured for it."""
    return replace(
        function,
        event_invoke=left(function.event_invoke, qualifier),
        urls=left(function.urls, qualifier),
        provisioned=left(function.provisioned, qualifier),
        policies=left(function.policies, qualifier),
    )


def left(configs: Mapping[str, T], qualifier: str) -> Mapping[str, T]:
    """All but those of one qualifier."""
    if qualifier not in configs:
        return configs
    return {name: config for name, config in configs.items() if name != qualifier}


def place(qualifier: str) -> tuple[str, int]:
    """Where a qualifier stands in lists: `$LATEST`, versions by number, aliases by name."""
    if qualifier.startswith("$"):
        return "", 0
    return ("", int(qualifier)) if qualifier.isdecimal() else (qualifier, 0)
