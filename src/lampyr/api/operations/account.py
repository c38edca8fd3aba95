"""GetAccountSettings.

https://docs.aws.amazon.com/lambda/latest/api/API_GetAccountSettings.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lampyr.control import account

if TYPE_CHECKING:
    from lampyr.api.call import Call


async def get_account_settings(call: Call, _request: dict[str, Any]) -> dict[str, Any]:
    settings = await account.settings(call.services.control, call.account_id, call.region)
    limits = settings.limits
    return {
        "AccountLimit": {
            "TotalCodeSize": limits.code_bytes_total,
            "CodeSizeUnzipped": limits.code_bytes_unzipped,
            "CodeSizeZipped": limits.code_bytes_zipped,
            "ConcurrentExecutions": limits.concurrent_executions,
            "UnreservedConcurrentExecutions": settings.unreserved_concurrency,
        },
        "AccountUsage": {
            "TotalCodeSize": settings.code_bytes,
            "FunctionCount": settings.function_count,
        },
    }
