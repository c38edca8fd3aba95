"""CreateFunctionUrlConfig and its neighbours.

https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunctionUrlConfig.html
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lampyr.arn import FunctionReference, function_reference
from lampyr.control import function_urls
from lampyr.control.function_urls import UrlChange
from lampyr.model.function import LATEST
from lampyr.model.function_url import Cors, url_of

if TYPE_CHECKING:
    from lampyr.api.call import Call
    from lampyr.model.function_url import FunctionUrlConfig


async def create_function_url_config(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    reference = _reference(call, request)
    config = await function_urls.create(call.services.control, reference, _change(request))
    shown = _answer(reference, config, mode="InvokeMode" in request)
    del shown["LastModifiedTime"]
    return shown


async def update_function_url_config(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    reference = _reference(call, request)
    config = await function_urls.update(call.services.control, reference, _change(request))
    return _answer(reference, config, mode="InvokeMode" in request)


async def get_function_url_config(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    reference = _reference(call, request)
    return _answer(reference, await function_urls.get(call.services.control, reference))


async def list_function_url_configs(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    reference = _reference(call, request)
    page = await function_urls.list_configs(
        call.services.control,
        reference,
        marker=request.get("Marker"),
        max_items=request.get("MaxItems"),
    )
    shown = [_answer(_of(reference, qualifier), config) for qualifier, config in page.items]
    return {"FunctionUrlConfigs": shown, "NextMarker": page.next_marker}


async def delete_function_url_config(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    await function_urls.delete(call.services.control, _reference(call, request))
    return {}


def _reference(call: Call, request: dict[str, Any]) -> FunctionReference:
    return function_reference(call, request["FunctionName"], request.get("Qualifier"))


def _of(reference: FunctionReference, qualifier: str) -> FunctionReference:
    """A function's own URL names it without a qualifier."""
    return FunctionReference.of(reference.key, None if qualifier == LATEST else qualifier)


def _change(request: dict[str, Any]) -> UrlChange:
    return UrlChange(
        auth_type=request.get("AuthType"),
        invoke_mode=request.get("InvokeMode"),
        cors=_cors(request.get("Cors")),
    )


def _cors(given: dict[str, Any] | None) -> Cors | None:
    if given is None:
        return None
    return Cors(
        allow_credentials=given.get("AllowCredentials"),
        allow_headers=_tuple(given, "AllowHeaders"),
        allow_methods=_tuple(given, "AllowMethods"),
        allow_origins=_tuple(given, "AllowOrigins"),
        expose_headers=_tuple(given, "ExposeHeaders"),
        max_age_seconds=given.get("MaxAge"),
    )


def _tuple(given: dict[str, Any], name: str) -> tuple[str, ...] | None:
    return tuple(given[name]) if name in given else None


def _answer(
    reference: FunctionReference, config: FunctionUrlConfig, *, mode: bool = True
) -> dict[str, Any]:
    """Creating and updating tell the mode only to those who gave one."""
    cors = config.cors
    return {
        "FunctionUrl": url_of(config, reference.key.region),
        "FunctionArn": reference.arn,
        "AuthType": config.auth_type,
        "CreationTime": _time(config.created),
        "LastModifiedTime": _time(config.last_modified),
        "InvokeMode": config.invoke_mode if mode else None,
        "Cors": cors
        and {
            "AllowCredentials": cors.allow_credentials,
            "AllowHeaders": cors.allow_headers,
            "AllowMethods": cors.allow_methods,
            "AllowOrigins": cors.allow_origins,
            "ExposeHeaders": cors.expose_headers,
            "MaxAge": cors.max_age_seconds,
        },
    }


def _time(seconds: float) -> str:
    """Such as `2026-11-21T03:08:00.123456Z`."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
