"""DocumentDB change streams as a source, through MongoDB's own driver.

A change stream is read as a shard of a stream is: in order, from a place that is kept, which is
the resume token of the last change that is done. A batch that failed is tried again until it
succeeds. When the cluster no longer has the changes after the kept place, the mapping says so and
reads nothing; on AWS it is disabled.

https://docs.aws.amazon.com/lambda/latest/dg/with-documentdb.html
https://docs.aws.amazon.com/documentdb/latest/developerguide/change_streams.html
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from lampyr.clock import Clock
from lampyr.model.checkpoint import Position, Start
from lampyr.model.mapping import EventSourceMapping
from lampyr.sources.base import SourceError
from lampyr.sources.brokers import Broker, Brokers, Credentials
from lampyr.sources.stream_base import Page, Record, Shard, Window

log = logging.getLogger(__name__)

SHARD: Final = "change-stream"
AWAIT_MS: Final = 1_000
"""How long the cluster waits for a change before it answers that there is none."""
PAGE_MAX: Final = 1_000
CONNECT_MS: Final = 10_000
PAUSE_SECONDS: Final = 0.05
"""Between two looks, should a cluster not wait."""
RETENTION_SECONDS: Final = 7 * 86_400
"""As long as a cluster keeps changes at most."""
HISTORY_LOST: Final = frozenset({136, 280, 286})
"""Errors of a place that the cluster's log no longer has."""
_INVALIDATE: Final = "invalidate"
_START: Final = "lampyrStart"

Connect = Callable[[Broker, Credentials], Any]
"""Makes a client, as pymongo's `AsyncMongoClient` is."""


def connect(broker: Broker, credentials: Credentials) -> Any:
    """TLS trusts what the host trusts: Amazon's bundle has to be among it."""
    from pymongo import AsyncMongoClient  # noqa: PLC0415 - slow to import, rarely needed

    managed: dict[str, Any] = (
        {"replicaset": "rs0", "readPreference": "primary"} if broker.managed else {}
    )
    return AsyncMongoClient(
        broker.host,
        broker.port,
        username=credentials.user,
        password=credentials.password,
        tls=broker.tls,
        retryWrites=False,
        serverSelectionTimeoutMS=CONNECT_MS,
        appname="lampyr",
        **managed,
    )


