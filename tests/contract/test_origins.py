"""Copies of a function that was initialised: alike in what Init made, their own in all else.

`LAMPYR_TEST_FORKS` sets how many are compared. With `LAMPYR_TEST_PACKAGES`, a directory that has
numpy and cryptography for this Python, theirs are compared, too.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from lampyr.limits import DEFAULT_LIMITS
from lampyr.worker.sandbox.base import SandboxError
from tests.contract.origins import TELL, OriginBench
from tests.contract.sandbox_benches import as_root
from tests.contract.sandboxes import RemoteBench, ordinary_python

FORKS: Final = int(os.environ.get("LAMPYR_TEST_FORKS", "40"))
PACKAGES: Final = os.environ.get("LAMPYR_TEST_PACKAGES")
AT_ONCE: Final = 6
PATIENCE: Final = 30.0

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]


async def eventually(look: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["root", "ordinary"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    if request.param == "root":
        if os.geteuid() != 0:
            pytest.skip("needs root")
        made: Any = OriginBench()
    else:
        python = ordinary_python()
        if python is None:
            pytest.skip("no Python that an ordinary user may run")
        made = RemoteBench(python, "origins")
    await made.open()
    yield made
    await made.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def forge() -> AsyncIterator[OriginBench]:
    made = OriginBench()
    await made.open()
    yield made
    await made.close()


RANDOM: Final = f"""{TELL}
import random, secrets, ssl, tempfile, uuid
MADE = [random.random(), str(uuid.uuid4())]
ssl.RAND_bytes(1)
tempfile.mkstemp()
def of_packages():
    return []
def what():
    return MADE, [
        random.random(), random.getrandbits(64), secrets.token_hex(), str(uuid.uuid4()),
        ssl.RAND_bytes(16).hex(), os.urandom(16).hex(), tempfile.mkstemp()[1], *of_packages(),
    ]
"""
OF_PACKAGES: Final = """
import numpy
from cryptography.hazmat.primitives.asymmetric import ec, x25519
numpy.random.rand()
ec.generate_private_key(ec.SECP256R1()), x25519.X25519PrivateKey.generate()
numpy.dot(numpy.ones((300, 300)), numpy.ones((300, 300)))
def of_packages():
    total = numpy.dot(numpy.ones((300, 300)), numpy.ones((300, 300))).sum()
    assert total == 300 ** 3
    return [
        float(numpy.random.rand()), float(numpy.random.default_rng().random()),
        ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value,
        x25519.X25519PrivateKey.generate().private_bytes_raw().hex(),
    ]
"""


@as_root
async def test_copies_have_what_init_made_in_common_and_no_random_number(
    forge: OriginBench,
) -> None:
    code, changes = RANDOM, {}
    if PACKAGES:
        code, changes = code + OF_PACKAGES, {"layers": (_layer(forge, Path(PACKAGES)),)}
    origin = await forge.origin(code, **changes)
    left = iter(range(FORKS))
    seen: list[Any] = []

    async def work() -> None:
        seen.extend([await forge.told(origin) for _ in left])

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    await forge.stop(origin)
    assert len(seen) == FORKS
    assert all(made == seen[0][0] for made, _ in seen)
    for values in zip(*(numbers for _, numbers in seen), strict=True):
        assert len(set(values)) == FORKS


@as_root
async def test_the_processes_of_copies_which_have_one_user_are_not_counted_together(
    forge: OriginBench,
) -> None:
    groups = forge.driver.cgroups  # type: ignore[attr-defined]
    if groups is None or "pids" not in groups.hierarchies:
        pytest.skip("needs control groups that count processes")
    limit = "resource.getrlimit(resource.RLIMIT_NPROC)[0]"
    origin = await forge.origin(f"{TELL}\nimport resource\ndef what(): return {limit}\n")
    limits = await forge.told(origin)
    await forge.stop(origin)
    assert limits != DEFAULT_LIMITS.processes


def _layer(forge: OriginBench, packages: Path) -> str:
    directory = forge.home / "packages"
    shutil.copytree(packages, directory / "python")
    return str(directory)


PROBE: Final = """
import ctypes, errno, os, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
def error(call, *arguments):
    ctypes.set_errno(0)
    return errno.errorcode.get(ctypes.get_errno(), "?") if call(*arguments) < 0 else None
