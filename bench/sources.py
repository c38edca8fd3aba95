"""Rows 13 to 16: from what is written to a queue, a stream or a bus, to the handler.

Each record says when its writer began to send it; the handler says when it began. Lampyr's handlers
say so in their log, ministack's in a file, for which they need no permission there.
"""

import base64
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

from bench import functions, services
from bench.base import LAMPYR, Bench, pair
from bench.budgets import Budget
from bench.client import Series
from bench.results import Row, milliseconds
from bench.servers import Server

HANDLER: Final = """\
import base64, json, os, time

def texts(event):
    for record in event.get("Records", ()):
        if "body" in record:
            yield record["body"]
        elif "kinesis" in record:
            yield base64.b64decode(record["kinesis"]["data"]).decode()
        else:
            yield record["dynamodb"]["NewImage"]["sent"]["S"]
    if "sent" in event.get("detail", event):
        yield event.get("detail", event)["sent"]

def handler(event, context):
    now = time.time()
    said = "".join(f"SENT {text} {now}\\n" for text in texts(event))
    if "SINK" in os.environ:
        with open(os.environ["SINK"], "a") as sink:
            sink.write(said)
    else:
        print(said, end="")
"""
IDLE_MESSAGES: Final = 40
"""A round, one after the other."""
PAUSE_SECONDS: Final = 0.03
"""After each, so that none waits for another."""
DRAINED: Final = {10: 2_000, 1: 500}
"""Messages of a queue that is drained, by the size of batches: a second or so."""
SCHEDULES: Final = 2
"""For each round, a second apart."""
SECONDS_MAX: Final = 60.0
WARMING: Final = 5
QUEUE_ABOVE_SECONDS: Final = 3e-3
BUDGET_SECONDS: Final = 50e-3
"""Of rows 15 and 16."""
DRAIN_SHARE: Final = 0.8


@dataclass(slots=True, kw_only=True)
class Place:
    """A server with Lambda and the services around it, and what its handlers have said."""

    server: Server
    runtime: str
    sink: Path | None = None
    """Where handlers write to; None: in Lampyr's log."""
    _cursors: dict[str, str] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        return services.client(self.server.port, service)

    def deploy(self, name: str) -> str:
        """The function's ARN."""
        variables = {} if self.sink is None else {"SINK": str(self.sink / name)}
        code = functions.package({"app.py": HANDLER})
        api = functions.api(self.server.port)
        functions.create(api, name, code, runtime=self.runtime, variables=variables)
        return f"arn:aws:lambda:us-east-1:000000000000:function:{name}"

    def told(self, name: str, count: int) -> list[tuple[float, float]]:
        """When each was sent and got, of the next `count`; in seconds since the epoch."""
        found: list[tuple[float, float]] = []
        end = time.monotonic() + SECONDS_MAX
        while len(found) < count:
            if time.monotonic() > end:
                raise RuntimeError(f"{name} got {len(found)} of {count}")
            found += self._more(name)
        return found

    def _more(self, name: str) -> Iterator[tuple[float, float]]:
        for line in self._lines(name):
            if line.startswith("SENT "):
                sent, got = map(float, line.split()[1:])
                yield sent, got

    def _lines(self, name: str) -> list[str]:
        cursor = self._cursors.get(name, "")
        if self.sink is not None:
            time.sleep(0.02)
            path = self.sink / name
            data = path.read_bytes() if path.exists() else b""
            end = data.rfind(b"\n") + 1
            self._cursors[name] = str(end)
            return data[int(cursor or 0) : end].decode().splitlines()
        port = self.server.port
        url = f"http://127.0.0.1:{port}/_lampyr/logs/{name}?wait_seconds=1&cursor={cursor}"
        with urlopen(url, timeout=30) as answer:
            page = json.load(answer)
        self._cursors[name] = page["cursor"]
        return [line for event in page["events"] for line in event["message"].splitlines()]


@dataclass(slots=True, kw_only=True)
class Places:
    """All that are measured, and the socket of the queue server that Lampyr's poller reads."""

    rounds: int
    each: dict[str, Place]
    queue_server: Path


def rows(bench: Bench, server: Server, data: Path) -> list[Row]:
    """`server`: a Lampyr with neighbours of its own, whose data are in `data`."""
    each = {LAMPYR: Place(server=server, runtime=bench.runtime)}
    if "ministack" in bench.servers:
        sink = data / "ministack-said"
        sink.mkdir()
        rival = bench.servers["ministack"]
        each["ministack"] = Place(server=rival, runtime=bench.runtime, sink=sink)
    each[LAMPYR].client("sqs").list_queues()  # Starts the neighbours.
    places = Places(rounds=bench.rounds, each=each, queue_server=next(data.glob("**/run/services")))
    return [
        _idle_queue(places),
        _drain(places, 10),
        _drain(places, 1),
        _latency(places, "Kinesis record to handler", "15", _kinesis),
        _latency(places, "record of a DynamoDB stream to handler", "15", _dynamodb),
        _latency(places, "event on a bus to the handler of a rule", "16", _bus),
        _schedules(places),
    ]


