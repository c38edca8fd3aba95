"""Archives of the classes that a published version of a Java function has loaded in its Init.

A Java process cannot be forked, so each environment of a version with SnapStart is initialised on
its own, ahead of time where that is possible. The first one, when the version is published, has
its JVM write down the classes that it has loaded (a dynamic archive of Class Data Sharing); every
later one maps them instead of reading, checking and linking them again.

An archive fits one class path of JAR files, so the function's own classes are packed into one.
What is in an archive was written by the function, and only versions of that function ever see it.
https://docs.oracle.com/en/java/javase/17/vm/class-data-sharing.html
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lampyr.limits import MIB
from lampyr.model.function import FunctionVersion
from lampyr.worker.runtimes.java import ARCHIVE_PLACE, CLASS_PATH, JAR, pack
from lampyr.worker.runtimes.model import Runtime

log = logging.getLogger(__name__)

ARCHIVE_BYTES_MAX: Final = 256 * MIB
ARCHIVES_MAX: Final = 64
"""Kept on disk, some 10 MB each; beyond, the least recently used one goes."""
_VARIABLE: Final = "_LAMPYR_ARCHIVE"
_CLASSES: Final = "task.jar"
_ARCHIVE: Final = "classes.jsa"
_OLDEST: Final = 17
"""The first release of Java that writes an archive of a process that goes on."""
_HALF: Final = ".draft"


class Recorder:
    """Takes an archive, piece by piece, from the environment that makes it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._draft = directory / f"{uuid.uuid4().hex}{_HALF}"
        self._bytes = 0

    def begin(self, content_type: str, resume: Callable[[], None]) -> None:
        """Nothing to be told: it is never full."""

    def write(self, data: bytes) -> bool:
        self._bytes += len(data)
        if self._bytes > ARCHIVE_BYTES_MAX:  # Several connections may have sent it together.
            return True
        with contextlib.suppress(OSError), self._draft.open("ab") as file:
            file.write(data)
        return True

    def finish(self, *, whole: bool) -> None:
        """No more comes. When all of it has come, and was written, it is used from now on."""
        with contextlib.suppress(OSError):
            self._draft.chmod(0o644)
            if whole and self._draft.stat().st_size == self._bytes:
                self._draft.rename(self._directory / _ARCHIVE)
        self._draft.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What an archive changes in how a version is started."""

    argv: tuple[str, ...]
    mounts: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    recorder: Recorder | None = None
    """There is no archive yet: this environment makes it."""


class ClassArchives:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._opening = threading.Lock()
        self._open = False
        self._tried: set[str] = set()
        """For which an environment was asked: one whose JVM can make none is not asked again."""

    async def start(
        self,
        version: FunctionVersion,
        runtime: Runtime,
        argv: tuple[str, ...],
        task: Path,
        layers: list[Path],
    ) -> Start:
        """`argv` as it would be without; the same for what has no archive."""
        if not _may_have(version, runtime):
            return Start(argv=argv)
        name = _name(version, runtime)
        try:
            return await asyncio.to_thread(self._start, name, argv, task, layers)
        except OSError as error:
            log.warning("no archive of classes", extra={"reason": str(error)})
            return Start(argv=argv)

    def _start(self, name: str, argv: tuple[str, ...], task: Path, layers: list[Path]) -> Start:
        with self._opening:
            if not self._open:
                _remove_halves(self._root)
                self._open = True
        place = self._root / name
        if not (place / _CLASSES).exists():
            _make_room(self._root)
            _prepare(place, task)
        os.utime(place)
        class_path = ":".join((JAR, f"{ARCHIVE_PLACE}/{_CLASSES}", *_libraries(task, layers)))
        words = [class_path if word == CLASS_PATH else word for word in argv[1:]]
        mounts = {ARCHIVE_PLACE: str(place)}
        if (place / _ARCHIVE).exists():
            use = f"-XX:SharedArchiveFile={ARCHIVE_PLACE}/{_ARCHIVE}"
            return Start(argv=(argv[0], use, *words), mounts=mounts)
        if name in self._tried:
            return Start(argv=(argv[0], *words), mounts=mounts)
        self._tried.add(name)
        return Start(
            argv=(argv[0], "-XX:+RecordDynamicDumpInfo", *words),
            mounts=mounts,
            variables={_VARIABLE: f"/tmp/.lampyr-{uuid.uuid4().hex}.jsa"},  # noqa: S108 - inside
            recorder=Recorder(place),
        )


def _may_have(version: FunctionVersion, runtime: Runtime) -> bool:
    if not version.has_snapshot or not runtime.name.startswith("java"):
        return False
    wrapped = "AWS_LAMBDA_EXEC_WRAPPER" in (version.environment or {})
    return int(runtime.version.partition(".")[0]) >= _OLDEST and not wrapped


def _name(version: FunctionVersion, runtime: Runtime) -> str:
    """The same for versions of a function whose classes are: their code, layers and runtime are."""
    parts = [*version.key, runtime.name, runtime.version, *sorted(map(str, runtime.mounts.items()))]
    parts += [version.code_sha256, *(layer.code_sha256 for layer in version.layers)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _libraries(task: Path, layers: list[Path]) -> list[str]:
    """The JAR files of a function and its layers, as they are seen inside."""
    own = {f"/var/task/lib/{path.name}" for path in (task / "lib").glob("*.jar")}
    theirs = {
        f"/opt/java/lib/{path.name}"
        for layer in layers
        for path in (layer / "java/lib").glob("*.jar")
    }
    return [*sorted(own), *sorted(theirs)]


def _prepare(place: Path, task: Path) -> None:
    """The function's classes and resources, in one JAR file."""
    draft = place.with_name(f"{place.name}.{uuid.uuid4().hex}{_HALF}")
    draft.mkdir(parents=True)
    try:
        pack(task, draft / _CLASSES, filter(lambda path: _is_own(path, task), task.rglob("*")))
        draft.chmod(0o755)
        if not place.exists():
            draft.rename(place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _is_own(path: Path, task: Path) -> bool:
    """A file of the package that is in none of its libraries, and leads nowhere else."""
    inside = path.resolve().is_relative_to(task.resolve())
    return inside and path.is_file() and path.relative_to(task).parts[0] != "lib"


def _remove_halves(root: Path) -> None:
    """What an earlier process left, and environments of it that died over their archive."""
    for half in (*root.glob(f"*{_HALF}"), *root.glob(f"*/*{_HALF}")):
        if half.is_dir():
            shutil.rmtree(half, ignore_errors=True)
        else:
            half.unlink(missing_ok=True)


def _make_room(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o755)
    whole = [path for path in root.iterdir() if path.suffix != _HALF]
    whole.sort(key=lambda path: path.stat().st_mtime)
    for path in whole[: max(0, len(whole) + 1 - ARCHIVES_MAX)]:
        shutil.rmtree(path, ignore_errors=True)
