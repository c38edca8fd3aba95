"""PublishVersion and ListVersionsByFunction.

https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lampyr.api.operations.configuration import answer, refuse_unserved
from lampyr.arn import function_reference, unqualified
from lampyr.control import versions
from lampyr.control.requests import PublishVersion

if TYPE_CHECKING:
    from lampyr.api.call import Call


async def publish_version(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    refuse_unserved(request)
    version = await versions.publish(
        call.services.control,
        PublishVersion(
            key=unqualified(function_reference(call, request["FunctionName"])),
            code_sha256=request.get("CodeSha256"),
            description=request.get("Description"),
            revision_id=request.get("RevisionId"),
        ),
    )
    return answer(version, qualified=True)


async def list_versions_by_function(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    page = await versions.list_versions(
        call.services.control,
        function_reference(call, request["FunctionName"]),
        marker=request.get("Marker"),
        max_items=request.get("MaxItems"),
    )
    shown: dict[str, Any] = {
        "Versions": [answer(item, qualified=True, state=False) for item in page.items]
    }
    if page.next_marker is not None:
        shown["NextMarker"] = page.next_marker
    return shown
