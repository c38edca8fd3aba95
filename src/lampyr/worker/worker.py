"""The verbs of one host that runs execution environments: prepare, start, stop, drain."""

import asyncio
import base64
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lampyr.clock import Clock
from lampyr.limits import Limits
from lampyr.model.function import FunctionVersion, Reason
from lampyr.model.invocation import Invocation
from lampyr.observe.base import LogSink
from lampyr.tasks import Tasks
from lampyr.worker.ahead import NOTHING, Expected, MadeAhead, initialization_type, may_be_origin
from lampyr.worker.class_archives import ClassArchives
from lampyr.worker.code import CodeCache, CodeMissingError
from lampyr.worker.credentials import CredentialBook
from lampyr.worker.environment import ExecutionEnvironment
from lampyr.worker.extensions import extensions_in
from lampyr.worker.journals import open_journal
from lampyr.worker.memory_looks import MemoryLooks
from lampyr.worker.outcomes import Failure
from lampyr.worker.refusals import refused
from lampyr.worker.report import stream_name
from lampyr.worker.runtime_api.server import RuntimeApiServer
from lampyr.worker.runtimes import InvalidEntrypointError, Runtime, RuntimeMissingError
from lampyr.worker.runtimes.model import OPT
from lampyr.worker.sandbox.base import (
    ExecuteError,
    Exit,
    Sandbox,
    SandboxDriver,
    SandboxError,
    SandboxSpec,
)
from lampyr.worker.snap_start import RESTORE_SECONDS, SnapStart
from lampyr.worker.variables import Launch, variables

log = logging.getLogger(__name__)


class Runtimes(Protocol):
    """What a worker asks of the runtime catalogue."""

    def find(self, name: str) -> Runtime: ...

    def prepare(self, name: str) -> None: ...


