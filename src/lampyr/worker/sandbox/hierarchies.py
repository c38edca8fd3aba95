"""Which control groups this process may make, and where."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lampyr.worker.sandbox.spawner.cgroups import Cgroups, CgroupsV1, CgroupsV2

_V1_CONTROLLERS: Final = ("memory", "cpu", "pids", "freezer")
_V2_CONTROLLERS: Final = ("memory", "cpu", "pids")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """Where the kernel shows its control groups."""

    v1: dict[str, Path]
    """Controller → root of its hierarchy."""
    v2: Path | None
    own: Path
    """Of this process, below `v2`."""


def mounted(mounts: str, own_groups: str) -> Mounted:
    """From the texts of `/proc/self/mounts` and `/proc/self/cgroup`."""
    v1: dict[str, Path] = {}
    v2 = None
    for line in mounts.splitlines():
        _, target, kind, options, *_ = line.split()
        if kind == "cgroup2" and v2 is None:
            v2 = Path(target)
        if kind == "cgroup":
            for option in options.split(","):
                if option in _V1_CONTROLLERS:
                    v1.setdefault(option, Path(target))
    own = next((line[3:] for line in own_groups.splitlines() if line.startswith("0::")), "/")
    return Mounted(v1=v1, v2=v2, own=Path(own.lstrip("/") or "."))


def here() -> Mounted:
    """On this host, for this process."""
    return mounted(Path("/proc/self/mounts").read_text(), Path("/proc/self/cgroup").read_text())


def open_cgroups(places: Mounted, instance: str) -> Cgroups | None:
    """The best groups this process may make; None when it may make none."""
    candidates = []
    if places.v2 is not None:
        candidates += [_v2(places.v2, instance), _v2(places.v2 / places.own, instance)]
    candidates.append(_v1(places.v1, instance))
    usable = [cgroups for cgroups in candidates if cgroups is not None]
    # A hybrid host has its controllers in version 1 and an empty version 2 beside it.
    for cgroups in sorted(usable, key=lambda each: not each.has_memory):
        if _prepare(cgroups):
            return cgroups
    return None


def _v1(hierarchies: dict[str, Path], instance: str) -> Cgroups | None:
    usable = {name: str(path) for name, path in hierarchies.items() if os.access(path, os.W_OK)}
    if "freezer" not in usable:
        return None
    return CgroupsV1(usable, instance)


def _v2(directory: Path, instance: str) -> Cgroups | None:
    if not os.access(directory, os.W_OK) or not os.access(directory / "cgroup.procs", os.W_OK):
        return None
    try:
        controllers = (directory / "cgroup.controllers").read_text().split()
    except OSError:
        return None
    # Named even without a controller: it freezes and kills.
    usable: dict[str, str] = {
        name: str(directory) for name in _V2_CONTROLLERS if name in controllers
    }
    return CgroupsV2({**usable, "core": str(directory)}, instance)


def _prepare(cgroups: Cgroups) -> bool:
    try:
        cgroups.prepare()
    except OSError:
        if cgroups.version == CgroupsV2.version and _step_aside(cgroups):
            return True
        with contextlib.suppress(OSError):
            cgroups.remove_all()
        return False
    return True


def _step_aside(cgroups: Cgroups) -> bool:
    """A group with processes in it cannot share out controllers: leave it for one beside."""
    directory = Path(cgroups.hierarchies["core"])
    aside = directory / f"lampyr-{cgroups.instance}-server"
    try:
        aside.mkdir(exist_ok=True)
        (aside / "cgroup.procs").write_text(str(os.getpid()))
        cgroups.prepare()
    except OSError:
        step_back(cgroups)
        return False
    return True


def step_back(cgroups: Cgroups) -> None:
    """Undo `_step_aside`, once every group is removed."""
    directory = Path(cgroups.hierarchies.get("core", "/nonexistent"))
    aside = directory / f"lampyr-{cgroups.instance}-server"
    if not aside.is_dir():
        return
    with contextlib.suppress(OSError):
        enabled = (directory / "cgroup.subtree_control").read_text().split()
        line = " ".join(f"-{name}" for name in enabled)
        (directory / "cgroup.subtree_control").write_text(line)
    with contextlib.suppress(OSError):
        (directory / "cgroup.procs").write_text(str(os.getpid()))
    with contextlib.suppress(OSError):
        aside.rmdir()
