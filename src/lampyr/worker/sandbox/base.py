"""What isolates an execution environment from its neighbours and from the host."""

import socket
from asyncio import Future
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from lampyr.worker.network.base import Egress

__all__ = [
    "Egress",
    "ExecuteError",
    "Exit",
    "ParkSpec",
    "Sandbox",
    "SandboxDriver",
    "SandboxError",
    "SandboxSpec",
    "TemplateSpec",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSpec:
    """A process from which a sandbox may be forked rather than executed.

    It runs code that Lampyr trusts and nothing of a function. It says over the socket at
    descriptor 3 that it is ready and forks when told so; `spawner/fork.py` is its side of that.
    """

    name: str
    """Tells what is in it: two of the same name are interchangeable."""
    argv: tuple[str, ...]
    variables: Mapping[str, str]
    mounts: Mapping[str, str]
    """Those that every sandbox from it has; they are among the sandbox's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkSpec:
    """A process that can be started before it is known for which function.

    When the function is there, its directories are mounted, and its variables come to the process
    as a JSON object on stdin, which ends with it.
    """

    argv: tuple[str, ...]
    variables: Mapping[str, str]
    template: TemplateSpec | None = None
    """What it is to be forked from: nothing is parked as long as that is not ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    environment_id: str
    argv: tuple[str, ...]
    """The first is an absolute path inside the sandbox."""
    variables: Mapping[str, str]
    """The whole environment of the process; nothing is inherited.

    A driver adds `_LAMBDA_TELEMETRY_LOG_FD`. As only the driver knows the addresses, it replaces
    `AWS_LAMBDA_RUNTIME_API` when that is exactly `{runtime_api}`, and `AWS_ENDPOINT_URL` when that
    is exactly `http://{endpoint}`, or leaves that out where the sandbox has no endpoint; no other
    value is looked at.
    """
    mounts: Mapping[str, str]
    """Target inside → directory on the host, all read-only: `/var/task`, `/var/runtime`, …"""
    layers: tuple[str, ...] = ()
    """Directories on the host that make up `/opt`; a later one wins."""
    memory_mb: int
    tmp_mb: int
    cwd: str = "/var/task"
    template: TemplateSpec | None = None
    """What it may be forked from. A driver that cannot, or has none ready, executes `argv`."""
    park: ParkSpec | None = None
    """What can be started ahead of it; a driver that has none ready executes `argv`."""
    origin: bool = False
    """Its process initialises a function and is then forked: see `Sandbox.unfit`."""
    restored_from: str | None = None
    """The sandbox whose process is forked instead of executing `argv`: an `origin` that is fit.

    All but its variables must be as of that one.
    """
    rlimits: Mapping[str, int] = field(default_factory=dict)
    """Further resource limits: name without `RLIMIT_` → value, as in `{"STACK": 8388608}`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How the first process of a sandbox ended, and with it all the others."""

    code: int | None = None
    signal: int | None = None
    out_of_memory: bool = False


class Sandbox(Protocol):
    """A running sandbox. Every method may be called again after it has taken effect.

    `runtime_api` and `endpoint`, when there is one, listen inside the sandbox's own network:
    whoever connects is in this sandbox and nowhere else. The two addresses are `host:port`, as
    its processes see them. `runtime_api_local` is a second way in for Lampyr's own clients, which
    have it where the network is the sandbox's own.
    `output` reads what the processes write to stdout and stderr; `telemetry` what they write to
    the descriptor that `_LAMBDA_TELEMETRY_LOG_FD` names. Both are non-blocking, and the caller
    of `SandboxDriver.start` owns (and closes) all five.
    """

    runtime_api: socket.socket
    runtime_api_local: socket.socket | None
    endpoint: socket.socket | None
    runtime_api_address: str
    endpoint_address: str | None
    output: int
    telemetry: int
    exited: "Future[Exit]"
    """Done once every process is gone."""
    unfit: "Future[str] | None"
    """Of an `origin`: done when it has been initialised. Why it cannot be forked, or nothing."""

    def begin_invoke_phase(self) -> None:
        """Init is over: from now on the CPU share is that of the memory size."""
        ...

    def freeze(self) -> None: ...

    def thaw(self) -> None: ...

    def memory_bytes(self) -> int:
        """What the processes use now, without page cache and without `/tmp`."""
        ...

    def memory_peak_bytes(self) -> int:
        """The most that each process had resident at once, added up: what REPORT shows.

        0 when every process is gone.
        """
        ...

    async def stop(self, grace_seconds: float = 0.0) -> None:
        """SIGTERM, `grace_seconds`, SIGKILL to every process; then free what they held."""
        ...


class SandboxDriver(Protocol):
    name: str
    origins: bool
    """Whether it starts sandboxes that are an `origin`, and restores others from them."""

    async def open(self) -> None:
        """Start the helpers and remove what a dead predecessor left behind."""
        ...

    def expect(self, template: TemplateSpec) -> None:
        """Sandboxes that may be forked from it will be started: make it, where that is possible."""
        ...

    async def start(self, spec: SandboxSpec) -> Sandbox:
        """Raise `SandboxError` when the host cannot start it."""
        ...

    def relieve(self) -> bool:
        """Memory is short: give up something that was made ahead; whether there was any."""
        ...

    async def close(self) -> None:
        """Stop every sandbox; leave nothing behind."""
        ...


class NothingAhead:
    """Of a driver that makes nothing ahead: every program is executed when it is asked for."""

    def expect(self, template: TemplateSpec) -> None:
        """It has no templates."""

    def relieve(self) -> bool:
        return False


class SandboxError(Exception):
    """The host could not start a sandbox; the message says what to mend."""


class ExecuteError(SandboxError):
    """The program of a sandbox could not be executed; all else went well."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number
        """Of the system's error: `errno.ENOENT` where the interpreter of a script is missing."""
