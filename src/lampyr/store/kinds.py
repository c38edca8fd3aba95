"""The kinds of resources besides functions, and the names under which their rows are stored.

A name is never changed or given again. A new kind is one more line.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeVar, cast

from lampyr.model.checkpoint import Checkpoint
from lampyr.model.code_signing import CodeSigningConfig
from lampyr.model.layer import Layer
from lampyr.model.mapping import EventSourceMapping
from lampyr.model.resource import Resource
from lampyr.store.base import Table
from lampyr.store.index import Index

KINDS: Final[Mapping[str, type[Any]]] = {
    "code-signing-config": CodeSigningConfig,
    "checkpoint": Checkpoint,
    "event-source-mapping": EventSourceMapping,
    "layer": Layer,
}

R = TypeVar("R", bound=Resource)


class Tables:
    """The `table` method of every store."""

    def __init__(self, tables: Mapping[type[Any], Index[Any]]) -> None:
        self._tables = tables

    def table(self, kind: type[R]) -> Table[R]:
        return cast("Table[R]", self._tables[kind])
