"""Code packages on disk as functions see them: unpacked, byte-compiled, ready to mount.

A directory that has its name is complete: it was made under another name and renamed. The cache
is of one boot of the host: after a power cut a directory could be there without its content, so
a cache of another boot is thrown away, and nothing here has to wait for a disk.
"""

import asyncio
import logging
import os
import shutil
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Final, Protocol

from lampyr.limits import DEFAULT_LIMITS, Limits
from lampyr.tasks import Tasks
from lampyr.worker.archive import BadArchiveError, TooLargeError, unpack
from lampyr.worker.compile import compile_tree
from lampyr.worker.runtimes.model import TASK

log = logging.getLogger(__name__)

BYTES_MAX: Final = 10 * 1024 * 1024 * 1024
PARALLEL_MAX: Final = 2
YOUNG_SECONDS: Final = 1_800.0
"""Longer than an environment can live after its function is gone."""
_PARTIAL: Final = "partial-"
_BYTES: Final = ".bytes"
_BOOT: Final = "boot"
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class CodeMissingError(Exception):
    """The package is gone or cannot be unpacked here."""


class CodeSource(Protocol):
    async def path(self, sha256: str) -> Path | None:
        """A local file with the package of this hash (hexadecimal)."""
        ...


class Runtime(Protocol):
    """What of a runtime matters to the code that it runs."""

    @property
    def name(self) -> str: ...

    def on_host(self, task: Path) -> tuple[tuple[str, ...], dict[str, str]]:
        """The command that runs `task` without a sandbox; its first word is the interpreter."""
        ...


async def _nothing_in_use() -> Collection[str]:
    return ()


class CodeCache:
    """Each package is unpacked once for each runtime that compiles it.

    `in_use` says the hashes that functions still name: those stay, whatever the cache's size.
    """

    def __init__(
        self,
        root: Path,
        source: CodeSource,
        *,
        limits: Limits = DEFAULT_LIMITS,
        bytes_max: int = BYTES_MAX,
        in_use: Callable[[], Awaitable[Collection[str]]] = _nothing_in_use,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._source = source
        self._limits = limits
        self._bytes_max = bytes_max
        self._in_use = in_use
        self._now = now
        self._ready: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """Bytes and last use by name, the least recently used first."""
        self._making: dict[str, asyncio.Task[Path | CodeMissingError]] = {}
        self._slots = asyncio.Semaphore(PARALLEL_MAX)
        self._tasks = Tasks()
        self._closing = threading.Event()

    def beside(self, name: str) -> Path:
        """Another cache's directory; it outlives a boot of the host as little as this one."""
        return self._root.with_name(name)

    async def open(self) -> None:
        """Take over what an earlier process has completed; remove the rest."""
        for name, size in await asyncio.to_thread(_take_over, self._root):
            self._ready[name] = (size, self._now())

    async def close(self) -> None:
        """Give up what is being made."""
        self._closing.set()
        await self._tasks.close()

    async def directory(self, sha256: str, runtime: Runtime | None, *, inside: str = TASK) -> Path:
        """The unpacked package; raise `CodeMissingError` when there is none to unpack.

        `inside` is where functions see it: compiled modules know their place.
        """
        name = sha256
        if runtime is not None and _is_python(runtime):
            name += f"-{runtime.name}" if inside == TASK else f"-{runtime.name}{_flat(inside)}"
        if name in self._ready:
            self._ready[name] = (self._ready[name][0], self._now())
            self._ready.move_to_end(name)
            return self._root / name
        making = self._making.get(name)
        if making is None:
            python = _python(runtime)
            making = self._tasks.start(self._make(name, sha256, python, inside), f"unpack {name}")
            self._making[name] = making
        # The task is nobody's alone: a caller that is cancelled leaves it to the others.
        made = await asyncio.shield(making)
        if isinstance(made, CodeMissingError):
            raise made
        return made

    async def _make(
        self, name: str, sha256: str, python: Path | None, inside: str
    ) -> Path | CodeMissingError:
        try:
            async with self._slots:
                size = await self._unpack(name, sha256, python, inside)
        except CodeMissingError as error:
            return error
        finally:
            del self._making[name]
        self._ready[name] = (size, self._now())
        await self._evict()
        return self._root / name

    async def _unpack(self, name: str, sha256: str, python: Path | None, inside: str) -> int:
        package = await self._source.path(sha256)
        if package is None:
            raise CodeMissingError(f"the code package {sha256} is not in the store")
        partial = self._root / f"{_PARTIAL}{uuid.uuid4().hex}"
        try:
            await asyncio.to_thread(_unpack, package, partial, self._limits)
            if python is not None:
                await asyncio.to_thread(
                    compile_tree, python, partial, inside=inside, stop=self._closing
                )
            return await asyncio.to_thread(_complete, partial, self._root / name)
        except FileNotFoundError as error:
            raise CodeMissingError(f"the code package {sha256} was removed") from error
        except (BadArchiveError, TooLargeError) as error:
            raise CodeMissingError(f"the code package cannot be unpacked: {error}") from error
        except OSError as error:
            message = f"the code package cannot be unpacked in {self._root}: {error.strerror}"
            raise CodeMissingError(message) from error
        finally:
            await asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True)

    async def _evict(self) -> None:
        """Remove what no function names, least recently used first, until the rest fits."""
        total = sum(size for size, _ in self._ready.values())
        if total <= self._bytes_max:
            return
        in_use = set(await self._in_use())
        for name, (size, used) in list(self._ready.items()):
            if total <= self._bytes_max:
                return
            if name[:64] in in_use or self._now() - used < YOUNG_SECONDS:
                continue
            if self._ready.pop(name, None) is not None:
                total -= size
                log.info("code package evicted", extra={"package": name, "bytes": size})
                await asyncio.to_thread(_remove, self._root, name)