def _idle_queue(places: Places) -> Row:
    """Beside a bare loop of long polls on another queue of the same server."""
    found = {name: Series() for name in places.each}
    alone = Series()
    writers = {name: _warmed(place, "idle", _queue(place)) for name, place in places.each.items()}
    url, _ = services.make_queue(places.each[LAMPYR].server.port, "bare-idle")
    bare = services.Json.over_unix("sqs", places.queue_server)
    sender = services.Json.over_tcp("sqs", places.each[LAMPYR].server.port)
    for _ in range(places.rounds):
        for name, place in places.each.items():
            found[name].add(_spaced(place, "idle", writers[name]))
        polls = services.LongPolls(bare, url, IDLE_MESSAGES)
        polls.start()
        services.write_spaced(
            lambda text: sender.call("SendMessage", QueueUrl=url, MessageBody=text),
            IDLE_MESSAGES,
            PAUSE_SECONDS,
        )
        polls.join(SECONDS_MAX)
        alone.add(polls.samples)
    ours = found.pop(LAMPYR)
    above = ours.p50 - alone.p50
    return Row(
        number="13",
        metric="SQS message to handler, idle queue",
        budget="p50 ≤ 3 ms above the queue's own long-poll answer",
        ours=f"{pair(ours, milliseconds)}, {milliseconds(above)} above",
        inside=above <= QUEUE_ABOVE_SECONDS,
        rivals={name: pair(item, milliseconds) for name, item in found.items()},
        limit=f"{pair(alone, milliseconds)} (a loop of long polls alone)",
    )


def _spaced(place: Place, function: str, write: Callable[[str], object]) -> list[float]:
    services.write_spaced(write, IDLE_MESSAGES, PAUSE_SECONDS)
    return [got - sent for sent, got in place.told(function, IDLE_MESSAGES)]


def _queue(place: Place) -> Callable[[str], object]:
    url, arn = services.make_queue(place.server.port, "idle")
    _read(place, "idle", arn)
    sqs = services.Json.over_tcp("sqs", place.server.port)
    return lambda text: sqs.call("SendMessage", QueueUrl=url, MessageBody=text)


def _warmed(place: Place, function: str, write: Callable[[str], object]) -> Callable[[str], object]:
    """`write`, once the function has been called by it."""
    for _ in range(WARMING):
        write(repr(time.time()))
        place.told(function, 1)
    return write


def _read(place: Place, function: str, arn: str, **settings: Any) -> str:
    """Deploy a function that reads a queue or stream; the mapping's id, once it reads."""
    place.deploy(function)
    return _mapped(place, function, arn, **settings)


def _mapped(place: Place, function: str, arn: str, **settings: Any) -> str:
    api = functions.api(place.server.port)
    made = api.create_event_source_mapping(FunctionName=function, EventSourceArn=arn, **settings)
    end = time.monotonic() + SECONDS_MAX
    while api.get_event_source_mapping(UUID=made["UUID"])["State"] != "Enabled":
        if time.monotonic() > end:
            raise RuntimeError(f"the mapping of {function} does not become enabled")
        time.sleep(0.01)
    return str(made["UUID"])


# Draining -------------------------------------------------------------------------------


def _drain(places: Places, batch: int) -> Row:
    found = {name: Series() for name in places.each}
    alone, count = Series(), DRAINED[batch]
    queue_server = services.Json.over_unix("sqs", places.queue_server)
    for place in places.each.values():
        place.deploy(f"drain-{batch}")
    port = places.each[LAMPYR].server.port
    url, _ = services.make_queue(port, f"bare-{batch}")
    for number in range(places.rounds):
        services.fill(port, url, count)
        alone.add([services.drained_a_second(queue_server, url, count, batch)])
        for name, place in places.each.items():
            found[name].add([_drained_a_second(place, batch, number)])
    ours = found.pop(LAMPYR)
    share = ours.p50 / alone.p50
    return Row(
        number="14",
        metric=f"messages a second from a queue of {count:,}, batches of {batch}",
        budget="≥ 0.8 times a loop that receives and deletes them",
        ours=f"{ours.p50:,.0f}/s, {share:.2f} times",
        inside=share >= DRAIN_SHARE,
        rivals={name: f"{item.p50:,.0f}/s" for name, item in found.items()},
        limit=f"{alone.p50:,.0f}/s (that loop)",
    )


