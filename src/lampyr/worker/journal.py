"""Reads what a sandbox writes and tells the log of its environment what happens, and when."""

import asyncio
import contextlib
import os
import select
from collections.abc import Callable
from typing import Final

from lampyr.clock import Clock
from lampyr.model.invocation import Invocation
from lampyr.worker import report as lines
from lampyr.worker.environment_log import EnvironmentLog
from lampyr.worker.outcomes import Failure
from lampyr.worker.report import Phase, Report, Status, Trace
from lampyr.worker.sandbox.base import Sandbox

_SAMPLED: Final = "Sampled=1"
READ_BYTES: Final = 64 * 1024
DRAIN_BYTES_MAX: Final = 4 * 1024 * 1024
"""At the end of an invocation no more than this is read of what its processes still write."""


class Journal:
    """Owns the descriptors `output` and `telemetry` of a sandbox, if there came to be one."""

    def __init__(
        self,
        log: EnvironmentLog,
        sandbox: Sandbox | None,
        clock: Clock,
        runtime_version: tuple[str, str] | None,
        *,
        copied: bool = False,
    ) -> None:
        """`runtime_version`: of a managed runtime, with its ARN. `copied`: it has no Init."""
        self._log = log
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._feeds: dict[int, Callable[[int, bytes], None]] = {}
        self._descriptors: tuple[int, ...] = ()
        """Those that are open."""
        self._waiting = select.poll()
        """Tells in one call whether there is something to read from any of them."""
        self._runtime_version = runtime_version
        self._init_ms: float | None = None
        self._restore_ms: float | None = None
        self._trace: Trace | None = None
        """Of the invocation that began last."""
        if runtime_version is not None and not copied:
            self._log.init_start(self._now_ms(), *runtime_version)
        if sandbox is None:
            return
        for descriptor, feed in ((sandbox.output, log.output), (sandbox.telemetry, log.telemetry)):
            self._feeds[descriptor] = feed
            self._descriptors = (*self._descriptors, descriptor)
            self._waiting.register(descriptor, select.POLLIN)
            self._loop.add_reader(descriptor, self._readable, descriptor)

    def begin(self, invocation: Invocation) -> None:
        """START. What was written before belongs to what was before."""
        header = invocation.trace_header
        self._trace = trace = _trace(header) if _SAMPLED in header else None
        self._log.start(
            self._now_ms(), invocation.request_id, trace, tail=invocation.wants_log_tail
        )

    def finish(
        self, invocation: Invocation, *, seconds: float, memory_bytes: int, failure: Failure | None
    ) -> bytes:
        """END and REPORT, after all that the function wrote; the tail, when it was asked for."""
        self.drain()
        now_ms = self._now_ms()
        status, error_type = Status.SUCCESS, None
        if failure is not None:
            status, error_type = Status(failure.status), failure.error_type
            if failure.log_text:
                self._log.platform(now_ms, _stamped(failure, now_ms, invocation.request_id))
        init_ms, self._init_ms = self._init_ms, None
        restore_ms, self._restore_ms = self._restore_ms, None
        report = Report(
            request_id=invocation.request_id,
            duration_ms=seconds * 1000,
            max_memory_mb=-(-memory_bytes // (1024 * 1024)),
            init_ms=init_ms,
            restore_ms=restore_ms,
            status=status,
            error_type=error_type,
            trace=self._trace,
            invoked_arn=invocation.invoked_arn,
        )
        self._log.report(now_ms, report)
        return self._log.take_tail() if invocation.wants_log_tail else b""

    def init_done(self, seconds: float) -> None:
        self.drain()
        self._init_ms = seconds * 1000
        self._log.init_report(self._now_ms(), seconds * 1000)

    def init_failed(self, seconds: float, failure: Failure, *, again: bool) -> None:
        """`again`: this was the second Init, inside the first invocation."""
        self.drain()
        self._log.init_report(
            self._now_ms(),
            seconds * 1000,
            phase=Phase.INVOKE if again else Phase.INIT,
            status=Status(failure.status),
            error_type=failure.error_type,
        )

    def snapshot_taken(self, seconds: float) -> None:
        """Init is over; no invocation waits for it."""
        self.drain()
        self._log.snapshot_report(self._now_ms(), seconds * 1000)

    def no_snapshot(self, reason: str) -> None:
        """Init was for nothing but to learn that."""
        self.drain()
        text = (
            f"SNAPSTART Lampyr cannot copy this environment: {reason}. Each environment of this "
            "version is initialised on its own instead."
        )
        self._log.platform(self._now_ms(), text)

    def restore_start(self) -> None:
        if self._runtime_version is not None:
            self._log.restore_start(self._now_ms(), *self._runtime_version)

    def restore_done(self, seconds: float) -> None:
        self.drain()
        self._restore_ms = seconds * 1000
        self._log.restore_report(self._now_ms(), seconds * 1000)

    def restore_failed(self, seconds: float, failure: Failure) -> None:
        self.drain()
        status, error_type = Status(failure.status), failure.error_type
        self._log.restore_report(
            self._now_ms(), seconds * 1000, status=status, error_type=error_type
        )

    def drain(self) -> None:
        """Read what is there now; on the warm path there is mostly nothing."""
        if not self._waiting.poll(0):
            return
        for descriptor in self._descriptors:
            read = 0
            while read < DRAIN_BYTES_MAX and (count := self._read(descriptor)):
                read += count

    def close(self) -> None:
        """Nothing more comes; the descriptors are closed."""
        self.drain()
        for descriptor in tuple(self._feeds):
            self._forget(descriptor)
        self._log.close(self._now_ms())

    def _readable(self, descriptor: int) -> None:
        self._read(descriptor)

    def _read(self, descriptor: int) -> int:
        """How many bytes there were; 0 when there are none now, or no more at all."""
        try:
            data = os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""
        if not data:
            self._forget(descriptor)
            return 0
        self._feeds[descriptor](self._now_ms(), data)
        return len(data)

    def _forget(self, descriptor: int) -> None:
        if self._feeds.pop(descriptor, None) is None:
            return
        self._descriptors = tuple(self._feeds)
        self._waiting.unregister(descriptor)
        self._loop.remove_reader(descriptor)
        with contextlib.suppress(OSError):
            os.close(descriptor)

    def _now_ms(self) -> int:
        return int(self._clock.now() * 1000)


def _trace(header: str) -> Trace:
    """The segment of a sampled invocation."""
    parts = dict(part.split("=", 1) for part in header.split(";") if "=" in part)
    return Trace(trace_id=parts.get("Root", ""), segment_id=parts.get("Parent", ""), header=header)


def _stamped(failure: Failure, now_ms: int, request_id: str) -> str:
    if failure.status == "timeout":
        return f"{lines.iso(now_ms)} {request_id} {failure.log_text}\n"
    return f"RequestId: {request_id} Error: {failure.log_text}\n{failure.error_type}"
