"""What processes hold of the kernel, and what is still there once they are gone."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

GONE_SECONDS_MAX: Final = 2.0
"""The kernel takes namespaces and mounts down a little after the last process has ended."""


class Process(NamedTuple):
    """A process, told apart from a later one with the same number by when it started."""

    pid: int
    started: str
    command: str


@dataclass(frozen=True, kw_only=True)
class Held:
    processes: frozenset[Process] = field(default_factory=frozenset)
    cgroups: frozenset[Path] = field(default_factory=frozenset)
    """Directories of cgroups that the processes have to themselves."""
    namespaces: frozenset[str] = field(default_factory=frozenset)
    """Network namespaces, such as `net:[4026532281]`, other than our own."""

    def __or__(self, other: "Held") -> "Held":
        return Held(
            processes=self.processes | other.processes,
            cgroups=self.cgroups | other.cgroups,
            namespaces=self.namespaces | other.namespaces,
        )


def held_by(pid: int) -> Held:
    """What the process `pid` and all its descendants hold now."""
    family = frozenset(_family(pid))
    own_cgroups, own_network = set(_cgroups(os.getpid())), _network(os.getpid())
    cgroups = {path for process in family for path in _cgroups(process.pid)}
    networks = {network for process in family if (network := _network(process.pid))}
    return Held(
        processes=family,
        cgroups=frozenset(cgroups - own_cgroups),
        namespaces=frozenset(networks - {own_network}),
    )


def left_of(held: Held, directory: Path, temporary: Path) -> list[str]:
    """Of `held`, and of mounts, loop devices and files under the directories: what is there."""
    give_up = time.monotonic() + GONE_SECONDS_MAX
    while (left := list(_left(held, directory, temporary))) and time.monotonic() < give_up:
        time.sleep(0.02)
    return left


def _left(held: Held, directory: Path, temporary: Path) -> Iterator[str]:
    for process in held.processes:
        if _stat(process.pid) == process:
            yield f"process {process.pid} ({process.command})"
    yield from (f"cgroup {path}" for path in held.cgroups if path.is_dir())
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    for line in mounts:
        if str(directory) in line or any(namespace in line for namespace in held.namespaces):
            yield f"mount {line.split()[4]}"
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            name = backing.read_text().strip()
        except OSError:
            continue  # Detached meanwhile.
        if name.startswith(str(directory)):
            yield f"loop device {backing.parts[3]} of {name}"
    if temporary.is_dir():
        yield from (f"temporary file {path}" for path in temporary.iterdir())


def _family(pid: int) -> Iterator[Process]:
    """The process and its descendants; also those whose parents lie in another pid namespace."""
    children: dict[int, list[Process]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (process := _stat(int(entry.name))) is not None:
            children.setdefault(_parent(process.pid), []).append(process)
            if process.pid == pid:
                yield process
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            yield child
            waiting.append(child.pid)


def _stat(pid: int) -> Process | None:
    """None when there is no such process, or only its exit code is left of it."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    command = text[text.index("(") + 1 : text.rindex(")")]
    return None if fields[0] in "ZX" else Process(pid, fields[19], command)


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _network(pid: int) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return None


def _cgroups(pid: int) -> Iterator[Path]:
    """Directories of the process's cgroups, in whatever hierarchies are mounted."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if path == "/":
            continue
        for name in (controllers.removeprefix("name="), "unified", ""):
            directory = Path("/sys/fs/cgroup", name, path.lstrip("/"))
            if directory.is_dir():
                yield directory
                break
