"""Function configurations between Lambda's JSON and Lampyr's own types; no operation is here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from lampyr.arn import key_arn, runtime_version_arn
from lampyr.control.requests import ConfigurationChange, ImageUri, LoggingChange, S3Object, Source
from lampyr.errors import InvalidParameterValueException, NotServedError
from lampyr.model.function import FunctionVersion, State, UpdateStatus
from lampyr.model.image import ImageConfig

_NOT_SERVED: Final[Mapping[str, str]] = {
    "AcceleratorConfig": "accelerators",
    "CapacityProviderConfig": "capacity providers",
    "DurableConfig": "durable functions",
    "FileSystemConfigs": "file systems",
    "KMSKeyArn": "keys of the customer",
    "PublishTo": "LATEST_PUBLISHED",
    "RuntimeConfig": "runtimes of the customer",
    "SourceKMSKeyArn": "keys of the customer",
    "VpcConfig": "VPCs",
}
"""Options that Lampyr does not honour yet, and refuses: an empty value asks for nothing."""
_DEFAULTS: Final[Mapping[str, tuple[str, str]]] = {
    "TracingConfig": ("Mode", "PassThrough"),
}
"""Options of which Lampyr honours one value, the default."""
_CODE_SOURCES: Final = ("S3Bucket", "S3Key", "S3ObjectVersion")


def refuse_unserved(request: Mapping[str, Any]) -> None:
    """Nothing that a caller asks for is left out in silence."""
    for member, what in _NOT_SERVED.items():
        if _asks(request.get(member)):
            raise NotServedError(f"Lampyr does not serve {member} ({what}) yet")
    for member, (name, default) in _DEFAULTS.items():
        value = (request.get(member) or {}).get(name, default)
        if value != default:
            raise NotServedError(f"Lampyr does not serve {member} with {name} {value} yet")


def source(code: Mapping[str, Any]) -> Source:
    """What is said of where code comes from; who takes it knows what it has to be."""
    package = layer_source(code)
    uri = code.get("ImageUri")
    if uri and package is not None:
        raise InvalidParameterValueException(
            "Please do not provide other FunctionCode parameters when providing an ImageUri."
        )
    return ImageUri(uri=uri) if uri else package


def layer_source(code: Mapping[str, Any]) -> bytes | S3Object | None:
    """The zip, or where it is."""
    if code.get("S3ObjectStorageMode", "COPY") != "COPY":
        raise NotServedError(
            "Lampyr does not serve S3ObjectStorageMode REFERENCE: it keeps a copy of all code"
        )
    data = code.get("ZipFile")
    if data is None:
        bucket, key = code.get("S3Bucket"), code.get("S3Key")
        if not bucket or not key:
            return None
        return S3Object(bucket=bucket, key=key, version=code.get("S3ObjectVersion"))
    if any(code.get(name) for name in _CODE_SOURCES):
        raise InvalidParameterValueException(
            "Please do not provide other FunctionCode parameters when providing a ZipFile."
        )
    return bytes(data)


def architecture(request: Mapping[str, Any]) -> str | None:
    given: list[str] | None = request.get("Architectures")
    return given[0] if given else None


def change(request: Mapping[str, Any]) -> ConfigurationChange:
    environment = request.get("Environment")
    logging = request.get("LoggingConfig")
    storage = request.get("EphemeralStorage")
    dead_letter = request.get("DeadLetterConfig")
    image = request.get("ImageConfig")
    return ConfigurationChange(
        role=request.get("Role"),
        handler=request.get("Handler"),
        runtime=request.get("Runtime"),
        description=request.get("Description"),
        timeout_seconds=request.get("Timeout"),
        memory_mb=request.get("MemorySize"),
        tmp_mb=None if storage is None else storage["Size"],
        environment=None if environment is None else dict(environment.get("Variables") or {}),
        snap_start=_snap_start(request.get("SnapStart")),
        logging=None if logging is None else _logging_change(logging),
        layers=tuple(request["Layers"]) if "Layers" in request else None,
        no_vpc=True if "VpcConfig" in request else None,
        image_config=None if image is None else _image_config(image),
        dead_letter_arn=None if dead_letter is None else dead_letter.get("TargetArn"),
    )


def answer(
    version: FunctionVersion,
    *,
    qualified: bool = False,
    qualifier: str | None = None,
    state: bool = True,
) -> dict[str, Any]:
    """A `FunctionConfiguration`. Lists have ARNs with qualifiers and show no `state`.

    Who asked with a `qualifier` gets the version under that ARN, also where it is an alias.
    """
    key = version.key
    shown: dict[str, Any] = {
        "FunctionName": key.name,
        "FunctionArn": key_arn(key, version.version if qualified else qualifier),
        "Runtime": version.runtime,
        "Role": version.role,
        "Handler": version.handler,
        "CodeSize": version.code_bytes,
        "Description": version.description,
        "Timeout": version.timeout_seconds,
        "MemorySize": version.memory_mb,
        "LastModified": timestamp(version.last_modified),
        "CodeSha256": version.code_sha256 or None,
        "Version": version.version,
        "TracingConfig": {"Mode": version.tracing_mode},
        "RevisionId": version.revision_id,
        "PackageType": version.package_type,
        "Architectures": [version.architecture],
        "EphemeralStorage": {"Size": version.tmp_mb},
        "SnapStart": _snap_start_answer(version),
        "LoggingConfig": _logging_answer(version),
    }
    if version.environment is not None:
        shown["Environment"] = {"Variables": dict(version.environment)}
    if version.image_config is not None:
        shown["ImageConfigResponse"] = {"ImageConfig": _image_answer(version.image_config)}
    if version.layers:
        shown["Layers"] = [{"Arn": use.arn, "CodeSize": use.code_bytes} for use in version.layers]
    if version.no_vpc:
        shown["VpcConfig"] = {
            "SubnetIds": [],
            "SecurityGroupIds": [],
            "VpcId": "",
            "Ipv6AllowedForDualStack": False,
        }
    if version.dead_letter_arn is not None:
        shown["DeadLetterConfig"] = {"TargetArn": version.dead_letter_arn}
    if version.tenant_isolation_mode is not None:
        shown["TenancyConfig"] = {"TenantIsolationMode": version.tenant_isolation_mode}
    if state:
        shown |= _state(version)
    if state and version.runtime is not None:
        arn = runtime_version_arn(key.region, version.runtime)
        shown["RuntimeVersionConfig"] = {"RuntimeVersionArn": arn}
    return shown


def timestamp(seconds: float) -> str:
    """Such as `2026-11-21T03:08:00.123+0000`."""
    when = datetime.fromtimestamp(seconds, UTC)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}+0000"


def _asks(value: Any) -> bool:
    """Whether an option's value, or any member of it, is not empty."""
    if isinstance(value, Mapping):
        return any(map(_asks, value.values()))
    return bool(value)


