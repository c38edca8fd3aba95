"""Forks of a template: none is like another, none gets out, and a dead one is made again.

`LAMPYR_TEST_FORKS` sets how many are compared.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from lampyr.worker.network.base import Egress
from lampyr.worker.network.pooled import PooledNetwork
from lampyr.worker.runtimes import RuntimeCatalog
from lampyr.worker.runtimes.forks import template_of
from lampyr.worker.sandbox.base import ParkSpec, SandboxError, SandboxSpec, TemplateSpec
from lampyr.worker.sandbox.namespaces import NamespacesDriver
from tests.contract.sandbox_benches import as_root
from tests.contract.sandboxes import LocalBench

FORKS: Final = int(os.environ.get("LAMPYR_TEST_FORKS", "300"))
AT_ONCE: Final = 6
PATIENCE: Final = 150.0
"""Here the template loads the AWS SDK from its sources, whatever else this host does."""

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400), as_root]

NOT_A_FORK: Final = 77
IS_FORK: Final = f"import os, sys\nif 'boto3' not in sys.modules: os._exit({NOT_A_FORK})\n"
PLAIN_MAX: Final = 3
"""Where a fork dies before it is a function, its sandbox is started anew without a template."""


class Forge(LocalBench):
    """Runs a function's module in forks of the template of this interpreter's runtime."""

    def __init__(self, runtimes: Path, network: PooledNetwork | None) -> None:
        super().__init__("namespaces", network=network)
        self.runtimes = runtimes
        self.killed: set[int] = set()
        self.template: TemplateSpec

    async def open(self) -> None:
        catalog = RuntimeCatalog(self.runtimes, os.environ)
        name = f"python3.{sys.version_info.minor}"
        self.runtime = await asyncio.to_thread(catalog.find, name)
        self.template = template_of(self.runtime, sdk=True)
        await super().open()
        await self.ready()

    async def ready(self) -> int:
        """The process of the template, once it is there."""
        driver = self.driver
        assert isinstance(driver, NamespacesDriver)
        driver.expect(self.template)
        await eventually(lambda: set(driver.templates.pids().values()) - self.killed)
        return driver.templates.pids()[self.template.name]

    async def kill(self) -> None:
        """Kill the template."""
        pid = await self.ready()
        self.killed.add(pid)
        os.kill(pid, signal.SIGKILL)

    def spec(self, code: str, **changes: Any) -> SandboxSpec:
        """`code` is the module of the handler; it ends the process itself."""
        self.count += 1
        task = self.home / f"task-{self.count}"
        task.mkdir(mode=0o755)
        (task / "app.py").write_text(code)
        spec = SandboxSpec(
            environment_id=f"forked-{self.count}",
            argv=self.runtime.argv,
            variables={
                "AWS_LAMBDA_RUNTIME_API": "{runtime_api}",
                "_HANDLER": "app.handler",
                **self.template.variables,
            },
            mounts={**self.runtime.mounts, "/var/task": str(task)},
            memory_mb=256,
            tmp_mb=512,
            template=self.template,
        )
        return replace(spec, **changes)

    async def told(self, code: str, **changes: Any) -> Any:
        """What the module prints, as JSON."""
        for _ in range(PLAIN_MAX):
            ran = await self.run(f"{IS_FORK}{code}\nsys.stdout.flush()\nos._exit(0)\n", **changes)
            if ran["code"] != NOT_A_FORK:
                break
        assert ran["code"] == 0, ran
        return json.loads(ran["output"])


async def eventually(look: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["by calls", "by itself"])
async def forge(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Forge]:
    """A fork sets itself up, or makes calls that were written down: where its network is ready."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    network = None
    if request.param == "by calls":
        network = PooledNetwork(egress=Egress.NONE, endpoint_port=None)
        await network.open()
    made = Forge(shared / "lampyr-runtimes", network)
    await made.open()
    yield made
    await made.close()
    if network is not None:
        await network.close()


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


ENVIRONMENT: Final = """
import ctypes, json, subprocess
def of_a_child():
    lines = subprocess.run(["/usr/bin/env"], capture_output=True, text=True).stdout.splitlines()
    return dict(line.split("=", 1) for line in lines)
libc = ctypes.CDLL(None)
libc.getenv.restype = ctypes.c_char_p
before = [dict(os.environ), of_a_child()]
found = (libc.getenv(b"GLOW") or b"").decode()
os.environ["GLOW"] = "changed"
os.environ["NEW"] = "made"
del os.environ["GONE"]
after = [dict(os.environ), of_a_child()]
print(json.dumps([before, found, after]))
"""


async def test_the_environment_of_a_fork_is_that_of_its_c_library_and_its_children(
    forge: Forge,
) -> None:
    await forge.ready()
    told = {**forge.spec("").variables, "GLOW": "grün=1", "EMPTY": "", "GONE": "x"}
    del told["LD_BIND_NOW"]  # The template's own.
    (known, of_child), found, (then, of_later_child) = await forge.told(ENVIRONMENT, variables=told)
    assert known == of_child
    assert (known["GLOW"], known["EMPTY"], found) == ("grün=1", "", "grün=1")
    assert "LD_BIND_NOW" not in known
    assert (
        then
        == of_later_child
        == {
            **{name: value for name, value in known.items() if name != "GONE"},
            "GLOW": "changed",
            "NEW": "made",
        }
    )


FOUND: Final = """
import json, logging, sys
from awslambdaric import bootstrap
def read(path):
    with open(path) as file:
        return file.read()
print(json.dumps({
    "path": sys.path, "argv": sys.argv, "stdout": type(sys.stdout).__name__,
    "handlers": [type(each).__name__ for each in logging.getLogger().handlers],
    "level": logging.getLogger().level, "converter": logging.Formatter.converter.__name__,
    "request": bootstrap._GLOBAL_AWS_REQUEST_ID,
    "environment": sorted(name for name in os.environ if name != "LC_CTYPE"),
    "rehearsed": [name for name in sys.modules if "rehearsal" in name],
    "frozen": logging.getLogger().handlers[0].filters != [],
    "mounts": sorted(line.split()[4] for line in read("/proc/self/mountinfo").splitlines()),
}))
sys.stdout.flush()
os._exit(0)
"""


async def test_a_fork_finds_what_a_plain_start_finds(forge: Forge) -> None:
    """Nothing of what its template has rehearsed, and nothing of where that was made."""
    await forge.ready()
    plain = await forge.run(f"import os\n{FOUND}", template=None)
    assert await forge.told(FOUND) == json.loads(plain["output"])
