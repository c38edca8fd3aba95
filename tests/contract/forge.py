"""Forks of the template of this interpreter's runtime, for tests of what is in them."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from lampyr.worker.network.base import Egress
from lampyr.worker.network.pooled import PooledNetwork
from lampyr.worker.runtimes import RuntimeCatalog
from lampyr.worker.runtimes.forks import template_of
from lampyr.worker.sandbox.base import SandboxSpec, TemplateSpec
from lampyr.worker.sandbox.namespaces import NamespacesDriver
from tests.contract.sandboxes import LocalBench

PATIENCE: Final = 150.0
"""Here the template loads the AWS SDK from its sources, whatever else this host does."""
NOT_A_FORK: Final = 77
IS_FORK: Final = f"import os, sys\nif 'boto3' not in sys.modules: os._exit({NOT_A_FORK})\n"
PLAIN_MAX: Final = 3
"""Where a fork dies before it is a function, its sandbox is started anew without a template."""


class Forge(LocalBench):
    """Runs a function's module in forks of the template of this interpreter's runtime."""

    def __init__(self, runtimes: Path, network: PooledNetwork | None) -> None:
        super().__init__("namespaces", network=network)
        self.runtimes = runtimes
        self.killed: set[int] = set()
        self.template: TemplateSpec

    async def open(self) -> None:
        catalog = RuntimeCatalog(self.runtimes, os.environ)
        name = f"python3.{sys.version_info.minor}"
        self.runtime = await asyncio.to_thread(catalog.find, name)
        self.template = template_of(self.runtime, sdk=True)
        await super().open()
        await self.ready()

    async def ready(self) -> int:
        """The process of the template, once it is there."""
        driver = self.driver
        assert isinstance(driver, NamespacesDriver)
        driver.expect(self.template)
        await eventually(lambda: set(driver.templates.pids().values()) - self.killed)
        return driver.templates.pids()[self.template.name]

    async def kill(self) -> None:
        """Kill the template."""
        pid = await self.ready()
        self.killed.add(pid)
        os.kill(pid, signal.SIGKILL)

    def spec(self, code: str, **changes: Any) -> SandboxSpec:
        """`code` is the module of the handler; it ends the process itself."""
        self.count += 1
        task = self.home / f"task-{self.count}"
        task.mkdir(mode=0o755)
        (task / "app.py").write_text(code)
        spec = SandboxSpec(
            environment_id=f"forked-{self.count}",
            argv=self.runtime.argv,
            variables={
                "AWS_LAMBDA_RUNTIME_API": "{runtime_api}",
                "_HANDLER": "app.handler",
                **self.template.variables,
            },
            mounts={**self.runtime.mounts, "/var/task": str(task)},
            memory_mb=256,
            tmp_mb=512,
            template=self.template,
        )
        return replace(spec, **changes)

    async def told(self, code: str, **changes: Any) -> Any:
        """What the module prints, as JSON."""
        for _ in range(PLAIN_MAX):
            ran = await self.run(f"{IS_FORK}{code}\nsys.stdout.flush()\nos._exit(0)\n", **changes)
            if ran["code"] != NOT_A_FORK:
                break
        assert ran["code"] == 0, ran
        return json.loads(ran["output"])


async def eventually(look: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["by calls", "by itself"])
async def forge(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Forge]:
    """A fork sets itself up, or makes calls that were written down: where its network is ready."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    network = None
    if request.param == "by calls":
        network = PooledNetwork(egress=Egress.NONE, endpoint_port=None)
        await network.open()
    made = Forge(shared / "lampyr-runtimes", network)
    await made.open()
    yield made
    await made.close()
    if network is not None:
        await network.close()