def _drained_a_second(place: Place, batch: int, number: int) -> float:
    """Messages a second between the first handler's start and the last one's."""
    name, port, count = f"drain-{batch}", place.server.port, DRAINED[batch]
    url, arn = services.make_queue(port, f"{name}-{number}")
    services.fill(port, url, count)
    mapping = _mapped(place, name, arn, BatchSize=batch)
    got = sorted(got for _, got in place.told(name, count))
    functions.api(port).delete_event_source_mapping(UUID=mapping)
    return (count - got.count(got[0])) / (got[-1] - got[0])


# Streams and buses ----------------------------------------------------------------------


def _latency(
    places: Places, metric: str, number: str, make: Callable[[Place], Callable[[str], object]]
) -> Row:
    """`make` gives what writes to a source that the function of its name reads."""
    found = {name: Series() for name in places.each}
    function = make.__name__.strip("_")
    writers = {name: _warmed(place, function, make(place)) for name, place in places.each.items()}
    for _ in range(places.rounds):
        for name, place in places.each.items():
            found[name].add(_spaced(place, function, writers[name]))
    return _row(number, metric, found)


def _row(number: str, metric: str, found: dict[str, Series]) -> Row:
    budget = Budget(p50=BUDGET_SECONDS)
    ours = found.pop(LAMPYR)
    return Row(
        number=number,
        metric=metric,
        budget=str(budget),
        ours=pair(ours, milliseconds),
        inside=budget.holds(ours),
        rivals={name: pair(item, milliseconds) for name, item in found.items()},
    )


def _kinesis(place: Place) -> Callable[[str], object]:
    api = place.client("kinesis")
    api.create_stream(StreamName="bench", ShardCount=1)
    api.get_waiter("stream_exists").wait(StreamName="bench", WaiterConfig={"Delay": 1})
    arn = api.describe_stream_summary(StreamName="bench")["StreamDescriptionSummary"]["StreamARN"]
    _read(place, "kinesis", arn, StartingPosition="TRIM_HORIZON")
    writer = services.Json.over_tcp("kinesis", place.server.port)

    def write(text: str) -> None:
        data = base64.b64encode(text.encode()).decode()
        writer.call("PutRecord", StreamName="bench", PartitionKey="1", Data=data)

    return write


def _dynamodb(place: Place) -> Callable[[str], object]:
    api = place.client("dynamodb")
    made = api.create_table(
        TableName="bench",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )
    api.get_waiter("table_exists").wait(TableName="bench", WaiterConfig={"Delay": 1})
    arn = made["TableDescription"]["LatestStreamArn"]
    _read(place, "dynamodb", arn, StartingPosition="TRIM_HORIZON")
    writer = services.Json.over_tcp("dynamodb", place.server.port)

    def write(text: str) -> None:
        writer.call("PutItem", TableName="bench", Item={"id": {"S": text}, "sent": {"S": text}})

    return write


def _bus(place: Place) -> Callable[[str], object]:
    arn = place.deploy("bus")
    api = place.client("events")
    api.put_rule(Name="bench", EventPattern=json.dumps({"source": ["bench"]}))
    api.put_targets(Rule="bench", Targets=[{"Id": "1", "Arn": arn}])
    writer = services.Json.over_tcp("events", place.server.port)

    def write(text: str) -> None:
        entry = {"Source": "bench", "DetailType": "bench", "Detail": json.dumps({"sent": text})}
        writer.call("PutEvents", Entries=[entry])

    return write


def _schedules(places: Places) -> Row:
    """One-time schedules of EventBridge Scheduler: each says when it is due."""
    found = {name: Series() for name in places.each}
    for place in places.each.values():
        arn = place.deploy("scheduled")
        functions.api(place.server.port).invoke(FunctionName="scheduled")
        _schedule(place.client("scheduler"), arn, places.rounds * SCHEDULES)
    for name, place in places.each.items():
        told = place.told("scheduled", places.rounds * SCHEDULES)
        found[name].add([got - due for due, got in told])
    return _row("16", "one-time schedule to handler, after its second", found)


def _schedule(scheduler: Any, arn: str, count: int) -> None:
    first = int(time.time()) + 2
    for due in range(first, first + count):
        moment = datetime.fromtimestamp(due, UTC)
        scheduler.create_schedule(
            Name=f"bench-{due}",
            ScheduleExpression=f"at({moment:%Y-%m-%dT%H:%M:%S})",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={
                "Arn": arn,
                "RoleArn": functions.ROLE,
                "Input": json.dumps({"sent": str(due)}),
            },
        )
