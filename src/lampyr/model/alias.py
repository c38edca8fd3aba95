"""A name of a function's own for one of its versions, or for two with a weight between them.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-aliases.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    name: str
    version: str
    """A version's number, or `$LATEST`."""
    description: str = ""
    weights: Mapping[str, float] = field(default_factory=dict)
    """What share of the calls goes to another version; the rest goes to `version`."""
    revision_id: str

    @property
    def versions(self) -> frozenset[str]:
        """Every version that a call may reach through it."""
        return frozenset({self.version, *self.weights})
