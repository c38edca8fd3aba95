"""A function as an ordinary process beside us: no isolation at all.

For hosts that allow nothing better, and only when asked for by name. The function runs as the
user that Lampyr runs as, sees all that one sees, and nothing but good manners holds it to its
memory and CPU share. What is a mount elsewhere is a path that is rewritten here: in the command,
in the working directory, and in the variables that hold paths.
"""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from lampyr.limits import DEFAULT_LIMITS, Limits
from lampyr.tasks import Tasks
from lampyr.worker.sandbox import memory, packets, rootfs, wiring
from lampyr.worker.sandbox.base import (
    ExecuteError,
    Exit,
    NothingAhead,
    SandboxError,
    SandboxSpec,
)
from lampyr.worker.sandbox.instance import Instance, start_time
from lampyr.worker.sandbox.layers import merged

_PATH_VARIABLES: Final = frozenset(
    {
        "GEM_PATH",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
        "LD_LIBRARY_PATH",
        "NODE_PATH",
        "PATH",
        "PYTHONHOME",
        "PYTHONPATH",
    }
)
_OPT_VARIABLE: Final = "_LAMPYR_OPT"
"""Tells Lampyr's start of Python where `/opt` is; the function does not see it."""
_BACKLOG: Final = 128
_AGAIN_SECONDS: Final = 0.005
# Counted for the whole user, of whom the function is only a part.
_NOT_APPLIED: Final = frozenset({"NPROC"})


def relocate(path: str, mounts: Mapping[str, str]) -> str:
    """A path inside, as the path on the host; the longest mount point that holds it wins."""
    for target in sorted(mounts, key=len, reverse=True):
        if path == target or path.startswith(f"{target}/"):
            return mounts[target] + path[len(target) :]
    return path


def relocate_all(paths: str, mounts: Mapping[str, str]) -> str:
    """The same for paths with colons between."""
    return ":".join(relocate(path, mounts) for path in paths.split(":"))


