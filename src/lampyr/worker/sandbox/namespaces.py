"""Sandboxes by direct system calls: the default driver, as root and as an ordinary user.

    server ──start, descriptors──▶ spawner ──clone──▶ first process of the sandbox
      ▲ ▲                             │                     │
      │ └──started, exited────────────┘                     │
      └──listening sockets, errors (the report socket)──────┘

The spawner's part of a start is a clone; mounting and the rest is done by the sandbox's own
first process, beside others. The report socket closes when the function is executed.
"""

import asyncio
import json
import logging
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from lampyr.clock import Clock
from lampyr.limits import DEFAULT_LIMITS, MIB, Limits
from lampyr.worker.network.base import Network
from lampyr.worker.network.keeper.protocol import LOCAL_RUNTIME_API
from lampyr.worker.sandbox import packets, rootfs, setup, wiring
from lampyr.worker.sandbox.base import ParkSpec, SandboxError, SandboxSpec, TemplateSpec
from lampyr.worker.sandbox.calls import Calls
from lampyr.worker.sandbox.client import Spawner
from lampyr.worker.sandbox.disks import Disk, Disks
from lampyr.worker.sandbox.forms import Forms
from lampyr.worker.sandbox.isolated import IsolatedDriver, IsolatedSandbox, known_files
from lampyr.worker.sandbox.parked import Parked, Parking
from lampyr.worker.sandbox.reports import SandboxDiedError, executed, listeners
from lampyr.worker.sandbox.spawner.cgroups import describe
from lampyr.worker.sandbox.templates import Templates

log = logging.getLogger(__name__)

CROWD: Final = os.cpu_count() or 1
"""While more than so many sandboxes are being started, none is made ahead: one that waits saves
its function time, but not the host work."""
_UID_BASE: Final = 0x7000_0000
_REVIVE_SECONDS: Final = 0.1
_REVIVE_SECONDS_MAX: Final = 5.0


