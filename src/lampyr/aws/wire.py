"""A request of somebody else's, as it is passed on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarded:
    """`path` with its query; names of `fields` in lower case."""

    method: str
    path: str
    fields: list[tuple[str, str]]
    body: bytes
