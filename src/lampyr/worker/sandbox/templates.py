"""Empty file systems to copy for each `/tmp`, one of each size."""

import asyncio
import math
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from lampyr.limits import MIB
from lampyr.worker.sandbox.base import SandboxError

_FEATURES: Final = "^has_journal,^resize_inode,^huge_file,^metadata_csum,uninit_bg"
_BYTES_PER_INODE: Final = 32768
_SEARCH: Final = f"{os.defpath}:/usr/sbin:/sbin"
# Of the device: bitmaps and inode tables; and what the kernel holds back, at most 16 MiB.
_METADATA_SHARE: Final = 0.0079
_HELD_BACK_SHARE: Final = 0.0207
_HELD_BACK_MB_MAX: Final = 16


def device_mb(tmp_mb: int) -> int:
    """How large a device must be for `tmp_mb` of files to fit on it, and hardly more."""
    held_back = min(tmp_mb * _HELD_BACK_SHARE, _HELD_BACK_MB_MAX)
    return math.ceil((tmp_mb + held_back) / (1 - _METADATA_SHARE)) + 1


class Templates:
    """Made when first asked for, in a few milliseconds each."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._made: dict[int, Path] = {}
        self._making = asyncio.Lock()
        self._mkfs = shutil.which("mkfs.ext4", path=_SEARCH)

    @property
    def available(self) -> bool:
        """Whether this host can make and mount them."""
        return (
            os.geteuid() == 0
            and self._mkfs is not None
            and os.access("/dev/loop-control", os.R_OK | os.W_OK)
        )

    async def get(self, tmp_mb: int) -> Path:
        """The template of this size; raise `SandboxError` when it cannot be made."""
        if (path := self._made.get(tmp_mb)) is not None:
            return path
        async with self._making:
            if tmp_mb not in self._made:
                self._made[tmp_mb] = await asyncio.to_thread(self._make, tmp_mb)
        return self._made[tmp_mb]

    def _make(self, tmp_mb: int) -> Path:
        path = self._directory / f"tmp-{tmp_mb}.ext4"
        with path.open("wb") as image:
            image.truncate(device_mb(tmp_mb) * MIB)
        arguments = [
            self._mkfs or "mkfs.ext4", "-q", "-F", "-O", _FEATURES, "-m", "0", "-b", "4096",
            "-i", str(_BYTES_PER_INODE), "-I", "256",
            "-E", "nodiscard,lazy_itable_init=1", str(path),
        ]  # fmt: skip
        made = subprocess.run(
            arguments, stdin=subprocess.DEVNULL, capture_output=True, check=False, text=True
        )
        if made.returncode != 0:
            raise SandboxError(f"mkfs.ext4 could not make a /tmp: {made.stderr.strip()}")
        return path
