"""A runtime of this host, as a worker starts it."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

TASK: Final = "/var/task"
LANG: Final = "/var/lang"
OPT: Final = "/opt"
BOOTSTRAPS: Final = (f"{TASK}/bootstrap", f"{OPT}/bootstrap")
_WRAPPER: Final = "AWS_LAMBDA_EXEC_WRAPPER"
_WRAP: Final = """\
if [ ! -f "$0" ]; then echo "$0: does not exist"; exit 127; fi
if [ ! -x "$0" ]; then echo "$0: is not an executable"; exit 126; fi
exec "$0" "$@"
"""
"""Starts the managed runtimes' wrapper, as theirs do: it gets the command, and may change it.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html#runtime-wrapper
"""
_JAVA_CHOICES: Final = {
    "heap": ("-Xmx", "MaxHeapSize", "MaxRAM"),
    "collector": ("GC",),
    "compilers": ("TieredCompilation", "TieredStopAtLevel"),
    "log": ("-Xlog",),
}
"""By what a word of the JVM's options is told to be about it."""
_ELF: Final = b"\x7fELF"
_ELF_MACHINES: Final = {62: "x86_64", 183: "aarch64"}


class RuntimeMissingError(Exception):
    """No function of a runtime can be run on this host; the message says what to do about it."""


class RuntimeInstallError(Exception):
    """No way led to the runtime; the message names those tried, and why each failed."""