def _python(runtime: Runtime | None) -> Path | None:
    """The interpreter to byte-compile with; None for code that runs as it is."""
    if runtime is None or not _is_python(runtime):
        return None
    return Path(runtime.on_host(Path("/var/task"))[0][0])


def _is_python(runtime: Runtime) -> bool:
    return runtime.name.startswith("python")


def _flat(inside: str) -> str:
    return inside.replace("/", "-")


def _take_over(root: Path) -> list[tuple[str, int]]:
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o755)
    boot = _BOOT_ID.read_text().strip()
    marker = root / _BOOT
    names = {path.name for path in root.iterdir()} - {_BOOT}
    complete: list[tuple[str, int]] = []
    if marker.exists() and marker.read_text() == boot:
        whole = (name for name in names if f"{name}{_BYTES}" in names)
        complete = [(name, int((root / f"{name}{_BYTES}").read_text() or 0)) for name in whole]
    kept = {name for name, _ in complete}
    for name in names - kept - {f"{name}{_BYTES}" for name in kept}:
        path = root / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    marker.write_text(boot)
    return complete


def _unpack(package: Path, target: Path, limits: Limits) -> None:
    target.mkdir()
    target.chmod(0o755)
    with package.open("rb") as file:
        unpack(file, target, limits)


def _complete(partial: Path, target: Path) -> int:
    """Give the tree its name; its size is kept beside it, so that a start need not walk it."""
    size = _size(partial)
    target.with_name(target.name + _BYTES).write_text(str(size))
    partial.rename(target)
    return size


def _remove(root: Path, name: str) -> None:
    """Take the name away first: a directory that has it is complete."""
    doomed = root / f"{_PARTIAL}{uuid.uuid4().hex}"
    (root / name).rename(doomed)
    (root / f"{name}{_BYTES}").unlink(missing_ok=True)
    shutil.rmtree(doomed, ignore_errors=True)


def _size(path: Path) -> int:
    """Bytes of all files below."""
    total = 0
    for directory, _, names in os.walk(path):
        total += sum(Path(directory, name).lstat().st_size for name in names)
    return total
