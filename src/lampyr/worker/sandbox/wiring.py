"""What every driver gives a sandbox besides isolation: pipes to read it by, and addresses."""

import os
import re
import socket
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from lampyr.limits import Limits
from lampyr.worker.sandbox.base import Exit, SandboxError, SandboxSpec

RUNTIME_API_PORT: Final = 9001
TELEMETRY_VARIABLE: Final = "_LAMBDA_TELEMETRY_LOG_FD"
TELEMETRY_FD: Final = 3
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_RLIMITS: Final = frozenset(
    {"AS", "CORE", "CPU", "DATA", "FSIZE", "MEMLOCK", "NOFILE", "NPROC", "STACK"}
)


@dataclass(slots=True, kw_only=True)
class Pipes:
    """The ends that the sandbox writes to, `output` and `telemetry`, and those we read."""

    output_read: int
    output: int
    telemetry_read: int
    telemetry: int

    def close_theirs(self) -> None:
        """After the sandbox has them."""
        os.close(self.output)
        os.close(self.telemetry)

    def close_ours(self) -> None:
        """When nobody will read."""
        os.close(self.output_read)
        os.close(self.telemetry_read)


def open_pipes() -> Pipes:
    """Ours do not block; theirs do, as programs expect."""
    output_read, output = os.pipe2(os.O_CLOEXEC)
    telemetry_read, telemetry = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(output_read, False)
    os.set_blocking(telemetry_read, False)
    return Pipes(
        output_read=output_read,
        output=output,
        telemetry_read=telemetry_read,
        telemetry=telemetry,
    )


@dataclass(slots=True)
class Listeners:
    """The sockets a sandbox talks to us by; whoever gets the sandbox owns them."""

    runtime_api: socket.socket
    runtime_api_local: socket.socket | None
    endpoint: socket.socket | None = None

    def close(self) -> None:
        stop_listening(self)


class Listening(Protocol):
    """A sandbox, or what will be the network of one."""

    @property
    def runtime_api(self) -> socket.socket | None: ...

    @property
    def runtime_api_local(self) -> socket.socket | None: ...

    @property
    def endpoint(self) -> socket.socket | None: ...


def stop_listening(where: Listening) -> None:
    """Close the sockets that nobody came to serve."""
    for listener in (where.runtime_api, where.runtime_api_local, where.endpoint):
        if listener is not None:
            listener.close()


def address(listener: socket.socket) -> str:
    """`host:port`, as its clients connect to it."""
    host, port = listener.getsockname()
    return f"{host}:{port}"


def variables(
    spec: SandboxSpec, runtime_api: str, endpoint: str | None, telemetry_fd: int = TELEMETRY_FD
) -> dict[str, str]:
    """The environment of the function.

    Only a driver knows the addresses, so two variables may hold a token for one. No other value
    is looked at: what users write is taken as it stands.
    """
    found = dict(spec.variables)
    if found.get("AWS_LAMBDA_RUNTIME_API") == "{runtime_api}":
        found["AWS_LAMBDA_RUNTIME_API"] = runtime_api
    if found.get("AWS_ENDPOINT_URL") == "http://{endpoint}":
        if endpoint is None:  # Functions are to reach nothing: they are not told of it either.
            del found["AWS_ENDPOINT_URL"]
        else:
            found["AWS_ENDPOINT_URL"] = f"http://{endpoint}"
    found[TELEMETRY_VARIABLE] = str(telemetry_fd)
    return found


def rlimits(spec: SandboxSpec, limits: Limits) -> dict[str, int]:
    """Name without `RLIMIT_` → both limits."""
    unknown = set(spec.rlimits) - _RLIMITS
    if unknown:
        raise SandboxError(f"no such resource limit: {', '.join(sorted(unknown))}")
    return {"NPROC": limits.processes, "NOFILE": limits.files, "CORE": 0} | dict(spec.rlimits)


def check(spec: SandboxSpec, mount_points: tuple[str, ...]) -> None:
    """Raise `SandboxError` for what no driver can start."""
    if not _ID.fullmatch(spec.environment_id):
        raise SandboxError(f"not a name for a sandbox: {spec.environment_id!r}")
    for target, source in spec.mounts.items():
        if not any(target == point or target.startswith(f"{point}/") for point in mount_points):
            raise SandboxError(
                f"cannot mount at {target}: only at or below {', '.join(mount_points)}"
            )
        if not os.path.isdir(source):  # noqa: PTH112  On the path of every start.
            raise SandboxError(f"not a directory to mount at {target}: {source}")
    if not spec.argv or not spec.argv[0].startswith("/"):
        raise SandboxError(f"not an absolute path to execute: {spec.argv[:1]}")
    for name, value in spec.variables.items():
        if "\0" in name or "=" in name or "\0" in value:
            raise SandboxError(f"not an environment variable: {name!r}")


def exit_of(wait_status: int, *, out_of_memory: bool) -> Exit:
    """From the status that wait(2) gives."""
    if os.WIFSIGNALED(wait_status):
        return Exit(signal=os.WTERMSIG(wait_status), out_of_memory=out_of_memory)
    return Exit(code=os.WEXITSTATUS(wait_status), out_of_memory=out_of_memory)


def hostname(number: int) -> str:
    """As AWS names its environments: an address of the link-local range."""
    return f"169.254.{number >> 8 & 0xFF}.{number & 0xFF}"


@dataclass(slots=True)
class Numbers:
    """Small numbers, each held by one sandbox at a time, or by those that were forked of one."""

    free: list[int] = field(default_factory=list)
    used: int = 0
    shared: Counter[int] = field(default_factory=Counter)
    """How many hold a number besides the first."""

    def take(self) -> int:
        if self.free:
            return self.free.pop()
        self.used += 1
        return self.used

    def share(self, number: int) -> int:
        """It is held once more."""
        self.shared[number] += 1
        return number

    def give_back(self, number: int) -> None:
        if self.shared[number]:
            self.shared[number] -= 1
            return
        del self.shared[number]
        self.free.append(number)


def pairs(mapping: Mapping[str, object]) -> list[tuple[str, str]]:
    """As the spawner's messages carry a mapping."""
    return [(name, str(value)) for name, value in mapping.items()]
