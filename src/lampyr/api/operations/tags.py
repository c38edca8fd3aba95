"""TagResource, UntagResource and ListTags.

https://docs.aws.amazon.com/lambda/latest/api/API_TagResource.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lampyr.arn import function_reference, parse
from lampyr.control import tags
from lampyr.control.tags import ResourceReference, Taggable
from lampyr.errors import NotServedError
from lampyr.model.code_signing import CodeSigningConfig
from lampyr.model.mapping import EventSourceMapping
from lampyr.model.resource import ResourceKey

if TYPE_CHECKING:
    from lampyr.api.call import Call

_KINDS: Final = {
    "code-signing-config": CodeSigningConfig,
    "event-source-mapping": EventSourceMapping,
}


async def tag_resource(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    await tags.tag(call.services.control, _reference(call, request), request["Tags"])
    return {}


async def untag_resource(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    await tags.untag(call.services.control, _reference(call, request), request["TagKeys"])
    return {}


async def list_tags(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    found = await tags.list_tags(call.services.control, _reference(call, request))
    return {"Tags": dict(found)}


def _reference(call: Call, request: dict[str, Any]) -> Taggable:
    arn: str = request["Resource"]
    _, _, _, region, account_id, kind, name = arn.split(":", 6)
    if (resource := _KINDS.get(kind)) is not None:
        # Another account's or Region's is not there, as far as this call can see.
        mine = (account_id, region) == (call.account_id, call.region)
        key = ResourceKey(account_id, region, name if mine else "")
        return ResourceReference(kind=resource, key=key, arn=arn)
    if kind != "function" or parse(arn) is None:
        raise NotServedError(f"Lampyr does not serve tags of a {kind} yet")
    return function_reference(call, arn)