@dataclass(slots=True, kw_only=True)
class _Running:
    environment: ExecutionEnvironment
    runtime_api: RuntimeApiServer
    endpoint: asyncio.Server | None
    keys: tuple[str, ...]
    """Access keys that are in its memory: its own first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerParts:
    """What a worker is made of."""

    driver: SandboxDriver
    runtimes: Runtimes
    code: CodeCache
    credentials: CredentialBook
    logs: LogSink
    clock: Clock
    limits: Limits
    new_id: Callable[[], str]
    """32 hexadecimal digits, never the same twice."""
    door: Callable[[], Callable[[], asyncio.Protocol]]
    """For one environment: what serves each connection that it makes to `AWS_ENDPOINT_URL`."""
    templates: bool = True
    """Whether environments may be forked from a template of their runtime."""


class Worker:
    def __init__(self, parts: WorkerParts, tasks: Tasks) -> None:
        self._parts = parts
        self._tasks = tasks
        self._running: dict[str, _Running] = {}
        self._looks = MemoryLooks()
        self._runtimes: dict[str, Runtime] = {}
        self._complete_runtimes: set[str] = set()
        """Whose every module is compiled."""
        self._ahead = MadeAhead(self._complete_runtimes)
        self._expected = Expected(parts.driver, self._complete_runtimes)
        self._archives = ClassArchives(parts.code.beside("classes"))
        self._snap_start = SnapStart(parts.clock, tasks, self)
        self.snapshots = self._snap_start.snapshots

    async def prepare(self, version: FunctionVersion) -> Reason | None:
        """Everything a start needs, made ahead; a reason when this host cannot run the version."""
        if version.image_uri is not None:
            return Reason(
                message="Lampyr does not run container images yet, only functions of PackageType "
                "Zip. The function is kept as it was given.",
                code="InvalidConfiguration",
            )
        try:
            runtime = await self._runtime(version)
            code = await self._code(version, runtime)
            layers = await self._layers(version, runtime)
            extensions = await asyncio.to_thread(extensions_in, layers)
        except RuntimeMissingError as error:
            return Reason(message=str(error), code="InvalidRuntime")
        except CodeMissingError as error:
            return Reason(message=str(error), code="InternalError")
        if extensions:
            return Reason(
                message="Lampyr does not run external extensions yet, and a layer of the function "
                f"has some in /opt/extensions: {', '.join(extensions)}",
                code="InvalidConfiguration",
            )
        if self._parts.templates and not version.has_snapshot:
            await self._expected.function(version, runtime, [code, *layers])
        return await self._snap_start.publish(version) if version.has_snapshot else None

    async def start(
        self,
        version: FunctionVersion,
        tenant_id: str | None,
        *,
        init_seconds: float,
        within: Invocation | None = None,
        provisioned: bool = False,
    ) -> ExecutionEnvironment | Failure:
        """A ready environment, or how its Init failed (`Failure` is the function's, not ours).

        `within` is the invocation inside which this, a second Init, takes place. Raises
        `SandboxError` when the host cannot.
        """
        if version.has_snapshot:
            return await self._snap_start.restore(version)
        return await self.initialize(
            version, tenant_id, init_seconds, within=within, provisioned=provisioned
        )

    async def initialize(
        self,
        version: FunctionVersion,
        tenant_id: str | None,
        init_seconds: float,
        *,
        within: Invocation | None = None,
        provisioned: bool = False,
    ) -> ExecutionEnvironment | Failure:
        """One that has been initialised on its own."""
        try:
            running = await self._launch(version, tenant_id, within=within, provisioned=provisioned)
        except InvalidEntrypointError as error:
            return refused(self._parts, version, within, error)
        except (RuntimeMissingError, CodeMissingError) as error:
            raise SandboxError(str(error)) from error
        environment = running.environment
        failure = await environment.initialized(init_seconds)
        if failure is not None:
            await self.stop(environment.id)
            return failure
        return environment

    def relieve(self) -> None:
        """Memory is short: what a plain start would do as well goes first."""
        if not self._parts.driver.relieve():
            self.snapshots.relieve()

    async def stop(self, environment_id: str) -> None:
        """End an environment and free all it held; a second time does nothing."""
        running = self._running.pop(environment_id, None)
        if running is None:
            return
        try:
            await running.environment.stop()
        finally:
            running.runtime_api.close()
            if running.endpoint is not None:
                running.endpoint.close()
            for access_key_id in running.keys:
                self._parts.credentials.revoke(access_key_id)

    async def drain(self) -> None:
        """Stop every environment."""
        self.snapshots.close()
        ended = await asyncio.gather(*map(self.stop, tuple(self._running)), return_exceptions=True)
        for error in ended:
            if isinstance(error, BaseException):
                log.error("environment did not stop", exc_info=error)

    async def _runtime(self, version: FunctionVersion) -> Runtime:
        name = version.runtime or ""
        found = self._runtimes.get(name)
        if found is None:
            # The first time an interpreter is started to ask it for its version.
            found = self._runtimes[name] = await asyncio.to_thread(self._parts.runtimes.find, name)
            # Takes seconds, once for each interpreter; functions work meanwhile.
            self._tasks.start(self._complete(name), f"preparation of {name}")
        return found

    async def _complete(self, name: str) -> None:
        try:
            await asyncio.to_thread(self._parts.runtimes.prepare, name)
        except RuntimeMissingError as error:  # It works without, only slower.
            log.info("runtime is not fully compiled: %s", error)
            return
        self._complete_runtimes.add(name)
        self._expected.complete(name)

    async def _code(self, version: FunctionVersion, runtime: Runtime) -> Path:
        sha256 = base64.b64decode(version.code_sha256).hex()
        return await self._parts.code.directory(sha256, runtime)

    async def _layers(self, version: FunctionVersion, runtime: Runtime) -> list[Path]:
        if not version.layers:
            return []
        names = [base64.b64decode(layer.code_sha256).hex() for layer in version.layers]
        directory = self._parts.code.directory
        # Of equal layers the last covers the others, and no overlay can have both.
        names = [name for place, name in enumerate(names) if name not in names[place + 1 :]]
        return list(await asyncio.gather(*(directory(n, runtime, inside=OPT) for n in names)))

    async def initialize_origin(
        self, version: FunctionVersion, seconds: float
    ) -> ExecutionEnvironment | Failure | None:
        """One that can be forked; None where this version has none."""
        runtime = await self._runtime(version)
        if not may_be_origin(self._parts, runtime, version):
            return None
        running = await self._launch(version, None, origin=True)
        environment, unfit = running.environment, running.environment.sandbox.unfit
        if unfit is not None:
            unfit.add_done_callback(lambda _: environment.snapshot_if_due())
        failure = await environment.initialized(seconds)
        reason = unfit.result() if failure is None and unfit is not None else ""
        if reason:
            environment.journal.no_snapshot(reason)
        if failure is not None or reason:
            await self.stop(environment.id)
            return failure
        return environment

    async def fork(self, origin: ExecutionEnvironment) -> ExecutionEnvironment:
        """A copy of an environment, which waits to be restored; raises `SandboxError`."""
        parts, version = self._parts, origin.version
        found = self._running.get(origin.id)
        if found is None:
            raise SandboxError("the snapshot is gone")
        runtime = await self._runtime(version)
        environment_id, launch = self._identity(version, runtime)
        spec = SandboxSpec(
            environment_id=environment_id,
            argv=runtime.argv,
            variables=variables(version, launch),
            mounts={},
            memory_mb=version.memory_mb,
            tmp_mb=version.tmp_mb,
            restored_from=origin.id,
        )
        sandbox = await self._start(spec, launch)
        parts.credentials.share(found.keys[0])
        environment = ExecutionEnvironment(
            environment_id=environment_id,
            version=version,
            tenant_id=None,
            sandbox=sandbox,
            journal=open_journal(parts, version, launch, sandbox, copied=True),
            clock=parts.clock,
            limits=parts.limits,
            looks=self._looks,
            copied=True,
        )
        await self._connect(environment, sandbox, (launch.credentials.access_key_id, found.keys[0]))
        failure = await environment.initialized(RESTORE_SECONDS)
        if failure is not None:
            await self.stop(environment_id)
            raise SandboxError(f"the copy of an environment ended: {failure.log_text}")
        return environment

    async def _launch(
        self,
        version: FunctionVersion,
        tenant_id: str | None,
        *,
        within: Invocation | None = None,
        provisioned: bool = False,
        origin: bool = False,
    ) -> _Running:
        parts = self._parts
        runtime = await self._runtime(version)
        task_directory = await self._code(version, runtime)
        layers = await self._layers(version, runtime)
        environment_id, launch = self._identity(version, runtime, provisioned=provisioned)
        command = runtime.command(
            memory_mb=version.memory_mb,
            task=task_directory,
            layers=layers,
            configured=version.environment,
        )
        started = await self._archives.start(version, runtime, command, task_directory, layers)
        argv = started.argv
        ahead = NOTHING
        if parts.templates and not origin:
            ahead = self._ahead.of(version, runtime, argv, [task_directory, *layers])
        spec = SandboxSpec(
            template=ahead.template,
            park=ahead.park,
            origin=origin,
            environment_id=environment_id,
            argv=argv,
            variables={**variables(version, launch), **started.variables},
            mounts={**runtime.mounts, **started.mounts, "/var/task": str(task_directory)},
            layers=tuple(map(str, layers)),
            memory_mb=version.memory_mb,
            tmp_mb=version.tmp_mb,
        )
        try:
            sandbox = await self._start(spec, launch)
        except ExecuteError as error:
            if not runtime.managed:
                raise runtime.not_executed(spec.argv[0], error.number) from error
            raise
        environment = ExecutionEnvironment(
            environment_id=environment_id,
            version=version,
            tenant_id=tenant_id,
            sandbox=sandbox,
            journal=open_journal(parts, version, launch, sandbox),
            clock=parts.clock,
            limits=parts.limits,
            looks=self._looks,
            within=within,
        )
        environment.recorder = started.recorder
        return await self._connect(environment, sandbox, (launch.credentials.access_key_id,))

    def _identity(
        self, version: FunctionVersion, runtime: Runtime, *, provisioned: bool = False
    ) -> tuple[str, Launch]:
        """Name and credentials of a new environment."""
        parts, key = self._parts, version.key
        environment_id = parts.new_id()
        launch = Launch(
            runtime=runtime,
            credentials=parts.credentials.issue(key.account_id, version.role, key.name),
            log_stream=stream_name(parts.clock.now(), version.version, environment_id),
            initialization_type=initialization_type(version, provisioned=provisioned),
        )
        return environment_id, launch

    async def _start(self, spec: SandboxSpec, launch: Launch) -> Sandbox:
        try:
            return await self._parts.driver.start(spec)
        except BaseException:
            self._parts.credentials.revoke(launch.credentials.access_key_id)
            raise

    async def _connect(
        self, environment: ExecutionEnvironment, sandbox: Sandbox, keys: tuple[str, ...]
    ) -> _Running:
        loop = asyncio.get_running_loop()
        server = RuntimeApiServer(environment)
        running = _Running(
            environment=environment,
            runtime_api=server,
            endpoint=None,
            keys=keys,
        )
        self._running[environment.id] = running
        try:
            await server.open(sandbox.runtime_api, sandbox.runtime_api_local)
            if sandbox.endpoint is not None:
                running.endpoint = await loop.create_server(
                    self._parts.door(), sock=sandbox.endpoint
                )
        except BaseException:
            await self.stop(environment.id)
            raise

        def ended(future: "asyncio.Future[Exit]") -> None:
            end = Exit() if future.cancelled() else future.result()
            self._tasks.start(server.exited(end), f"exit of {environment.id}")

        sandbox.exited.add_done_callback(ended)
        return running
