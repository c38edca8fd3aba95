"""What the rest of Lampyr knows of an AWS client: one method, and what it raises.

    answer = await aws.call(
        "sqs", account_id, region, "SendMessage", QueueUrl=url, MessageBody=body
    )

A service has the name that boto3 gives it, an operation and its members the names of AWS's API.
The answer is the output as botocore parses it, without `ResponseMetadata`; a streamed body (S3's
GetObject) is `bytes`. Where the service is, near or far, is the operator's choice and the
resolver's to know: the embedded neighbours are started when they are first called.
"""

from dataclasses import dataclass
from typing import Any, Protocol


class AwsCallError(Exception):
    """A call to an AWS service that did not succeed."""


class AwsError(AwsCallError):
    """The service refused, and says why: `code` is what its API reference calls the error."""

    def __init__(self, code: str, message: str, *, status: int, operation: str) -> None:
        super().__init__(f"{operation}: {code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class AwsUnreachableError(AwsCallError):
    """The service gave no answer; whether it did what it was asked is not known."""


class NoEndpointError(AwsUnreachableError):
    """No one said where this service is, and it is not embedded."""


class Aws(Protocol):
    """Calls AWS services as an account, in a Region."""

    async def call(
        self,
        service: str,
        account_id: str,
        region: str,
        operation: str,
        /,
        *,
        timeout_seconds: float = 60.0,
        **members: Any,
    ) -> dict[str, Any]:
        """Raises `AwsError` and `AwsUnreachableError`.

        Throttled calls, and those that the service failed at with a 5xx, are tried three times.
        A long poll needs a `timeout_seconds` that is longer than it.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where one service answers."""

    url: str
    """`http://host[:port]` or with https; with `socket` it only names, for AWS it is empty."""
    socket: str | None = None
    """Connect to this unix socket."""
    is_aws: bool = False
    """AWS itself: signed with the credentials of whoever runs Lampyr. Else the access key of a
    call is the account's id."""


class Endpoints(Protocol):
    """Knows where services are, and starts those that are ours to start."""

    async def endpoint(self, service: str) -> Endpoint:
        """`service`: the name it is signed for, such as `sqs`, `events` and `monitoring`.

        Raises `NoEndpointError` when there is none, `AwsUnreachableError` when it does not start.
        """
        ...
