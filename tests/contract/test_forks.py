"""Forks of a template: none is like another, none gets out, and a dead one is made again.

`LAMPYR_TEST_FORKS` sets how many are compared.
"""

# ruff: noqa: F811

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any, Final

import pytest

from lampyr.worker.sandbox.base import ParkSpec, SandboxError
from lampyr.worker.sandbox.namespaces import NamespacesDriver
from tests.contract.forge import (  # noqa: F401  `forge` is a fixture.
    Forge,
    eventually,
    forge,
)
from tests.contract.sandbox_benches import as_root

FORKS: Final = int(os.environ.get("LAMPYR_TEST_FORKS", "300"))
AT_ONCE: Final = 6

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400), as_root]

RANDOM: Final = """
import json, random, secrets, ssl, tempfile, uuid
_, name = tempfile.mkstemp()
print(json.dumps([
    random.random(), random.getrandbits(64), secrets.token_hex(), str(uuid.uuid4()),
    ssl.RAND_bytes(16).hex(), os.urandom(16).hex(), name,
]))
"""


async def test_no_two_forks_have_a_random_number_in_common(forge: Forge) -> None:
    left = iter(range(FORKS))
    seen: list[list[Any]] = []

    async def work() -> None:
        seen.extend([await forge.told(RANDOM) for _ in left])

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    assert len(seen) == FORKS
    for values in zip(*seen, strict=True):
        assert len(set(values)) == FORKS


WHERE: Final = """
import json
print(json.dumps([os.readlink("/proc/self/ns/net"), os.readlink("/proc/self/fd/0"),
                  "X" in os.environ, os.path.exists("/var/task/app.py"), sys.stdin.read()]))
"""


async def test_one_that_waited_has_a_network_and_a_directory_of_its_own(forge: Forge) -> None:
    driver = forge.driver
    assert isinstance(driver, NamespacesDriver)
    variables = {**forge.template.variables, "_LAMPYR_PARKED": "sdk", "X": "of the park"}
    script = forge.runtime.park_script
    park = ParkSpec(
        argv=(*forge.runtime.argv[:-1], script), variables=variables, template=forge.template
    )
    seen = [str(Path("/proc/self/ns/net").readlink())]
    await forge.told(WHERE, park=park)
    for _ in range(2):
        await eventually(driver.parking.count)
        network, *others = await forge.told(WHERE, park=park)
        assert others == ["/dev/null", False, True, ""]
        assert network not in seen
        seen.append(network)
    for key in tuple(driver.parking._kinds):
        driver.parking._drop(key)
    await eventually(lambda: groups(forge) == [])


SEARCH: Final = """
import json, re
mark = re.compile(b"own secret[:] [0-9a-f]{16}")  # Does not find itself.
found = 0
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
    for line in maps:
        first, last = (int(number, 16) for number in line.split()[0].split("-"))
        if "r" in line.split()[1] and "[v" not in line and last - first < 1 << 28:
            memory.seek(first)
            try:
                content = memory.read(last - first)
            except OSError:
                continue
            found += len(mark.findall(content))
print(json.dumps(found))
"""


async def test_nothing_of_one_function_is_in_the_memory_of_the_next(forge: Forge) -> None:
    secret = f"own secret: {os.urandom(8).hex()}"
    variables = {**forge.spec("").variables, "SECRET": secret}
    assert await forge.told(SEARCH, variables=variables) > 0, "the search finds one's own"
    for _ in range(5):
        assert await forge.told(SEARCH) == 0


PROBE: Final = """
import ctypes, json, socket
libc = ctypes.CDLL(None, use_errno=True)
def refused(call, *arguments):
    ctypes.set_errno(0)
    return call(*arguments) < 0
def denied(path, mode="r"):
    try:
        open(path, mode).close()
    except OSError:
        return True
    return False
def listed(path):
    try:
        return os.listdir(path)
    except OSError:
        return None
NEW = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
print(json.dumps({
    "unshare": [refused(libc.unshare, kind) for kind in NEW],
    "setns": refused(libc.setns, 0, 0),
    "mount": refused(libc.mount, b"none", b"/tmp", b"tmpfs", 0, None),
    "umount": refused(libc.umount2, b"/var/task", 2),
    "chroot": refused(libc.chroot, b"/tmp"),
    "ptrace": refused(libc.ptrace, 16, 1, 0, 0),
    "setuid": refused(libc.setresuid, 0, 0, 0),
    "init": [denied("/proc/1/mem"), denied("/proc/1/environ"), listed("/proc/1/fd")],
    "written": [denied(path, "w") for path in ("/var/task/x", "/x", "/var/runtime/x", "/mnt/x")],
    "up": os.path.realpath("/../../.."), "mnt": listed("/mnt"), "home": listed("/home"),
    "descriptors": sorted(map(int, os.listdir("/proc/self/fd")))[:4],
    "control": [name for name in os.listdir("/proc/self/fd")
                if int(name) > 3 and os.path.exists(f"/proc/self/fd/{name}")],
    "processes": [name for name in os.listdir("/proc") if name.isdigit()],
    "modules": [name for name in sys.modules if name.startswith("spawner")],
}))
"""


