"""Control groups, version 1 and version 2, behind one interface.

Every group of one Lampyr is `<hierarchy>/lampyr-<instance>/<environment>`, so whoever knows the
instance finds all of them, also when the Lampyr that made them is dead. The spawner creates and
removes groups, the server's process freezes them and reads how much they use; both through the
same few files. Sizes are bytes. A file that cannot be written raises `OSError`.

https://docs.kernel.org/admin-guide/cgroup-v1/ and https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

# Without pathlib, which is a third of a bare interpreter.
# ruff: noqa: PTH102, PTH106

import contextlib
import errno
import os
import time

PERIOD_MICROSECONDS = 100_000
"""The kernel's own: a new group has it."""
_QUOTA_MIN_MICROSECONDS = 1_000
_WEIGHT = 0.25
"""Of all functions together on a processor that others want too, beside 1 of what is in no group.
The server is: functions that wait for it must not keep it waiting."""
_KILL_SECONDS = 5.0
_SIGKILL = 9


def quota_microseconds(memory_mb: int, memory_mb_per_cpu: int) -> int:
    """The CPU time a period gives to a memory size."""
    return max(_QUOTA_MIN_MICROSECONDS, memory_mb * PERIOD_MICROSECONDS // memory_mb_per_cpu)


def _write(path: str, value: "int | str") -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, str(value).encode())
    except OSError as error:
        if error.errno == errno.ENODEV:  # The group was removed after the file was opened.
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
        raise
    finally:
        os.close(fd)


def _read(path: str) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 65536).decode()
    finally:
        os.close(fd)


def _fields(path: str) -> dict[str, int]:
    """A file of lines `name number`; empty when the group is gone."""
    try:
        text = _read(path)
    except OSError:
        return {}
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}  # noqa: PLR2004


def _make(path: str) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o755)


