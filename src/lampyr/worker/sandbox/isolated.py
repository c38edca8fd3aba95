"""What the isolating drivers have in common: control groups, accounting, and a tidy end."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path
from typing import Final

from lampyr.clock import Clock
from lampyr.limits import MIB, Limits
from lampyr.tasks import Tasks
from lampyr.worker.network.base import Network, NetworkError, NetworkSlot
from lampyr.worker.sandbox import hierarchies, memory, rootfs, wiring
from lampyr.worker.sandbox.base import Exit, NothingAhead, SandboxError, SandboxSpec
from lampyr.worker.sandbox.instance import Instance
from lampyr.worker.sandbox.reports import SandboxDiedError
from lampyr.worker.sandbox.spawner.cgroups import Cgroups, quota_microseconds

log = logging.getLogger(__name__)

_UIDS: Final = 0x1_0000
_INSTANCES: Final = 0x800
_DATA_HEADROOM: Final = 1024 * MIB


class IsolatedSandbox:
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
        self.runtime_api_local: socket.socket | None = None
        self.endpoint: socket.socket | None = None
        self.runtime_api_address = ""
        self.endpoint_address: str | None = None
        self.output = -1
        self.telemetry = -1
        self.launcher: object = None
        """What has been asked to start it, and whose death is its own."""
        self.first_pid = 0
        self.pidfd = -1
        self.out_of_memory = False
        self.preloaded_bytes = 0
        """Of its template, and in its memory whether the function wants it or not."""
        self.unfit: asyncio.Future[str] | None = asyncio.Future() if spec.origin else None
        self._frozen = False
        self._killed = False
        self._cgroups = cgroups
        self._tmp_in_memory = tmp_in_memory
        self._limits = limits

    def born(self, pid: int, pidfd: int) -> None:
        """Its first process exists; whoever stopped it before that is obeyed now."""
        self.first_pid, self.pidfd = pid, pidfd
        if self._killed:
            self.kill()

    def serve_at(self, slot: NetworkSlot) -> None:
        """Take over the listening sockets of a slot."""
        if slot.runtime_api is None:
            raise SandboxError("the network brought no socket to listen on")
        self.runtime_api, self.endpoint = slot.runtime_api, slot.endpoint
        self.runtime_api_local = slot.runtime_api_local
        self.runtime_api_address = wiring.address(slot.runtime_api)
        if slot.endpoint is not None:
            self.endpoint_address = wiring.address(slot.endpoint)

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

    def memory_peak_bytes(self) -> int:
        if self.exited.done():
            return 0
        peak = memory.peak(memory.descendants(self.first_pid))
        return max(0, peak - self.preloaded_bytes)

    def signal(self, number: int) -> None:
        """To the first process, which hands SIGTERM on, and whose death kills all."""
        if self.pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, number)

    def kill(self) -> None:
        self._killed = True
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


class IsolatedDriver(NothingAhead):
    """The life of sandboxes that are isolated; a subclass says how one is launched."""

    name = "isolated"
    origins = False
    extra_directories: tuple[str, ...] = ()
    """Of the root file system, besides those every sandbox has."""

    def __init__(
        self, network: Network, run_dir: Path, clock: Clock, *, uid_base: int, limits: Limits
    ) -> None:
        self._network = network
        self._clock = clock
        self._uid_base = uid_base
        self._limits = limits
        self._instance = Instance(run_dir)
        self._tasks = Tasks()
        self._numbers = wiring.Numbers()
        self._sandboxes: dict[str, IsolatedSandbox] = {}
        self._names: set[str] = set()
        """Of `_sandboxes`, and of those that wait for a network."""
        self._cgroups: Cgroups | None = None
        self._root: rootfs.RootFileSystem | None = None
        self._closed = False

    @property
    def cgroups(self) -> Cgroups | None:
        """None where this process may make none."""
        return self._cgroups

    async def open(self) -> None:
        self._root = await asyncio.to_thread(self._prepare)
        try:
            await self._open_launcher(self._root)
        except BaseException:
            await self.close()
            raise
        if self._cgroups is None or not self._cgroups.has_memory:
            self._tasks.start(
                memory.watch(self._clock, self._sandboxes.values, _kill_hog), "memory"
            )

    def _prepare(self) -> rootfs.RootFileSystem:
        instance = self._instance
        instance.open()
        self._cgroups = hierarchies.open_cgroups(hierarchies.here(), instance.id)
        instance.note(self._cgroups)
        # Of two Lampyrs on a host, each has users of its own.
        self._uid_base += int(instance.id[:3], 16) % _INSTANCES * _UIDS
        return rootfs.build(instance.root, extra_directories=self.extra_directories)

    async def _open_launcher(self, root: rootfs.RootFileSystem) -> None:
        """Start what launches sandboxes."""

    async def _close_launcher(self) -> None:
        """End it."""

    def _release(self) -> None:
        """Give up what was made ahead, once nothing runs any more."""

    async def _launch(self, sandbox: IsolatedSandbox, pipes: wiring.Pipes) -> None:
        """Return when the function runs; raise `SandboxError`, `NetworkError` or `OSError`."""
        raise NotImplementedError

    @property
    def _tmp_in_memory(self) -> bool:
        return True

    async def start(self, spec: SandboxSpec) -> IsolatedSandbox:
        wiring.check(spec, rootfs.MOUNT_POINTS)
        if self._closed or self._root is None:
            raise SandboxError("the sandbox driver is not open")
        if spec.environment_id in self._names:
            raise SandboxError(f"a sandbox of this name runs: {spec.environment_id}")
        self._names.add(spec.environment_id)
        starting: asyncio.Task[IsolatedSandbox | SandboxError]
        starting = self._tasks.start(self._start(spec), "start sandbox")
        try:
            result = await asyncio.shield(starting)
        except asyncio.CancelledError:
            self._tasks.start(_abandon(starting), "abandon sandbox")
            raise
        if isinstance(result, SandboxError):
            raise result
        return result

    async def _start(self, spec: SandboxSpec) -> IsolatedSandbox | SandboxError:
        result = await self._attempt(spec)
        if isinstance(result, SandboxDiedError) and not self._closed and not spec.restored_from:
            # Its launcher was killed under it, or it was: that is not the function's fault.
            # Nor is it to be forked from what may have just died.
            log.warning("a sandbox is started anew", extra={"reason": str(result)})
            self._names.add(spec.environment_id)
            result = await self._attempt(replace(spec, template=None))
        return result

    async def _attempt(self, spec: SandboxSpec) -> IsolatedSandbox | SandboxError:
        network = self._network
        try:
            slot = await (network.take_bare() if spec.restored_from else network.take())
        except BaseException as error:
            self._names.discard(spec.environment_id)
            if isinstance(error, NetworkError):
                return SandboxError(str(error))
            raise
        sandbox = IsolatedSandbox(
            spec,
            cgroups=self._cgroups,
            slot=slot,
            number=self._number(spec),
            tmp_in_memory=self._tmp_in_memory,
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

    def _number(self, spec: SandboxSpec) -> int:
        """Its own, or, as a fork has its origin's user, the origin's."""
        origin = self._sandboxes.get(spec.restored_from) if spec.restored_from else None
        return self._numbers.take() if origin is None else self._numbers.share(origin.number)

    def _rlimits(self, spec: SandboxSpec) -> dict[str, int]:
        limits = wiring.rlimits(spec, self._limits)
        if self._cgroups is None or not self._cgroups.has_memory:
            # Beyond what a hog can take between two looks of the watchdog.
            limits.setdefault("DATA", spec.memory_mb * MIB + _DATA_HEADROOM)
        return limits

    def _ids(self, number: int) -> tuple[int, int]:
        """User and group of a sandbox, on the host."""
        if os.geteuid() != 0:
            return os.geteuid(), os.getegid()
        return self._uid_base + number, self._uid_base + number

    def _on_exit(self, name: str, wait_status: int, out_of_memory: bool) -> None:
        sandbox = self._sandboxes.pop(name, None)
        if sandbox is None:
            return
        self._names.discard(name)
        out_of_memory |= sandbox.out_of_memory
        sandbox.exited.set_result(wiring.exit_of(wait_status, out_of_memory=out_of_memory))
        if sandbox.pidfd >= 0:
            os.close(sandbox.pidfd)
            sandbox.pidfd = -1
        self._tasks.start(self._free(sandbox), "free sandbox")

    async def _free(self, sandbox: IsolatedSandbox) -> None:
        try:
            await self._network.release(sandbox.slot)
        finally:
            self._numbers.give_back(sandbox.number)
            sandbox.freed.set()

    async def _discard(self, sandbox: IsolatedSandbox, pipes: wiring.Pipes) -> None:
        """It did not start: nobody else knows it."""
        pipes.close_ours()
        if sandbox.pidfd < 0 and not sandbox.exited.done():
            self._on_exit(sandbox.spec.environment_id, signal.SIGKILL, False)
        wiring.stop_listening(sandbox.slot)
        await sandbox.stop()

    async def close(self) -> None:
        self._closed = True
        await asyncio.gather(*[sandbox.stop() for sandbox in self._sandboxes.values()])
        await self._close_launcher()
        await self._tasks.close()
        self._release()
        if self._root is not None:
            self._root = None
            await asyncio.to_thread(self._instance.close, self._cgroups)


def _kill_hog(watched: memory.Watched) -> None:
    if isinstance(watched, IsolatedSandbox):
        watched.out_of_memory = True
        watched.kill()


def known_files(files: dict[str, str]) -> dict[str, str]:
    unknown = set(files) - set(rootfs.FILES)
    if unknown:
        raise SandboxError(f"a network may not write {', '.join(sorted(unknown))}")
    return files


async def _abandon(starting: "asyncio.Task[IsolatedSandbox | SandboxError]") -> None:
    """Nobody waits for this sandbox any more: stop it when it has started."""
    sandbox = await starting
    if isinstance(sandbox, SandboxError):
        return
    wiring.stop_listening(sandbox)
    os.close(sandbox.output)
    os.close(sandbox.telemetry)
    await sandbox.stop()
