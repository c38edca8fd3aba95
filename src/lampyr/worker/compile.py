"""Byte-compile a Python package with the interpreter that will run it.

Without `.pyc` files a cold start takes up to three times as long, and a package is read-only
where it runs. The code is compiled, never imported; by a process of its own that gets it through
a pipe, is limited in time and memory, can write no file and, where Lampyr is root, is not.
"""

import logging
import os
import shutil
import signal
import stat
import struct
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final

from lampyr.worker.runtimes.model import TASK

log = logging.getLogger(__name__)

SECONDS_MAX: Final = 120.0
MEMORY_BYTES_MAX: Final = 1024 * 1024 * 1024
SOURCE_BYTES_MAX: Final = 8 * 1024 * 1024
NOBODY: Final = 65_534
_WATCH_SECONDS: Final = 0.1
_FRAME: Final = struct.Struct("<I")

# Runs in the target interpreter, 3.8 or later. `.pyc`: magic, flags 1 (by hash, unchecked), hash.
_COMPILER: Final = r"""
import importlib.util, marshal, resource, struct, sys
from importlib.util import MAGIC_NUMBER, source_hash
memory, seconds = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
source, sink = sys.stdin.buffer, sys.stdout.buffer
def read():
    head = source.read(4)
    return source.read(struct.unpack("<I", head)[0]) if len(head) == 4 else None
def write(data):
    sink.write(struct.pack("<I", len(data)) + data)
    sink.flush()
write(sys.implementation.cache_tag.encode())
import warnings
warnings.simplefilter("ignore")
while True:
    name = read()
    if name is None:
        break
    text = read()
    try:
        code = compile(text, name.decode(), "exec", dont_inherit=True)
        data = MAGIC_NUMBER + struct.pack("<I", 1) + source_hash(text) + marshal.dumps(code)
    except (Exception, RecursionError, MemoryError):
        data = b""
    write(data)
"""


class _CompilerGoneError(Exception):
    """It ended, or said something else than a compiled module."""


def compile_tree(
    python: Path,
    root: Path,
    *,
    inside: str = TASK,
    seconds_max: float = SECONDS_MAX,
    stop: threading.Event | None = None,
) -> int:
    """Write `__pycache__` beside every module under `root`; how many modules were compiled.

    `inside` is where the function sees `root`. What does not compile is left as it is: the
    function's own error, when it is run. Blocks; to be called on a thread; gives up soon after
    `stop` is set.
    """
    sources = list(_sources(root))
    if not sources:
        return 0
    try:
        process = subprocess.Popen(
            _command(python, seconds_max),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={},
            start_new_session=True,
        )
    except OSError as error:
        log.warning("cannot byte-compile", extra={"python": str(python), "reason": str(error)})
        return 0
    over = threading.Event()
    watchdog = threading.Thread(target=_watch, args=(process, over, stop, seconds_max))
    watchdog.start()
    try:
        return _compile_all(process, root, sources, inside)
    finally:
        over.set()
        watchdog.join()
        _kill(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                _close(pipe)
        process.wait()


def _command(python: Path, seconds_max: float) -> list[str]:
    limits = (str(MEMORY_BYTES_MAX), str(int(seconds_max)))
    return [*_unprivileged(python), str(python), "-I", "-S", "-B", "-c", _COMPILER, *limits]


def _compile_all(
    process: "subprocess.Popen[bytes]",
    root: Path,
    sources: Sequence[Path],
    inside: str,
) -> int:
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    compiled = 0
    try:
        tag = _tag(process.stdout)
        for path in sources:
            name = f"{inside}/{path.relative_to(root)}"
            _send(process.stdin, os.fsencode(name), path.read_bytes())
            code = _receive(process.stdout)
            # In a layer an empty file says that there is no bytecode: a layer below may have some
            # of another module of this name, which nobody would compare with this one.
            if (code or inside != TASK) and _write(path, tag, code):
                compiled += 1
    except (_CompilerGoneError, OSError) as error:
        log.warning(
            "byte-compilation ended early",
            extra={"compiled": compiled, "of": len(sources), "reason": repr(error)},
        )
    return compiled


def _tag(pipe: IO[bytes]) -> str:
    """What the interpreter calls its compiled modules, such as `cpython-312`."""
    tag = _receive(pipe).decode("ascii", errors="replace")
    if not tag.replace("-", "").isalnum():
        raise _CompilerGoneError
    return tag


def _sources(root: Path) -> Iterator[Path]:
    """Real files in real directories: no link is followed."""
    for directory, _, names in os.walk(root):
        for name in names:
            path = Path(directory, name)
            if name.endswith(".py"):
                status = path.lstat()
                if stat.S_ISREG(status.st_mode) and status.st_size <= SOURCE_BYTES_MAX:
                    yield path


def _write(source: Path, tag: str, code: bytes) -> bool:
    """Put the module beside its source, unless the package has something odd in that place."""
    cache = source.parent / "__pycache__"
    if cache.is_symlink() or (cache.exists() and not cache.is_dir()):
        return False
    cache.mkdir(exist_ok=True)
    cache.chmod(0o755)
    path = cache / f"{source.name.removesuffix('.py')}.{tag}.pyc"
    if path.is_dir() and not path.is_symlink():
        return False
    path.unlink(missing_ok=True)
    path.write_bytes(code)
    path.chmod(source.stat().st_mode & 0o444 | 0o200)
    return True


def _send(pipe: IO[bytes], *frames: bytes) -> None:
    for frame in frames:
        pipe.write(_FRAME.pack(len(frame)))
        pipe.write(frame)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> bytes:
    head = pipe.read(_FRAME.size)
    if len(head) != _FRAME.size:
        raise _CompilerGoneError
    (length,) = _FRAME.unpack(head)
    if length > 8 * SOURCE_BYTES_MAX:
        raise _CompilerGoneError
    data = pipe.read(length)
    if len(data) != length:
        raise _CompilerGoneError
    return data


def _watch(
    process: "subprocess.Popen[bytes]",
    over: threading.Event,
    stop: threading.Event | None,
    seconds_max: float,
) -> None:
    """End the compiler when its time is up or nobody wants its work any more."""
    end = time.monotonic() + seconds_max
    while not over.wait(_WATCH_SECONDS):
        if time.monotonic() > end or (stop is not None and stop.is_set()):
            _kill(process)
            return


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:  # What was still to be sent has nobody to read it.
        log.debug("compiler was gone")


def _unprivileged(python: Path) -> list[str]:
    """A command before the command that gives up root; empty where there is nothing to give up.

    An interpreter below a directory that only root may enter (`~/.pyenv`) keeps the one
    capability to enter it; it still cannot write, signal or trace anything of another user.
    """
    setpriv = shutil.which("setpriv", path="/usr/bin:/bin:/usr/sbin:/sbin")
    if os.geteuid() != 0 or setpriv is None:
        return []
    keep = "-all" if _reachable(python) else "-all,+dac_read_search"
    return [
        setpriv,
        f"--reuid={NOBODY}",
        f"--regid={NOBODY}",
        "--clear-groups",
        "--no-new-privs",
        f"--inh-caps={keep}",
        f"--ambient-caps={keep}",
        f"--bounding-set={keep}",
        "--",
    ]


def _reachable(python: Path) -> bool:
    """Whether anybody may run the interpreter and enter the directories above it."""
    path = python.resolve()
    return all(place.stat().st_mode & 0o001 for place in (path, *path.parents))
