"""The Python runtimes: what `/var/lang` and `/var/runtime` are made of.

`/var/lang` is the interpreter's own prefix. `/var/runtime` is put together once, from Lampyr's own
installed distributions: AWS's runtime client without its native module, Lampyr's module in its
place, and the AWS SDK, which AWS's Python runtimes have too.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from lampyr.worker.runtimes.files import locked, make_directory
from lampyr.worker.runtimes.interpreters import Interpreter
from lampyr.worker.runtimes.model import Runtime, RuntimeMissingError

if TYPE_CHECKING:
    from importlib.metadata import Distribution

_CLIENT: Final = ("awslambdaric", "simplejson", "snapshot-restore-py")
_SDK: Final = ("boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "urllib3", "six")
_OWN: Final = Path(__file__).parent.parent / "runtime_clients" / "python"
_SANDBOX: Final = Path(__file__).parent.parent / "sandbox" / "spawner"
_SANDBOX_PACKAGE: Final = "lampyr_sandbox"
_SANDBOX_MODULES: Final = ("__init__.py", "init.py", "linux.py", "seccomp.py", "wire.py")
"""By which a function's process that is forked confines its forks."""
_LAYOUT: Final = "2"
"""Changes when this module lays the tree out in another way."""
_COMPILE_SECONDS: Final = 300.0
_READABLE: Final = 0o444
_SOURCES_MAX: Final = 64
_SOURCE_BYTES: Final = 256 * 1024
"""Looked through, of the modules of a function and its layers."""
_COMPILE: Final = """
import compileall, os, py_compile, sys
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
for path in sys.argv[2:]:
    inside = "/var/runtime" + path[len(sys.argv[1]):]
    options = {"quiet": 2, "invalidation_mode": mode}
    if os.path.isdir(path):
        compileall.compile_dir(path, ddir=inside, maxlevels=20, **options)
    else:
        compileall.compile_file(path, ddir=os.path.dirname(inside), **options)
"""


