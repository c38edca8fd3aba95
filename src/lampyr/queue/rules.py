"""What becomes of an event after an attempt: it is over, or it is tried again, and when.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from lampyr.model.function import LATEST, Function

FIRST_BACKOFF_SECONDS: Final = 1.0
BACKOFF_SECONDS_MAX: Final = 300.0
_DOUBLINGS_MAX: Final = 9
"""After so many the longest wait is reached; a greater power need not be computed."""


class Condition(StrEnum):
    """Why an event is over, in the words of AWS's invocation records."""

    SUCCESS = "Success"
    RETRIES_EXHAUSTED = "RetriesExhausted"
    AGE_EXCEEDED = "EventAgeExceeded"
    NO_CONCURRENCY = "ZeroReservedConcurrency"
    RECURSION = "RecursiveInvocation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a function's events are tried, and how fast time passes for them."""

    retries: int = 2
    """After errors of the function."""
    age_seconds: float = 21_600.0
    speed: float = 1.0
    """Waits and ages are so many times shorter than Lambda's."""

    def expiry(self, accepted: float) -> float:
        """From then on an event is not run any more."""
        return accepted + self.age_seconds / self.speed

    def after_error(self, attempts: int, accepted: float, now: float) -> float | Condition:
        """When the function runs again after its `attempts`th error; or why it does not.

        One minute passes before the second attempt, two before the third. An attempt that would
        come after the event's greatest age is not waited for.
        """
        if attempts > self.retries:
            return Condition.RETRIES_EXHAUSTED
        again = now + 60.0 * attempts / self.speed
        return Condition.AGE_EXCEEDED if again >= self.expiry(accepted) else again

    def after_setback(self, setbacks: int, accepted: float, now: float) -> float | Condition:
        """The same after the `setbacks`th time that Lambda could not run it, such as a throttle.

        https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html says one
        second after the first attempt, more and more up to five minutes. The last wait ends with
        the event's greatest age.
        """
        expiry = self.expiry(accepted)
        if now >= expiry:
            return Condition.AGE_EXCEEDED
        return min(now + backoff_seconds(setbacks) / self.speed, expiry)


def backoff_seconds(setbacks: int) -> float:
    doublings = min(max(setbacks - 1, 0), _DOUBLINGS_MAX)
    return min(FIRST_BACKOFF_SECONDS * 2.0**doublings, BACKOFF_SECONDS_MAX)


def patience_of(function: Function, qualifier: str | None, speed: float = 1.0) -> Patience:
    """What was set for the version or alias that was invoked, else Lambda's defaults."""
    config = function.event_invoke.get(qualifier or LATEST)
    if config is None:
        return Patience(speed=speed)
    given = {"retries": config.retry_attempts, "age_seconds": config.event_age_seconds}
    return Patience(
        speed=speed, **{name: value for name, value in given.items() if value is not None}
    )


def destination(function: Function, qualifier: str | None, condition: Condition) -> str | None:
    """The ARN that a record of an event's end goes to."""
    config = function.event_invoke.get(qualifier or LATEST)
    if config is None:
        return None
    found = config.on_success if condition is Condition.SUCCESS else config.on_failure
    return found or None


def dead_letters(function: Function, qualifier: str | None, condition: Condition) -> str | None:
    """The ARN that the event itself goes to when it failed: of the version that was meant."""
    if condition is Condition.SUCCESS:
        return None
    alias = function.aliases.get(qualifier or LATEST)
    number = alias.version if alias is not None else qualifier or LATEST
    version = function.version(number) or function.latest
    return version.dead_letter_arn
