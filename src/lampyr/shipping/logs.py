"""The log of functions, copied from Lampyr's own store to CloudWatch Logs.

Lampyr's store comes first and is the one that counts; the copy follows it by a cursor for each
group, so nothing is sent twice and nothing has to wait in memory. What the embedded neighbours
hold is in memory and all of it is searched by every read: there the copy is bounded, and the
streams that were written longest ago go first.
"""

import json
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from lampyr.aws.base import Aws, AwsError
from lampyr.clock import Clock
from lampyr.observe.base import LogGroup, LogStore
from lampyr.shipping.rules import batches

PAGE_EVENTS: Final = 1_000
LOOK_BACK_SECONDS: Final = 3 * 3_600.0
"""Older lines stay in Lampyr's store alone, where nobody took them in time."""
EMBEDDED_EVENTS_MAX: Final = 100_000
GROUPS_MAX: Final = 10_000
_THERE: Final = "ResourceAlreadyExistsException"
_NOT_THERE: Final = "ResourceNotFoundException"


class LogCopy:
    """For one event loop, but for `dirty`, which any thread may add to."""

    def __init__(self, aws: Aws, store: LogStore, clock: Clock, file: Path) -> None:
        """`file` keeps the cursors."""
        self._aws = aws
        self._store = store
        self._clock = clock
        self._file = file
        self.dirty: set[LogGroup] = set()
        """Groups that may have lines which are not copied."""
        self._cursors: dict[LogGroup, str | None] = {}
        self._at_start: dict[LogGroup, str | None] = {}
        self._known: set[tuple[LogGroup, str]] = set()
        self._sizes: OrderedDict[tuple[LogGroup, str], int] = OrderedDict()

    def load(self) -> None:
        """Blocks."""
        try:
            found = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return
        for account_id, region, name, cursor in found:
            self._cursors[LogGroup(account_id, region, name)] = cursor
        self._at_start = dict(self._cursors)
        self.dirty |= set(self._cursors)

    def save(self) -> None:
        """Blocks."""
        for group in tuple(self.dirty):
            self._cursors.setdefault(group, None)
        rows = [[*group, cursor] for group, cursor in self._cursors.items()][-GROUPS_MAX:]
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self._file.with_suffix(".new")
        temporary.write_text(json.dumps(rows))
        temporary.replace(self._file)

    def begin_anew(self) -> None:
        """Whoever has the copy lost what it got since the start: it is sent again."""
        self._cursors = {group: self._at_start.get(group) for group in self._cursors}
        self.dirty |= set(self._cursors)
        self._known.clear()
        self._sizes.clear()

    async def send(self, *, bounded: bool) -> bool:
        """Copy a page of each group that has lines; whether there may be more.

        Raises `AwsCallError`; what was not copied is copied by the next call.
        """
        more = False
        for group in tuple(self.dirty):
            self.dirty.discard(group)
            try:
                sent = await self._send_page(group, bounded=bounded)
            except BaseException:
                self.dirty.add(group)
                raise
            if sent:
                self.dirty.add(group)
                more = True
        return more

    async def _send_page(self, group: LogGroup, *, bounded: bool) -> bool:
        """Whether there was anything."""
        since = max(self._clock.now() - LOOK_BACK_SECONDS, 0.0)
        page = await self._store.read(
            group, since_ms=int(since * 1_000), cursor=self._cursors.get(group), most=PAGE_EVENTS
        )
        for stream, events in batches(page.events):
            await self._put(group, stream, events)
            if bounded:
                await self._count(group, stream, len(events))
        self._cursors[group] = page.cursor
        return bool(page.events)

    async def _put(self, group: LogGroup, stream: str, events: Sequence[dict[str, Any]]) -> None:
        place = {"logGroupName": group.name, "logStreamName": stream}
        await self._ensure(group, stream)
        try:
            await self._call(group, "PutLogEvents", **place, logEvents=events)
        except AwsError as error:
            if error.code != _NOT_THERE:
                raise
            # Somebody deleted it, as one may.
            self._known = {each for each in self._known if each[0] != group}
            await self._ensure(group, stream)
            await self._call(group, "PutLogEvents", **place, logEvents=events)

    async def _ensure(self, group: LogGroup, stream: str) -> None:
        if (group, stream) in self._known:
            return
        if (group, "") not in self._known:
            await self._make(group, "CreateLogGroup", logGroupName=group.name)
            self._known.add((group, ""))
        await self._make(group, "CreateLogStream", logGroupName=group.name, logStreamName=stream)
        self._known.add((group, stream))

    async def _make(self, group: LogGroup, operation: str, **members: Any) -> None:
        try:
            await self._call(group, operation, **members)
        except AwsError as error:
            if error.code != _THERE:
                raise

    async def _count(self, group: LogGroup, stream: str, events: int) -> None:
        """Delete the streams that were written longest ago, where there is too much."""
        sizes = self._sizes
        sizes[group, stream] = sizes.pop((group, stream), 0) + events
        while sum(sizes.values()) > EMBEDDED_EVENTS_MAX:
            (of, name), _ = sizes.popitem(last=False)
            self._known.discard((of, name))
            try:
                await self._call(of, "DeleteLogStream", logGroupName=of.name, logStreamName=name)
            except AwsError as error:
                if error.code != _NOT_THERE:
                    raise

    async def _call(self, group: LogGroup, operation: str, **members: Any) -> None:
        await self._aws.call("logs", group.account_id, group.region, operation, **members)
