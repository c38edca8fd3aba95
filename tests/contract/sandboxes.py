"""Drivers of sandboxes for the suite: in this process, or in one of an ordinary user.

Run as a program it is that other process: calls come as lines of JSON, answers go the same way.
Only the standard library and Lampyr are needed, as that user may have no more.
"""

# ruff: noqa: PTH208

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

from lampyr.clock import SystemClock
from lampyr.worker.network.base import Network, NetworkSlot
from lampyr.worker.sandbox.base import Sandbox, SandboxDriver, SandboxError, SandboxSpec
from lampyr.worker.sandbox.bubblewrap import BubblewrapDriver
from lampyr.worker.sandbox.namespaces import NamespacesDriver
from lampyr.worker.sandbox.process import ProcessDriver
from lampyr.worker.sandbox.wiring import stop_listening

ENDPOINT_PORT = 4566
ORDINARY_UID = 12345
ACCEPT_SECONDS = 60.0
PYTHON = "/var/lang/bin/python3"
REPOSITORY = Path(__file__).parents[2]


class Loopback:
    """A network of nothing but the sandbox's own loopback."""

    name = "loopback"

    def __init__(self) -> None:
        self.taken = self.attached = self.released = 0

    async def open(self) -> None: ...

    async def take(self) -> NetworkSlot:
        self.taken += 1
        files = {"/etc/hosts": "127.0.0.1 localhost\n127.0.0.9 from-the-network\n"}
        return NetworkSlot(id=str(self.taken), files=files)

    async def take_bare(self) -> NetworkSlot:
        return await self.take()

    async def attach(self, slot: NetworkSlot, pid: int) -> None:
        self.attached += 1

    async def release(self, slot: NetworkSlot) -> None:
        self.released += 1

    async def close(self) -> None: ...


def driver(kind: str, run_dir: Path, network: Network) -> SandboxDriver:
    if kind == "bubblewrap":
        return BubblewrapDriver(run_dir, SystemClock(), endpoint_port=ENDPOINT_PORT)
    if kind == "process":
        return ProcessDriver(run_dir, endpoint_port=ENDPOINT_PORT)
    return NamespacesDriver(network, run_dir, SystemClock(), endpoint_port=ENDPOINT_PORT)


class Bench(Protocol):
    """What a test does with a driver; everything in and out is JSON."""

    async def run(self, code: str, **changes: Any) -> dict[str, Any]:
        """Python in a sandbox, to its end: `code`, `signal`, `out_of_memory`, `output`, `said`."""
        ...

    async def start(self, code: str, **changes: Any) -> str: ...
    async def until(self, name: str, text: str) -> str:
        """What it has written, once that has `text` in it."""
        ...

    async def ended(self, name: str) -> dict[str, Any]: ...
    async def over(self, name: str) -> None:
        """It has ended by itself; nothing of it is given up."""
        ...

    async def stop(self, name: str, grace: float = 0.0) -> dict[str, Any]: ...
    async def freeze(self, name: str) -> None: ...
    async def thaw(self, name: str) -> None: ...
    async def memory(self, name: str) -> int: ...
    async def begin(self, name: str) -> None: ...
    async def ask(self, name: str, question: str, seconds: float) -> str | None:
        """Over the Runtime API's socket, to a function that is connected to it."""
        ...

    async def facts(self) -> dict[str, Any]: ...
    async def close(self) -> None: ...


