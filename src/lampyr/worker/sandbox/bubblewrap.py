"""Sandboxes by the `bwrap` program: for hosts that let it, and nobody else, make namespaces.

bubblewrap makes the namespaces and mounts; a launcher inside does the rest, with the same code
as the spawner's children. Without an overlay, layers are merged on disk; `/tmp` is a tmpfs; the
launcher's Python can be seen at `/run/lampyr`. A function reaches the Runtime API and the
endpoint, and nothing else.

https://github.com/containers/bubblewrap
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from lampyr.clock import Clock
from lampyr.limits import DEFAULT_LIMITS, MIB, Limits
from lampyr.worker.network.base import NetworkSlot
from lampyr.worker.network.keeper.protocol import LOCAL_RUNTIME_API
from lampyr.worker.sandbox import packets, rootfs, wiring
from lampyr.worker.sandbox.base import ExecuteError, SandboxError
from lampyr.worker.sandbox.isolated import IsolatedDriver, IsolatedSandbox
from lampyr.worker.sandbox.layers import merged
from lampyr.worker.sandbox.reports import executed, listeners
from lampyr.worker.sandbox.spawner.plan import INSIDE_GID, INSIDE_UID

_UID_BASE: Final = 0x7800_0000
_VERSION_MIN: Final = (0, 8)
_PYTHON: Final = "/run/lampyr/python"
_CODE: Final = "/run/lampyr/code"
_LAUNCH: Final = """\
import sys
sys.path.append(sys.argv[1])
from spawner.launcher import main
main(*map(int, sys.argv[2:]))
"""
_DEVICES: Final = ("null", "zero", "full", "random", "urandom")
_LINKS: Final = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}
_HIDDEN: Final = ("kcore", "keys", "timer_list", "kallsyms")
_TMP: Final = "/tmp"  # noqa: S108  The sandbox's own.
_SHM: Final = "/dev/shm"  # noqa: S108
_STATUS_BYTES: Final = 4
_RETRY_SECONDS: Final = 0.005


class _OwnLoopback:
    """The network bubblewrap makes: a loopback of the sandbox's own."""

    name = "loopback"

    async def open(self) -> None:
        """Nothing to open."""

    async def take(self) -> NetworkSlot:
        return NetworkSlot(id="", files={})

    async def take_bare(self) -> NetworkSlot:
        return await self.take()

    async def attach(self, slot: NetworkSlot, pid: int) -> None:
        """Connected to nothing."""

    async def release(self, slot: NetworkSlot) -> None:
        """It went with its last process."""

    async def close(self) -> None:
        """Nothing to close."""


def version(program: str) -> tuple[int, ...]:
    """Of a bwrap program; empty when it does not say."""
    told = subprocess.run([program, "--version"], capture_output=True, check=False, text=True)
    found = re.search(r"\d+(\.\d+)+", told.stdout)
    return tuple(map(int, found[0].split("."))) if found else ()