class InvalidEntrypointError(Exception):
    """A function has no `bootstrap` that could be run: the error type `Runtime.InvalidEntrypoint`.

    The message is AWS's, without the `RequestId: … Error: ` before it.
    """

    error_type: Final = "Runtime.InvalidEntrypoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A runtime found on this host, at an exact version."""

    name: str
    """As `CreateFunction` takes it: `python3.12`."""
    version: str
    """Of the interpreter: `3.12.1`; of an OS-only runtime, its name."""
    managed: bool = True
    """False for the OS-only runtimes, which run what the function brings."""
    argv: tuple[str, ...]
    """Of the process, with the paths of the inside."""
    template_argv: tuple[str, ...] = ()
    """Of a process from which functions can be forked; empty where there is none."""
    park_script: str = ""
    """Stands in for the last word of `argv` where the process is to wait for its function."""
    mounts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Target inside → directory on the host, read-only.

    One target may lie inside another (an empty directory hides the host's own packages), so they
    have to be mounted parents first. A mount point below another mount exists there already.
    """
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What this runtime adds to the environment; a function may configure other values."""

    @property
    def interpreter(self) -> Path | None:
        """The Python of this runtime on the host, which compiles packages; None for others."""
        language = self.mounts.get(LANG)
        if language is None or not self.name.startswith("python"):
            return None
        return Path(language) / Path(self.argv[0]).relative_to(LANG)

    def command(
        self,
        *,
        memory_mb: int,
        task: Path,
        layers: Sequence[Path] = (),
        configured: Mapping[str, str] | None = None,
    ) -> tuple[str, ...]:
        """`argv` for one function: its memory size, and where its `bootstrap` is.

        `task` and `layers` are directories on the host; a later layer wins. `configured` are the
        function's own variables: its wrapper script starts a managed runtime, what its
        NODE_OPTIONS switches on is not switched off, and what its JAVA_TOOL_OPTIONS choose stands.
        Reads the first bytes of a `bootstrap`. Raises `InvalidEntrypointError`.
        """
        if not self.managed:
            return (_bootstrap(task, layers),)
        own = configured or {}
        argv = self.argv
        if self.name.startswith("nodejs"):
            argv = _node_command(argv, memory_mb, own.get("NODE_OPTIONS", ""))
        elif self.name.startswith("java"):
            argv = java_command(argv, memory_mb, own.get("JAVA_TOOL_OPTIONS", ""))
        wrapper = own.get(_WRAPPER)
        return ("/bin/sh", "-c", _WRAP, wrapper, *argv) if wrapper else argv

    def not_executed(self, inside: str, number: int) -> InvalidEntrypointError:
        """Of a `bootstrap` that the kernel refused with an error of this number."""
        return InvalidEntrypointError(f"fork/exec {inside}: {os.strerror(number).lower()}")

    def on_host(
        self, task: Path, environ: Mapping[str, str] | None = None
    ) -> tuple[tuple[str, ...], dict[str, str]]:
        """`argv` and variables with the host's paths, for running without any sandbox.

        `environ` is what `variables()` made. `/opt` stays as it is: without mounts there are no
        layers.
        """
        places = {**self.mounts, TASK: str(task)}
        argv = tuple(
            ":".join(_translate(part, places) for part in word.split(":")) for word in self.argv
        )
        source = {**self.variables, **(environ or {})}
        found = {
            name: ":".join(_translate(part, places) for part in value.split(":"))
            if "/var/" in value
            else value
            for name, value in source.items()
        }
        return argv, found


def _node_command(argv: tuple[str, ...], memory_mb: int, options: str) -> tuple[str, ...]:
    """The heap that AWS gives: V8 would see the memory of the host, and be killed for using it."""
    heap = (
        f"--max-semi-space-size={max(1, memory_mb * 5 // 100)}",
        f"--max-old-space-size={memory_mb * 9 // 10}",
    )
    on = options.split()
    kept = [word for word in argv[1:] if word.replace("--no-", "--", 1) not in on]
    return (argv[0], *heap, *kept)


def java_command(argv: tuple[str, ...], memory_mb: int, options: str) -> tuple[str, ...]:
    """The heap that AWS gives, 85 % of the memory.

    What the function's JAVA_TOOL_OPTIONS say of the heap, the collector, the compilers or the JVM's
    log stands in place of ours: options of the command line would win, and two collectors would
    end the JVM.
    """
    chosen = [kind for kind, words in _JAVA_CHOICES.items() if any(w in options for w in words)]
    heap = () if "heap" in chosen else (f"-XX:MaxHeapSize={memory_mb * 1024 * 85 // 100}k",)
    kept = [
        word
        for word in argv[1:]
        if not any(part in word for kind in chosen for part in _JAVA_CHOICES[kind])
    ]
    return (argv[0], *heap, *kept)


def _translate(path: str, places: Mapping[str, str]) -> str:
    for target in sorted(places, key=len, reverse=True):
        if path == target or path.startswith(f"{target}/"):
            return places[target] + path[len(target) :]
    return path


def _bootstrap(task: Path, layers: Sequence[Path]) -> str:
    in_task, in_layer = BOOTSTRAPS
    looked_for = [(in_task, task), *((in_layer, layer) for layer in reversed(layers))]
    for inside, directory in looked_for:
        if (directory / "bootstrap").is_file():
            _check_executable(inside, directory / "bootstrap")
            return inside
    raise InvalidEntrypointError(f"Couldn't find valid bootstrap(s): [{' '.join(BOOTSTRAPS)}]")


def _check_executable(inside: str, path: Path) -> None:
    if not path.stat().st_mode & 0o111:
        raise InvalidEntrypointError(f"fork/exec {inside}: permission denied")
    with path.open("rb") as file:
        start = file.read(256)
    if start.startswith(b"#!"):
        if b"\r" in start.partition(b"\n")[0]:
            # A script saved with Windows line ends names an interpreter that ends in one.
            raise InvalidEntrypointError(f"fork/exec {inside}: no such file or directory")
    elif not start.startswith(_ELF) or _machine(start) != platform.machine():
        raise InvalidEntrypointError(f"fork/exec {inside}: exec format error")


def _machine(start: bytes) -> str | None:
    """The `e_machine` of an ELF header; both architectures of Lambda are little-endian."""
    return _ELF_MACHINES.get(int.from_bytes(start[18:20], "little"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeStatus:
    """One line of `lampyr runtimes`."""

    name: str
    found: bool
    version: str = ""
    path: str = ""
    """Of the interpreter."""
    advice: str = ""
    """What to run, where it is not found."""