class PythonRuntimes:
    def __init__(self, runtimes: Path) -> None:
        self._root = runtimes / "python"
        self._empty = runtimes / "empty"
        self._compilers: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def close(self) -> None:
        """End what compiles: who waits for it in a thread gets `RuntimeMissingError`."""
        self._closed = True
        for process in tuple(self._compilers):
            process.kill()

    def runtime(self, name: str, interpreter: Interpreter) -> Runtime:
        """Blocks: for 0.3 s the first time a release line is used, and a moment after that."""
        tree = self._assembled()
        self._compiled(tree, interpreter, "client")
        short = interpreter.version.rpartition(".")[0]
        mounts = {"/var/lang": interpreter.prefix, "/var/runtime": str(tree)}
        for packages in _host_packages(Path(interpreter.prefix), short):
            mounts[f"/var/lang/{packages}"] = str(make_directory(self._empty))
        return Runtime(
            name=name,
            version=interpreter.version,
            argv=(f"/var/lang/bin/python{short}", "-S", "/var/runtime/bootstrap.py"),
            mounts=MappingProxyType(mounts),
            template_argv=(f"/var/lang/bin/python{short}", "-S", "/var/runtime/template.py"),
            park_script="/var/runtime/parked.py",
            variables=MappingProxyType({"PYTHONPATH": "/var/runtime"}),
        )

    def compile_sdk(self, interpreter: Interpreter) -> None:
        """Bytecode of the AWS SDK: seconds, once; without it a first `import boto3` is slow.

        Returns at once when another process is at it.
        """
        self._compiled(self._assembled(), interpreter, "sdk", wait=False)

    def _assembled(self) -> Path:
        make_directory(self._root)
        tree = self._root / _fingerprint()
        if tree.exists():
            return tree
        with locked(self._root / "lock"):
            if not tree.exists():
                draft = self._root / f"{tree.name}.draft"
                shutil.rmtree(draft, ignore_errors=True)
                _assemble(draft)
                draft.rename(tree)
        return tree

    def _compiled(
        self, tree: Path, interpreter: Interpreter, part: str, *, wait: bool = True
    ) -> None:
        short = interpreter.version.rpartition(".")[0]
        marker = self._root / f"{tree.name}.{part}-{short}"
        if marker.exists():
            return
        with locked(self._root / f"{part}-{short}.lock", wait=wait) as ours:
            if ours and not marker.exists():
                tops = [str(tree / top) for top in sorted(_tops(tree, part))]
                self._run_compiler(interpreter, [str(tree), *tops])
                marker.touch()

    def _run_compiler(self, interpreter: Interpreter, arguments: list[str]) -> None:
        if self._closed:
            raise RuntimeMissingError("Lampyr is stopping")
        try:
            process = subprocess.Popen(
                ["nice", interpreter.executable, "-I", "-S", "-c", _COMPILE, *arguments],
                env={"PATH": os.defpath},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                umask=0o022,
            )
        except OSError as error:
            raise _not_compiled(interpreter, str(error)) from error
        self._compilers.add(process)
        try:
            code = process.wait(_COMPILE_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise _not_compiled(interpreter, "it took too long") from error
        finally:
            self._compilers.discard(process)
            process.kill()
            process.wait()
        if code != 0:
            raise _not_compiled(interpreter, f"exit code {code}")


def mentions_sdk(places: Iterable[Path]) -> bool:
    """Whether modules in these directories look as if they made a client of the AWS SDK.

    Where there is more than can be looked through in a moment, they are taken to.
    """
    left, bytes_left = _SOURCES_MAX, _SOURCE_BYTES
    for place in places:
        for directory, _, names in os.walk(place):
            for name in names:
                if not name.endswith(".py"):
                    continue
                left -= 1
                with Path(directory, name).open("rb") as source:
                    text = source.read(bytes_left + 1)
                bytes_left -= len(text)
                if left < 0 or bytes_left < 0 or b"boto" in text:
                    return True
    return False


def _fingerprint() -> str:
    digest = hashlib.sha256(_LAYOUT.encode())
    for name in (*_CLIENT, *_SDK):
        digest.update(f"{name}=={_distribution(name).version}\n".encode())
    for path in (*sorted(_OWN.glob("*.py")), *(_SANDBOX / name for name in _SANDBOX_MODULES)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _distribution(name: str) -> "Distribution":
    from importlib import metadata  # noqa: PLC0415 - 10 ms that a server's start can do without

    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        message = f"Lampyr's own installation lacks {name}. Install Lampyr again."
        raise RuntimeMissingError(message) from None


def _assemble(tree: Path) -> None:
    make_directory(tree)
    for name in (*_CLIENT, *_SDK):
        distribution = _distribution(name)
        for file in distribution.files or ():
            if _is_wanted(file):
                _place(Path(str(distribution.locate_file(file))), tree / file)
    for path in _OWN.glob("*.py"):
        shutil.copyfile(path, tree / path.name)
        (tree / path.name).chmod(0o644)
    make_directory(tree / _SANDBOX_PACKAGE)
    for name in _SANDBOX_MODULES:
        shutil.copyfile(_SANDBOX / name, tree / _SANDBOX_PACKAGE / name)
        (tree / _SANDBOX_PACKAGE / name).chmod(0o644)


def _is_wanted(file: PurePosixPath) -> bool:
    """No native code, which fits one version of Python alone; no bytecode, no tests, no scripts."""
    if ".." in file.parts or file.suffix in {".so", ".pyc", ".pyi"} or len(file.parts) == 0:
        return False
    if file.parts[0].endswith(".dist-info"):
        return file.name == "METADATA"
    return "tests" not in file.parts


def _place(source: Path, target: Path) -> None:
    """A hard link, or a copy: across file systems, and of what only its owner can read."""
    make_directory(target.parent)
    if source.stat().st_mode & _READABLE == _READABLE:
        try:
            target.hardlink_to(source)
        except OSError:
            pass
        else:
            return
    shutil.copyfile(source, target)
    target.chmod(0o644)


def _tops(tree: Path, part: str) -> set[str]:
    client = {"awslambdaric", "simplejson", "snapshot_restore_py.py", _SANDBOX_PACKAGE}
    client |= {path.name for path in _OWN.glob("*.py")}
    if part == "client":
        return client
    names = {entry.name for entry in tree.iterdir() if not entry.name.endswith(".dist-info")}
    return names - client - {"__pycache__"}


def _not_compiled(interpreter: Interpreter, why: str) -> RuntimeMissingError:
    message = f"{interpreter.executable} could not compile the runtime client: {why}"
    return RuntimeMissingError(message)


def _host_packages(prefix: Path, short: str) -> Iterator[str]:
    """Directories of packages under a prefix, Debian's too; deepest last."""
    for packages in (
        f"lib/python{short}/site-packages",
        f"lib/python{short}/dist-packages",
        "lib/python3/dist-packages",
        f"local/lib/python{short}/site-packages",
        f"local/lib/python{short}/dist-packages",
    ):
        if (prefix / packages).is_dir():
            yield packages