class DocumentDbStream:
    """A `Stream` of one shard."""

    def __init__(
        self,
        mapping: EventSourceMapping,
        *,
        brokers: Brokers,
        clock: Clock,
        connect: Connect = connect,
    ) -> None:
        self._mapping = mapping
        self._arn = mapping.source.arn or ""
        self._brokers = brokers
        self._clock = clock
        self._connect = connect
        self._client: Any = None
        self._connecting = asyncio.Lock()
        self._cursor: Any = None
        self._at: str | None = None
        """The iterator of which the cursor's next change is the first."""

    async def shards(self) -> Sequence[Shard]:
        await self._connected()
        return [Shard(id=SHARD)]

    async def iterator(self, shard: str, position: Position) -> str:  # noqa: ARG002
        if position.after is not None:
            return position.after
        if position.start is Start.TRIM_HORIZON:
            return await self._oldest()
        return _moment(int(position.timestamp))

    async def read(self, shard: str, iterator: str, most: int) -> Page:  # noqa: ARG002
        """One change, as soon as it is there: the next look at the cursor may have to wait."""
        if self._cursor is None or self._at != iterator:
            await self._open(iterator)
        try:
            change = await self._cursor.try_next()
            token = self._cursor.resume_token
        except Exception as error:
            raise await self._lost(error) from error
        if change is None:
            self._at = following = iterator if token is None else _json(token)
            return Page(records=[], next=following)
        record = self._record(change)
        self._at = record.sequence
        if change.get("operationType") == _INVALIDATE:
            await self._drop_cursor()
        return Page(records=[record], next=record.sequence)

    def event(self, records: Sequence[Record], window: Window | None) -> bytes:  # noqa: ARG002
        texts = ",".join(record.text for record in records)
        arn = json.dumps(self._arn)
        return (
            f'{{"eventSourceArn": {arn}, "events": [{texts}], "eventSource": "aws:docdb"}}'.encode()
        )

    def place(self, shard: str, records: Sequence[Record]) -> Mapping[str, Any]:
        """Nothing is given up: a mapping of DocumentDB has no such settings."""
        return {
            "DocumentDBBatchInfo": {
                "shardId": shard,
                "startSequenceNumber": records[0].sequence,
                "endSequenceNumber": records[-1].sequence,
                "batchSize": len(records),
                "eventSourceArn": self._arn,
            }
        }

    async def rung(self, heard: int, seconds: float) -> None:  # noqa: ARG002
        """Reading waits at the cluster already."""
        await self._clock.sleep(PAUSE_SECONDS)

    async def close(self) -> None:
        cursor, self._cursor, self._at = self._cursor, None, None
        client, self._client = self._client, None
        for each in (cursor, client):
            if each is not None:
                try:
                    await each.close()
                except Exception as error:  # noqa: BLE001 - it is gone either way
                    log.info("connection not closed in order: %s", error)

    # Cursor -----------------------------------------------------------------------------

    async def _connected(self) -> Any:
        """What is watched: a collection, or a whole database."""
        async with self._connecting:
            if self._client is None:
                broker = await self._brokers.of_documentdb(self._arn)
                credentials = await self._brokers.credentials(self._mapping)
                try:
                    self._client = self._connect(broker, credentials)
                except Exception as error:
                    raise await self._lost(error) from error
        config = self._mapping.settings.document_database
        if config is None:
            raise SourceError("the mapping names no database")
        if self._client is None:
            raise SourceError("the connection was lost meanwhile")
        database = self._client[config.database]
        return database[config.collection] if config.collection else database

    async def _open(self, iterator: str) -> None:
        await self._drop_cursor()
        try:
            self._cursor = await self._watch(iterator)
        except Exception as error:
            raise await self._lost(error) from error
        self._at = iterator

    async def _watch(self, iterator: str) -> Any:
        watched = await self._connected()
        config = self._mapping.settings.document_database
        lookup = config is not None and config.full_document == "UpdateLookup"
        return await watched.watch(
            full_document="updateLookup" if lookup else None,
            max_await_time_ms=AWAIT_MS,
            batch_size=PAGE_MAX,
            **_start(iterator),
        )

    async def _oldest(self) -> str:
        """The first second from which on the cluster still has everything."""
        low, high = int(self._clock.now()) - RETENTION_SECONDS, int(self._clock.now())
        if await self._has(low):
            return _moment(low)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if await self._has(middle) else (middle, high)
        return _moment(high)

    async def _has(self, second: int) -> bool:
        try:
            cursor = await self._watch(_moment(second))
            try:
                await cursor.try_next()
            finally:
                await cursor.close()
        except Exception as error:
            if getattr(error, "code", None) in HISTORY_LOST:
                return False
            raise await self._lost(error) from error
        return True

    async def _drop_cursor(self) -> None:
        cursor, self._cursor, self._at = self._cursor, None, None
        if cursor is not None:
            await cursor.close()

    async def _lost(self, error: Exception) -> SourceError:
        """Of whatever kind the driver raised it; connect anew at the next call."""
        if isinstance(error, SourceError):
            return error
        await self.close()
        if getattr(error, "code", None) in HISTORY_LOST:
            return SourceError(
                "the cluster no longer has the changes after the last that was processed: make "
                f"the mapping anew ({error})"
            )
        return SourceError(f"DocumentDB: {type(error).__name__}: {error}")

    def _record(self, change: Mapping[str, Any]) -> Record:
        text = f'{{"event": {_json(change)}}}'
        return Record(
            sequence=_place_after(change),
            partition=_json(change.get("documentKey") or {}),
            arrived=_arrived(change, self._clock.now()),
            view=json.loads(text),
            text=text,
        )


def _json(value: Any) -> str:
    """MongoDB's extended JSON, as its drivers write it for people."""
    from bson.json_util import RELAXED_JSON_OPTIONS, dumps  # noqa: PLC0415 - pymongo's

    return dumps(value, json_options=RELAXED_JSON_OPTIONS)


def _place_after(change: Mapping[str, Any]) -> str:
    at = change.get("clusterTime")
    if change.get("operationType") == _INVALIDATE and at is not None:
        # No stream resumes after it: what was watched was dropped or renamed, and may come again.
        return _moment(at.time, at.inc + 1)
    return _json(change["_id"])


def _moment(second: int, count: int = 1) -> str:
    return json.dumps({_START: [second, count]})


def _start(iterator: str) -> dict[str, Any]:
    """What `watch` is told to begin with."""
    from bson import Timestamp  # noqa: PLC0415 - pymongo's
    from bson.json_util import loads  # noqa: PLC0415

    place = loads(iterator)
    if _START in place:
        return {"start_at_operation_time": Timestamp(*place[_START])}
    return {"resume_after": place}


def _arrived(change: Mapping[str, Any], now: float) -> float:
    at = change.get("clusterTime")
    return now if at is None else float(at.time)
