"""Empty file systems for `/tmp` on loop devices, some made ahead of who takes them."""

import asyncio
import logging
import math
import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from lampyr.limits import MIB
from lampyr.tasks import Tasks
from lampyr.worker.sandbox.base import SandboxError
from lampyr.worker.sandbox.spawner import loop
from lampyr.worker.stock import Restock

log = logging.getLogger(__name__)

_FEATURES: Final = "^has_journal,^resize_inode,^huge_file,^metadata_csum,uninit_bg,sparse_super2"
_BYTES_PER_INODE: Final = 32768
_SEARCH: Final = f"{os.defpath}:/usr/sbin:/sbin"
# Of the device: bitmaps and inode tables; and what the kernel holds back, at most 16 MiB.
_METADATA_SHARE: Final = 0.0079
_HELD_BACK_SHARE: Final = 0.0207
_HELD_BACK_MB_MAX: Final = 16
_READY: Final = 4
_SIZES_MAX: Final = 8


def device_mb(tmp_mb: int) -> int:
    """How large a device must be for `tmp_mb` of files to fit on it, and hardly more."""
    held_back = min(tmp_mb * _HELD_BACK_SHARE, _HELD_BACK_MB_MAX)
    return math.ceil((tmp_mb + held_back) / (1 - _METADATA_SHARE)) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A loop device; the kernel takes it down when it is neither open nor mounted."""

    device: int
    path: str

    def close(self) -> None:
        """After it is mounted, or when nobody wants it."""
        os.close(self.device)


class Disks:
    """Each is a copy of a template of its size."""

    def __init__(self, directory: Path, tasks: Tasks) -> None:
        self._directory = directory
        self._tasks = tasks
        self._templates: dict[int, loop.Image] = {}
        self._making = asyncio.Lock()
        self._ready: dict[int, list[Disk]] = {}
        self._filling: set[int] = set()
        self._restock: dict[int, Restock] = {}
        self._mkfs = shutil.which("mkfs.ext4", path=_SEARCH)
        self._debugfs = shutil.which("debugfs", path=_SEARCH)

    @property
    def available(self) -> bool:
        """Whether this host can make and mount them."""
        return (
            os.geteuid() == 0
            and self._mkfs is not None
            and self._debugfs is not None
            and os.access("/dev/loop-control", os.R_OK | os.W_OK)
        )

    async def take(self, tmp_mb: int) -> Disk:
        """One that is the caller's; raise `SandboxError` when it cannot be made."""
        ready = self._ready.get(tmp_mb)
        if not ready:
            disk = await self._make(tmp_mb)
            self._fill(tmp_mb)
            return disk
        disk = ready.pop()
        self._restock[tmp_mb].taken(len(ready))
        return disk

    def close(self) -> None:
        """Give up those that nobody took; nothing fills any more, as the tasks have ended."""
        for restock in self._restock.values():
            restock.cancel()
        for ready in self._ready.values():
            for disk in ready:
                disk.close()
        self._ready.clear()

    def _fill(self, tmp_mb: int) -> None:
        known = tmp_mb in self._ready or len(self._ready) < _SIZES_MAX
        if known and tmp_mb not in self._filling:
            self._filling.add(tmp_mb)
            self._tasks.start(self._refill(tmp_mb), "make /tmp")

    async def _refill(self, tmp_mb: int) -> None:
        try:
            if tmp_mb not in self._ready:
                self._ready[tmp_mb] = []
                self._restock[tmp_mb] = Restock(_READY // 2, partial(self._fill, tmp_mb))
            ready = self._ready[tmp_mb]
            while len(ready) < _READY:
                ready.append(await self._make(tmp_mb))
        except (SandboxError, OSError) as error:
            log.warning("no /tmp could be made ahead", extra={"reason": str(error)})
        finally:
            self._filling.discard(tmp_mb)

    async def _make(self, tmp_mb: int) -> Disk:
        template = await self._template(tmp_mb)
        making = asyncio.get_running_loop().run_in_executor(None, self._copy, template)
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            # The thread cannot be stopped; what it makes must not be lost.
            making.add_done_callback(_give_up)
            raise

    def _copy(self, template: loop.Image) -> Disk:
        device, path = template.on_device(str(self._directory))
        return Disk(device=device, path=path)

    async def _template(self, tmp_mb: int) -> loop.Image:
        if (image := self._templates.get(tmp_mb)) is not None:
            return image
        async with self._making:
            if tmp_mb not in self._templates:
                self._templates[tmp_mb] = await asyncio.to_thread(self._make_template, tmp_mb)
        return self._templates[tmp_mb]

    def _make_template(self, tmp_mb: int) -> loop.Image:
        path = self._directory / f"tmp-{tmp_mb}.ext4"
        with path.open("wb") as file:
            file.truncate(device_mb(tmp_mb) * MIB)
        arguments = [
            self._mkfs or "mkfs.ext4", "-q", "-F", "-O", _FEATURES, "-m", "0", "-b", "4096",
            "-i", str(_BYTES_PER_INODE), "-I", "256",
            "-E", "nodiscard,lazy_itable_init=1,num_backup_sb=0", str(path),
        ]  # fmt: skip
        _run(arguments)
        # Once here, not in each sandbox: there the kernel would have to look and to write.
        _run([self._debugfs or "debugfs", "-w", "-R", "rmdir lost+found", str(path)])
        image = loop.Image(str(path))
        path.unlink()
        return image


def _run(arguments: list[str]) -> None:
    done = subprocess.run(
        arguments, stdin=subprocess.DEVNULL, capture_output=True, check=False, text=True
    )
    if done.returncode != 0:
        name = Path(arguments[0]).name
        raise SandboxError(f"{name} could not make a /tmp: {done.stderr.strip()}")


def _give_up(made: "asyncio.Future[Disk]") -> None:
    if made.exception() is None:
        made.result().close()
