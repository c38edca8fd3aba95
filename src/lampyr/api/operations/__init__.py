"""Every operation Lampyr serves: the function `create_alias` serves `CreateAlias`.

To add one, write a function of that name in the module of its resource; a new module is one more
entry of `MODULES` (`docs/adding-an-operation.md`). `tests/style/test_operations.py` holds the list
of operations that are still missing.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, Final

from botocore import xform_name

from lampyr.api.call import Call
from lampyr.api.operations import (
    account,
    aliases,
    behaviour,
    code_signing,
    concurrency,
    event_invoke,
    event_source_mappings,
    function_urls,
    functions,
    invoke,
    layers,
    permissions,
    provisioned,
    streaming,
    tags,
    versions,
)
from lampyr.http1 import Response

Handler = Callable[[Call, dict[str, Any]], Awaitable[Mapping[str, Any] | Response]]
"""Gives the operation's output, or, where that is a stream, the whole response."""

MODULES: Final = (
    account,
    aliases,
    behaviour,
    code_signing,
    concurrency,
    event_invoke,
    event_source_mappings,
    function_urls,
    functions,
    invoke,
    layers,
    permissions,
    provisioned,
    streaming,
    tags,
    versions,
)


def handlers(operations: Iterable[str]) -> Mapping[str, Handler]:
    """Handlers by operation, of those of `operations` that Lampyr serves."""
    names = {xform_name(operation): operation for operation in operations}
    return {
        names[name]: function
        for module in MODULES
        for name, function in functions_of(module).items()
    }


def functions_of(module: ModuleType) -> Mapping[str, Handler]:
    """Public coroutine functions that are written in the module itself."""
    return {
        name: function
        for name, function in inspect.getmembers(module, inspect.iscoroutinefunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }
