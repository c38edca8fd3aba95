"""What every resource besides functions has: a key by which the store keeps it."""

from typing import NamedTuple, Protocol


class ResourceKey(NamedTuple):
    """Where a resource lives; `id` is its name or identifier among those of its kind."""

    account_id: str
    region: str
    id: str


class Resource(Protocol):
    """A frozen dataclass of plain values, other such dataclasses, mappings and tuples of them."""

    @property
    def key(self) -> ResourceKey: ...