class NamespacesDriver(IsolatedDriver):
    """`SandboxDriver`; the network is opened and closed by whoever made it."""

    name = "namespaces"
    origins = True

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
        super().__init__(network, run_dir, clock, uid_base=uid_base, limits=limits)
        self._endpoint_port = endpoint_port
        self._disks = Disks(self._instance.scratch, self._tasks)
        self.templates = Templates(clock, self._tasks, self._make_template, self._end_template)
        self._starting = 0
        """Starts for functions that are under way."""
        self.parking = Parking(clock, self._tasks, self._park, self._is_crowded)
        self._stdins: dict[str, int] = {}
        """Of sandboxes that are being started and read something."""
        self._config: dict[str, Any] = {}
        self._forms: Forms | None = None
        """Of calls for forks, where those can make such."""
        self._spawner: Spawner | None = None
        self._spawning = asyncio.Lock()

    @property
    def spawner_pid(self) -> int:
        """0 when there is none."""
        return self._spawner.pid if self._spawner is not None else 0

    def expect(self, template: TemplateSpec) -> None:
        self.templates.ready(template)

    async def start(self, spec: SandboxSpec) -> IsolatedSandbox:
        self._starting += 1
        try:
            return await self._parked_or_new(spec)
        finally:
            self._starting -= 1

    def _is_crowded(self) -> bool:
        return self._starting > CROWD

    async def _parked_or_new(self, spec: SandboxSpec) -> IsolatedSandbox:
        if spec.park is not None and self._may_park(spec.park):
            parked = self.parking.take(spec)
            if parked is not None and await self._began(parked, spec):
                return parked.sandbox
        return await super().start(spec)

    def _may_park(self, park: ParkSpec) -> bool:
        # Only root can take a directory of the host into a sandbox that is there already.
        root = os.geteuid() == 0
        return root and (park.template is None or self.templates.ready(park.template))

    async def _park(self, spec: SandboxSpec) -> Parked:
        """Start a sandbox whose process waits to hear of its function."""
        read, write = os.pipe2(os.O_CLOEXEC)
        self._stdins[spec.environment_id] = read
        try:
            sandbox = await super().start(replace(spec, park=None))
        except BaseException:
            os.close(write)
            raise
        finally:
            os.close(self._stdins.pop(spec.environment_id))
        return Parked(sandbox, write)

    async def _began(self, parked: Parked, spec: SandboxSpec) -> bool:
        """Whether a parked sandbox is now that of the spec; if not, nothing is left of it."""
        sandbox = parked.sandbox
        mounts = {k: v for k, v in spec.mounts.items() if k not in sandbox.spec.mounts}
        try:
            # If it was made by one that died since, this one knows nothing of it and says so.
            spawner = await self._live_spawner()
            await spawner.furnish(sandbox.spec.environment_id, mounts)
            api, endpoint = sandbox.runtime_api_address, sandbox.endpoint_address
            parked.begin(wiring.variables(spec, api, endpoint))
        except BaseException as error:
            parked.give_up()
            self._tasks.start(sandbox.stop(), "stop parked")
            if not isinstance(error, SandboxError | OSError):
                raise
            log.warning("a parked sandbox could not be used", extra={"reason": str(error)})
            return False
        return True

    def relieve(self) -> bool:
        return self.parking.relieve()

    async def close(self) -> None:
        self.parking.close()
        await super().close()

    @property
    def _tmp_in_memory(self) -> bool:
        return not self._disks.available

    async def _open_launcher(self, root: rootfs.RootFileSystem) -> None:
        instance = self._instance
        self._config = {
            "as_root": os.geteuid() == 0,
            "root": str(root.path),
            "empty": str(instance.empty),
            "records": str(instance.records) if self._cgroups is None else None,
            "shared": [(name, name) for name in root.shared],
            "masked": root.masked,
            "cgroups": describe(self._cgroups),
        }
        if os.geteuid() == 0:
            self._forms = Forms(setup.look_around(self._config, self._cgroups))
        await self._live_spawner()

    async def _close_launcher(self) -> None:
        if self._spawner is not None:
            await self._spawner.close()

    def _release(self) -> None:
        self._disks.close()

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
            spawner = Spawner(
                self._tasks,
                self._on_exit,
                self._on_spawner_death,
                self.templates.heard,
                self._on_origin,
            )
            await spawner.open(self._config)
            self._spawner = spawner
            return spawner

    def _on_origin(self, name: str, unfit: str) -> None:
        sandbox = self._sandboxes.get(name)
        if sandbox is not None and sandbox.unfit is not None and not sandbox.unfit.done():
            sandbox.unfit.set_result(unfit)

    def _on_spawner_death(self) -> None:
        if not self._closed:
            log.error("the spawner died; every sandbox is stopped")
            self.templates.lost()
            self._tasks.start(self._revive(), "new spawner")

    async def _revive(self) -> None:
        delay = _REVIVE_SECONDS
        while not self._closed:
            try:
                await self._live_spawner()
            except SandboxError as error:  # It may have been killed as it came up.
                log.warning("no spawner", extra={"reason": str(error), "again_in": delay})
            else:
                return
            await self._clock.sleep(delay)
            delay = min(delay * 2, _REVIVE_SECONDS_MAX)

    async def _make_template(self, spec: TemplateSpec) -> None:
        spawner = await self._live_spawner()
        spawner.make_template(
            {
                "template": spec.name,
                "argv": spec.argv,
                "variables": wiring.pairs(spec.variables),
                "mounts": wiring.pairs(spec.mounts),
                "config": self._config,
            }
        )

    def _end_template(self, name: str) -> None:
        if self._spawner is not None:
            self._spawner.end_template(name)

    async def _bury_spawner(self, spawner: Spawner) -> None:
        """Kill and remove what it has left."""
        await spawner.wait()
        its = {name: s for name, s in self._sandboxes.items() if s.launcher is spawner}
        for sandbox in its.values():
            sandbox.kill()
        await asyncio.to_thread(self._instance.clean_sandboxes, self._cgroups)
        for name, sandbox in its.items():
            if sandbox.pidfd >= 0:
                await packets.readable(sandbox.pidfd)  # It is, once the process is gone.
            self._on_exit(name, signal.SIGKILL, False)

    async def _launch(self, sandbox: IsolatedSandbox, pipes: wiring.Pipes) -> None:
        disk = None
        if self._disks.available:
            disk = await self._disks.take(sandbox.spec.tmp_mb)
        try:
            await self._launch_on(disk, sandbox, pipes)
        finally:
            if disk is not None:
                disk.close()
        sandbox.serve_at(sandbox.slot)

    async def _launch_on(
        self, disk: Disk | None, sandbox: IsolatedSandbox, pipes: wiring.Pipes
    ) -> None:
        slot = sandbox.slot
        report, theirs = packets.pair()
        with report:
            with theirs:
                message = self._message(sandbox, disk)
                spawner = await self._live_spawner()
                template = sandbox.spec.template
                if template is not None and self.templates.ready(template):
                    message, calls = self._plan_for(template, message, report)
                else:
                    template = None
                    message, calls = self._plan_anew(spawner.place, message, report)
                descriptors = [theirs.fileno(), pipes.output, pipes.telemetry]
                if slot.namespace is not None:
                    descriptors.append(slot.namespace)
                sandbox.launcher = spawner
                name = sandbox.spec.environment_id
                if name in self._stdins:
                    descriptors.append(self._stdins[name])
                sandbox.born(*await spawner.start(name, message, descriptors))
            if slot.namespace is None:
                heard = await listeners(report)
                slot.runtime_api, slot.endpoint = heard.runtime_api, heard.endpoint
                slot.runtime_api_local = heard.runtime_api_local
                await self._network.attach(slot, sandbox.first_pid)
                try:
                    report.send(b"go")
                except OSError as error:
                    raise SandboxDiedError("the sandbox died before it was connected") from error
            elif sandbox.pidfd >= 0:
                await self._network.attach(slot, sandbox.first_pid)
            await executed(report, calls)
        if template is not None:
            sandbox.preloaded_bytes = self.templates.forked(template.name)

    def _plan_for(
        self, template: TemplateSpec, message: dict[str, Any], report: socket.socket
    ) -> tuple[dict[str, Any], Calls | None]:
        """Tell the fork itself what to do: no template is to know what is in a function."""
        mounts = [pair for pair in message["mounts"] if pair[0] not in template.mounts]
        plan = message | {"mounts": mounts}
        calls, data = self._written_down(self.templates.place(template), plan)
        report.send(data or json.dumps(plan).encode())
        network = not message["waits"]
        base = 0 if calls is None else calls.base
        asked = {"fork": template.name, "id": message["id"], "network": network, "calls": base}
        return asked, calls

    def _plan_anew(
        self, place: setup.Place | None, message: dict[str, Any], report: socket.socket
    ) -> tuple[dict[str, Any], Calls | None]:
        """For a start that is no fork of a template: the spawner need not know of it either."""
        if message["origin"] or "restore" in message:
            return message, None
        calls, data = self._written_down(place, message)
        if calls is None:
            return message, None
        report.send(data)
        return {"id": message["id"], "calls": calls.base}, calls

    def _written_down(
        self, place: setup.Place | None, plan: dict[str, Any]
    ) -> tuple[Calls | None, bytes]:
        """None where whoever makes the calls has to know them itself."""
        if place is None or self._forms is None or not setup.fits(plan):
            return None, b""
        try:
            return self._forms.filled_in(plan, place)
        except ValueError:
            return None, b""

    def _message(self, sandbox: IsolatedSandbox, disk: Disk | None) -> dict[str, Any]:
        spec, slot = sandbox.spec, sandbox.slot
        port = self._endpoint_port
        endpoint = f"127.0.0.1:{port}" if port is not None else None
        if slot.namespace is not None:
            endpoint = wiring.address(slot.endpoint) if slot.endpoint is not None else None
        runtime_api = f"127.0.0.1:{wiring.RUNTIME_API_PORT}"
        uid, gid = self._ids(sandbox.number)
        return {
            "id": spec.environment_id,
            "argv": spec.argv,
            "variables": wiring.pairs(wiring.variables(spec, runtime_api, endpoint)),
            "mounts": wiring.pairs(spec.mounts),
            "layers": spec.layers,
            "files": wiring.pairs(known_files(slot.files)),
            "cwd": spec.cwd,
            "hostname": wiring.hostname(sandbox.number),
            "uid": uid,
            "gid": gid,
            "tmp_bytes": spec.tmp_mb * MIB,
            "tmp_device": disk.path if disk is not None else None,
            # A tmpfs is charged to the group: its size is not the function's.
            "memory_bytes": (spec.memory_mb + (spec.tmp_mb if disk is None else 0)) * MIB,
            "shm_bytes": spec.memory_mb * MIB,
            "processes": self._limits.processes,
            "rlimits": wiring.pairs(self._rlimits(spec)),
            "ports": [wiring.RUNTIME_API_PORT] + ([port] if port is not None else []),
            "local": LOCAL_RUNTIME_API,
            "waits": slot.namespace is None,
            "stdin": spec.environment_id in self._stdins,
            "origin": spec.origin,
            **({} if spec.restored_from is None else {"restore": spec.restored_from}),
        }
