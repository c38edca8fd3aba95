"""Sandboxes by direct system calls: the default driver, as root and as an ordinary user.

    server ──start, descriptors──▶ spawner ──clone──▶ first process of the sandbox
      ▲ ▲                             │                     │
      │ └──started, exited────────────┘                     │
      └──listening sockets, errors (the report socket)──────┘

The spawner's part of a start is a clone; mounting and the rest is done by the sandbox's own
first process, beside others. The report socket closes when the function is executed.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
from pathlib import Path
from typing import Any, Final

from lampyr.clock import Clock
from lampyr.limits import DEFAULT_LIMITS, MIB, Limits
from lampyr.tasks import Tasks
from lampyr.worker.network.base import Network, NetworkError, NetworkSlot
from lampyr.worker.sandbox import hierarchies, memory, packets, rootfs, wiring
from lampyr.worker.sandbox.base import Exit, SandboxError, SandboxSpec
from lampyr.worker.sandbox.client import Spawner, SpawnerGoneError
from lampyr.worker.sandbox.instance import Instance
from lampyr.worker.sandbox.spawner.cgroups import Cgroups, describe, quota_microseconds
from lampyr.worker.sandbox.templates import Templates

log = logging.getLogger(__name__)

_UID_BASE: Final = 0x7000_0000
_UIDS: Final = 0x1_0000
_INSTANCES: Final = 0x800
_DATA_HEADROOM: Final = 1024 * MIB


class NamespaceSandbox:
    """A running sandbox; see `Sandbox`."""

    def __init__(
        self,
        spec: SandboxSpec,
        *,
        cgroups: Cgroups | None,
        slot: NetworkSlot,
        number: int,
        tmp_in_memory: bool,
        limits: Limits,
    ) -> None:
        self.spec = spec
        self.slot = slot
        self.number = number
        self.exited: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self.freed = asyncio.Event()
        """Everything the sandbox held on the host is given back."""
        self.runtime_api: socket.socket
        self.endpoint: socket.socket | None = None
        self.runtime_api_address = ""
        self.endpoint_address: str | None = None
        self.output = -1
        self.telemetry = -1
        self.first_pid = 0
        self.pidfd = -1
        self.out_of_memory = False
        self._frozen = False
        self._cgroups = cgroups
        self._tmp_in_memory = tmp_in_memory
        self._limits = limits

    @property
    def memory_limit(self) -> int:
        return self.spec.memory_mb * MIB

    @property
    def runs(self) -> bool:
        return self.pidfd >= 0 and not self._frozen and not self.exited.done()

    def begin_invoke_phase(self) -> None:
        if self._cgroups is None or self.exited.done():
            return
        quota = quota_microseconds(self.spec.memory_mb, self._limits.memory_mb_per_cpu)
        with contextlib.suppress(FileNotFoundError):  # It ended just now.
            self._cgroups.limit_cpu(self.spec.environment_id, quota)

    def freeze(self) -> None:
        if not self._frozen:
            self._frozen = True
            self._stop_or_go(go=False)

    def thaw(self) -> None:
        if self._frozen:
            self._frozen = False
            self._stop_or_go(go=True)

    def _stop_or_go(self, *, go: bool) -> None:
        if self.exited.done():
            return
        if self._cgroups is None:
            # The first process stops and continues all others when told so.
            self.signal(signal.SIGUSR2 if go else signal.SIGUSR1)
            return
        change = self._cgroups.thaw if go else self._cgroups.freeze
        with contextlib.suppress(FileNotFoundError):  # It ended just now.
            change(self.spec.environment_id)

    def memory_bytes(self) -> int:
        if self.exited.done():
            return 0
        if self._cgroups is None or not self._cgroups.has_memory:
            return sum(memory.resident(memory.descendants(self.first_pid)))
        anonymous, shared = self._cgroups.usage(self.spec.environment_id)
        if self._tmp_in_memory:
            # The group counts the files of /tmp as shared memory: ask the processes instead.
            _, shared = memory.resident(memory.descendants(self.first_pid))
        return anonymous + shared

    def signal(self, number: int) -> None:
        """To the first process, which hands SIGTERM on, and whose death kills all."""
        if self.pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self._frozen = True
        self.thaw()  # What is frozen by version 1 dies when it is thawed.

    async def stop(self, grace_seconds: float = 0.0) -> None:
        if not self.exited.done() and grace_seconds > 0:
            self.thaw()
            self.signal(signal.SIGTERM)
            await asyncio.wait([self.exited], timeout=grace_seconds)
        if not self.exited.done():
            self.kill()
        await self.freed.wait()


class NamespacesDriver:
    """`SandboxDriver`; the network is opened and closed by whoever made it."""

    name = "namespaces"

    def __init__(
        self,
        network: Network,
        run_dir: Path,
        clock: Clock,
        *,
        endpoint_port: int | None = None,
        uid_base: int = _UID_BASE,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """`endpoint_port`: listen there too, where the network brings no sockets of its own."""
        self._network = network
        self._clock = clock
        self._endpoint_port = endpoint_port
        self._uid_base = uid_base
        self._limits = limits
        self._instance = Instance(run_dir)
        self._templates = Templates(self._instance.scratch)
        self._tasks = Tasks()
        self._numbers = wiring.Numbers()
        self._sandboxes: dict[str, NamespaceSandbox] = {}
        self._cgroups: Cgroups | None = None
        self._config: dict[str, Any] = {}
        self._spawner: Spawner | None = None
        self._spawning = asyncio.Lock()
        self._closed = False

    @property
    def spawner_pid(self) -> int:
        """0 when there is none."""
        return self._spawner.pid if self._spawner is not None else 0

    @property
    def cgroups(self) -> Cgroups | None:
        """None where this process may make none."""
        return self._cgroups

    async def open(self) -> None:
        self._config = await asyncio.to_thread(self._prepare)
        await self._live_spawner()
        if self._cgroups is None or not self._cgroups.has_memory:
            self._tasks.start(
                memory.watch(self._clock, self._sandboxes.values, _kill_hog), "memory"
            )

    def _prepare(self) -> dict[str, Any]:
        instance = self._instance
        instance.open()
        places = hierarchies.here()
        self._cgroups = hierarchies.open_cgroups(places, instance.id)
        instance.note(self._cgroups)
        root = rootfs.build(instance.root)
        # Of two Lampyrs on a host, each has users of its own.
        self._uid_base += int(instance.id[:3], 16) % _INSTANCES * _UIDS
        return {
            "root": str(root.path),
            "empty": str(instance.empty),
            "scratch": str(instance.scratch),
            "records": str(instance.records) if self._cgroups is None else None,
            "shared": [(name, name) for name in root.shared],
            "masked": root.masked,
            "cgroups": describe(self._cgroups),
        }

    async def _live_spawner(self) -> Spawner:
        """The spawner; a new one when the last has died."""
        if self._spawner is not None and self._spawner.alive:
            return self._spawner
        async with self._spawning:
            if self._closed:
                raise SandboxError("the sandbox driver is closed")
            if self._spawner is not None:
                if self._spawner.alive:
                    return self._spawner
                await self._bury_spawner(self._spawner)
            spawner = Spawner(self._tasks, self._on_exit, self._on_spawner_death)
            await spawner.open(self._config)
            self._spawner = spawner
            return spawner

    def _on_spawner_death(self) -> None:
        if not self._closed:
            log.error("the spawner died; every sandbox is stopped")
            self._tasks.start(self._revive(), "new spawner")

    async def _revive(self) -> None:
        with contextlib.suppress(SandboxError):  # Whoever starts a sandbox next is told.
            await self._live_spawner()

    async def _bury_spawner(self, spawner: Spawner) -> None:
        """Kill and remove what it has left."""
        await spawner.wait()
        for sandbox in list(self._sandboxes.values()):
            sandbox.kill()
        await asyncio.to_thread(self._instance.clean_sandboxes, self._cgroups)
        for name, sandbox in list(self._sandboxes.items()):
            if sandbox.pidfd >= 0:
                await packets.readable(sandbox.pidfd)  # It is, once the process is gone.
            self._on_exit(name, signal.SIGKILL, False)

    async def start(self, spec: SandboxSpec) -> NamespaceSandbox:
        wiring.check(spec, rootfs.MOUNT_POINTS)
        if self._closed or not self._config:
            raise SandboxError("the sandbox driver is not open")
        if spec.environment_id in self._sandboxes:
            raise SandboxError(f"a sandbox of this name runs: {spec.environment_id}")
        starting: asyncio.Task[NamespaceSandbox | SandboxError]
        starting = self._tasks.start(self._start(spec), "start sandbox")
        try:
            result = await asyncio.shield(starting)
        except asyncio.CancelledError:
            self._tasks.start(_abandon(starting), "abandon sandbox")
            raise
        if isinstance(result, SandboxError):
            raise result
        return result

    async def _start(self, spec: SandboxSpec) -> NamespaceSandbox | SandboxError:
        try:
            slot = await self._network.take()
        except NetworkError as error:
            return SandboxError(str(error))
        sandbox = NamespaceSandbox(
            spec,
            cgroups=self._cgroups,
            slot=slot,
            number=self._numbers.take(),
            tmp_in_memory=not self._templates.available,
            limits=self._limits,
        )
        self._sandboxes[spec.environment_id] = sandbox
        pipes = wiring.open_pipes()
        sandbox.output, sandbox.telemetry = pipes.output_read, pipes.telemetry_read
        try:
            await self._launch(sandbox, pipes)
        except (SandboxError, NetworkError, OSError) as error:
            await self._discard(sandbox, pipes)
            return error if isinstance(error, SandboxError) else SandboxError(str(error))
        except BaseException:
            await self._discard(sandbox, pipes)
            raise
        finally:
            pipes.close_theirs()
        return sandbox

    async def _launch(self, sandbox: NamespaceSandbox, pipes: wiring.Pipes) -> None:
        slot = sandbox.slot
        report, theirs = packets.pair()
        with report:
            with theirs:
                message = await self._message(sandbox)
                descriptors = [theirs.fileno(), pipes.output, pipes.telemetry]
                if slot.namespace is not None:
                    descriptors.append(slot.namespace)
                spawner = await self._live_spawner()
                name = sandbox.spec.environment_id
                sandbox.first_pid, sandbox.pidfd = await spawner.start(name, message, descriptors)
            if slot.namespace is None:
                listeners = await _listeners(report)
                slot.runtime_api = listeners.runtime_api
                slot.endpoint = listeners.endpoint
                await self._network.attach(slot, sandbox.first_pid)
                report.send(b"go")
            elif sandbox.pidfd >= 0:
                await self._network.attach(slot, sandbox.first_pid)
            await _executed(report)
        if slot.runtime_api is None:
            raise SandboxError(f"the network '{self._network.name}' brought no socket to listen on")
        sandbox.runtime_api, sandbox.endpoint = slot.runtime_api, slot.endpoint
        sandbox.runtime_api_address = wiring.address(slot.runtime_api)
        if slot.endpoint is not None:
            sandbox.endpoint_address = wiring.address(slot.endpoint)

    async def _message(self, sandbox: NamespaceSandbox) -> dict[str, Any]:
        spec, slot = sandbox.spec, sandbox.slot
        port = self._endpoint_port
        endpoint = f"127.0.0.1:{port}" if port is not None else None
        if slot.namespace is not None:
            endpoint = wiring.address(slot.endpoint) if slot.endpoint is not None else None
        runtime_api = f"127.0.0.1:{wiring.RUNTIME_API_PORT}"
        as_root = os.geteuid() == 0
        template = None
        if self._templates.available:
            template = str(await self._templates.get(spec.tmp_mb))
        limits = wiring.rlimits(spec, self._limits)
        if self._cgroups is None or not self._cgroups.has_memory:
            limits.setdefault("DATA", spec.memory_mb * MIB + _DATA_HEADROOM)
        return {
            "id": spec.environment_id,
            "argv": spec.argv,
            "variables": wiring.pairs(wiring.variables(spec, runtime_api, endpoint)),
            "mounts": wiring.pairs(spec.mounts),
            "layers": spec.layers,
            "files": wiring.pairs(_known_files(slot.files)),
            "cwd": spec.cwd,
            "hostname": wiring.hostname(sandbox.number),
            "uid": self._uid_base + sandbox.number if as_root else os.geteuid(),
            "gid": self._uid_base + sandbox.number if as_root else os.getegid(),
            "tmp_bytes": spec.tmp_mb * MIB,
            "tmp_template": template,
            # A tmpfs is charged to the group: its size is not the function's.
            "memory_bytes": (spec.memory_mb + (spec.tmp_mb if template is None else 0)) * MIB,
            "shm_bytes": spec.memory_mb * MIB,
            "processes": self._limits.processes,
            "rlimits": wiring.pairs(limits),
            "ports": [wiring.RUNTIME_API_PORT] + ([port] if port is not None else []),
            "waits": slot.namespace is None,
        }

    def _on_exit(self, name: str, wait_status: int, out_of_memory: bool) -> None:
        sandbox = self._sandboxes.pop(name, None)
        if sandbox is None:
            return
        out_of_memory |= sandbox.out_of_memory
        sandbox.exited.set_result(wiring.exit_of(wait_status, out_of_memory=out_of_memory))
        if sandbox.pidfd >= 0:
            os.close(sandbox.pidfd)
            sandbox.pidfd = -1
        self._tasks.start(self._free(sandbox), "free sandbox")

    async def _free(self, sandbox: NamespaceSandbox) -> None:
        try:
            await self._network.release(sandbox.slot)
        finally:
            self._numbers.give_back(sandbox.number)
            sandbox.freed.set()

    async def _discard(self, sandbox: NamespaceSandbox, pipes: wiring.Pipes) -> None:
        """It did not start: nobody else knows it."""
        pipes.close_ours()
        if sandbox.pidfd < 0 and not sandbox.exited.done():
            self._on_exit(sandbox.spec.environment_id, signal.SIGKILL, False)
        for listener in (sandbox.slot.runtime_api, sandbox.slot.endpoint):
            if listener is not None:
                listener.close()
        await sandbox.stop()

    async def close(self) -> None:
        self._closed = True
        starting = [sandbox.stop() for sandbox in self._sandboxes.values()]
        await asyncio.gather(*starting)
        if self._spawner is not None:
            await self._spawner.close()
        await self._tasks.close()
        if self._config:
            await asyncio.to_thread(self._instance.close, self._cgroups)
            self._config = {}


def _kill_hog(watched: memory.Watched) -> None:
    if isinstance(watched, NamespaceSandbox):
        watched.out_of_memory = True
        watched.kill()


def _known_files(files: dict[str, str]) -> dict[str, str]:
    unknown = set(files) - set(rootfs.FILES)
    if unknown:
        raise SandboxError(f"a network may not write {', '.join(sorted(unknown))}")
    return files


async def _listeners(report: socket.socket) -> wiring.Listeners:
    """What the sandbox listens on in a network of its own."""
    data, descriptors = await packets.receive(report)
    if not descriptors:
        raise _failure(data)
    sockets = [socket.socket(fileno=fd) for fd in descriptors]
    for listener in sockets:
        listener.setblocking(False)
    return wiring.Listeners(*sockets)


async def _executed(report: socket.socket) -> None:
    """Return when the function runs; raise `SandboxError` when it cannot."""
    data, _ = await packets.receive(report)
    if data:
        raise _failure(data)


def _failure(data: bytes) -> SandboxError:
    if not data:
        return SpawnerGoneError("the sandbox died before it could say why")
    return SandboxError(f"could not start a sandbox: {json.loads(data)['error']}")


async def _abandon(starting: "asyncio.Task[NamespaceSandbox | SandboxError]") -> None:
    """Nobody waits for this sandbox any more: stop it when it has started."""
    sandbox = await starting
    if isinstance(sandbox, SandboxError):
        return
    sandbox.runtime_api.close()
    if sandbox.endpoint is not None:
        sandbox.endpoint.close()
    os.close(sandbox.output)
    os.close(sandbox.telemetry)
    await sandbox.stop()
