"""Control groups: version 2 over a tree of plain files, both over the kernel where it has them.

A kernel has its controllers in one version only, so on a host of version 1 the limits of
version 2 are checked by what is written, and by the kernel only for freezing and killing.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lampyr.worker.sandbox.hierarchies import Mounted, here, mounted, open_cgroups, step_back
from lampyr.worker.sandbox.spawner.cgroups import (
    Cgroups,
    CgroupsV1,
    CgroupsV2,
    describe,
    described,
)

MIB = 1024 * 1024
FILES_V2 = (
    "cgroup.procs", "cgroup.freeze", "cgroup.kill", "cgroup.subtree_control", "memory.max",
    "memory.oom.group", "memory.swap.max", "pids.max", "cpu.max",
)  # fmt: skip


class FakeV2(CgroupsV2):
    """The kernel's part: a directory of a group has files."""

    def create(self, name: str, memory: int, processes: int) -> None:
        directory = Path(self.tops()[0]) / name
        directory.mkdir()
        for file in FILES_V2:
            (directory / file).touch()
        super().create(name, memory, processes)


@pytest.fixture
def fake(tmp_path: Path) -> FakeV2:
    (tmp_path / "cgroup.subtree_control").touch()
    (tmp_path / "lampyr-one").mkdir()
    (tmp_path / "lampyr-one" / "cgroup.subtree_control").touch()
    (tmp_path / "lampyr-one" / "cpu.weight").touch()
    groups = FakeV2(dict.fromkeys(("memory", "cpu", "pids", "core"), str(tmp_path)), "one")
    groups.prepare()
    return groups


def test_version_2_hands_its_controllers_down(fake: FakeV2, tmp_path: Path) -> None:
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory +cpu +pids"
    assert (tmp_path / "lampyr-one/cgroup.subtree_control").read_text() == "+memory +cpu +pids"


def test_all_functions_together_weigh_less_than_one_process_outside(
    fake: FakeV2, tmp_path: Path
) -> None:
    assert int((tmp_path / "lampyr-one/cpu.weight").read_text()) == 25
    (tmp_path / "lampyr-two").mkdir()
    (tmp_path / "lampyr-two/cpu.shares").touch()
    CgroupsV1({"cpu": str(tmp_path), "freezer": str(tmp_path)}, "two").prepare()
    assert int((tmp_path / "lampyr-two/cpu.shares").read_text()) == 256


def test_version_2_limits_memory_swap_and_processes_and_no_cpu_yet(
    fake: FakeV2, tmp_path: Path
) -> None:
    fake.create("it", 128 * MIB, 1024)
    group = tmp_path / "lampyr-one/it"
    assert {
        name: (group / name).read_text() for name in FILES_V2 if (group / name).read_text()
    } == {
        "memory.max": str(128 * MIB),
        "memory.oom.group": "1",
        "memory.swap.max": "0",
        "pids.max": "1024",
    }
    fake.limit_cpu("it", 7235)
    assert (group / "cpu.max").read_text() == "7235 100000"


def test_version_2_freezes_thaws_and_takes_processes_in(fake: FakeV2, tmp_path: Path) -> None:
    fake.create("it", MIB, 1)
    group = tmp_path / "lampyr-one/it"
    fake.freeze("it")
    assert (group / "cgroup.freeze").read_text() == "1"
    fake.thaw("it")
    assert (group / "cgroup.freeze").read_text() == "0"
    fake.join("it", 42)
    assert fake.processes("it") == {42}


def test_version_2_tells_memory_and_the_want_of_it(fake: FakeV2, tmp_path: Path) -> None:
    fake.create("it", MIB, 1)
    group = tmp_path / "lampyr-one/it"
    (group / "memory.stat").write_text("anon 4096\nfile 9999\nshmem 8192\n")
    (group / "memory.events").write_text("low 0\noom 0\noom_kill 0\n")
    assert fake.usage("it") == (4096, 8192)
    assert not fake.out_of_memory("it")
    (group / "memory.events").write_text("low 0\noom 1\noom_kill 1\n")
    assert fake.out_of_memory("it")
    assert fake.usage("gone") == (0, 0)


def test_groups_survive_being_told_of() -> None:
    groups = CgroupsV1({"memory": "/m", "freezer": "/f"}, "two")
    copy = described(describe(groups))
    assert isinstance(copy, CgroupsV1)
    assert (copy.hierarchies, copy.instance) == (groups.hierarchies, groups.instance)
    assert described(describe(None)) is None


HYBRID = """\
tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,xattr,name=systemd 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
"""


def test_where_the_kernel_shows_its_groups() -> None:
    assert mounted(HYBRID, "4:memory:/x\n0::/user.slice/me\n") == Mounted(
        v1={"cpu": Path("/sys/fs/cgroup/cpu,cpuacct"), "memory": Path("/sys/fs/cgroup/memory")},
        v2=Path("/sys/fs/cgroup/unified"),
        own=Path("user.slice/me"),
    )


def test_without_a_place_to_make_them_there_are_none() -> None:
    assert open_cgroups(Mounted(v1={}, v2=None, own=Path()), "three") is None


@pytest.fixture(params=["v1", "v2"])
def real(request: pytest.FixtureRequest) -> Iterator[Cgroups]:
    """Of this kernel, if it has groups of this version that may be made."""
    places = here()
    if request.param == "v1":
        places = Mounted(v1=places.v1, v2=None, own=places.own)
    else:
        places = Mounted(v1={}, v2=places.v2, own=places.own)
    groups = open_cgroups(places, f"test-{os.getpid()}-{request.param}")
    if groups is None:
        pytest.skip(f"no control groups {request.param} may be made here")
    yield groups
    groups.remove_all()
    step_back(groups)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def test_the_kernel_freezes_and_kills_what_is_frozen(real: Cgroups) -> None:
    real.create("it", 64 * MIB, 10)
    with subprocess.Popen(["sleep", "1000"]) as process:
        real.join("it", process.pid)
        assert real.processes("it") == {process.pid}
        real.freeze("it")
        # A frozen process cannot even be stopped by a signal: it stays asleep.
        process.send_signal(signal.SIGSTOP)
        killing = asyncio.to_thread(real.kill, "it")
        await asyncio.gather(killing, asyncio.to_thread(process.wait))
    assert process.returncode == -signal.SIGKILL
    while not real.remove("it"):
        await asyncio.sleep(0.001)
    assert real.names() == set()