class ProcessSandbox:
    """A process and its descendants; see `Sandbox`."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", listeners: wiring.Listeners, pipes: wiring.Pipes
    ) -> None:
        self.unfit: asyncio.Future[str] | None = None
        self.runtime_api = listeners.runtime_api
        self.runtime_api_local = listeners.runtime_api_local
        self.endpoint = listeners.endpoint
        self.runtime_api_address = wiring.address(listeners.runtime_api)
        self.endpoint_address = wiring.address(listeners.endpoint) if listeners.endpoint else None
        self.output = pipes.output_read
        self.telemetry = pipes.telemetry_read
        self.exited: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._process = process
        # In the environment of every descendant that did not clear it.
        self._mark = f"AWS_LAMBDA_RUNTIME_API={self.runtime_api_address}".encode()

    def begin_invoke_phase(self) -> None:
        """No CPU share can be given to a bare process."""

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP, self._family())

    def thaw(self) -> None:
        self._signal(signal.SIGCONT, self._family())

    def memory_bytes(self) -> int:
        return sum(memory.resident(self._family()))

    def memory_peak_bytes(self) -> int:
        return 0 if self.exited.done() else memory.peak(self._family())

    async def stop(self, grace_seconds: float = 0.0) -> None:
        if not self.exited.done() and grace_seconds > 0:
            self.thaw()
            self._signal(signal.SIGTERM, self._family())
            await asyncio.wait([self.exited], timeout=grace_seconds)
        if not self.exited.done():
            self._signal(signal.SIGKILL, self._family())
        await asyncio.shield(self.exited)

    async def watch(self) -> None:
        """Until the process has ended, and then every descendant that can be found."""
        pidfd = os.pidfd_open(self._process.pid)
        try:
            await packets.readable(pidfd)
        finally:
            os.close(pidfd)
            strays = self._strays()
            status = self._process.wait()
            self._signal(signal.SIGKILL, strays)
        while strays := [pid for pid in self._strays() if _alive(pid)]:
            self._signal(signal.SIGKILL, strays)
            await asyncio.sleep(_AGAIN_SECONDS)
        ended = Exit(signal=-status) if status < 0 else Exit(code=status)
        self.exited.set_result(ended)

    def _family(self) -> list[int]:
        if self._process.returncode is not None:
            return []
        return [self._process.pid, *memory.descendants(self._process.pid)]

    def _strays(self) -> list[int]:
        """Processes of the same group, or with our mark in their environment."""
        return [pid for pid in _processes() if self._is_ours(pid)]

    def _is_ours(self, pid: int) -> bool:
        if pid == self._process.pid:
            return False
        try:
            if os.getpgid(pid) == self._process.pid:
                return True
            return self._mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return False

    def _signal(self, number: int, pids: Iterable[int]) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


class ProcessDriver(NothingAhead):
    """`SandboxDriver`."""

    name = "process"
    origins = False

    def __init__(
        self, run_dir: Path, *, endpoint_port: int | None = None, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        """`endpoint_port`: any number asks for an endpoint; the host chooses its port."""
        self._instance = Instance(run_dir)
        self._has_endpoint = endpoint_port is not None
        self._limits = limits
        self._tasks = Tasks()
        self._sandboxes: dict[str, ProcessSandbox] = {}
        self._open = False

    async def open(self) -> None:
        await asyncio.to_thread(self._instance.open)
        self._open = True

    async def start(self, spec: SandboxSpec) -> ProcessSandbox:
        wiring.check(spec, rootfs.MOUNT_POINTS)
        if not self._open:
            raise SandboxError("the sandbox driver is not open")
        if spec.environment_id in self._sandboxes:
            raise SandboxError(f"a sandbox of this name runs: {spec.environment_id}")
        mounts = dict(spec.mounts)
        if spec.layers:
            opt = await asyncio.to_thread(merged, spec.layers, self._instance.layers)
            mounts["/opt"] = str(opt)
            spec = replace(spec, variables={**spec.variables, _OPT_VARIABLE: str(opt)})
        pipes = wiring.open_pipes()
        listeners = wiring.Listeners(_listen(), None, _listen() if self._has_endpoint else None)
        try:
            process = self._launch(spec, mounts, listeners, pipes)
        except BaseException as error:
            listeners.close()
            pipes.close_ours()
            if isinstance(error, OSError):
                message = f"could not start a process: {error}"
                raise ExecuteError(message, error.errno or 0) from error
            raise
        finally:
            pipes.close_theirs()
        sandbox = ProcessSandbox(process, listeners, pipes)
        self._sandboxes[spec.environment_id] = sandbox
        record = self._instance.records / spec.environment_id
        record.write_text(f"{process.pid} {start_time(process.pid)}")
        sandbox.exited.add_done_callback(lambda _: self._forget(spec.environment_id, record))
        self._tasks.start(sandbox.watch(), "watch process")
        return sandbox

    def _launch(
        self,
        spec: SandboxSpec,
        mounts: Mapping[str, str],
        listeners: wiring.Listeners,
        pipes: wiring.Pipes,
    ) -> "subprocess.Popen[bytes]":
        endpoint = wiring.address(listeners.endpoint) if listeners.endpoint else None
        runtime_api = wiring.address(listeners.runtime_api)
        variables = wiring.variables(spec, runtime_api, endpoint, pipes.telemetry)
        for name in _PATH_VARIABLES & variables.keys():
            variables[name] = relocate_all(variables[name], mounts)
        limits = wiring.rlimits(spec, self._limits)
        process = subprocess.Popen(
            [relocate_all(argument, mounts) for argument in spec.argv],
            env=variables,
            cwd=relocate(spec.cwd, mounts),
            stdin=subprocess.DEVNULL,
            stdout=pipes.output,
            stderr=pipes.output,
            pass_fds=[pipes.telemetry],
            start_new_session=True,
        )
        for name in limits.keys() - _NOT_APPLIED:
            kind = getattr(resource, f"RLIMIT_{name}")
            _, hard = resource.prlimit(process.pid, kind)
            value = limits[name] if hard == resource.RLIM_INFINITY else min(limits[name], hard)
            resource.prlimit(process.pid, kind, (value, value))
        return process

    def _forget(self, name: str, record: Path) -> None:
        del self._sandboxes[name]
        record.unlink(missing_ok=True)

    async def close(self) -> None:
        await asyncio.gather(*[sandbox.stop() for sandbox in self._sandboxes.values()])
        await self._tasks.close()
        if self._open:
            self._open = False
            await asyncio.to_thread(self._instance.close, None)


def _listen() -> socket.socket:
    listener = socket.socket()
    listener.setblocking(False)
    listener.bind(("127.0.0.1", 0))
    listener.listen(_BACKLOG)
    return listener


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208


def _alive(pid: int) -> bool:
    """Not only a zombie that its parent has yet to look at."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
