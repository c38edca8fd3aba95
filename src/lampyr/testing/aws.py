"""AWS services that answer what a test says, and remember what they were asked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lampyr.aws.base import AwsUnreachableError

Answer = Mapping[str, Any] | Callable[[dict[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsCall:
    service: str
    account_id: str
    region: str
    operation: str
    members: dict[str, Any]


@dataclass
class ScriptedAws:
    """Implements `lampyr.aws.base.Aws`.

    `answers` by operation: the output, or a function from the members to it, which may raise. What
    has no answer is unreachable.
    """

    answers: dict[str, Answer] = field(default_factory=dict)
    calls: list[AwsCall] = field(default_factory=list)

    async def call(
        self,
        service: str,
        account_id: str,
        region: str,
        operation: str,
        /,
        *,
        timeout_seconds: float = 60.0,  # noqa: ARG002 - the protocol's
        **members: Any,
    ) -> dict[str, Any]:
        self.calls.append(
            AwsCall(
                service=service,
                account_id=account_id,
                region=region,
                operation=operation,
                members=members,
            )
        )
        if operation not in self.answers:
            raise AwsUnreachableError(f"{operation} of {service}: no answer is scripted")
        answer = self.answers[operation]
        return dict(answer(members) if callable(answer) else answer)