class Cgroups:
    """The groups of one Lampyr. `has_memory`: the kernel holds the memory limit itself."""

    version = 0

    def __init__(self, hierarchies: dict[str, str], instance: str) -> None:
        """`hierarchies`: controller → the directory under which groups may be made."""
        self.hierarchies = hierarchies
        self.instance = instance
        self.has_memory = "memory" in hierarchies

    def tops(self) -> list[str]:
        """The directory of this instance in each hierarchy."""
        return sorted({f"{path}/lampyr-{self.instance}" for path in self.hierarchies.values()})

    def path(self, name: str, controller: str) -> str:
        return f"{self.hierarchies[controller]}/lampyr-{self.instance}/{name}"

    def prepare(self) -> None:
        """Make the directories of this instance."""
        for top in self.tops():
            _make(top)

    def create(self, name: str, memory: int, processes: int) -> None:
        """A group with its limits, and no limit of CPU time."""
        for top in self.tops():
            _make(f"{top}/{name}")
        for path, value, may_be_missing in self.limits(name, memory, processes):
            try:
                _write(path, value)
            except FileNotFoundError:
                if not may_be_missing:
                    raise

    def limits(self, name: str, memory: int, processes: int) -> "list[tuple[str, int, bool]]":
        """What is to be written to which file of a new group, and whether the kernel may lack it.

        That is so where it does not account swap.
        """
        raise NotImplementedError

    def join(self, name: str, pid: int = 0) -> None:
        """Move a process, by default the calling one, if it has one thread, into a group."""
        for top in self.tops():
            _write(f"{top}/{name}/cgroup.procs", pid)

    def doors(self, name: str) -> "list[int]":
        """Descriptors by which a process moves itself into a group: whoever has one writes 0."""
        file = "tasks" if self.version == 1 else "cgroup.procs"
        return [os.open(f"{top}/{name}/{file}", os.O_WRONLY | os.O_CLOEXEC) for top in self.tops()]

    def watch(self, name: str, eventfd: int) -> None:
        """Have `eventfd` signalled when the group wants for memory, if it must be asked for."""

    def limit_cpu(self, name: str, quota: int) -> None:
        """Microseconds of CPU time in each period."""
        raise NotImplementedError

    def freeze(self, name: str) -> None:
        raise NotImplementedError

    def thaw(self, name: str) -> None:
        raise NotImplementedError

    def usage(self, name: str) -> tuple[int, int]:
        """Memory of processes, and shared memory with tmpfs files."""
        raise NotImplementedError

    def out_of_memory(self, name: str) -> bool:
        """Whether a process of the group was killed for want of memory."""
        raise NotImplementedError

    def processes(self, name: str) -> set[int]:
        """As numbered in this process's PID namespace."""
        found: set[int] = set()
        for top in self.tops():
            with contextlib.suppress(OSError):
                found.update(map(int, _read(f"{top}/{name}/cgroup.procs").split()))
        return found

    def names(self) -> set[str]:
        """The groups that exist."""
        found: set[str] = set()
        for top in self.tops():
            with contextlib.suppress(OSError):
                found.update(entry.name for entry in os.scandir(top) if entry.is_dir())
        return found

    def remove(self, name: str) -> bool:
        """Remove an empty group; False when the kernel still counts a process in it."""
        removed = True
        for top in self.tops():
            try:
                os.rmdir(f"{top}/{name}")
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                removed = False
        return removed

    def kill(self, name: str) -> None:
        """Kill every process of a group, frozen or not, and wait until they are gone."""
        until = time.monotonic() + _KILL_SECONDS
        while (processes := self.processes(name)) and time.monotonic() < until:
            for pid in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, _SIGKILL)
            with contextlib.suppress(OSError):
                self.thaw(name)
            time.sleep(0.001)

    def remove_all(self) -> None:
        """Kill and remove all that this instance has made, and its own directories."""
        until = time.monotonic() + _KILL_SECONDS
        while not self._remove_tops():
            for name in self.names():
                self.kill(name)
                self.remove(name)
            if time.monotonic() > until:
                raise OSError(errno.EBUSY, f"cannot remove the control groups {self.tops()}")
            time.sleep(0.001)

    def _remove_tops(self) -> bool:
        """Whether they are gone; a sandbox that was just being made may still add to them."""
        removed = True
        for top in self.tops():
            try:
                os.rmdir(top)
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno not in {errno.EBUSY, errno.ENOTEMPTY}:
                    raise
                removed = False
        return removed


