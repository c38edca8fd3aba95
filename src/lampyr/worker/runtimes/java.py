"""The Java runtimes: what `/var/lang` and `/var/runtime` are made of.

`/var/lang` is a Java Development Kit of the host. Distributions lay its settings below `/etc`,
which no sandbox has, and links to them in the kit: then it is put together anew, of the same files.

`/var/runtime` holds Lampyr's own runtime client, as AWS's is in no registry that Lampyr installs
from: compiled once, by the kit.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-java.html
"""

import hashlib
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Final

from lampyr.worker.runtimes.files import locked, make_directory
from lampyr.worker.runtimes.interpreters import Interpreter
from lampyr.worker.runtimes.model import Runtime, RuntimeMissingError

JAR: Final = "/var/runtime/lib/lampyr-runtime.jar"
CLASS_PATH: Final = f"{JAR}:/var/task:/var/task/lib/*:/opt/java/lib/*"
ARCHIVE_PLACE: Final = "/var/runtime/archive"
"""Where a function sees the archive of its classes, if it has one."""
_MAIN: Final = "lampyr.runtime.Main"
_FLAGS: Final = (
    *("-XX:+UseSerialGC", "-Xshare:auto", "-XX:-UsePerfData", "-Dfile.encoding=UTF-8"),
    # Warnings of the JVM about its archives would be in the function's log.
    "-Xlog:disable",
    # Handlers are called by reflection a few times before that is compiled: of classes made for it
    # a start has nothing.
    "-Djdk.reflect.useNativeAccessorOnly=true",
)
_QUICK: Final = ("-XX:+TieredCompilation", "-XX:TieredStopAtLevel=1")
"""The compiler that starts quickly, alone: AWS chooses it from Java 17 on.

https://docs.aws.amazon.com/lambda/latest/dg/java-customization.html
"""
_QUICK_FROM: Final = 17
_OWN: Final = Path(__file__).parent.parent / "runtime_clients" / "java"
_OLDEST: Final = "11"
"""The release that the client is compiled for."""
_LAYOUT: Final = b"1"
"""Changes when this module compiles or packs the client in another way."""
_COMPILE_SECONDS: Final = 120.0
_PARTS: Final = ("bin", "conf", "lib", "release")
"""Of a kit, what runs programs."""
_LEFT_OUT: Final = frozenset({"src.zip", "ct.sym"})
_SHARED_LINKS: Final = "/etc/ssl/certs/"
"""What sandboxes have of the host's `/etc`."""
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


class JavaRuntimes:
    def __init__(self, runtimes: Path) -> None:
        self._root = runtimes / "java"

    def runtime(self, name: str, interpreter: Interpreter) -> Runtime:
        """Blocks: for some seconds the first time a kit is used. Raises `RuntimeMissingError`."""
        with locked(make_directory(self._root) / "lock"):
            tree = self._client(interpreter)
            home = self._home(interpreter)
        release = int(interpreter.version.partition(".")[0])
        quick = _QUICK if release >= _QUICK_FROM else ()
        return Runtime(
            name=name,
            version=interpreter.version,
            argv=("/var/lang/bin/java", *_FLAGS, *quick, "-cp", CLASS_PATH, _MAIN),
            mounts=MappingProxyType({"/var/lang": str(home), "/var/runtime": str(tree)}),
        )

    def _client(self, interpreter: Interpreter) -> Path:
        sources = sorted(_OWN.rglob("*.java"))
        digest = hashlib.sha256(_LAYOUT)
        for path in sources:
            digest.update(path.read_bytes())
        tree = self._root / f"client-{digest.hexdigest()[:16]}"
        if not tree.exists():
            draft = self._root / f"{tree.name}.draft"
            shutil.rmtree(draft, ignore_errors=True)
            classes = make_directory(draft / "classes")
            _compile(Path(interpreter.prefix) / "bin/javac", sources, classes)
            make_directory(draft / "archive")
            pack(classes, make_directory(draft / "lib") / Path(JAR).name, classes.rglob("*.class"))
            shutil.rmtree(classes)
            draft.rename(tree)
        return tree

    def _home(self, interpreter: Interpreter) -> Path:
        """The kit itself, where it is whole in a sandbox."""
        prefix = Path(interpreter.prefix)
        if not any(_leads_out(path, prefix) for path in _files(prefix)):
            return prefix
        state = (prefix / "lib/modules").stat()
        mark = hashlib.sha256(f"{prefix}|{state.st_mtime_ns}|{state.st_size}".encode())
        home = self._root / f"jdk-{interpreter.version}-{mark.hexdigest()[:16]}"
        if not home.exists():
            draft = self._root / f"{home.name}.draft"
            shutil.rmtree(draft, ignore_errors=True)
            for path in _files(prefix):
                _take(path, draft / path.relative_to(prefix))
            draft.chmod(0o755)
            draft.rename(home)
        return home


def _compile(compiler: Path, sources: list[Path], classes: Path) -> None:
    command = [str(compiler), "--release", _OLDEST, "-proc:none", "-nowarn", "-Xlint:-options"]
    # Else the first text that is put together makes the JVM load what it is put together by.
    command.append("-XDstringConcat=inline")
    command += ["-encoding", "UTF-8", "-d", str(classes), *map(str, sources)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeMissingError(f"{compiler} does not work: {error}") from error
    if done.returncode:
        raise RuntimeMissingError(f"{compiler} does not compile: {done.stderr[-500:]}")


def pack(root: Path, jar: Path, files: Iterable[Path]) -> None:
    """Not compressed: it is read at every start. The same bytes each time it is made."""
    with zipfile.ZipFile(jar, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(str(path.relative_to(root)), _EPOCH)
            archive.writestr(entry, path.read_bytes())
    jar.chmod(0o644)


def _files(prefix: Path) -> Iterator[Path]:
    for part in _PARTS:
        place = prefix / part
        if place.is_file():
            yield place
        for directory, _, names in os.walk(place):
            yield from (Path(directory, name) for name in names if name not in _LEFT_OUT)


def _leads_out(path: Path, prefix: Path) -> bool:
    """To where a sandbox has nothing."""
    if not path.is_symlink():
        return False
    target = os.path.realpath(path)
    return not target.startswith((f"{os.path.realpath(prefix)}/", _SHARED_LINKS))


def _take(source: Path, target: Path) -> None:
    """The same file under another name, where that is possible: a kit has 200 MB."""
    real = Path(os.path.realpath(source))
    if not real.is_file():
        return
    make_directory(target.parent)
    if str(real).startswith(_SHARED_LINKS):
        target.symlink_to(real)
        return
    try:
        os.link(real, target)
    except OSError:
        shutil.copy(real, target)