class LocalBench:
    def __init__(
        self, kind: str, directory: Path | None = None, network: Network | None = None
    ) -> None:
        """`network`: one that is open already, in place of nothing but a loopback."""
        self.home = Path(tempfile.mkdtemp(prefix="lampyr-bench-"))
        self.task = self.home / "task"
        self.task.mkdir(mode=0o755)
        self.home.chmod(0o755)
        (self.task / "bundled.txt").write_text("of the function")
        self.network = Loopback()
        self.driver = driver(kind, directory or self.home / "run", network or self.network)
        self.sandboxes: dict[str, Sandbox] = {}
        self.outputs: dict[str, bytes] = {}
        self.connections: dict[str, socket.socket] = {}
        self.count = 0

    async def open(self) -> None:
        await self.driver.open()

    def spec(self, code: str, **changes: Any) -> SandboxSpec:
        self.count += 1
        spec = SandboxSpec(
            environment_id=f"environment-{self.count}",
            argv=(PYTHON, "-I", "-S", "-c", code),
            variables={"AWS_LAMBDA_RUNTIME_API": "{runtime_api}", "PATH": "/usr/bin:/bin"},
            mounts={"/var/task": str(self.task), "/var/lang": sys.base_prefix},
            memory_mb=128,
            tmp_mb=512,
        )
        if "argv" in changes:
            changes["argv"] = tuple(changes["argv"])
        if "layers" in changes:
            changes["layers"] = tuple(self._layers(changes["layers"]))
        return replace(spec, **changes)

    def _layers(self, layers: list[dict[str, str]]) -> list[str]:
        """Directories of files with these contents."""
        found = []
        for layer in layers:
            directory = Path(tempfile.mkdtemp(dir=self.home, prefix="layer, with:signs-"))
            directory.chmod(0o755)
            for name, content in layer.items():
                (directory / name).write_text(content)
            found.append(str(directory))
        return found

    async def start(self, code: str, **changes: Any) -> str:
        spec = self.spec(code, **changes)
        sandbox = await self.driver.start(spec)
        self.sandboxes[spec.environment_id] = sandbox
        self.outputs[spec.environment_id] = b""
        return spec.environment_id

    async def until(self, name: str, text: str) -> str:
        while text.encode() not in self.outputs[name]:
            if not await self._read(name):
                raise AssertionError(f"ended without {text!r}: {self.outputs[name]!r}")
        return self.outputs[name].decode()

    async def _read(self, name: str) -> bool:
        loop = asyncio.get_running_loop()
        fd = self.sandboxes[name].output
        ready = asyncio.Event()
        loop.add_reader(fd, ready.set)
        await ready.wait()
        loop.remove_reader(fd)
        with contextlib.suppress(BlockingIOError):
            data = os.read(fd, 65536)
            self.outputs[name] += data
            return bool(data)
        return True

    async def ended(self, name: str) -> dict[str, Any]:
        sandbox = self.sandboxes[name]
        while await self._read(name):
            pass
        found = asdict(await sandbox.exited)
        await sandbox.stop()
        said = os.read(sandbox.telemetry, 65536).decode()
        self._close(name)
        return found | {"output": self.outputs[name].decode(), "said": said}

    async def over(self, name: str) -> None:
        await self.sandboxes[name].exited

    async def run(self, code: str, **changes: Any) -> dict[str, Any]:
        return await self.ended(await self.start(code, **changes))

    async def stop(self, name: str, grace: float = 0.0) -> dict[str, Any]:
        sandbox = self.sandboxes[name]
        await sandbox.stop(grace)
        self._close(name)
        return asdict(await sandbox.exited)

    def _close(self, name: str) -> None:
        sandbox = self.sandboxes.pop(name)
        stop_listening(sandbox)
        os.close(sandbox.output)
        os.close(sandbox.telemetry)
        if name in self.connections:
            self.connections.pop(name).close()

    async def freeze(self, name: str) -> None:
        self.sandboxes[name].freeze()

    async def thaw(self, name: str) -> None:
        self.sandboxes[name].thaw()

    async def memory(self, name: str) -> int:
        return self.sandboxes[name].memory_bytes()

    async def begin(self, name: str) -> None:
        self.sandboxes[name].begin_invoke_phase()

    def listener(self, sandbox: Sandbox) -> socket.socket:
        """Where a function connects."""
        return sandbox.runtime_api

    async def ask(self, name: str, question: str, seconds: float) -> str | None:
        loop = asyncio.get_running_loop()
        if name not in self.connections:
            listener = self.listener(self.sandboxes[name])
            async with asyncio.timeout(ACCEPT_SECONDS):
                self.connections[name], _ = await loop.sock_accept(listener)
        connection = self.connections[name]
        connection.setblocking(False)
        if question:
            await loop.sock_sendall(connection, question.encode())
        try:
            async with asyncio.timeout(seconds):
                return (await loop.sock_recv(connection, 4096)).decode()
        except TimeoutError:
            return None

    async def facts(self) -> dict[str, Any]:
        cgroups = getattr(self.driver, "cgroups", None)
        return {
            "uid": os.getuid(),
            "spawner": getattr(self.driver, "spawner_pid", 0),
            "pids": {
                name: getattr(sandbox, "first_pid", 0) for name, sandbox in self.sandboxes.items()
            },
            "cgroups": cgroups.tops() if cgroups is not None else [],
            "network": [self.network.taken, self.network.attached, self.network.released],
            "descriptors": len(os.listdir("/proc/self/fd")),
            "files": sorted(str(path) for path in self.home.rglob("run/scratch/*")),
        }

    async def close(self) -> None:
        for name in list(self.sandboxes):
            await self.stop(name)
        await self.driver.close()
        shutil.rmtree(self.home)


class RemoteBench:
    """The same in a process of an ordinary user."""

    def __init__(self, python: str, kind: str) -> None:
        self._command = [python, "-P", "-m", "tests.contract.sandboxes", kind]
        self._process: asyncio.subprocess.Process

    async def open(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            user=ORDINARY_UID,
            group=ORDINARY_UID,
            extra_groups=[],
            cwd=REPOSITORY,
            env={
                "PATH": os.defpath,
                "PYTHONPATH": f"{REPOSITORY}/src:{REPOSITORY}",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            limit=1 << 22,
        )
        await self._call("open")

    async def _call(self, method: str, *arguments: Any, **named: Any) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps([method, arguments, named]).encode() + b"\n")
        await stdin.drain()
        answer = json.loads(await stdout.readline())
        if "refused" in answer:
            raise SandboxError(answer["refused"])
        return answer["result"]

    def __getattr__(self, method: str) -> Any:
        async def call(*arguments: Any, **named: Any) -> Any:
            return await self._call(method, *arguments, **named)

        return call

    async def close(self) -> None:
        await self._call("close")
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


def ordinary_python() -> str | None:
    """An interpreter that an ordinary user may run, new enough for Lampyr."""
    check = "import asyncio, sys; sys.exit(sys.version_info < (3, 11))"
    for candidate in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        with contextlib.suppress(OSError):
            tried = subprocess.run(
                [candidate, "-I", "-c", check], user=ORDINARY_UID, cwd="/", check=False,
                capture_output=True, env={},
            )  # fmt: skip
            if tried.returncode == 0:
                return candidate
    return None


async def _serve(kind: str) -> None:
    if kind == "origins":
        from tests.contract.origins import OriginBench

        bench: LocalBench = OriginBench()
    else:
        bench = LocalBench(kind)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        method, arguments, named = json.loads(line)
        answer: Mapping[str, Any]
        try:
            answer = {"result": await getattr(bench, method)(*arguments, **named)}
        except SandboxError as error:
            answer = {"refused": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
