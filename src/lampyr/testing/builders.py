"""Functions, versions and packages for tests, with every member that a test does not care about."""

import io
import zipfile
from collections.abc import Mapping
from typing import Any, Final

from lampyr.model.function import (
    LATEST,
    Function,
    FunctionKey,
    FunctionVersion,
    LoggingConfig,
    State,
)

ACCOUNT: Final = "123456789012"
REGION: Final = "us-east-1"
ROLE: Final = f"arn:aws:iam::{ACCOUNT}:role/lambda-role"


def a_key(name: str = "hello", account_id: str = ACCOUNT, region: str = REGION) -> FunctionKey:
    return FunctionKey(account_id, region, name)


def a_version(key: FunctionKey | None = None, **members: Any) -> FunctionVersion:
    """An active version; `members` replace those of `FunctionVersion`."""
    key = key or a_key()
    version = members.get("version", LATEST)
    defaults: dict[str, Any] = {
        "deployment_id": f"deployment-{version}",
        "revision_id": f"revision-{version}",
        "last_modified": 1_700_000_000.0,
        "role": ROLE,
        "runtime": "python3.12",
        "handler": "app.handler",
        "code_sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "code_bytes": 200,
        "logging": LoggingConfig(log_group=f"/aws/lambda/{key.name}"),
        "state": State.ACTIVE,
    }
    return FunctionVersion(key=key, **(defaults | members))


def a_function(key: FunctionKey | None = None, **members: Any) -> Function:
    """An active function without published versions."""
    key = key or a_key()
    defaults: dict[str, Any] = {"latest": a_version(key), "created": 1_700_000_000.0}
    return Function(key=key, **(defaults | members))


def a_zip(files: Mapping[str, str | bytes] | None = None) -> bytes:
    """A package with these files, by default a Python handler; the same bytes whenever made."""
    if files is None:
        files = {"app.py": "def handler(event, context):\n    return event\n"}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, data)
    return buffer.getvalue()