class BubblewrapDriver(IsolatedDriver):
    """`SandboxDriver`."""

    name = "bubblewrap"
    extra_directories = (_PYTHON[1:], _CODE[1:] + "/spawner")

    def __init__(
        self,
        run_dir: Path,
        clock: Clock,
        *,
        endpoint_port: int | None = None,
        uid_base: int = _UID_BASE,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        super().__init__(_OwnLoopback(), run_dir, clock, uid_base=uid_base, limits=limits)
        self._endpoint_port = endpoint_port
        self._program = ""
        self._common: list[str] = []

    async def _open_launcher(self, root: rootfs.RootFileSystem) -> None:
        program = shutil.which("bwrap")
        if program is None:
            raise SandboxError("bwrap is not installed; on Debian: apt install bubblewrap")
        if version(program) < _VERSION_MIN:
            wanted = ".".join(map(str, _VERSION_MIN))
            raise SandboxError(f"bwrap is too old: {wanted} or later is needed")
        self._program = program
        self._common = _common_arguments(root, str(self._instance.empty))

    async def _launch(self, sandbox: IsolatedSandbox, pipes: wiring.Pipes) -> None:
        report, theirs = packets.pair()
        info, info_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        status, status_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        errors, errors_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        with report, contextlib.ExitStack() as stack:
            stack.callback(os.close, info)
            stack.callback(os.close, errors)
            with theirs:
                inherited = [theirs.fileno(), pipes.output, pipes.telemetry, status_write]
                arguments = await self._arguments(sandbox, info_write, inherited)
                # Not in a thread: bwrap dies with the thread that started it.
                process = subprocess.Popen(  # noqa: ASYNC220
                    arguments,
                    pass_fds=[info_write, *inherited],
                    stdin=subprocess.DEVNULL,
                    stdout=errors_write,
                    stderr=errors_write,
                    env={},
                    cwd="/",
                )
                for fd in (info_write, status_write, errors_write):
                    os.close(fd)
            self._tasks.start(self._watch(sandbox, process, status), "bwrap")
            try:
                pid = await _child_pid(info)
                sandbox.born(pid, os.pidfd_open(pid))
                await asyncio.to_thread(self._enter_group, sandbox)
                self._watch_memory(sandbox)
                report.send(json.dumps(self._message(sandbox)).encode())
                heard = await listeners(report)
                slot = sandbox.slot
                slot.runtime_api, slot.endpoint = heard.runtime_api, heard.endpoint
                slot.runtime_api_local = heard.runtime_api_local
                report.send(b"go")
                await executed(report)
            except ExecuteError:
                raise
            except (SandboxError, OSError, ValueError) as error:
                with contextlib.suppress(BlockingIOError):
                    said = os.read(errors, 4096).decode(errors="replace").strip()
                    raise SandboxError(f"could not start a sandbox: {said or error}") from error
                raise
        sandbox.serve_at(slot)

    def _enter_group(self, sandbox: IsolatedSandbox) -> None:
        if self._cgroups is None:
            return
        spec = sandbox.spec
        # The tmpfs of /tmp is charged to the group: its size is not the function's.
        memory = (spec.memory_mb + spec.tmp_mb) * MIB
        self._cgroups.create(spec.environment_id, memory, self._limits.processes)
        self._cgroups.join(spec.environment_id, sandbox.first_pid)

    def _watch_memory(self, sandbox: IsolatedSandbox) -> None:
        """Version 1 kills one process for want of memory; we kill the others."""
        if self._cgroups is None or self._cgroups.version != 1 or not self._cgroups.has_memory:
            return
        loop = asyncio.get_running_loop()
        eventfd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._cgroups.watch(sandbox.spec.environment_id, eventfd)

        def wanting() -> None:
            loop.remove_reader(eventfd)
            if not sandbox.exited.done():
                sandbox.out_of_memory = True
                sandbox.kill()

        def done(_: object) -> None:
            loop.remove_reader(eventfd)
            os.close(eventfd)

        loop.add_reader(eventfd, wanting)
        sandbox.exited.add_done_callback(done)

    async def _watch(
        self, sandbox: IsolatedSandbox, process: "subprocess.Popen[bytes]", status: int
    ) -> None:
        """Until bwrap, and so every process, is gone; then remove the group, and tell."""
        name = sandbox.spec.environment_id
        pidfd = os.pidfd_open(process.pid)
        try:
            await packets.readable(pidfd)
        except asyncio.CancelledError:
            process.kill()
            raise
        finally:
            os.close(pidfd)
            process.wait()
            wait_status = int(signal.SIGKILL)
            with contextlib.suppress(BlockingIOError):
                written = os.read(status, _STATUS_BYTES)
                if len(written) == _STATUS_BYTES:
                    wait_status = int.from_bytes(written, sys.byteorder)
            os.close(status)
        out_of_memory = False
        if self._cgroups is not None:
            out_of_memory = self._cgroups.out_of_memory(name)
            while not self._cgroups.remove(name):
                await self._clock.sleep(_RETRY_SECONDS)
        self._on_exit(name, wait_status, out_of_memory)

    async def _arguments(
        self, sandbox: IsolatedSandbox, info: int, inherited: list[int]
    ) -> list[str]:
        spec = sandbox.spec
        found = [self._program, "--info-fd", str(info), *self._common]
        if os.geteuid() != 0:
            found += ["--unshare-user", "--uid", str(INSIDE_UID), "--gid", str(INSIDE_GID)]
        found += ["--hostname", wiring.hostname(sandbox.number)]
        for target, source in spec.mounts.items():
            found += ["--ro-bind", source, target]
        if spec.layers:
            opt = await asyncio.to_thread(merged, spec.layers, self._instance.layers)
            found += ["--ro-bind", str(opt), "/opt"]
        found += ["--perms", "0700", "--size", str(spec.tmp_mb * MIB), "--tmpfs", _TMP]
        found += ["--perms", "1777", "--size", str(spec.memory_mb * MIB), "--tmpfs", _SHM]
        found += ["--remount-ro", "/dev", "--remount-ro", "/"]
        return [*found, "--", _python_inside(), "-I", "-S", "-c", _LAUNCH, _CODE] + [
            str(fd) for fd in inherited
        ]

    def _message(self, sandbox: IsolatedSandbox) -> dict[str, Any]:
        spec = sandbox.spec
        port = self._endpoint_port
        endpoint = f"127.0.0.1:{port}" if port is not None else None
        runtime_api = f"127.0.0.1:{wiring.RUNTIME_API_PORT}"
        uid, gid = self._ids(sandbox.number)
        start = {
            "id": spec.environment_id,
            "argv": spec.argv,
            "variables": wiring.pairs(wiring.variables(spec, runtime_api, endpoint)),
            "mounts": [],
            "layers": [],
            "files": [],
            "cwd": spec.cwd,
            "hostname": "",
            "uid": uid,
            "gid": gid,
            "tmp_bytes": 0,
            "tmp_device": None,
            "memory_bytes": 0,
            "shm_bytes": 0,
            "processes": 0,
            "rlimits": wiring.pairs(self._rlimits(spec)),
            "ports": [wiring.RUNTIME_API_PORT] + ([port] if port is not None else []),
            "local": LOCAL_RUNTIME_API,
            "waits": True,
        }
        config: dict[str, Any] = {
            "as_root": os.geteuid() == 0,
            "root": "/",
            "empty": "",
            "records": None,
            "shared": [],
            "masked": [],
            "cgroups": None,
        }
        return {"start": start, "config": config}


def _common_arguments(root: rootfs.RootFileSystem, empty: str) -> list[str]:
    """The same for every sandbox."""
    found = [
        "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts",
        "--unshare-cgroup-try", "--die-with-parent", "--new-session", "--as-pid-1",
        "--ro-bind", str(root.path), "/",
    ]  # fmt: skip
    for name in root.shared:
        found += ["--ro-bind", name, name]
    for name in root.masked:
        found += ["--ro-bind", empty, name]
    if not _host_python().startswith("/usr/bin/"):
        found += ["--ro-bind", sys.base_prefix, _PYTHON]
    found += ["--ro-bind", str(Path(__file__).parent / "spawner"), f"{_CODE}/spawner"]
    found += ["--proc", "/proc", "--tmpfs", "/dev"]
    for name in _HIDDEN:
        if Path(f"/proc/{name}").exists():
            found += ["--ro-bind", "/dev/null", f"/proc/{name}"]
    for name in _DEVICES:
        found += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    for name, rest in _LINKS.items():
        found += ["--symlink", f"/proc/self/fd{rest}", f"/dev/{name}"]
    return found


def _host_python() -> str:
    return str(Path(sys.executable).resolve())


def _python_inside() -> str:
    """Where the launcher finds this interpreter: the host's `/usr` is there as it is."""
    host = _host_python()
    if host.startswith("/usr/bin/"):
        return host
    return f"{_PYTHON}/{Path(host).relative_to(Path(sys.base_prefix).resolve())}"


async def _child_pid(info: int) -> int:
    """From what bwrap writes about itself."""
    text = b""
    while True:
        await packets.readable(info)
        data = os.read(info, 4096)
        text += data
        with contextlib.suppress(ValueError):
            return int(json.loads(text)["child-pid"])
        if not data:
            raise SandboxError("bwrap ended before it made a sandbox")