class CgroupsV1(Cgroups):
    """One hierarchy for each controller: memory, cpu, pids, freezer."""

    version = 1

    def prepare(self) -> None:
        super().prepare()
        if "cpu" in self.hierarchies:
            _write(self.path("cpu.shares", "cpu"), int(1024 * _WEIGHT))

    def limits(self, name: str, memory: int, processes: int) -> "list[tuple[str, int, bool]]":
        found = []
        if self.has_memory:
            group = self.path(name, "memory")
            found.append((f"{group}/memory.limit_in_bytes", memory, False))
            found.append((f"{group}/memory.memsw.limit_in_bytes", memory, True))
        if "pids" in self.hierarchies:
            found.append((f"{self.path(name, 'pids')}/pids.max", processes, False))
        return found

    def join(self, name: str, pid: int = 0) -> None:
        # For its own only thread a process needs no lock on all processes of the host, for which
        # the kernel may have to wait for 20 ms.
        file = "cgroup.procs" if pid else "tasks"
        for top in self.tops():
            _write(f"{top}/{name}/{file}", pid)

    def doors(self, name: str) -> "list[int]":
        """Descriptors by which a process moves itself into a group: whoever has one writes 0."""
        file = "tasks" if self.version == 1 else "cgroup.procs"
        return [os.open(f"{top}/{name}/{file}", os.O_WRONLY | os.O_CLOEXEC) for top in self.tops()]

    def watch(self, name: str, eventfd: int) -> None:
        if not self.has_memory:
            return
        path = self.path(name, "memory")
        control = os.open(f"{path}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _write(f"{path}/cgroup.event_control", f"{eventfd} {control}")
        finally:
            os.close(control)

    def limit_cpu(self, name: str, quota: int) -> None:
        if "cpu" in self.hierarchies:
            _write(f"{self.path(name, 'cpu')}/cpu.cfs_quota_us", quota)

    def freeze(self, name: str) -> None:
        _write(f"{self.path(name, 'freezer')}/freezer.state", "FROZEN")

    def thaw(self, name: str) -> None:
        _write(f"{self.path(name, 'freezer')}/freezer.state", "THAWED")

    def usage(self, name: str) -> tuple[int, int]:
        fields = _fields(f"{self.path(name, 'memory')}/memory.stat")
        return fields.get("total_rss", 0), fields.get("total_shmem", 0)

    def out_of_memory(self, name: str) -> bool:
        if not self.has_memory:
            return False
        fields = _fields(f"{self.path(name, 'memory')}/memory.oom_control")
        return fields.get("oom_kill", 0) > 0 or fields.get("under_oom", 0) > 0


class CgroupsV2(Cgroups):
    """One hierarchy; `hierarchies` names the same directory for each usable controller."""

    version = 2

    def prepare(self) -> None:
        super().prepare()
        wanted = [name for name in ("memory", "cpu", "pids") if name in self.hierarchies]
        if wanted:
            line = " ".join(f"+{name}" for name in wanted)
            for directory in {*self.hierarchies.values(), *self.tops()}:
                _write(f"{directory}/cgroup.subtree_control", line)
        if "cpu" in wanted:
            _write(f"{self.tops()[0]}/cpu.weight", int(100 * _WEIGHT))

    def limits(self, name: str, memory: int, processes: int) -> "list[tuple[str, int, bool]]":
        group = f"{self.tops()[0]}/{name}"
        found = []
        if self.has_memory:
            found.append((f"{group}/memory.max", memory, False))
            found.append((f"{group}/memory.oom.group", 1, False))
            found.append((f"{group}/memory.swap.max", 0, True))
        if "pids" in self.hierarchies:
            found.append((f"{group}/pids.max", processes, False))
        return found

    def limit_cpu(self, name: str, quota: int) -> None:
        if "cpu" in self.hierarchies:
            _write(f"{self.tops()[0]}/{name}/cpu.max", f"{quota} {PERIOD_MICROSECONDS}")

    def freeze(self, name: str) -> None:
        _write(f"{self.tops()[0]}/{name}/cgroup.freeze", 1)

    def thaw(self, name: str) -> None:
        _write(f"{self.tops()[0]}/{name}/cgroup.freeze", 0)

    def usage(self, name: str) -> tuple[int, int]:
        fields = _fields(f"{self.tops()[0]}/{name}/memory.stat")
        return fields.get("anon", 0), fields.get("shmem", 0)

    def out_of_memory(self, name: str) -> bool:
        fields = _fields(f"{self.tops()[0]}/{name}/memory.events")
        return fields.get("oom_kill", 0) > 0

    def kill(self, name: str) -> None:
        with contextlib.suppress(OSError):  # Before Linux 5.14 there is no such file.
            _write(f"{self.tops()[0]}/{name}/cgroup.kill", 1)
        super().kill(name)


def described(description: "dict[str, object] | None") -> "Cgroups | None":
    """The groups that `describe` told of, in another process."""
    if description is None:
        return None
    kinds = {1: CgroupsV1, 2: CgroupsV2}
    hierarchies = description["hierarchies"]
    if not isinstance(hierarchies, dict):
        raise TypeError("hierarchies are a mapping")
    return kinds[int(str(description["version"]))](hierarchies, str(description["instance"]))


def describe(cgroups: "Cgroups | None") -> "dict[str, object] | None":
    """As JSON can carry it."""
    if cgroups is None:
        return None
    return {
        "version": cgroups.version,
        "hierarchies": cgroups.hierarchies,
        "instance": cgroups.instance,
    }
