"""How a version or alias is invoked asynchronously: retries, age of events, destinations.

https://docs.aws.amazon.com/lambda/latest/api/API_FunctionEventInvokeConfig.html
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EventInvokeConfig:
    """None is what the caller left open: Lambda's default holds."""

    last_modified: float
    """Seconds since the epoch."""
    retry_attempts: int | None = None
    event_age_seconds: int | None = None
    on_success: str | None = None
    """ARN of the destination."""
    on_failure: str | None = None
