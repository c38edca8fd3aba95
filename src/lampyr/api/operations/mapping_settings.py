"""Event source mappings between Lambda's JSON and Lampyr's own types; no operation is here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lampyr.arn import key_arn, resource_arn
from lampyr.errors import InvalidParameterValueException, NotServedError
from lampyr.model.mapping import (
    DocumentDatabase,
    EventSource,
    EventSourceMapping,
    MappingSettings,
    SourceAccess,
    SourceKind,
)

KIND: Final = "event-source-mapping"
_BROKERS: Final = "KAFKA_BOOTSTRAP_SERVERS"
_KAFKA_CONFIGS: Final = {
    "AmazonManagedKafkaEventSourceConfig": SourceKind.MSK,
    "SelfManagedKafkaEventSourceConfig": SourceKind.KAFKA,
}
_NOT_SERVED: Final = (
    (("KMSKeyArn",), "keys of the customer"),
    (("MetricsConfig", "Metrics"), "metrics of event source mappings"),
    (("LoggingConfig", "SystemLogLevel"), "logs of event source mappings"),
    (("ProvisionedPollerConfig", "PollerGroupName"), "groups of pollers"),
    (("AmazonManagedKafkaEventSourceConfig", "SchemaRegistryConfig"), "schema registries"),
    (("SelfManagedKafkaEventSourceConfig", "SchemaRegistryConfig"), "schema registries"),
)
"""Members that Lampyr does not honour, and refuses: an empty value asks for nothing."""
_ACCESS_NOT_SERVED: Final = ("OAUTHBEARER_", "IAM_")
"""Ways to prove to Kafka who one is."""


def refuse_unserved(request: Mapping[str, Any]) -> None:
    """Nothing that a caller asks for is left out in silence."""
    for path, what in _NOT_SERVED:
        value: Any = request
        for name in path:
            value = (value or {}).get(name)
        if value:
            raise NotServedError(f"Lampyr does not serve {'.'.join(path)} ({what}) yet")
    if (_on_failure(request.get("DestinationConfig")) or "").startswith("kafka://"):
        raise NotServedError("Lampyr does not serve topics of Kafka as destinations yet")
    kafka = request.get("SelfManagedKafkaEventSourceConfig") or {}
    if kafka.get("ConsumptionMode", "Stream") != "Stream":
        raise NotServedError("Lampyr does not serve ConsumptionMode Queue (share groups) yet")


def endpoints(request: Mapping[str, Any]) -> tuple[str, ...]:
    given = (request.get("SelfManagedEventSource") or {}).get("Endpoints") or {}
    return tuple(given.get(_BROKERS) or ())


def consumer_groups(request: Mapping[str, Any]) -> Mapping[SourceKind, str | None]:
    return {
        kind: request[name].get("ConsumerGroupId")
        for name, kind in _KAFKA_CONFIGS.items()
        if request.get(name)
    }


def settings(request: Mapping[str, Any]) -> MappingSettings:
    """What the request says of what can be changed."""
    return MappingSettings(
        batch_size=request.get("BatchSize"),
        batching_window_seconds=request.get("MaximumBatchingWindowInSeconds"),
        filters=_filters(request.get("FilterCriteria")),
        response_types=_tuple(request.get("FunctionResponseTypes")),
        maximum_concurrency=_number(request.get("ScalingConfig"), "MaximumConcurrency"),
        minimum_pollers=_number(request.get("ProvisionedPollerConfig"), "MinimumPollers"),
        maximum_pollers=_number(request.get("ProvisionedPollerConfig"), "MaximumPollers"),
        parallelization_factor=request.get("ParallelizationFactor"),
        tumbling_window_seconds=request.get("TumblingWindowInSeconds"),
        on_failure=_on_failure(request.get("DestinationConfig")),
        bisect_on_error=request.get("BisectBatchOnFunctionError"),
        record_age_seconds=request.get("MaximumRecordAgeInSeconds"),
        retry_attempts=request.get("MaximumRetryAttempts"),
        access=_access(request.get("SourceAccessConfigurations")),
        document_database=_document_database(request.get("DocumentDBEventSourceConfig")),
    )


def _tuple(items: list[str] | None) -> tuple[str, ...] | None:
    return None if items is None else tuple(items)


def _filters(criteria: Mapping[str, Any] | None) -> tuple[str, ...] | None:
    """Empty criteria take the filters away."""
    if criteria is None:
        return None
    return tuple(item.get("Pattern", "") for item in criteria.get("Filters") or ())


def _number(config: Mapping[str, Any] | None, name: str) -> int | None:
    """An empty configuration takes the number away."""
    if config is None or (config and name not in config):
        return None
    return int(config.get(name, 0))


def _on_failure(destinations: Mapping[str, Any] | None) -> str | None:
    if destinations is None:
        return None
    if (destinations.get("OnSuccess") or {}).get("Destination"):
        raise InvalidParameterValueException(
            "Unsupported DestinationConfig parameter for given event source mapping type."
        )
    failure = destinations.get("OnFailure") or {}
    return str(failure.get("Destination", ""))


def _access(items: list[dict[str, Any]] | None) -> tuple[SourceAccess, ...] | None:
    if items is None:
        return None
    if any("Type" not in item for item in items):
        raise InvalidParameterValueException("Required 'type' parameter is missing.")
    found = tuple(SourceAccess(type=item["Type"], uri=item.get("URI")) for item in items)
    if unserved := [each.type for each in found if each.type.startswith(_ACCESS_NOT_SERVED)]:
        raise NotServedError(f"Lampyr does not serve access by {unserved[0]} yet")
    return found


def _document_database(config: Mapping[str, Any] | None) -> DocumentDatabase | None:
    if config is None:
        return None
    if "DatabaseName" not in config:
        raise InvalidParameterValueException("Required 'databaseName' parameter is missing.")
    return DocumentDatabase(
        database=config["DatabaseName"],
        collection=config.get("CollectionName"),
        full_document=config.get("FullDocument", "Default"),
    )


def answer(mapping: EventSourceMapping) -> dict[str, Any]:
    """An `EventSourceMappingConfiguration`; what a source does not have is not there."""
    account_id, region, uuid = mapping.key
    return {
        "UUID": uuid,
        "EventSourceMappingArn": resource_arn(account_id, region, KIND, uuid),
        "FunctionArn": key_arn(mapping.function, mapping.qualifier),
        "LastModified": mapping.last_modified,
        "LastProcessingResult": mapping.last_processing_result,
        "State": mapping.state,
        "StateTransitionReason": mapping.state_reason,
        **_source(mapping.source),
        **_settings(mapping.settings),
    }


def _source(source: EventSource) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "EventSourceArn": source.arn,
        "StartingPosition": source.starting_position,
        "StartingPositionTimestamp": source.starting_timestamp,
        "Topics": source.topic and [source.topic],
        "Queues": source.queue and [source.queue],
    }
    if source.endpoints:
        shown["SelfManagedEventSource"] = {"Endpoints": {_BROKERS: source.endpoints}}
    for name, kind in _KAFKA_CONFIGS.items():
        if source.kind is kind:
            shown[name] = {"ConsumerGroupId": source.consumer_group}
    return shown


def _settings(given: MappingSettings) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "BatchSize": given.batch_size,
        "MaximumBatchingWindowInSeconds": given.batching_window_seconds,
        "FunctionResponseTypes": given.response_types,
        "ParallelizationFactor": given.parallelization_factor,
        "TumblingWindowInSeconds": given.tumbling_window_seconds,
        "BisectBatchOnFunctionError": given.bisect_on_error,
        "MaximumRecordAgeInSeconds": given.record_age_seconds,
        "MaximumRetryAttempts": given.retry_attempts,
    }
    if given.filters:
        shown["FilterCriteria"] = {"Filters": [{"Pattern": text} for text in given.filters]}
    if given.maximum_concurrency:
        shown["ScalingConfig"] = {"MaximumConcurrency": given.maximum_concurrency}
    if given.minimum_pollers:
        shown["ProvisionedPollerConfig"] = {
            "MinimumPollers": given.minimum_pollers,
            "MaximumPollers": given.maximum_pollers,
        }
    if given.on_failure is not None:
        shown["DestinationConfig"] = {"OnFailure": {"Destination": given.on_failure or None}}
    if given.access:
        shown["SourceAccessConfigurations"] = [
            {"Type": access.type, "URI": access.uri} for access in given.access
        ]
    if (database := given.document_database) is not None:
        shown["DocumentDBEventSourceConfig"] = {
            "DatabaseName": database.database,
            "CollectionName": database.collection,
            "FullDocument": database.full_document,
        }
    return shown
