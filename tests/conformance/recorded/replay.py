"""The operations without HTTP, with answers that can be compared with recorded ones.

What differs from run to run (ids, hashes, dates) is numbered as it first comes.
"""

import re
from dataclasses import dataclass
from typing import Any, cast

from lampyr.api.call import Call
from lampyr.api.operations import functions
from lampyr.testing.builders import a_key, a_zip
from lampyr.testing.control import Control

ACCOUNT = "111111111111"
ARN = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:hello"
MAPPING = f"arn:aws:lambda:us-east-1:{ACCOUNT}:event-source-mapping:1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/lambda"
CREATING: dict[str, Any] = {
    "State": "Pending",
    "StateReason": "The function is being created.",
    "StateReasonCode": "Creating",
}
IN_PROGRESS: dict[str, Any] = {
    "State": "Active",
    "LastUpdateStatus": "InProgress",
    "LastUpdateStatusReason": "The function is being created.",
    "LastUpdateStatusReasonCode": "Creating",
}
ACTIVE: dict[str, Any] = {"State": "Active", "LastUpdateStatus": "Successful"}
RUNTIME: dict[str, Any] = {"RuntimeVersionConfig": {"RuntimeVersionArn": "<RuntimeVersionArn>"}}
PATTERNS = {
    "CodeSize": r"[1-9]\d*",
    "CreatedDate": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000",
    "LastModified": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000",
    "Location": r"http://lampyr\.test/.*",
    "RuntimeVersionArn": r"arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}",
}


@dataclass
class Lambda:
    """The operations, with answers made comparable."""

    control: Control
    call: Call
    names: dict[str, str]

    async def create(self, **request: Any) -> dict[str, Any]:
        given = {
            "FunctionName": "hello",
            "Role": ROLE,
            "Runtime": "python3.12",
            "Handler": "index.handler",
            "Code": {"ZipFile": a_zip()},
            **request,
        }
        return await self(functions.create_function, **given)

    async def __call__(self, operation: Any, **request: Any) -> dict[str, Any]:
        if "Resource" not in request:
            request = {"FunctionName": "hello", **request}
        return cast("dict[str, Any]", self.comparable(await operation(self.call, request)))

    async def settle(self) -> None:
        await self.control.settle(a_key(account_id=ACCOUNT))

    def comparable(self, value: Any, name: str = "") -> Any:
        match value:
            case dict():
                return {key: self.comparable(item, key) for key, item in value.items()}
            case list():
                return [self.comparable(item) for item in value]
            case _:
                pass
        if name in ("RevisionId", "CodeSha256"):
            count = sum(known.startswith(f"<{name}") for known in self.names.values())
            return self.names.setdefault(value, f"<{name}:{count + 1}>")
        if name in PATTERNS:
            assert re.fullmatch(PATTERNS[name], str(value)), value
            return f"<{name}>"
        return value


def configuration(
    qualifier: str | None = None, *, listed: bool = False, **members: Any
) -> dict[str, Any]:
    """The recorded configuration of a function that was created with nothing optional."""
    shown = {
        "Architectures": ["x86_64"],
        "CodeSha256": "<CodeSha256:1>",
        "CodeSize": "<CodeSize>",
        "Description": "",
        "EphemeralStorage": {"Size": 512},
        "FunctionArn": ARN if qualifier is None else f"{ARN}:{qualifier}",
        "FunctionName": "hello",
        "Handler": "index.handler",
        "LastModified": "<LastModified>",
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/hello"},
        "MemorySize": 128,
        "PackageType": "Zip",
        "Role": ROLE,
        "Runtime": "python3.12",
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "Timeout": 3,
        "TracingConfig": {"Mode": "PassThrough"},
        "Version": qualifier or "$LATEST",
    }
    return shown | ({} if listed else RUNTIME) | members


def found(**configured: Any) -> dict[str, Any]:
    code = {"Location": "<Location>", "RepositoryType": "S3"}
    return {"Code": code, "Configuration": configured}
