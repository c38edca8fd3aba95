"""Runtimes of this host, and their processes against a Runtime API that a test scripts."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lampyr.worker.runtimes import (
    Runtime,
    RuntimeCatalog,
    RuntimeInstallError,
    RuntimeMissingError,
)
from tests.conformance.runtimes.functions import NODES, Start, write_task
from tests.conformance.runtimes.scripted_runtime_api import (
    RunningRuntime,
    ScriptedRuntimeApi,
    environment,
)


@pytest.fixture(scope="session")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> RuntimeCatalog:
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return RuntimeCatalog(shared / "lampyr-runtimes", os.environ)


@pytest.fixture
def find(catalog: RuntimeCatalog, tmp_path_factory: pytest.TempPathFactory) -> Any:
    def found(name: str) -> Runtime:
        try:
            return catalog.find(name)
        except RuntimeMissingError as missing:
            if name not in NODES:
                pytest.skip(str(missing))
        lock = tmp_path_factory.getbasetemp().parent / "lampyr-runtimes.lock"
        with lock.open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            try:
                return catalog.install(name, lambda line: None)
            except RuntimeInstallError as error:
                pytest.skip(str(error))

    return found


@pytest.fixture
def api() -> Iterator[ScriptedRuntimeApi]:
    scripted = ScriptedRuntimeApi()
    yield scripted
    scripted.close()


@pytest.fixture
def start(api: ScriptedRuntimeApi, find: Any, tmp_path: Path) -> Iterator[Start]:
    running: list[RunningRuntime] = []

    def begin(
        name: str,
        files: dict[str, str],
        handler: str,
        configured: dict[str, str] | None = None,
        log_format: str = "Text",
    ) -> RunningRuntime:
        runtime = find(name)
        task = write_task(tmp_path, files)
        found = environment(runtime, api, handler, configured, log_format)
        argv, environ = runtime.on_host(task, found)
        running.append(RunningRuntime(argv, environ, task, api))
        return running[-1]

    yield begin
    for process in running:
        process.stop()
