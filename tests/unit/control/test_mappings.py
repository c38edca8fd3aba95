"""Event source mappings: the rules of each source, states, and who brings them about."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from lampyr.control import mappings
from lampyr.control.sources.requests import CreateMapping, UpdateMapping
from lampyr.control.sources.rules import RULES, check_change, check_settings, source_of
from lampyr.errors import ResourceConflictException, ResourceInUseException, ServiceError
from lampyr.limits import DEFAULT_LIMITS
from lampyr.model.mapping import (
    DocumentDatabase,
    EventSource,
    EventSourceMapping,
    MappingSettings,
    MappingState,
    SourceAccess,
    SourceKind,
)
from lampyr.testing.control import Control, DictStore, running_control
from tests.unit.control.calls import create, refer

PLACE: Final = "us-east-1:123456789012"
ARNS: Final = {
    SourceKind.SQS: f"arn:aws:sqs:{PLACE}:q",
    SourceKind.KINESIS: f"arn:aws:kinesis:{PLACE}:stream/s",
    SourceKind.DYNAMODB: f"arn:aws:dynamodb:{PLACE}:table/t/stream/2026",
    SourceKind.MSK: f"arn:aws:kafka:{PLACE}:cluster/c/1",
    SourceKind.MQ: f"arn:aws:mq:{PLACE}:broker:b:b-1",
    SourceKind.DOCUMENTDB: f"arn:aws-cn:rds:{PLACE}:cluster:c",
    SourceKind.KAFKA: None,
}
VALUES: Final[dict[str, Any]] = {
    "batch_size": 1,
    "batching_window_seconds": 1,
    "filters": ("{}",),
    "response_types": ("ReportBatchItemFailures",),
    "maximum_concurrency": 2,
    "minimum_pollers": 2,
    "maximum_pollers": 2,
    "parallelization_factor": 2,
    "tumbling_window_seconds": 1,
    "on_failure": ARNS[SourceKind.SQS],
    "bisect_on_error": True,
    "record_age_seconds": 60,
    "retry_attempts": 1,
    "access": (SourceAccess(type="BASIC_AUTH", uri="a"),),
    "document_database": DocumentDatabase(database="d"),
}


def asked(kind: SourceKind, **more: Any) -> CreateMapping:
    """A request with all that this kind of source needs."""
    rules = RULES[kind]
    needed: dict[str, Any] = {
        "source_arn": ARNS[kind],
        "endpoints": ("kafka:9092",) if kind is SourceKind.KAFKA else (),
        "topics": ("t",) if "topics" in rules.needs else (),
        "queues": ("q",) if "queues" in rules.needs else (),
        "starting_position": "LATEST" if rules.positions else None,
        "settings": MappingSettings(
            access=VALUES["access"] if "sourceAccessConfigurations" in rules.needs else None,
            document_database=(
                VALUES["document_database"] if kind is SourceKind.DOCUMENTDB else None
            ),
        ),
    }
    return CreateMapping(function=refer(), **(needed | more))


@pytest.mark.parametrize("kind", SourceKind)
def test_each_source_has_its_own_settings(kind: SourceKind) -> None:
    source = source_of(asked(kind), "uuid", 0.0)
    assert source.kind is kind
    for name, value in VALUES.items():
        change = MappingSettings(**{name: value})
        if name in RULES[kind].settings:
            check_change(kind, change)
        else:
            with pytest.raises(ServiceError, match="Unsupported"):
                check_change(kind, change)
    check_change(kind, MappingSettings(response_types=(), on_failure=""))


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (SourceKind.SQS, {"starting_position": "LATEST"}),
        (SourceKind.SQS, {"topics": ("t",)}),
        (SourceKind.SQS, {"source_arn": f"arn:aws:sqs:{PLACE}"}),
        (SourceKind.SQS, {"endpoints": ("kafka:1",)}),
        (SourceKind.SQS, {"consumer_groups": {SourceKind.MSK: "g"}}),
        (SourceKind.KINESIS, {"starting_position": None}),
        (SourceKind.KINESIS, {"starting_timestamp": 1.0}),
        (SourceKind.KINESIS, {"starting_position": "AT_TIMESTAMP", "starting_timestamp": 101.0}),
        (SourceKind.KINESIS, {"source_arn": f"arn:aws:kinesis:{PLACE}:s"}),
        (SourceKind.DYNAMODB, {"starting_position": "AT_TIMESTAMP", "starting_timestamp": 1.0}),
        (SourceKind.DYNAMODB, {"source_arn": f"arn:aws:dynamodb:{PLACE}:table/t"}),
        (SourceKind.MSK, {"topics": ()}),
        (SourceKind.KAFKA, {"consumer_groups": {SourceKind.MSK: "g"}}),
        (SourceKind.MQ, {"queues": ()}),
        (SourceKind.MQ, {"settings": MappingSettings()}),
        (SourceKind.DOCUMENTDB, {"settings": MappingSettings(access=VALUES["access"])}),
    ],
)
def test_a_source_that_is_not_wholly_named_is_refused(kind: SourceKind, more: Any) -> None:
    with pytest.raises(ServiceError):
        source_of(asked(kind, **more), "uuid", 100.0)


@pytest.mark.parametrize(
    ("kind", "settings", "fits"),
    [
        (SourceKind.SQS, {"batch_size": 11, "batching_window_seconds": 1}, True),
        (SourceKind.KINESIS, {"batch_size": 100, "batching_window_seconds": 0}, True),
        (SourceKind.KINESIS, {"record_age_seconds": 59}, False),
        (SourceKind.KINESIS, {"record_age_seconds": -1}, True),
        (SourceKind.KINESIS, {"on_failure": "arn:aws:s3:::bucket"}, True),
        (SourceKind.KINESIS, {"on_failure": "kafka://topic"}, False),
        (SourceKind.MSK, {"on_failure": "kafka://topic"}, True),
        (SourceKind.KINESIS, {"on_failure": f"arn:aws:sqs:{PLACE}:q.fifo"}, False),
        (SourceKind.KINESIS, {"on_failure": f"arn:aws:lambda:{PLACE}:function:f"}, False),
        (SourceKind.SQS, {"minimum_pollers": 1, "maximum_pollers": 5}, False),
        (SourceKind.MSK, {"minimum_pollers": 1, "maximum_pollers": 5}, True),
        (SourceKind.MSK, {"minimum_pollers": 5, "maximum_pollers": 4}, False),
        (SourceKind.MSK, {"minimum_pollers": 1, "maximum_pollers": 2_001}, False),
        (
            SourceKind.SQS,
            {"minimum_pollers": 2, "maximum_pollers": 5, "maximum_concurrency": 2},
            False,
        ),
        (SourceKind.MSK, {"access": VALUES["access"]}, False),
        (SourceKind.KAFKA, {"access": VALUES["access"]}, True),
        (SourceKind.SQS, {"filters": ('{"a": [1]}',) * 5}, True),
        (SourceKind.SQS, {"filters": ('{"a": [1]}',) * 6}, False),
        (SourceKind.SQS, {"filters": ("null",)}, False),
    ],
)
def test_values_have_to_fit_the_source(kind: SourceKind, settings: Any, fits: bool) -> None:
    source = EventSource(kind=kind, arn=ARNS[kind])
    if fits:
        check_settings(source, MappingSettings(**settings), DEFAULT_LIMITS)
        return
    with pytest.raises(ServiceError):
        check_settings(source, MappingSettings(**settings), DEFAULT_LIMITS)


def test_a_fifo_queue_gives_ten_at_most_and_does_not_gather() -> None:
    source = EventSource(kind=SourceKind.SQS, arn=f"{ARNS[SourceKind.SQS]}.fifo")
    check_settings(source, MappingSettings(batch_size=10), DEFAULT_LIMITS)
    for settings in (MappingSettings(batch_size=11), MappingSettings(batching_window_seconds=1)):
        with pytest.raises(ServiceError, match="FIFO"):
            check_settings(source, settings, DEFAULT_LIMITS)


@dataclass
class FakePollers:
    """Remembers what it was told; waits before each answer when told so."""

    told: list[tuple[MappingState, int | None]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def apply(self, mapping: EventSourceMapping) -> None:
        self.told.append((mapping.state, mapping.settings.batch_size))
        await self.gate.wait()


async def told(pollers: FakePollers, count: int) -> None:
    while len(pollers.told) < count:
        await asyncio.sleep(0)


async def at_rest(control: Control, mapping: EventSourceMapping) -> EventSourceMapping:
    while True:
        found = await mappings.get(control.plane, mapping.key)
        if found.state in (MappingState.ENABLED, MappingState.DISABLED):
            return found
        await asyncio.sleep(0)


async def test_pollers_are_told_before_a_state_is_reached() -> None:
    pollers = FakePollers()
    async with running_control(pollers=pollers) as control:
        await create(control)
        mapping = await mappings.create(control.plane, asked(SourceKind.SQS))
        await told(pollers, 1)
        nothing = UpdateMapping(settings=MappingSettings())
        with pytest.raises(ResourceInUseException):
            await mappings.update(control.plane, mapping.key, nothing)
        with pytest.raises(ResourceInUseException):
            await mappings.delete(control.plane, mapping.key)
        await mappings.processed(control.plane, mapping.key, "OK")
        pollers.gate.set()
        found = await at_rest(control, mapping)
        assert (found.state, found.last_processing_result) == (MappingState.ENABLED, "OK")
        change = UpdateMapping(settings=MappingSettings(batch_size=3), enabled=False)
        await mappings.update(control.plane, mapping.key, change)
        assert (await at_rest(control, mapping)).state is MappingState.DISABLED
        await mappings.delete(control.plane, mapping.key)
        while control.store.table(EventSourceMapping).known(mapping.key) is not None:
            await asyncio.sleep(0)
        await mappings.processed(control.plane, mapping.key, "OK")
    assert pollers.told[-2:] == [(MappingState.DISABLING, 3), (MappingState.DELETING, 3)]


async def test_a_start_takes_up_what_was_read_and_what_was_interrupted() -> None:
    pollers, store = FakePollers(), DictStore()
    async with running_control(store, pollers=pollers) as control:
        await create(control)
        mapping = await mappings.create(control.plane, asked(SourceKind.SQS))
        await told(pollers, 1)
    pollers.gate.set()
    for expected in (MappingState.CREATING, MappingState.ENABLED):
        pollers.told.clear()
        async with running_control(store, pollers=pollers) as control:
            await told(pollers, 1)
            await at_rest(control, mapping)
        assert pollers.told[0] == (expected, 10)


async def test_of_many_who_map_a_source_one_does(control: Control) -> None:
    await create(control)
    requests = [mappings.create(control.plane, asked(SourceKind.SQS)) for _ in range(5)]
    answers = await asyncio.gather(*requests, return_exceptions=True)
    refused = [isinstance(answer, ResourceConflictException) for answer in answers]
    assert sorted(refused) == [False, True, True, True, True]


async def test_a_virtual_host_and_a_consumer_group_stay(control: Control) -> None:
    await create(control)
    host = SourceAccess(type="VIRTUAL_HOST", uri="/")
    given = MappingSettings(access=(*VALUES["access"], host))
    mapping = await mappings.create(control.plane, asked(SourceKind.MQ, settings=given))
    await at_rest(control, mapping)
    other = (SourceAccess(type="BASIC_AUTH", uri="b"),)
    for access, fits in (((host,), False), (other, True)):
        change = UpdateMapping(settings=MappingSettings(access=access))
        if fits:
            new = await mappings.update(control.plane, mapping.key, change)
            assert new.settings.access == (*other, host)
        else:
            with pytest.raises(ServiceError):
                await mappings.update(control.plane, mapping.key, change)
    mapping = await mappings.create(control.plane, asked(SourceKind.MSK))
    await at_rest(control, mapping)
    change = UpdateMapping(settings=MappingSettings(), consumer_groups={SourceKind.MSK: "another"})
    with pytest.raises(ServiceError, match="ConsumerGroupId"):
        await mappings.update(control.plane, mapping.key, change)
