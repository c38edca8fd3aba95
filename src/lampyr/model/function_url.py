"""Function URLs: under which address a function answers HTTP, whom, and how.

https://docs.aws.amazon.com/lambda/latest/api/API_FunctionUrlConfig.html
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors:
    """None is what its user left open."""

    allow_credentials: bool | None = None
    allow_headers: tuple[str, ...] | None = None
    allow_methods: tuple[str, ...] | None = None
    allow_origins: tuple[str, ...] | None = None
    expose_headers: tuple[str, ...] | None = None
    max_age_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionUrlConfig:
    id: str
    """The first label of the address: it stays as long as the configuration does."""
    auth_type: str
    invoke_mode: str = "BUFFERED"
    cors: Cors | None = None
    created: float
    """Seconds since the epoch."""
    last_modified: float


def url_of(config: FunctionUrlConfig, region: str) -> str:
    return f"https://{config.id}.lambda-url.{region}.on.aws/"
