"""One execution environment: where a caller's invocation meets the runtime that serves it.

Two parties come to this object:

* from above, `invoke()` hands over an invocation and gives the caller a future of its result;
* from below, the Runtime API calls `next()` for work and `respond()` with the outcome.

Nothing here awaits between looking at `state` and changing it, so no lock is needed. `advance` is
the one place that writes `state`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from lampyr.clock import Clock
from lampyr.limits import MIB, Limits
from lampyr.model.function import FunctionVersion
from lampyr.model.invocation import Invocation, InvokeResult
from lampyr.model.streaming import ResponseSink
from lampyr.worker import outcomes
from lampyr.worker.class_archives import Recorder
from lampyr.worker.journal import Journal
from lampyr.worker.memory_looks import MemoryLooks
from lampyr.worker.outcomes import Failure
from lampyr.worker.sandbox.base import Exit, Sandbox
from lampyr.worker.states import OVER, Event, IllegalTransitionError, State, step
from lampyr.worker.told import EnvironmentStoppedError, EventUnreadError, Tell, future_of


class UnknownRequestIdError(Exception):
    """A response to an invocation that this environment is not running (any more)."""


class ResponseTooLargeError(Exception):
    """The response is over the limit; the caller has been told, the environment goes on."""


class Peer(Protocol):
    """A connection of the runtime that waits in `next`."""

    def deliver(self, invocation: Invocation, deadline_ms: int) -> None:
        """Answer `next` with an invocation; `deadline_ms` is since the epoch."""
        ...


class Owner(Protocol):
    """Whoever an environment belongs to while nobody invokes it: the pool."""

    def idle(self, environment: "ExecutionEnvironment") -> None:
        """It can take an invocation. Called once after each invocation that it survived."""
        ...

    def over(self, environment: "ExecutionEnvironment") -> None:
        """It takes no more work. Called once; whoever hears this stops it."""
        ...


class ExecutionEnvironment:
    def __init__(
        self,
        *,
        environment_id: str,
        version: FunctionVersion,
        tenant_id: str | None,
        sandbox: Sandbox,
        journal: Journal,
        clock: Clock,
        limits: Limits,
        looks: MemoryLooks,
        within: Invocation | None = None,
        copied: bool = False,
    ) -> None:
        """`copied`: its process is a fork of one that was initialised for a snapshot."""
        self.id = environment_id
        self.version = version
        self.tenant_id = tenant_id
        self.state = State.CREATED
        self.owner: Owner | None = None
        self.frozen = False
        self.sandbox = sandbox
        self.journal = journal
        self.recorder: Recorder | None = None
        """Takes the archive of its classes, where it is to make one."""
        self._within = within
        """The invocation inside which this Init takes place, after a first one that failed."""
        self._clock = clock
        self._limits = limits
        self._looks = looks
        self._loop = asyncio.get_running_loop()
        self._created = clock.monotonic()
        self._init: asyncio.Future[Failure | None] = self._loop.create_future()
        self._resume: Callable[[], None] | None = None
        """Lets a runtime go on that waits to be restored."""
        self._peer: Peer | None = None
        self._invocation: Invocation | None = None
        self._tell: Tell | None = None
        self._unread = ""
        """The last request of which the runtime was seen not to have read the event."""
        self._started = 0.0
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._memory_peak = 0
        self._memory_sampled = 0.0
        self._copied = copied
        self.advance(Event.START)
        if within is not None:
            journal.begin(within)

    # From above ------------------------------------------------------------------------

    async def initialized(self, seconds: float) -> Failure | None:
        """Wait for the Init phase, at most `seconds`; how it failed, or None when it went well."""
        timer = self._loop.call_later(seconds, self._init_timed_out, seconds)
        try:
            return await self._init
        finally:
            timer.cancel()

    async def restored(self, seconds: float, *, since: float | None = None) -> Failure | None:
        """Restore an environment that was initialised for a snapshot: run its hooks, in `seconds`.

        How that failed, or None when it went well. `since`: when somebody asked for a copy, which
        may have been made only then.
        """
        if self.state in OVER:
            return outcomes.stopped()
        self._init = self._loop.create_future()
        now = self._clock.monotonic()
        self._created = now if since is None or not self._copied else since
        self.advance(Event.RESTORE)
        self.journal.restore_start()
        self._wake()
        resume, self._resume = self._resume, None
        if resume is not None:
            resume()
        return await self.initialized(self._created + seconds - now)

    def invoke(
        self, invocation: Invocation, *, started: float, deadline: float
    ) -> "asyncio.Future[InvokeResult]":
        """As `begin`, for a caller who waits; raises `EnvironmentStoppedError`."""
        result, tell = future_of()
        self.begin(invocation, started=started, deadline=deadline, tell=tell)
        return result

    def begin(self, invocation: Invocation, *, started: float, deadline: float, tell: Tell) -> None:
        """Run one invocation; a function that fails is an outcome, not an exception.

        `tell` is called once, in the turn of the event loop in which the outcome is known, and
        must not raise. `started` and `deadline` are monotonic seconds; `started` lies before now
        when the invocation had to wait for a second Init, whose time counts as the function's own.
        """
        self.advance(Event.INVOKE)
        self._wake()
        peer, self._peer = self._peer, None
        assert peer is not None  # noqa: S101 - READY means that the runtime waits
        self._invocation, self._started, self._deadline = invocation, started, deadline
        self._tell = tell
        now = self._clock.monotonic()
        peer.deliver(invocation, int((self._clock.now() + deadline - now) * 1000))
        # The runtime is at work by now; nothing of what it writes is read before this turn ends.
        if invocation is not self._within:
            self.journal.begin(invocation)
        if self._timer is None:
            self._timer = self._loop.call_later(max(0.0, deadline - now), self._check_deadline)

    def freeze(self) -> None:
        """Stop the clock of every process inside until the next invocation."""
        if self.state in (State.READY, State.SNAPSHOT) and not self.frozen:
            self.frozen = True
            self.sandbox.freeze()

    def _wake(self) -> None:
        if self.frozen:
            self.frozen = False
            self.sandbox.thaw()

    async def stop(self, grace_seconds: float = 0.0) -> None:
        """End every process; whoever waits for an answer gets `EnvironmentStoppedError`."""
        if self.state is State.STOPPED:
            return
        if self.state not in OVER:
            self._shut_down()
        self._wake()
        await self.sandbox.stop(grace_seconds)
        self.journal.close()
        if self.state is State.SHUTDOWN:
            self.advance(Event.STOPPED)

    # From below ------------------------------------------------------------------------

    def next(self, peer: Peer) -> None:
        """The runtime asks for work; it gets it through `peer.deliver`, now or later."""
        match self.state:
            case State.READY:
                self._peer = peer  # It connected anew: only one connection can wait.
            case State.INIT | State.RESTORE:
                self._peer = peer
                restored = self.state is State.RESTORE
                self.advance(Event.INIT_DONE)
                self._init_done(restored=restored)
            case State.SETTLING:
                self._peer = peer
                self.advance(Event.IDLE)
                if self.owner is not None:
                    self.owner.idle(self)
            case _:
                raise IllegalTransitionError(self.state, Event.IDLE)

    def peer_lost(self, peer: Peer) -> None:
        if self._peer is peer and self.state is not State.READY:
            self._peer = None

    def unread(self, request_id: str) -> None:
        """The connection ended on which this event was delivered, and nobody had read it."""
        self._unread = request_id

    def is_running(self, request_id: str) -> bool:
        """Whether a response to this invocation would be taken now."""
        invocation = self._invocation
        return (
            invocation is not None
            and invocation.request_id == request_id
            and self.state is State.INVOKE
        )

    def stream_of(self, request_id: str) -> ResponseSink | None:
        """Where a streamed response to this invocation goes; None when nobody wants it so."""
        running = self._invocation if self.is_running(request_id) else None
        return None if running is None else running.stream

    def respond(self, request_id: str, payload: bytes | Failure) -> None:
        """The function's answer as JSON, or its error."""
        if self._invocation is None or self._invocation.request_id != request_id:
            raise UnknownRequestIdError(request_id)
        if self.state is not State.INVOKE:
            raise IllegalTransitionError(self.state, Event.RESPONSE)
        self.advance(Event.RESPONSE)
        size = len(payload.payload if isinstance(payload, Failure) else payload)
        if size > self._limits.payload_bytes_response + outcomes.ENVELOPE_BYTES:
            self._finish(outcomes.response_too_large())
            raise ResponseTooLargeError
        self._finish(payload)

    def init_error(self, failure: Failure) -> None:
        """The runtime could not load the function, or restore it; it will exit."""
        if self.state not in (State.INIT, State.RESTORE):
            raise IllegalTransitionError(self.state, Event.FAULT)
        self._over(Event.FAULT, failure)

    def restore_next(self, resume: Callable[[], None]) -> None:
        """The runtime is ready for its snapshot; `resume` answers it, once it is restored."""
        if not self.version.has_snapshot:
            if self.state is not State.INIT:
                raise IllegalTransitionError(self.state, Event.SNAPSHOT)
            resume()
            return
        self._resume = resume
        self.snapshot()

    def snapshot_if_due(self) -> None:
        """It waits to be forked, if nothing has happened to it meanwhile."""
        if self.state is State.INIT:
            self.snapshot()

    def snapshot(self) -> None:
        """Init is over, and its hooks have run."""
        self.advance(Event.SNAPSHOT)
        if not self._copied:
            self.journal.snapshot_taken(self._clock.monotonic() - self._created)
        if not self._init.done():
            self._init.set_result(None)

    def exited(self, end: Exit) -> None:
        """Every process is gone."""
        self.journal.drain()
        if end.out_of_memory:
            self._memory_peak = self.version.memory_mb * MIB
        if self.state not in OVER:
            failure = outcomes.exited(self._id(), end)
            if self.state is State.INVOKE and self._unread == self._id():
                self._hand_back(EventUnreadError(failure))
            self._over(Event.FAULT, failure)

    # The state -------------------------------------------------------------------------

    def advance(self, event: Event) -> None:
        """The one place that writes `state`."""
        self.state = step(self.state, event)

    def _init_done(self, *, restored: bool) -> None:
        seconds = self._clock.monotonic() - self._created
        self.sandbox.begin_invoke_phase()
        if restored:
            self.journal.restore_done(seconds)
        else:
            self.journal.init_done(seconds)
        if not self._init.done():
            self._init.set_result(None)

    def _init_timed_out(self, seconds: float) -> None:
        if self.state in (State.INIT, State.RESTORE):
            self._over(Event.FAULT, outcomes.timed_out(self._id(), seconds))

    def _check_deadline(self) -> None:
        """One timer serves many invocations: it looks again when the next deadline is later."""
        self._timer = None
        if self.state is not State.INVOKE:
            return
        left = self._deadline - self._clock.monotonic()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check_deadline)
            return
        timeout = float(self.version.timeout_seconds)
        self._over(Event.FAULT, outcomes.timed_out(self._id(), timeout))

    def _over(self, event: Event, failure: Failure) -> None:
        """End of this environment: whoever waits for it hears why."""
        before = self.state
        self.advance(event)
        if self._timer is not None:
            self._timer.cancel()
        seconds = self._clock.monotonic() - self._created
        if before is State.INIT:
            failure = self._init_failed(seconds, failure)
        if before is State.RESTORE:
            self.journal.restore_failed(seconds, failure)
        if before is State.INVOKE and self._invocation is not None:
            self._finish(failure)
        if not self._init.done():
            self._init.set_result(failure)
        if self.owner is not None:
            self.owner.over(self)

    def _init_failed(self, seconds: float, failure: Failure) -> Failure:
        """Log it; where the Init was inside an invocation, that has come to its end with it."""
        within = self._within
        self.journal.init_failed(seconds, failure, again=within is not None)
        if within is None:
            return failure
        tail = self.journal.finish(
            within, seconds=seconds, memory_bytes=self._memory_peak, failure=failure
        )
        return replace(failure, log_tail=tail)

    def _hand_back(self, why: EnvironmentStoppedError) -> None:
        """Whoever invoked has to look elsewhere: it is no outcome of the function."""
        tell, self._tell = self._tell, None
        self._invocation = None
        if tell is not None:
            tell(why)

    def _shut_down(self) -> None:
        self._hand_back(EnvironmentStoppedError())
        self._over(Event.SHUTDOWN, outcomes.stopped())

    def _finish(self, outcome: bytes | Failure) -> None:
        """Give its caller what came of the invocation in progress, and log its end.

        In this order, as the caller may go on meanwhile: nobody reads the log in this turn of the
        event loop, but who wants its tail with the answer.
        """
        invocation, tell = self._invocation, self._tell
        self._invocation = self._tell = None
        assert invocation is not None  # noqa: S101 - only called while one is in progress
        assert tell is not None  # noqa: S101 - set together with the invocation
        now = self._clock.monotonic()
        failure = outcome if isinstance(outcome, Failure) else None
        wants_tail = invocation.wants_log_tail
        tail = self._log_end(invocation, now, failure) if wants_tail else b""
        payload = outcome.payload if isinstance(outcome, Failure) else outcome
        error = None if failure is None else "Unhandled"
        tell(InvokeResult(self.version.version, payload, error, tail))
        if not wants_tail:
            self._log_end(invocation, now, failure)

    def _log_end(self, invocation: Invocation, now: float, failure: Failure | None) -> bytes:
        """END and REPORT; the tail of the log, when the caller asked for it."""
        if self._looks.due(now, started=self._started, looked=self._memory_sampled):
            self._sample_memory(now)
        return self.journal.finish(
            invocation,
            seconds=now - self._started,
            memory_bytes=self._memory_peak,
            failure=failure,
        )

    def _sample_memory(self, now: float) -> None:
        """What can be used is the limit: at the peak some of a process is only mapped files."""
        self._memory_sampled = now
        peak = max(self._memory_peak, self.sandbox.memory_peak_bytes())
        self._memory_peak = min(peak, self.version.memory_mb * MIB)
        self._looks.took(now, self._clock.monotonic())

    def _id(self) -> str:
        return self._invocation.request_id if self._invocation is not None else self.id
