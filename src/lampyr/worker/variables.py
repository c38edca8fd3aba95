"""The environment variables of a runtime's process: every one of them, and no others.

Names and values are those that the real service was recorded to set.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from lampyr.model.function import FunctionVersion
from lampyr.worker.credentials import Credentials
from lampyr.worker.runtimes.model import Runtime

RUNTIME_API: Final = "{runtime_api}"
"""Stands for the host and port of the Runtime API until the sandbox knows them."""
ENDPOINT: Final = "http://{endpoint}"
"""Stands for Lampyr's endpoint as the sandbox can reach it, until the sandbox knows it."""

_XRAY_HOST: Final = "169.254.79.129"
"""Where AWS's X-Ray daemon listens. Here nobody does; tracers send datagrams that go nowhere."""

RESERVED: Final = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_MAX_CONCURRENCY",
        "AWS_LAMBDA_METADATA_API",
        "AWS_LAMBDA_METADATA_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SECRET_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
        "TZ",
    }
)
"""Keys that a function's configuration must not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What differs from one start of a function version to the next."""

    runtime: Runtime
    credentials: Credentials
    log_stream: str
    initialization_type: str = "on-demand"


def reserved_in(names: Iterable[str]) -> list[str]:
    """Those of a function's variables that AWS reserves, in their order."""
    return [name for name in names if name in RESERVED]


def reserved_message(names: Iterable[str]) -> str:
    """What AWS answers, as `InvalidParameterValueException`, to reserved variables."""
    return (
        "Lambda was unable to configure your environment variables because the environment "
        "variables you have provided contains reserved keys that are currently not supported for "
        f"modification. Reserved keys used in this request: {', '.join(names)}"
    )


def variables(version: FunctionVersion, launch: Launch) -> Mapping[str, str]:
    """The whole environment.

    What the function configured goes before what is only a default, and what AWS reserves goes
    before both.
    """
    return {
        **_defaults(launch.runtime),
        **(version.environment or {}),
        **_reserved(version, launch),
    }


def _defaults(runtime: Runtime) -> dict[str, str]:
    # A shell starts the other runtimes on AWS, and it leaves these two behind.
    shell = {} if runtime.name.startswith("java") else {"PWD": "/var/task", "SHLVL": "0"}
    return {
        "LANG": "en_US.UTF-8",
        **shell,
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": f"{_XRAY_HOST}:2000",
        "_AWS_XRAY_DAEMON_ADDRESS": _XRAY_HOST,
        "_AWS_XRAY_DAEMON_PORT": "2000",
        "AWS_ENDPOINT_URL": ENDPOINT,
        **runtime.variables,
    }


def _reserved(version: FunctionVersion, launch: Launch) -> dict[str, str]:
    region = version.key.region
    found = {
        "_HANDLER": version.handler or "",
        "AWS_ACCESS_KEY_ID": launch.credentials.access_key_id,
        "AWS_DEFAULT_REGION": region,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(version.memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": version.key.name,
        "AWS_LAMBDA_FUNCTION_VERSION": version.version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": launch.initialization_type,
        "AWS_LAMBDA_LOG_GROUP_NAME": version.logging.log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": launch.log_stream,
        "AWS_LAMBDA_RUNTIME_API": RUNTIME_API,
        "AWS_REGION": region,
        "AWS_SECRET_ACCESS_KEY": launch.credentials.secret_access_key,
        "AWS_SESSION_TOKEN": launch.credentials.session_token,
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "LAMBDA_TASK_ROOT": "/var/task",
        "TZ": ":UTC",
    }
    if launch.runtime.managed:
        # An OS-only runtime is not told its name: what runs on it is the function's own.
        found["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{launch.runtime.name}"
    if version.has_snapshot:
        # They would be those of the snapshot, not of whoever was restored from it.
        del found["AWS_LAMBDA_LOG_GROUP_NAME"], found["AWS_LAMBDA_LOG_STREAM_NAME"]
    if version.logging.log_format == "JSON":
        found["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
        found["AWS_LAMBDA_LOG_LEVEL"] = version.logging.application_log_level or "INFO"
    return found
