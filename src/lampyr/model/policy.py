"""A resource-based policy: who else may do what with a function, a version, an alias or a layer.

https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    sid: str | None = None
    document: str
    """JSON, as it is shown. Its members may have any of IAM's many forms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Never without a statement: where the last one goes, so does the policy."""

    statements: tuple[Statement, ...]
    revision_id: str
    version: str = "2012-10-17"
    id: str | None = "default"
