"""How a stream's API is called, and which of its refusals mean what to a poller."""

from typing import Any, Final

from lampyr.aws.base import Aws, AwsCallError, AwsError
from lampyr.sources.base import SourceError
from lampyr.sources.stream_base import IteratorExpiredError

# A trimmed place is gone for good; asked for anew it is the oldest record there is.
_EXPIRED: Final = frozenset({"ExpiredIteratorException", "TrimmedDataAccessException"})


async def call(
    aws: Aws, service: str, account_id: str, region: str, operation: str, /, **members: Any
) -> dict[str, Any]:
    """Raises `IteratorExpiredError` and `SourceError`."""
    try:
        return await aws.call(service, account_id, region, operation, **members)
    except AwsError as error:
        if error.code in _EXPIRED:
            raise IteratorExpiredError(error.message) from error
        raise SourceError(f"{operation}: {error.code}: {error.message}") from error
    except AwsCallError as error:
        raise SourceError(str(error)) from error
