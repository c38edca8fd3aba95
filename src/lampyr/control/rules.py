"""What a function may be: the decisions of CreateFunction, the updates and the tags.

Pure functions of what they are given; each returns a value or raises what Lambda answers. Limits
that the service model states are not repeated here: the API has checked them.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

from lampyr.control.requests import ConfigurationChange, LoggingChange
from lampyr.errors import (
    InvalidParameterValueException,
    NotServedError,
    PreconditionFailedException,
)
from lampyr.limits import Limits
from lampyr.model.function import Function, FunctionKey, FunctionVersion, LoggingConfig
from lampyr.model.image import ImageConfig
from lampyr.model.layer import LayerUse
from lampyr.worker.runtimes.names import WANTED

SERVED_RUNTIMES: Final = tuple(sorted(WANTED))
ENDED_RUNTIMES: Final = frozenset(
    {
        *("dotnetcore1.0", "dotnetcore2.0", "dotnetcore2.1", "dotnetcore3.1"),
        *("go1.x", "java8", "provided", "ruby2.5", "ruby2.7"),
        *("nodejs", "nodejs4.3", "nodejs4.3-edge", "nodejs6.10", "nodejs8.10"),
        *("nodejs10.x", "nodejs12.x", "nodejs14.x"),
        *("python2.7", "python3.6", "python3.7"),
    }
)
"""Those that Lambda creates and updates no function of any more.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html#runtimes-deprecated
"""
_SNAP_START_RUNTIMES: Final = frozenset(
    {
        *("python3.12", "python3.13", "python3.14"),
        *("java11", "java17", "java21", "java25"),
    }
)
""".NET has it on AWS too, and no function of it gets this far."""
_SNAP_START_TMP_MB: Final = 512
_ROLE: Final = re.compile(
    r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+", re.ASCII
)
_DEAD_LETTER: Final = re.compile(r"arn:aws[a-zA-Z-]*:(sqs|sns):[a-z0-9-]+:\d{12}:[^:]+", re.ASCII)
_VARIABLES_REFUSED: Final = (
    "Lambda was unable to configure your environment variables because the environment variables "
    "you have provided "
)
_FORMAT_JSON: Final = "JSON"


def check_name(name: str, limits: Limits) -> None:
    if len(name) > limits.function_name_characters:
        raise InvalidParameterValueException(
            f"1 validation error detected: Value '{name}' at 'functionName' failed to satisfy "
            "constraint: Member must have length less than or equal to "
            f"{limits.function_name_characters}"
        )


def check_configuration(
    change: ConfigurationChange, limits: Limits, reserved: Collection[str]
) -> None:
    """Refuse values that no function may have; `reserved` are the keys that Lambda sets itself."""
    if change.role is not None and _ROLE.fullmatch(change.role) is None:
        raise InvalidParameterValueException(
            "The role defined for the function cannot be assumed by Lambda."
        )
    if change.runtime is not None:
        check_runtime(change.runtime)
    _check_most("Timeout", change.timeout_seconds, limits.timeout_seconds_max)
    _check_most("MemorySize", change.memory_mb, limits.memory_mb_max)
    _check_least("MemorySize", change.memory_mb, limits.memory_mb_min)
    _check_most("EphemeralStorage", change.tmp_mb, limits.tmp_mb_max)
    _check_least("EphemeralStorage", change.tmp_mb, limits.tmp_mb_min)
    if change.environment is not None:
        check_environment(change.environment, limits, reserved)
    if change.dead_letter_arn:
        check_dead_letter(change.dead_letter_arn)


def check_runtime(runtime: str) -> None:
    if runtime in ENDED_RUNTIMES:
        raise InvalidParameterValueException(
            f"The runtime parameter of {runtime} is no longer supported for creating or updating "
            "AWS Lambda functions. We recommend you use a supported runtime while creating or "
            "updating functions."
        )
    if runtime not in SERVED_RUNTIMES:
        raise NotServedError(
            f"Lampyr does not serve the runtime {runtime} yet. It serves "
            f"{', '.join(SERVED_RUNTIMES)}; a package for provided.al2023 may bring any other"
        )


def check_environment(
    environment: Mapping[str, str], limits: Limits, reserved: Collection[str]
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html."""
    taken = [name for name in environment if name in reserved]
    if taken:
        raise InvalidParameterValueException(
            f"{_VARIABLES_REFUSED}contains reserved keys that are currently not supported for "
            f"modification. Reserved keys used in this request: {', '.join(taken)}"
        )
    measured = json.dumps(dict(environment), separators=(",", ":"), ensure_ascii=False)
    if len(measured.encode()) > limits.environment_bytes:
        raise InvalidParameterValueException(
            f"{_VARIABLES_REFUSED}exceeded the 4KB limit. String measured: {measured}"
        )


