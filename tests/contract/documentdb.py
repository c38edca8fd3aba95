"""A stand-in for a DocumentDB cluster at the seam of MongoDB's driver: `client[db][coll].watch`."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

from bson import ObjectId, Timestamp
from pymongo.errors import OperationFailure

HISTORY_LOST: Final = 286
IDLE_SECONDS: Final = 0.02


@dataclass
class FakeCluster:
    """Knows changes in order, from the second `oldest` on."""

    now: int = 1_000_000
    oldest: int = 0
    changes: list[dict[str, Any]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    """What was asked for by name: databases and collections."""
    watched: list[dict[str, Any]] = field(default_factory=list)
    """Options of each `watch`."""
    open_cursors: int = 0
    connects: int = 0
    errors: list[Exception] = field(default_factory=list)
    """What the next calls of `watch` raise."""

    def put(self, *bodies: str, operation: str = "insert") -> None:
        for body in bodies:
            number = len(self.changes)
            identity = ObjectId(f"{number:024x}")
            self.changes.append(
                {
                    "_id": {"_data": f"{number:08x}"},
                    "operationType": operation,
                    "clusterTime": Timestamp(self.now, number + 1),
                    "ns": {"db": "shop", "coll": "orders"},
                    "documentKey": {"_id": identity},
                    "fullDocument": {"_id": identity, "body": body, "count": number},
                }
            )

    def connect(self, *_where: object) -> Any:
        self.connects += 1
        return self

    def __getitem__(self, name: str) -> "FakeCluster":
        self.names.append(name)
        return self

    async def watch(self, **options: Any) -> "FakeCursor":
        self.watched.append(options)
        if self.errors:
            raise self.errors.pop(0)
        start = options.get("start_at_operation_time")
        if start is not None:
            if start.time < self.oldest:
                raise OperationFailure("the resume point is gone", code=HISTORY_LOST)
            later = (n for n, c in enumerate(self.changes) if c["clusterTime"] >= start)
            at = next(later, len(self.changes))
        else:
            at = int(options["resume_after"]["_data"], 16) + 1
            if self.oldest > self.now:
                raise OperationFailure("the resume point is gone", code=HISTORY_LOST)
        self.open_cursors += 1
        return FakeCursor(self, at)

    async def close(self) -> None: ...


@dataclass
class FakeCursor:
    cluster: FakeCluster
    at: int

    @property
    def resume_token(self) -> dict[str, str] | None:
        return self.cluster.changes[self.at - 1]["_id"] if self.at else None

    async def try_next(self) -> dict[str, Any] | None:
        if self.at == len(self.cluster.changes):
            await asyncio.sleep(IDLE_SECONDS)
            return None
        self.at += 1
        return self.cluster.changes[self.at - 1]

    async def close(self) -> None:
        self.cluster.open_cursors -= 1
