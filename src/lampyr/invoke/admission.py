"""How many invocations may run at once: of one function, or of all others of its account.

A pool is a counter and its limit; admitting an invocation is to compare and add one. Only the
functions that were given something of their own are known here, whatever number there are.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html
"""

from dataclasses import dataclass
from typing import Final

from lampyr.errors import TooManyRequestsException
from lampyr.model.function import Function, FunctionKey

ACCOUNT_REASON: Final = "ConcurrentInvocationLimitExceeded"
RATE_REASON: Final = "FunctionInvocationRateLimitExceeded"
RESERVED_REASON: Final = "ReservedFunctionConcurrentInvocationLimitExceeded"


class Pool:
    """Invocations that share one limit. Whoever got in gives `in_flight` back at its end."""

    __slots__ = ("in_flight", "limit", "reason", "throttles")

    def __init__(self, limit: int, reason: str) -> None:
        self.in_flight = 0
        self.limit = limit
        self.reason = reason
        self.throttles = 0

    def check(self) -> None:
        """Raise the throttle of Lambda when one more is too many."""
        if self.in_flight >= self.limit:
            self.throttles += 1
            raise throttled(self.reason)


def throttled(reason: str) -> TooManyRequestsException:
    return TooManyRequestsException("Rate Exceeded.", Reason=reason)


@dataclass(slots=True, eq=False)
class _Own:
    """What one function has taken out of its account's pool."""

    claimed: int
    pool: Pool | None
    """Of a function with reserved concurrency: what it may use beside its provisioned one."""


class Admission:
    def __init__(self, concurrent_executions: int) -> None:
        self._limit = concurrent_executions
        self._accounts: dict[tuple[str, str], Pool] = {}
        self._own: dict[FunctionKey, _Own] = {}

    def pool(self, key: FunctionKey) -> Pool:
        """Where the invocations of a function count, other than those of provisioned ones."""
        own = self._own.get(key)
        if own is not None and own.pool is not None:
            return own.pool
        return self._accounts.get(key[:2]) or self._account(key)

    def configure(self, function: Function) -> None:
        """What was set for a function is in force from here on.

        Invocations in progress stay where they were counted.
        """
        key, reserved = function.key, function.reserved_concurrency
        old = self._own.pop(key, None)
        account = self._account(key)
        account.limit += 0 if old is None else old.claimed
        if reserved is None and not function.provisioned:
            return
        pool = None
        if reserved is not None:
            pool = old.pool if old is not None and old.pool else Pool(0, RESERVED_REASON)
            pool.limit = reserved - function.provisioned_concurrency
        self._own[key] = _Own(function.claimed_concurrency, pool)
        account.limit -= function.claimed_concurrency

    def forget(self, key: FunctionKey) -> None:
        """The function is deleted."""
        old = self._own.pop(key, None)
        if old is not None:
            self._account(key).limit += old.claimed

    def in_flight(self, account_id: str, region: str) -> int:
        """How many run now in the pools of an account and Region."""
        own = (each.pool for key, each in self._own.items() if key[:2] == (account_id, region))
        shared = self._accounts.get((account_id, region))
        return sum(pool.in_flight for pool in (shared, *own) if pool is not None)

    def _account(self, key: FunctionKey) -> Pool:
        account = key[:2]
        found = self._accounts.get(account)
        if found is None:
            found = self._accounts[account] = Pool(self._limit, ACCOUNT_REASON)
        return found