async def test_a_fork_reaches_neither_the_host_nor_its_template(forge: Forge) -> None:
    told = await forge.told(PROBE)
    refused = ("setns", "mount", "umount", "chroot", "ptrace", "setuid")
    assert all(told[name] for name in refused), told
    assert all(told["unshare"]), told
    assert told["init"] == [True, True, None]
    assert all(told["written"]), told
    assert (told["up"], told["mnt"], told["home"]) == ("/", [], [])
    assert told["descriptors"] == [0, 1, 2, 3]
    assert told["control"] == []
    assert told["processes"] == ["1", "2"]
    assert told["modules"] == []


WHOLE: Final = """
import json, resource, socket
def read(path):
    with open(path) as file:
        return file.read()
mounts = [line.split() for line in read("/proc/self/mountinfo").splitlines()]
status = dict(line.split(":", 1) for line in read("/proc/self/status").splitlines())
told = ("Umask", "State", "TracerPid", "Uid", "Gid", "Groups", "NStgid", "NSpgid", "NSsid",
        "SigBlk", "SigIgn", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs",
        "Seccomp", "Seccomp_filters", "Threads")
print(json.dumps({
    "mounts": [[line[4], line[5], *line[line.index("-") + 1:][:1], line[-1]] for line in mounts
               if line[-3] != "ext4" or not line[-2].startswith("/dev/loop")],
    "status": {name: status[name].split() for name in told},
    "limits": [resource.getrlimit(kind) for kind in range(16)],
    "oom": [read("/proc/self/oom_score_adj"), read("/proc/1/oom_score_adj")],
    "cgroup": [line.rsplit("/", 1)[0] for line in read("/proc/self/cgroup").splitlines()],
    "maps": read("/proc/self/uid_map").split()[::2] + read("/proc/self/gid_map").split()[::2],
    "hostname": len(socket.gethostname()) > 0, "cwd": os.getcwd(),
    "descriptors": [os.readlink(f"/proc/self/fd/{fd}").partition(":")[0] for fd in range(4)],
    "tmp": [oct(os.stat("/tmp").st_mode), os.stat("/tmp").st_uid, os.listdir("/tmp")],
    "files": [read("/etc/hosts"), read("/etc/resolv.conf")],
}))
"""


async def test_calls_that_are_written_down_make_the_sandbox_that_a_fork_makes_itself(
    forge: Forge,
) -> None:
    driver = forge.driver
    assert isinstance(driver, NamespacesDriver)
    by_calls, forms = await forge.told(WHOLE), driver._forms
    assert forms is not None
    if not forms._known:
        pytest.skip("no network that is ready")
    driver._forms = None
    try:
        assert by_calls == await forge.told(WHOLE)
    finally:
        driver._forms = forms


async def test_a_start_by_calls_makes_the_sandbox_that_a_start_makes_itself(forge: Forge) -> None:
    driver = forge.driver
    assert isinstance(driver, NamespacesDriver)
    code = f"import os, sys\n{WHOLE}sys.stdout.flush()\nos._exit(0)\n"
    by_calls, forms = await forge.run(code, template=None), driver._forms
    assert forms is not None
    if not any(place.anew for place, *_ in forms._known):  # type: ignore[attr-defined]
        pytest.skip("no network that is ready")
    driver._forms = None
    try:
        itself = await forge.run(code, template=None)
    finally:
        driver._forms = forms
    assert json.loads(by_calls["output"]) == json.loads(itself["output"])


async def test_a_fork_whose_calls_fail_says_which_and_nothing_is_left(forge: Forge) -> None:
    with pytest.raises(SandboxError, match=r"execute: .*No such file"):
        await forge.driver.start(forge.spec("", cwd="/nowhere"))
    with pytest.raises(SandboxError, match="No such file"):
        await forge.driver.start(forge.spec("", layers=(str(forge.home / "nothing"),)))
    await eventually(lambda: groups(forge) == [])


async def test_a_template_that_dies_is_made_again_and_takes_no_function_with_it(
    forge: Forge,
) -> None:
    await forge.ready()
    name = await forge.start("import time\nprint('up', flush=True)\ntime.sleep(600)\n")
    await forge.until(name, "up")
    await forge.kill()
    ran = await forge.run("import os\nprint('started', flush=True)\nos._exit(0)\n")
    assert ran["output"] == "started\n"
    await forge.ready()
    assert await forge.told("print('[1]')") == [1]
    assert (await forge.stop(name))["signal"] == signal.SIGKILL


async def test_starts_in_progress_when_the_template_dies_come_to_a_good_end(forge: Forge) -> None:
    for pause in (0.0, 0.005, 0.02):
        await forge.ready()
        running = [
            asyncio.ensure_future(forge.run("import os\nprint('ran', flush=True)\nos._exit(0)\n"))
            for _ in range(3)
        ]
        await asyncio.sleep(pause)
        await forge.kill()
        for ran in await asyncio.gather(*running):
            assert ran["output"] == "ran\n" or ran["signal"] == signal.SIGKILL, ran
    await eventually(lambda: groups(forge) == [])


def groups(forge: Forge) -> list[str]:
    cgroups = forge.driver.cgroups  # type: ignore[attr-defined]
    return sorted(cgroups.names()) if cgroups is not None else []