def clone(flags):
    ctypes.set_errno(0)
    pid = libc.syscall(56 if os.uname().machine == "x86_64" else 220, flags | 17, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    if pid > 0:
        os.waitpid(pid, 0)
    return pid > 0
def denied(path, mode="r"):
    try:
        open(path, mode).close()
    except OSError:
        return True
    return False
def probe():
    lines = (line.split() for line in open("/proc/self/status"))
    status = {line[0]: line[-1] for line in lines if len(line) > 1}
    ours = os.open("/proc/self/ns/net", os.O_RDONLY)
    refused = {
        "mount": error(libc.mount, b"none", b"/tmp", b"tmpfs", 0, None),
        "umount": error(libc.umount2, b"/proc", 2),
        "setns": error(libc.setns, ours, 0), "setns net": error(libc.setns, ours, 0x40000000),
        "new user": error(libc.unshare, 0x10000000), "new mounts": error(libc.unshare, 0x20000),
        "new network": error(libc.unshare, 0x40000000), "ptrace": error(libc.ptrace, 16, 1, 0, 0),
        "chroot": error(libc.chroot, b"/tmp"), "keyctl": error(libc.syscall, KEYCTL, 0, 0),
        "io_uring": error(libc.syscall, 425, 1, 0), "bpf": error(libc.syscall, BPF, 0, 0, 0),
        "pivot_root": error(libc.syscall, PIVOT, b"/tmp", b"/tmp"),
        "fsopen": error(libc.syscall, 430, b"tmpfs", 0),
        "open_tree": error(libc.syscall, 428, -100, b"/tmp", 1),
        "hostname": error(libc.sethostname, b"x", 1),
    }
    os.close(ours)
    return {
        "refused": refused, "clone user": clone(0x10000000), "clone network": clone(0x40000000),
        "caps": [status[name] for name in ("CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:")],
        "filtered": status["Seccomp:"], "no new": status["NoNewPrivs:"],
        "init": [denied("/proc/1/mem"), denied("/proc/1/environ"), denied("/proc/1/maps")],
        "written": [denied(path, "w") for path in ("/var/task/x", "/x", "/var/runtime/x")],
        "processes": sorted(name for name in os.listdir("/proc") if name.isdigit()),
        "up": os.listdir("/proc/1/root") if not denied("/proc/1/environ") else None,
        "child": os.popen("grep -h CapEff /proc/self/status").read().split()[-1],
    }
machine = os.uname().machine
KEYCTL, BPF, PIVOT = (250, 321, 155) if machine == "x86_64" else (219, 280, 41)
"""


async def test_neither_init_nor_a_copy_gets_out(bench: Any) -> None:
    what = "\nINIT = probe()\nPID = os.getpid()\ndef what(): return INIT, PID, probe()\n"
    origin = await bench.origin(TELL + PROBE + what)
    during_init, pid, restored = await bench.told(origin)
    await bench.stop(origin)
    for seen in (during_init, restored):
        assert set(seen["refused"].values()) == {"EPERM"}, seen["refused"]
        assert not seen["clone user"]
        assert all(seen["init"])
        assert all(seen["written"])
        assert (seen["filtered"], seen["no new"]) == ("2", "1")
        assert seen["child"] == "0" * 16, "what it starts has no privilege"
    nothing, namespaces = "0" * 16, f"{1 << 21:016x}"
    assert during_init["caps"] == [nothing, namespaces, namespaces, nothing, nothing]
    assert during_init["clone network"], "and it is empty"
    assert during_init["processes"] == ["1", str(pid)]
    assert pid > 2, "a copy is process 2: OpenSSL tells them apart by that"
    assert restored["caps"] == [nothing] * 5
    assert not restored["clone network"]
    assert restored["processes"] == ["1", "2"]


OWN: Final = f"""{TELL}
import socket, tempfile
peer = socket.create_server(("127.0.0.1", 0))
connection = socket.create_connection(peer.getsockname())
peer.accept()[0].close(); peer.close()
os.mkdir("/tmp/deep"); os.symlink("/etc/hosts", "/tmp/deep/link"); os.chdir("/tmp/deep")
appended = open("/tmp/appended", "a+"); appended.write("init"); appended.flush()
nameless = tempfile.TemporaryFile(); nameless.write(b"init"); nameless.flush()
read = open("/var/task/app.py"); read.read(5)
with open("/dev/shm/shared", "w") as file: file.write("init")
os.environ["MINE"] = "set in Init"
def what():
    appended.write(" copy"); appended.flush()
    nameless.write(b" copy"); nameless.seek(0)
    with open("/tmp/appended") as file, open("/dev/shm/shared") as shared:
        contents = [file.read(), nameless.read().decode(), shared.read()]
    return [contents, read.buffer.tell() > 0, os.lseek(read.fileno(), 0, 1) > 0, os.getcwd(),
            os.readlink("link"), connection.recv(1).decode(), os.environ["MINE"],
            os.environ["NEW"], os.stat("/tmp/appended").st_uid == os.getuid(), os.getpid()]
"""


async def test_a_copy_has_its_own_of_what_init_left_open(bench: Any) -> None:
    origin = await bench.origin(OWN)
    variables = {**OriginBench.plain, "NEW": "this one's"}
    for _ in range(2):
        told = await bench.told(origin, variables=variables)
        contents = ["init copy", "init copy", "init"]
        own = [contents, True, True, "/tmp/deep", "/etc/hosts", "", "set in Init", "this one's"]
        assert told == [*own, True, 2]
    await bench.stop(origin)


UNFIT: Final = {
    "import threading\nthreading.Thread(target=threading.Event().wait).start()": "threads",
    "import subprocess\nother = subprocess.Popen(['sleep', '60'])": "processes",
    "import asyncio\nloop = asyncio.new_event_loop()": "",
    "import mmap\nshared = mmap.mmap(-1, 4096)": "memory",
    "import socket\nlistener = socket.create_server(('127.0.0.1', 0))": "listens",
    "import os\nends = os.pipe()": "pipe",
}


@as_root
@pytest.mark.parametrize("code", UNFIT)
async def test_what_no_copy_would_have_speaks_against_copying(
    forge: OriginBench, code: str
) -> None:
    name = await forge.start(f"{code}\ndef handler(event, context): ...\n", origin=True)
    assert UNFIT[code] in await forge.unfit(name)
    await forge.stop(name)


def processes(forge: OriginBench) -> list[int]:
    spawner = forge.driver.spawner_pid  # type: ignore[attr-defined]
    with contextlib.suppress(OSError):
        return [*map(int, Path(f"/proc/{spawner}/task/{spawner}/children").read_text().split())]
    return []


@as_root
async def test_a_copy_outlives_what_it_is_a_copy_of_and_nothing_outlives_both(
    forge: OriginBench,
) -> None:
    await eventually(lambda: processes(forge) == [])
    origin = await forge.origin(TELL + "def what(): return 1\n")
    name = await forge.copy(origin)
    await forge.stop(origin)
    with pytest.raises(SandboxError):
        await forge.copy(origin)
    await forge.restore(name)
    assert (await forge.ended(name))["output"] == "1\n"
    await eventually(lambda: processes(forge) == [])
    assert forge.driver.cgroups.names() == set()  # type: ignore[attr-defined]


@as_root
async def test_copies_in_progress_when_it_dies_come_to_an_end_and_leave_nothing(
    forge: OriginBench,
) -> None:
    for pause in (0.0, 0.004, 0.012):
        origin = await forge.origin(TELL + "def what(): return 1\n")
        asked = [asyncio.ensure_future(forge.started(origin)) for _ in range(3)]
        await asyncio.sleep(pause)
        os.kill(forge.sandboxes[origin].first_pid, signal.SIGKILL)  # type: ignore[attr-defined]
        for name in filter(None, await asyncio.gather(*asked)):
            await forge.stop(name)
        await forge.stop(origin)
    await eventually(lambda: processes(forge) == [])
    await eventually(lambda: forge.driver.cgroups.names() == set())  # type: ignore[attr-defined]


async def test_with_the_server_all_copies_and_what_made_them_end() -> None:
    python = ordinary_python() if os.geteuid() == 0 else None
    if python is None:
        pytest.skip("needs root, and a Python that an ordinary user may run")
    remote: Any = RemoteBench(python, "origins")
    await remote.open()
    origin = await remote.origin(TELL + "def what(): return 1\n")
    for _ in range(3):
        await remote.copy(origin)
    facts = await remote.facts()
    found = [facts["spawner"], *facts["pids"].values()]
    assert all(map(alive, found))
    remote._process.kill()
    await eventually(lambda: not any(map(alive, found)))
    await remote._process.wait()


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@as_root
async def test_with_the_spawner_all_copies_end(forge: OriginBench) -> None:
    origin = await forge.origin(TELL + "def what(): return 1\n")
    names = [origin, *[await forge.copy(origin) for _ in range(3)]]
    await eventually(lambda: len(processes(forge)) == 5)  # One keeps their namespace.
    found = processes(forge)
    os.kill(forge.driver.spawner_pid, signal.SIGKILL)  # type: ignore[attr-defined]
    for name in names:
        await forge.ended(name)
    await eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in found))
    origin = await forge.origin(TELL + "def what(): return 1\n")
    assert await forge.told(origin) == 1
    await forge.stop(origin)
