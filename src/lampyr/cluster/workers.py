"""Worker processes beside the front: started, watched, started again, and given environments.

A worker that dies takes with it what it was running, whose callers are told. What it was starting
is started on another one, and so is everything that comes later.
"""

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from lampyr.cluster.base import Environment
from lampyr.cluster.link import LinkLostError
from lampyr.cluster.remote import FrontParts, RemoteWorker
from lampyr.model.function import FunctionVersion, Reason
from lampyr.model.invocation import Invocation
from lampyr.tasks import Tasks, supervise
from lampyr.worker.outcomes import Failure
from lampyr.worker.sandbox.base import SandboxError

log = logging.getLogger(__name__)

READY_SECONDS: Final = 60.0
END_SECONDS: Final = 3.0
"""To stop its environments; then a worker is killed."""
TRIES_MAX: Final = 3
"""Workers on which a start is tried, when one after the other dies."""


class WorkerError(Exception):
    """A worker process ended, or did not become ready."""


class Host(Protocol):
    """What of a `RemoteWorker` it takes to place environments there."""

    @property
    def load(self) -> int: ...

    async def prepare(self, version: FunctionVersion) -> Reason | None: ...

    async def start(
        self,
        version: FunctionVersion,
        tenant_id: str | None,
        *,
        init_seconds: float,
        within: Invocation | None,
        provisioned: bool,
    ) -> Environment | Failure: ...

    def retire(self, deployment_ids: Sequence[str]) -> None: ...

    def relieve(self) -> None: ...

    async def stop(self, environment_id: str) -> None: ...


class Workers:
    """A `Cluster` of those that are connected."""

    def __init__(self) -> None:
        self._hosts: list[Host] = []
        self._of: dict[str, Host] = {}
        """Where each environment is, by its id."""
        self._some = asyncio.Event()

    def join(self, host: Host) -> None:
        self._hosts.append(host)
        self._some.set()

    def leave(self, host: Host) -> None:
        """Its environments are over; they have told so."""
        if host in self._hosts:
            self._hosts.remove(host)
        if not self._hosts:
            self._some.clear()

    async def ready(self) -> None:
        """Return once there is one; raises `SandboxError` when none comes."""
        await self._wait()

    async def prepare(self, version: FunctionVersion) -> Reason | None:
        """On all of them, so that each may be asked for an environment."""
        while True:
            await self._some.wait()
            found = await asyncio.gather(
                *(host.prepare(version) for host in self._hosts), return_exceptions=True
            )
            for each in found:
                if isinstance(each, BaseException) and not isinstance(each, LinkLostError):
                    raise each
            reasons = [each for each in found if not isinstance(each, BaseException)]
            if reasons:
                return next((reason for reason in reasons if reason is not None), None)

    async def start(
        self,
        version: FunctionVersion,
        tenant_id: str | None,
        *,
        init_seconds: float,
        within: Invocation | None = None,
        provisioned: bool = False,
    ) -> Environment | Failure:
        """On the one that has the fewest."""
        for _ in range(TRIES_MAX):
            await self._wait()
            host = min(self._hosts, key=lambda each: each.load)
            with contextlib.suppress(LinkLostError):
                made = await host.start(
                    version,
                    tenant_id,
                    init_seconds=init_seconds,
                    within=within,
                    provisioned=provisioned,
                )
                if not isinstance(made, Failure):
                    self._of[made.id] = host
                return made
        raise SandboxError("the workers that were to start it were lost, one after the other")

    def retire(self, deployment_ids: Sequence[str]) -> None:
        for host in self._hosts:
            host.retire(deployment_ids)

    def relieve(self) -> None:
        for host in self._hosts:
            host.relieve()

    async def stop(self, environment: Environment) -> None:
        host = self._of.pop(environment.id, None)
        if host is not None:
            await host.stop(environment.id)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._some.wait()
        except TimeoutError:
            raise SandboxError("no worker is running") from None


class WorkerProcess:
    """One place for a worker process: whoever dies there is followed by another."""

    def __init__(
        self,
        program: str,
        settings: Mapping[str, Any],
        workers: Workers,
        parts: FrontParts,
        tasks: Tasks,
    ) -> None:
        """`program`: the module that is run; `settings`: what its first message says."""
        self._program = program
        self._settings = settings
        self._workers = workers
        self._parts = parts
        self._tasks = tasks
        self._process: asyncio.subprocess.Process | None = None
        self._remote: RemoteWorker | None = None
        self._ending = False

    async def run(self) -> None:
        """Until cancelled."""
        await supervise(self._live, "worker process")

    async def end(self) -> None:
        """Let it stop its environments, and wait until it has."""
        self._ending = True
        process, remote = self._process, self._remote
        if process is None:
            return
        if remote is not None:
            remote.link.tell("end")
        try:
            async with asyncio.timeout(END_SECONDS):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _live(self) -> None:
        """One process, from its start to its end; raises when it ends by itself."""
        if self._ending:
            return
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        here.setblocking(False)
        with there:
            self._process = process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self._program,
                str(there.fileno()),
                pass_fds=(there.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
            )
        remote = RemoteWorker(self._parts, self._tasks, lambda: self._workers.leave(remote))
        self._remote = remote
        try:
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: remote.link.stream, sock=here)
            async with asyncio.timeout(READY_SECONDS):
                await remote.link.call("hello", settings=self._settings)
            self._workers.join(remote)
            code = await process.wait()
        except (LinkLostError, SandboxError, TimeoutError) as error:
            code = await self._kill(process)
            raise WorkerError(
                f"a worker did not become ready: {error}; exit code {code}"
            ) from error
        finally:
            self._workers.leave(remote)
            remote.link.stream.abort()
        if not self._ending:
            raise WorkerError(f"a worker ended with exit code {code}")

    async def _kill(self, process: asyncio.subprocess.Process) -> int:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        return await process.wait()


def directory_socket(directory: int, name: str) -> str:
    """A path to a socket in an open directory: real ones may be longer than the kernel takes."""
    return f"/proc/{os.getpid()}/fd/{directory}/{name}"
