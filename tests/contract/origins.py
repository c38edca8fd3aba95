"""Sandboxes that have initialised a function and are copied, for the suite; see `sandboxes`."""

import asyncio
import json
import os
import socket
import sys
from dataclasses import replace
from typing import Any, ClassVar, Final

from lampyr.worker.runtimes import RuntimeCatalog
from lampyr.worker.sandbox.base import Sandbox, SandboxError, SandboxSpec
from tests.contract.sandboxes import LocalBench

_RESTORED: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
TELL: Final = """
import json, os, sys
from snapshot_restore_py import register_after_restore
def handler(event, context): ...
@register_after_restore
def tell():
    print(json.dumps(what()), flush=True)
    os._exit(0)
"""
"""Goes before the module of a function: once restored, it says `what()` as JSON, and ends."""


class OriginBench(LocalBench):
    """Functions are initialised by the runtime of this interpreter, and copied."""

    plain: ClassVar[dict[str, str]] = {
        "AWS_LAMBDA_RUNTIME_API": "{runtime_api}",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
        "_HANDLER": "app.handler",
        "LANG": "en_US.UTF-8",
    }

    def __init__(self) -> None:
        super().__init__("namespaces")

    async def open(self) -> None:
        catalog = RuntimeCatalog(self.home / "runtimes", os.environ)
        name = f"python3.{sys.version_info.minor}"
        self.runtime = await asyncio.to_thread(catalog.find, name)
        await super().open()

    def spec(self, code: str, **changes: Any) -> SandboxSpec:
        """`code` is the module of the handler."""
        self.count += 1
        mounts = {}
        if code:
            task = self.home / f"task-{self.count}"
            task.mkdir(mode=0o755)
            (task / "app.py").write_text(code)
            mounts = {**self.runtime.mounts, "/var/task": str(task)}
        spec = SandboxSpec(
            environment_id=f"environment-{self.count}",
            argv=self.runtime.argv,
            variables={**self.plain, **self.runtime.variables},
            mounts=mounts,
            memory_mb=256,
            tmp_mb=512,
        )
        return replace(spec, **changes)

    def listener(self, sandbox: Sandbox) -> socket.socket:
        """Lampyr's own client goes the shorter way, where there is one."""
        return sandbox.runtime_api_local or sandbox.runtime_api

    async def origin(self, code: str, **changes: Any) -> str:
        """Its name, once it has been initialised."""
        name = await self.start(code, origin=True, **changes)
        unfit = await self.unfit(name)
        if unfit:
            raise AssertionError(unfit)
        return name

    async def unfit(self, name: str) -> str:
        """Why it cannot be copied, once that is known."""
        unfit = self.sandboxes[name].unfit
        assert unfit is not None
        ended = self.sandboxes[name].exited
        both: list[asyncio.Future[Any]] = [unfit, ended]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not unfit.done():
            raise AssertionError(str(await self.ended(name)))
        return unfit.result()

    async def copy(self, origin: str, **changes: Any) -> str:
        """A copy, up to where it waits to be restored."""
        name = await self.start("", restored_from=origin, **changes)
        asked = await self.ask(name, "", 20)
        assert asked is not None
        assert asked.startswith("GET /2018-06-01/runtime/restore/next HTTP/1.1\r\n"), asked
        return name

    async def started(self, origin: str) -> str | None:
        """A copy that may not have begun to do anything; None when it could not be made."""
        try:
            return await self.start("", restored_from=origin)
        except SandboxError:
            return None

    async def restore(self, name: str) -> None:
        """Let it go on."""
        await asyncio.get_running_loop().sock_sendall(self.connections[name], _RESTORED)

    async def told(self, origin: str, **changes: Any) -> Any:
        """What a copy says once it is restored."""
        name = await self.copy(origin, **changes)
        await self.restore(name)
        ran = await self.ended(name)
        assert ran["code"] == 0, ran
        return json.loads(ran["output"].splitlines()[-1])
