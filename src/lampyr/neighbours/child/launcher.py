"""The neighbours' process: ministack's own application on a socket that Lampyr opened.

Started by `lampyr.neighbours.process` with the Python of an environment of its own. It prints one
line of JSON when it is ready or cannot be. The end of its standard input means that Lampyr stops
or has died: it saves what it holds and ends, whatever still hangs inside it.
"""

import asyncio
import contextlib
import fcntl
import importlib
import importlib.metadata
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, Final

from lampyr.neighbours.child import longpolls, traces
from lampyr.neighbours.child.push import Pusher
from lampyr.neighbours.child.schedules import Schedules
from lampyr.neighbours.child.seams import SeamError, Seams, check

VERSION: Final = "1.5.33"
"""Of ministack; other versions have other insides."""
KEEP_ALIVE_SECONDS: Final = 90
SAVE_SECONDS_MAX: Final = 9.0
"""Then it ends without: Lampyr waits a little longer than this."""
RELIED_ON: Final = (
    "app",
    "_build_persistence_save_dict",
    "_run_init_scripts",
    "_run_ready_scripts",
    "save_all",
    "SERVICE_HANDLERS",
)


def main() -> None:
    listener, push_socket, services = int(sys.argv[2]), sys.argv[3], sys.argv[4].split(",")
    # One whose Lampyr was killed may still be saving; it is gone soon, and so is its lock.
    lock = os.open("run/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        application = _application(push_socket, services)
    except (SeamError, ImportError, importlib.metadata.PackageNotFoundError) as error:
        _say({"failed": f"the neighbours are not what Lampyr expects: {error}"})
        sys.exit(3)
    asyncio.run(_serve(application, listener))


def _application(push_socket: str, services: list[str]) -> Any:
    """The module of ministack, its Lambda replaced and its services checked."""
    found = importlib.metadata.version("ministack")
    if found != VERSION:
        raise SeamError(f"ministack is {found}, not {VERSION}")
    application: Any = importlib.import_module("ministack.app")
    missing = [name for name in RELIED_ON if not hasattr(application, name)]
    if missing:
        raise SeamError(f"ministack.app has no {', '.join(missing)}")
    allowed = set(services)
    served = set(application.SERVICE_HANDLERS)
    if served != allowed:
        raise SeamError(f"other services than asked for: {sorted(served ^ allowed)}")
    # Scripts that lie around on this host are not for us to run.
    application._run_init_scripts = lambda: None  # noqa: SLF001
    application._run_ready_scripts = _nothing  # noqa: SLF001
    lambda_svc = importlib.import_module("ministack.services.lambda_svc")
    responses = importlib.import_module("ministack.core.responses")
    check(lambda_svc)
    eventbridge = importlib.import_module("ministack.services.eventbridge")
    scheduler = importlib.import_module("ministack.services.scheduler")
    schedules = Schedules(eventbridge, scheduler, responses, Path("schedules-done"))
    schedules.check()
    schedules.install()
    sqs = importlib.import_module("ministack.services.sqs")
    if wrong := [*traces.differences(sqs), *longpolls.differences(sqs)]:
        raise SeamError("; ".join(wrong))
    traces.install(sqs)
    Seams(lambda_svc, responses, Pusher(push_socket)).install(lambda_svc)
    return application


async def _nothing() -> None:
    pass


async def _serve(application: Any, listener: int) -> None:
    from hypercorn.asyncio import serve  # noqa: PLC0415 - not there when the checks fail
    from hypercorn.config import Config  # noqa: PLC0415 - the same

    config = Config()
    config.bind = [f"fd://{listener}"]
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    config.backlog = 1_024
    config.accesslog = None
    config.errorlog = "-"
    config.loglevel = "ERROR"
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    longpolls.LongPolls().install(importlib.import_module("ministack.services.sqs"))
    served = longpolls.attended(traces.traced(application.app))
    threading.Thread(target=_watch, args=(loop, stop), daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(served, config, shutdown_trigger=asyncio.Event().wait))
        _say({"ready": os.getpid()})
        await stop.wait()
        # Requests, threads and executions that hang must not keep what is to be saved.
        application.save_all(application._build_persistence_save_dict())  # noqa: SLF001
        os._exit(0)


def _watch(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Wait for the end of standard input; end the process even if its loop hangs."""
    while os.read(0, 4_096):
        pass
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(stop.set)
    threading.Event().wait(SAVE_SECONDS_MAX)
    os._exit(1)


def _say(message: dict[str, Any]) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")
