"""The composition root: the one place that knows which driver stands behind each protocol.

Here alone settings become drivers, drivers services, and services a server; and here is the
order in which they start and stop.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import uvloop

from lampyr.api.app import LambdaApi
from lampyr.api.call import Services
from lampyr.api.push import PushApi
from lampyr.api.server import FrontDoor
from lampyr.app import drivers
from lampyr.app.awake import Awake, helps
from lampyr.app.listening import listen, raise_open_files, url_of
from lampyr.app.stores import open_configured_store
from lampyr.clock import Clock, SystemClock
from lampyr.cluster.base import Cluster
from lampyr.cluster.local import LocalCluster
from lampyr.cluster.remote import FrontParts
from lampyr.control.mappings import processed
from lampyr.control.packages import Packages
from lampyr.control.plane import ControlPlane
from lampyr.invoke.admission import Admission
from lampyr.invoke.invoker import Invoker
from lampyr.invoke.pool import EnvironmentPool
from lampyr.invoke.pool_settings import PoolSettings
from lampyr.invoke.provisioned import ProvisionedEnvironments
from lampyr.limits import DEFAULT_LIMITS, MIB, Limits
from lampyr.neighbours.here import Neighbours, NeighbourSettings, open_neighbours
from lampyr.neighbours.rules import Mode
from lampyr.observe.logs import FileLogStore
from lampyr.observe.metrics import Counters
from lampyr.queue.dispatcher import AsyncQueue
from lampyr.queue.parts import QueueParts
from lampyr.settings import Settings
from lampyr.shipping.shipper import LOGS, METRICS, Shipper
from lampyr.sources.bells import Bells
from lampyr.sources.brokers import Brokers
from lampyr.sources.caller import FunctionCaller
from lampyr.sources.discards import SentDiscards
from lampyr.sources.pollers import MappingPollers, PollerParts
from lampyr.store.base import Store, StoreError
from lampyr.tasks import Tasks, supervise
from lampyr.worker import host_memory
from lampyr.worker.code import CodeCache
from lampyr.worker.credentials import CredentialBook
from lampyr.worker.network.base import NetworkError
from lampyr.worker.runtimes import RuntimeCatalog
from lampyr.worker.sandbox.base import SandboxDriver, SandboxError
from lampyr.worker.worker import Worker, WorkerParts

log = logging.getLogger(__name__)

STOP_GRACE_SECONDS: Final = 2.0
"""Invocations in progress may end within this time after SIGTERM."""
RECLAIM_SECONDS_MAX: Final = 1.0
"""Also how soon a shortage of memory is seen."""
STARTS_PER_CPU: Final = 6
"""Environments that start at once: more would only make each of them slower."""
DOWNLOAD_SECRET_BYTES: Final = 32
SWITCH_SECONDS: Final = 0.0005


def run(settings: Settings) -> int:
    """Run Lampyr until SIGTERM or SIGINT; the exit code of the process."""
    logging.basicConfig(
        level=settings.log_level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    raise_open_files()
    try:
        uvloop.run(_serve(settings))
    except (NetworkError, OSError, SandboxError, StoreError) as error:
        sys.stderr.write(f"lampyr: {error}\n")
        return 1
    return 0


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with open_lampyr(settings, SystemClock()) as url:
        # What start-up made lives for ever: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        # The log's writer is a thread: while it formats, callers must not wait 5 ms for their turn.
        sys.setswitchinterval(SWITCH_SECONDS)
        sys.stdout.write(f"Lampyr is ready at {url}\n")
        sys.stdout.flush()
        await stop.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """What the services stand on."""

    settings: Settings
    clock: Clock
    limits: Limits
    store: Store
    logs: FileLogStore
    code: CodeCache
    packages: Packages
    tasks: Tasks
    credentials: CredentialBook
    neighbours: Neighbours
    bells: Bells


@asynccontextmanager
async def open_lampyr(settings: Settings, clock: Clock) -> AsyncGenerator[str]:
    """A server for the length of the block; the URL where it answers."""
    async with AsyncExitStack() as stack:
        listener = listen(settings.host, settings.port)
        stack.callback(listener.close)
        # First of all: it holds the lock that says whose the directory is.
        store = await open_configured_store(settings)
        stack.push_async_callback(store.close)
        driver = await _driver(settings, clock, listener, stack)
        logs = FileLogStore(settings.data_dir / "logs", settings.log_bytes_per_group, clock)
        stack.push_async_callback(logs.close)
        packages = Packages(store, DEFAULT_LIMITS)
        code_dir = settings.data_dir / "cache" / "code"
        code = CodeCache(code_dir, store.blobs, in_use=packages.in_use)
        stack.push_async_callback(code.close)
        await code.open()
        url, credentials = url_of(listener), CredentialBook(os.urandom)
        account_of = credentials.account_of
        bells = Bells()
        opening = open_neighbours(_neighbours(settings, listener), clock, account_of, bells.ring)
        neighbours = await stack.enter_async_context(opening)
        shipper = await _open_shipper(settings, logs, neighbours, clock)
        if shipper is not None:
            stack.push_async_callback(shipper.close)
        tasks = Tasks()
        stack.push_async_callback(tasks.close)
        ground = _Ground(
            settings=settings,
            clock=clock,
            limits=replace(DEFAULT_LIMITS, concurrent_executions=settings.concurrent_executions),
            store=store,
            logs=logs,
            code=code,
            packages=packages,
            tasks=tasks,
            credentials=credentials,
            neighbours=neighbours,
            bells=bells,
        )
        door = FrontDoor(clock)
        cluster, inside = await _cluster(ground, driver, door, listener, stack)
        services = await _services(ground, cluster, stack)
        if shipper is not None:
            services.invoker.on_throttle = shipper.throttled
            shipper.counts = services.metrics.take
            tasks.start(supervise(shipper.run, "CloudWatch"), "CloudWatch")
        api = LambdaApi(
            services,
            region=settings.region,
            account_of=account_of,
            base_url=url,
            neighbours=neighbours.door,
        )
        await _let_neighbours_in(ground, services, url, stack)
        tasks.start(supervise(door.sweep, "front door"), "front door")
        stack.push_async_callback(_end, door, services.queue)
        await door.open(api, listener, inside)
        tasks.start(store.warm_up(), "store warm-up")
        if settings.stay_awake == "on" and helps():
            awake = Awake(clock)
            stack.callback(awake.close)
            tasks.start(supervise(awake.look, "stay awake"), "stay awake")
        yield url


async def _end(door: FrontDoor, queue: AsyncQueue) -> None:
    """Take nothing more; what runs may end in peace."""
    await asyncio.gather(door.close(STOP_GRACE_SECONDS), queue.close(STOP_GRACE_SECONDS))
    queue.end()


async def _driver(
    settings: Settings, clock: Clock, listener: socket.socket, stack: AsyncExitStack
) -> SandboxDriver | None:
    """None where environments run in other processes: each of those has one."""
    if settings.workers:
        return None
    return await drivers.open_driver(settings, clock, listener.getsockname()[1], stack)


async def _cluster(
    ground: _Ground,
    driver: SandboxDriver | None,
    door: FrontDoor,
    listener: socket.socket,
    stack: AsyncExitStack,
) -> tuple[Cluster, socket.socket | None]:
    """Where environments run, and where calls of functions in other processes come in."""
    settings = ground.settings
    if driver is not None:
        catalog = RuntimeCatalog(settings.runtimes_dir, os.environ)
        stack.callback(catalog.close)
        worker = _worker(ground, driver, door, catalog)
        stack.push_async_callback(worker.drain)
        return LocalCluster(worker), None
    parts = FrontParts(
        logs=ground.logs,
        credentials=ground.credentials,
        package=ground.store.blobs.path,
        in_use=ground.packages.in_use,
        clock=ground.clock,
    )
    from lampyr.app.workers import open_workers  # noqa: PLC0415 - not at every start

    opening = open_workers(settings, parts, ground.tasks, listener.getsockname()[1])
    workers, inside = await stack.enter_async_context(opening)
    await workers.ready()
    return workers, inside


def _worker(
    ground: _Ground, driver: SandboxDriver, door: FrontDoor, catalog: RuntimeCatalog
) -> Worker:
    parts = WorkerParts(
        driver=driver,
        runtimes=catalog,
        code=ground.code,
        credentials=ground.credentials,
        logs=ground.logs,
        clock=ground.clock,
        limits=ground.limits,
        new_id=lambda: uuid.uuid4().hex,
        door=door.entrance,
        templates=ground.settings.templates == "on",
    )
    return Worker(parts, ground.tasks)


async def _services(ground: _Ground, cluster: Cluster, stack: AsyncExitStack) -> Services:
    """What operations are made of, with the tasks that it needs."""
    settings, clock, tasks = ground.settings, ground.clock, ground.tasks
    pool_settings = PoolSettings(
        environments_max=settings.environments_max,
        starts_at_once=STARTS_PER_CPU * (os.cpu_count() or 1),
        idle_seconds=settings.idle_seconds,
        init_seconds=ground.limits.init_seconds,
        scaling_rate=settings.scaling_rate,
    )
    pressed = host_memory.Pressure(clock, settings.memory_reserve_mb * MIB)
    pool = EnvironmentPool(cluster, tasks, clock, pool_settings, pressed=pressed)

    metrics = Counters(clock.now)
    invoker = Invoker(
        pool,
        clock,
        Admission(ground.limits.concurrent_executions),
        ProvisionedEnvironments(cluster, pool, tasks, clock, metrics),
        tasks,
    )

    async def reclaim() -> None:
        pool.reclaim(clock.monotonic())
        if pressed():
            cluster.relieve()
        await clock.sleep(min(RECLAIM_SECONDS_MAX, settings.idle_seconds / 4))

    def retire(deployment_ids: Sequence[str]) -> None:
        pool.retire(deployment_ids)
        cluster.retire(deployment_ids)

    pollers = _pollers(ground, invoker, metrics)
    stack.push_async_callback(pollers.close)
    control = ControlPlane(
        store=ground.store,
        cluster=cluster,
        clock=clock,
        new_id=lambda: str(uuid.uuid4()),
        retire=retire,
        capacity=invoker,
        pollers=pollers,
        aws=ground.neighbours.aws,
        limits=ground.limits,
    )
    await control.open()
    pollers.bind(partial(processed, control))
    tasks.start(supervise(control.run, "activation"), "activation")
    tasks.start(supervise(reclaim, "reclaim"), "reclaim")
    return Services(
        store=ground.store,
        control=control,
        invoker=invoker,
        queue=_queue(ground, invoker, metrics),
        metrics=metrics,
        logs=ground.logs,
        clock=clock,
        limits=ground.limits,
        aws=ground.neighbours.aws,
        download_secret=os.urandom(DOWNLOAD_SECRET_BYTES),
    )


async def _open_shipper(
    settings: Settings, logs: FileLogStore, neighbours: Neighbours, clock: Clock
) -> Shipper | None:
    """Logs and metrics of functions go to CloudWatch, where there is one."""
    if settings.neighbours == Mode.OFF and not settings.endpoints:
        return None
    file = settings.data_dir / "neighbours" / "shipped.json"
    shipper = Shipper(neighbours.aws, logs, neighbours.directory, clock, file)
    await shipper.open()
    logs.on_written = shipper.written
    neighbours.door.before[LOGS] = shipper.before_logs
    neighbours.door.before[METRICS] = shipper.before_metrics
    return shipper


def _pollers(ground: _Ground, invoker: Invoker, metrics: Counters) -> MappingPollers:
    def new_id() -> str:
        return str(uuid.uuid4())

    aws, clock = ground.neighbours.aws, ground.clock
    return MappingPollers(
        PollerParts(
            store=ground.store,
            aws=aws,
            caller=FunctionCaller(ground.store.functions, invoker, clock, new_id, metrics),
            discards=SentDiscards(aws, clock, new_id),
            bells=ground.bells,
            clock=clock,
            brokers=Brokers(ground.settings.brokers, aws),
        )
    )


async def _let_neighbours_in(
    ground: _Ground, services: Services, url: str, stack: AsyncExitStack
) -> None:
    """Open the door where the embedded neighbours invoke functions; start them if told to."""
    process = ground.neighbours.process
    if process is None:
        return
    api, door = PushApi(services, url), FrontDoor(ground.clock)
    stack.push_async_callback(door.close, STOP_GRACE_SECONDS)
    listener = process.push_listener()
    await door.open(api, listener)
    ground.tasks.start(supervise(door.sweep, "neighbours' door"), "neighbours' door")
    if ground.settings.neighbours == Mode.ON:
        ground.tasks.start(process.start(), "neighbours' start")


def _neighbours(settings: Settings, listener: socket.socket) -> NeighbourSettings:
    return NeighbourSettings(
        mode=Mode(settings.neighbours),
        python=settings.neighbours_dir / "bin" / "python",
        directory=settings.data_dir / "neighbours",
        endpoints=settings.endpoints,
        port=listener.getsockname()[1],
        url=url_of(listener),
        region=settings.region,
    )


def _queue(ground: _Ground, invoker: Invoker, metrics: Counters) -> AsyncQueue:
    """With what an earlier process left in it."""
    store = ground.store
    parts = QueueParts(
        table=store.events,
        functions=store.functions,
        runner=invoker,
        aws=ground.neighbours.aws,
        clock=ground.clock,
        tasks=ground.tasks,
        metrics=metrics,
        limits=ground.limits,
        new_id=lambda: str(uuid.uuid4()),
        speed=ground.settings.async_speed,
    )
    queue = AsyncQueue(parts)
    queue.open()
    return queue
