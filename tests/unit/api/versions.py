"""A function version for tests of the API."""

from dataclasses import replace
from typing import Any

from lampyr.model.function import FunctionKey, FunctionVersion, LoggingConfig


def version(**changes: Any) -> FunctionVersion:
    made = FunctionVersion(
        key=FunctionKey("000000000000", "eu-west-1", "hello"),
        deployment_id="d",
        revision_id="r",
        last_modified=0.0,
        role="arn:aws:iam::000000000000:role/r",
        runtime="python3.12",
        handler="app.handler",
        code_sha256="",
        code_bytes=1,
        logging=LoggingConfig(log_group="/aws/lambda/hello"),
    )
    return replace(made, **changes)