def check_dead_letter(arn: str) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html."""
    if _DEAD_LETTER.fullmatch(arn) is None:
        raise InvalidParameterValueException(
            f"Invalid dead letter ARN: {arn} is neither a queue of Amazon SQS nor a topic of "
            "Amazon SNS"
        )


def check_snap_start(version: FunctionVersion) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html#snapstart-runtimes."""
    if not version.snap_start:
        return
    if version.package_type != "Zip" or version.runtime is None:
        raise NotServedError("Lampyr does not serve SnapStart of container images yet")
    if version.runtime not in _SNAP_START_RUNTIMES:
        raise InvalidParameterValueException(
            f"{version.runtime} is not supported for SnapStart enabled functions."
        )
    if version.tmp_mb > _SNAP_START_TMP_MB:
        raise InvalidParameterValueException(
            "SnapStart is not supported for functions with ephemeral storage greater than "
            f"{_SNAP_START_TMP_MB} MB."
        )
    if version.tenant_isolation_mode is not None:
        raise InvalidParameterValueException(
            "SnapStart is not supported for functions with tenant isolation mode."
        )


def check_architecture(architecture: str, host: str) -> None:
    """`host` is what this machine's processor runs, in Lambda's words."""
    if architecture != host:
        raise NotServedError(
            f"Lampyr does not serve Architectures [{architecture}] here: this host's processor "
            f"is {host}"
        )


class Revised(Protocol):
    """A version or an alias."""

    @property
    def revision_id(self) -> str: ...


def check_shared(function: Function, feature: str) -> None:
    """Refuse a feature that is not for functions whose tenants are isolated from each other.

    https://docs.aws.amazon.com/lambda/latest/dg/tenant-isolation.html
    """
    if function.latest.tenant_isolation_mode is not None:
        raise InvalidParameterValueException(
            f"{feature} is not supported for functions with tenant isolation mode."
        )


def check_revision(current: Revised, revision_id: str | None) -> None:
    if revision_id is not None and revision_id != current.revision_id:
        raise PreconditionFailedException(
            "The Revision Id provided does not match the latest Revision Id. "
            "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
        )


def new_version(
    key: FunctionKey,
    change: ConfigurationChange,
    *,
    architecture: str,
    tenant_isolation_mode: str | None,
    layers: tuple[LayerUse, ...] | None = None,
    **identity: Any,
) -> FunctionVersion:
    """`$LATEST` of a new function; `identity` are the members that are no configuration."""
    if change.role is None:
        raise InvalidParameterValueException(
            "The role defined for the function cannot be assumed by Lambda."
        )
    bare = FunctionVersion(
        key=key,
        role=change.role,
        architecture=architecture,
        tenant_isolation_mode=tenant_isolation_mode,
        logging=LoggingConfig(log_group=f"/aws/lambda/{key.name}"),
        **identity,
    )
    return configured(bare, change, layers)


def configured(
    version: FunctionVersion,
    change: ConfigurationChange,
    layers: tuple[LayerUse, ...] | None = None,
) -> FunctionVersion:
    """`version` with what the change says; `layers` are those of its ARNs."""
    members: dict[str, Any] = {
        name: value
        for name in (
            "role",
            "handler",
            "runtime",
            "description",
            "timeout_seconds",
            "memory_mb",
            "tmp_mb",
            "environment",
            "snap_start",
            "no_vpc",
        )
        if (value := getattr(change, name)) is not None
    }
    if change.image_config is not None:
        empty = change.image_config == ImageConfig()
        members["image_config"] = None if empty else change.image_config
    if layers is not None:
        members["layers"] = layers
    if change.dead_letter_arn is not None:
        members["dead_letter_arn"] = change.dead_letter_arn or None
    if change.logging is not None:
        members["logging"] = logging_config(version.logging, change.logging)
    new = replace(version, **members)
    check_snap_start(new)
    return new


def logging_config(current: LoggingConfig, change: LoggingChange) -> LoggingConfig:
    """Levels belong to the JSON format, where they default to INFO, and leave with it.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-advanced.html
    """
    log_format = change.log_format or current.log_format
    log_group = change.log_group or current.log_group
    if log_format != _FORMAT_JSON:
        if change.application_log_level or change.system_log_level:
            raise InvalidParameterValueException(
                "ApplicationLogLevel and SystemLogLevel can only be set when LogFormat is JSON."
            )
        return LoggingConfig(log_format=log_format, log_group=log_group)
    return LoggingConfig(
        log_format=log_format,
        application_log_level=(
            change.application_log_level or current.application_log_level or "INFO"
        ),
        system_log_level=change.system_log_level or current.system_log_level or "INFO",
        log_group=log_group,
    )


def tagged(
    current: Mapping[str, str], change: Mapping[str, str], limits: Limits
) -> Mapping[str, str]:
    """The tags after adding `change`.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html
    """
    if any(name.lower().startswith("aws:") for name in change):
        raise InvalidParameterValueException(
            "aws: prefixed tag key names are not allowed for external use."
        )
    tags = {**current, **change}
    if len(tags) > limits.tags:
        raise InvalidParameterValueException("Number of tags exceeds resource tag limit.")
    return tags


def _check_most(member: str, value: int | None, most: int) -> None:
    """Quotas of an account are worded otherwise than limits of the model, which lie above them."""
    if value is not None and value > most:
        raise InvalidParameterValueException(
            f"'{member}' value failed to satisfy constraint: "
            f"Member must have value less than or equal to {most}"
        )


def _check_least(member: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise InvalidParameterValueException(
            f"'{member}' value failed to satisfy constraint: "
            f"Member must have value greater than or equal to {least}"
        )