def _state(version: FunctionVersion) -> dict[str, Any]:
    shown: dict[str, Any] = {"State": version.state}
    if version.state_reason is not None:
        shown["StateReason"] = version.state_reason.message
        shown["StateReasonCode"] = version.state_reason.code
    status = version.last_update_status
    if version.state in (State.PENDING, State.FAILED) and status is UpdateStatus.SUCCESSFUL:
        return shown  # It has not been updated; Lambda shows Successful once it is Active.
    shown["LastUpdateStatus"] = status
    if version.last_update_reason is not None:
        shown["LastUpdateStatusReason"] = version.last_update_reason.message
        shown["LastUpdateStatusReasonCode"] = version.last_update_reason.code
    return shown


def _logging_answer(version: FunctionVersion) -> dict[str, Any]:
    logging = version.logging
    shown = {"LogFormat": logging.log_format, "LogGroup": logging.log_group}
    if logging.application_log_level is not None:
        shown["ApplicationLogLevel"] = logging.application_log_level
    if logging.system_log_level is not None:
        shown["SystemLogLevel"] = logging.system_log_level
    return shown


def _image_config(given: Mapping[str, Any]) -> ImageConfig:
    return ImageConfig(
        entry_point=tuple(given.get("EntryPoint") or ()),
        command=tuple(given.get("Command") or ()),
        working_directory=given.get("WorkingDirectory") or None,
    )


def _image_answer(config: ImageConfig) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "EntryPoint": list(config.entry_point),
        "Command": list(config.command),
        "WorkingDirectory": config.working_directory,
    }
    return {name: value for name, value in shown.items() if value}


def _snap_start(given: Mapping[str, Any] | None) -> bool | None:
    apply_on = (given or {}).get("ApplyOn")
    return None if apply_on is None else apply_on == "PublishedVersions"


def _snap_start_answer(version: FunctionVersion) -> dict[str, str]:
    optimized = version.has_snapshot and version.state is State.ACTIVE
    return {
        "ApplyOn": "PublishedVersions" if version.snap_start else "None",
        "OptimizationStatus": "On" if optimized else "Off",
    }


def _logging_change(logging: Mapping[str, Any]) -> LoggingChange:
    return LoggingChange(
        log_format=logging.get("LogFormat"),
        application_log_level=logging.get("ApplicationLogLevel"),
        system_log_level=logging.get("SystemLogLevel"),
        log_group=logging.get("LogGroup"),
    )
