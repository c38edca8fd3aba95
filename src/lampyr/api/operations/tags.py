"""TagResource, UntagResource and ListTags, of functions.

https://docs.aws.amazon.com/lambda/latest/api/API_TagResource.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lampyr.arn import FunctionReference, function_reference, parse
from lampyr.control import tags
from lampyr.errors import NotServedError, ResourceNotFoundException

if TYPE_CHECKING:
    from lampyr.api.call import Call


async def tag_resource(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    await tags.tag(call.services.control, _reference(call, request), request["Tags"])
    return {}


async def untag_resource(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    await tags.untag(call.services.control, _reference(call, request), request["TagKeys"])
    return {}


async def list_tags(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    found = await tags.list_tags(call.services.control, _reference(call, request))
    return {"Tags": dict(found)}


def _reference(call: Call, request: dict[str, Any]) -> FunctionReference:
    arn: str = request["Resource"]
    kind = arn.split(":")[5]
    if kind == "event-source-mapping":
        raise ResourceNotFoundException(f"Event source mapping not found: {arn}")
    if kind != "function" or parse(arn) is None:
        raise NotServedError(f"Lampyr does not serve tags of a {kind} yet")
    return function_reference(call, arn)
