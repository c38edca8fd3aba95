# ruff: noqa: PTH208
"""Which sandboxes the suites run over, and a bench for each, made once a module."""

import os
import shutil
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio

from lampyr.worker.network.base import Egress
from lampyr.worker.network.pooled import PooledNetwork
from tests.contract.sandboxes import (
    ENDPOINT_PORT,
    Bench,
    LocalBench,
    RemoteBench,
    ordinary_python,
)

AS_USER = " as an ordinary user"
IN_POOL = "namespaces, with networks made ahead"
ISOLATING = ("namespaces", IN_POOL, f"namespaces{AS_USER}", "bubblewrap", f"bubblewrap{AS_USER}")
EVERY = (*ISOLATING, "process")
isolating = pytest.mark.parametrize("bench", ISOLATING, indirect=True)
every = pytest.mark.parametrize("bench", EVERY, indirect=True)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


class PooledBench(LocalBench):
    """As root: what sets a sandbox up is written down ahead, as everything of it is known."""

    def __init__(self) -> None:
        self.pool = PooledNetwork(egress=Egress.NONE, endpoint_port=ENDPOINT_PORT)
        super().__init__("namespaces", network=self.pool)

    async def open(self) -> None:
        await self.pool.open()
        await super().open()

    async def close(self) -> None:
        await super().close()
        await self.pool.close()


async def make(kind: str) -> Bench:
    bench: LocalBench | RemoteBench
    if kind.startswith("bubblewrap") and shutil.which("bwrap") is None:
        pytest.skip("bwrap is not installed")
    if kind.endswith(AS_USER):
        python = ordinary_python() if os.geteuid() == 0 else None
        if python is None:
            pytest.skip("needs root, and an interpreter that others may run")
        bench = RemoteBench(python, kind.removesuffix(AS_USER))
    elif kind == IN_POOL:
        if os.geteuid() != 0:
            pytest.skip("needs root")
        bench = PooledBench()
    else:
        bench = LocalBench(kind)
    await bench.open()
    return cast("Bench", bench)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    bench = await make(request.param)
    yield bench
    await bench.close()


def code(text: str) -> str:
    return textwrap.dedent(text)


def marked(marker: str) -> list[int]:
    """Processes of the host with this text in their command."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                command = Path(f"/proc/{name}/cmdline").read_bytes()
            except OSError:
                continue
            if command.startswith(marker.encode()):
                found.append(int(name))
    return found
