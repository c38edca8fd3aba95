"""What `lampyr doctor` says of sandboxes: tried for real, as nothing else is evidence."""

import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from lampyr.worker.network.probe import Fact
from lampyr.worker.sandbox import hierarchies, wiring
from lampyr.worker.sandbox.base import SandboxDriver, SandboxError, SandboxSpec
from lampyr.worker.sandbox.spawner.linux import MACHINE, SUPPORTED

_CODE: Final = """\
import sys
sys.path.append(sys.argv[1])
from spawner.trial import main
main(sys.argv[2])
"""
_NAMESPACES: Final = (
    "user namespace",
    "mount namespace",
    "pid namespace",
    "ipc namespace",
    "uts namespace",
    "network namespace",
    "cgroup namespace",
)
_MEND_NAMESPACES: Final = (
    "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1 (Debian), "
    "kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), user.max_user_namespaces=10000; "
    "or run Lampyr as root; or install bubblewrap, which the host may trust"
)
_MEND_MEMORY: Final = (
    "as root: boot with control groups that have the memory controller; as an ordinary user: "
    "systemd-run --user --scope -p Delegate=yes lampyr start"
)
_BWRAP_MIN: Final = (0, 8)


async def probe() -> list[Fact]:
    """One fact for each thing sandboxes are made of; leaves nothing behind. ≈ 0.2 s."""
    return await asyncio.to_thread(_probe)


async def try_driver(driver: SandboxDriver) -> Fact:
    """Whether this driver starts a program on this host; opens and closes the driver."""
    name = f"a sandbox by '{driver.name}'"
    spec = SandboxSpec(
        environment_id="doctor",
        argv=("/bin/true",),
        variables={},
        mounts={},
        memory_mb=128,
        tmp_mb=512,
        cwd="/",
    )
    try:
        await driver.open()
        sandbox = await driver.start(spec)
        ended = await sandbox.exited
        await sandbox.stop()
        wiring.stop_listening(sandbox)
        os.close(sandbox.output)
        os.close(sandbox.telemetry)
    except (SandboxError, OSError) as error:
        return Fact(name=name, ok=False, detail=str(error), mend="see above")
    finally:
        await driver.close()
    return Fact(name=name, ok=ended.code == 0, detail="started and stopped")


def _probe() -> list[Fact]:
    if not SUPPORTED:
        mend = "use the bubblewrap or process driver, or a machine of x86-64 or aarch64"
        return [Fact(name="processor", ok=False, detail=MACHINE, mend=mend), _bubblewrap()]
    with tempfile.TemporaryDirectory(prefix="lampyr-doctor-") as directory:
        found = _trial(directory)
    return [
        Fact(name="kernel", ok=True, detail=f"Linux {platform.release()} on {MACHINE}"),
        *[_from_trial(name, found, _MEND_NAMESPACES) for name in _NAMESPACES],
        _from_trial("seccomp", found, "a kernel with CONFIG_SECCOMP_FILTER"),
        _from_trial("overlay", found, "modprobe overlay; without it, use at most one layer"),
        _from_trial("proc", found, "in a container: one that does not mask /proc"),
        _tmp(found),
        _memory(),
        _bubblewrap(),
    ]


def _trial(directory: str) -> dict[str, str]:
    package = str(Path(__file__).parent)
    told = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _CODE, package, directory],
        capture_output=True,
        check=False,
        text=True,
    )
    try:
        found: dict[str, str] = json.loads(told.stdout)
    except ValueError:
        found = {}
    return dict.fromkeys(_NAMESPACES, told.stderr.strip()[-200:] or "not tried") | found


def _from_trial(name: str, found: dict[str, str], mend: str) -> Fact:
    problem = found.get(name, "not tried")
    if problem:
        return Fact(name=name, ok=False, detail=problem, mend=mend)
    return Fact(name=name, ok=True, detail="works")


def _tmp(found: dict[str, str]) -> Fact:
    name = "files of /tmp on disk"
    if os.geteuid() != 0:
        return Fact(
            name=name,
            ok=False,
            detail="needs root; /tmp of a function is in memory",
            mend="run Lampyr as root, or give functions that use /tmp more memory",
        )
    mkfs = shutil.which("mkfs.ext4", path=f"{os.defpath}:/usr/sbin:/sbin")
    if mkfs is None:
        return Fact(name=name, ok=False, detail="no mkfs.ext4", mend="apt install e2fsprogs")
    if problem := found.get("loop devices", "not tried"):
        return Fact(name=name, ok=False, detail=problem, mend="modprobe loop")
    return Fact(name=name, ok=True, detail="on loop devices")


def _memory() -> Fact:
    """A group is made and removed where Lampyr would make its own."""
    name = "limits of memory and CPU"
    cgroups = hierarchies.open_cgroups(hierarchies.here(), f"doctor-{os.getpid()}")
    if cgroups is None:
        detail = "no control group may be made: memory is watched, CPU is not limited"
        return Fact(name=name, ok=False, detail=detail, mend=_MEND_MEMORY)
    controllers = sorted(cgroups.hierarchies.keys() - {"core"})
    cgroups.remove_all()
    hierarchies.step_back(cgroups)
    detail = f"control groups version {cgroups.version}: {', '.join(controllers) or 'freezer only'}"
    missing = {"memory", "cpu", "pids"} - set(controllers)
    if missing:
        detail = f"{detail}; without {', '.join(sorted(missing))}"
    return Fact(name=name, ok=not missing, detail=detail, mend=_MEND_MEMORY if missing else "")


def _bubblewrap() -> Fact:
    name = "bubblewrap (the fallback)"
    program = shutil.which("bwrap")
    if program is None:
        return Fact(name=name, ok=False, detail="not installed", mend="apt install bubblewrap")
    told = subprocess.run([program, "--version"], capture_output=True, check=False, text=True)
    version = told.stdout.split()[-1:] or ["?"]
    numbers = tuple(int(part) for part in version[0].split(".") if part.isdecimal())
    if numbers < _BWRAP_MIN:
        return Fact(name=name, ok=False, detail=version[0], mend="0.8 or later is needed")
    return Fact(name=name, ok=True, detail=version[0])
