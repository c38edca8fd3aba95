"""What a sandbox keeps a function from, and what it keeps it to, over every driver that isolates."""

# ruff: noqa: E501, F811

import signal
import socket
from pathlib import Path

import pytest

from lampyr.worker.sandbox.spawner import seccomp
from lampyr.worker.sandbox.spawner.linux import MACHINE
from tests.contract.sandbox_benches import (  # noqa: F401  `bench` is a fixture.
    as_root,
    bench,
    code,
    every,
    isolating,
    make,
    marked,
)
from tests.contract.sandboxes import Bench

MIB = 1024 * 1024
pytestmark = pytest.mark.asyncio(loop_scope="module")

# --- memory and disk ----------------------------------------------------------------------------

HOG = "\nhog = []\nwhile True: hog.append(b'x' * 4_000_000)\n"


@isolating
async def test_more_memory_than_configured_ends_the_function(bench: Bench) -> None:
    ran = await bench.run(HOG)
    assert (ran["signal"], ran["out_of_memory"]) == (signal.SIGKILL, True)


@isolating
async def test_a_hungry_grandchild_ends_the_whole_function(bench: Bench) -> None:
    ran = await bench.run(
        code("""
        import os, time
        if os.fork() == 0:
            if os.fork() == 0:
                HOG
            os.wait()
            os._exit(0)
        os.wait()
        time.sleep(1000)
        """).replace("HOG", "hog = []\n        while True: hog.append(b'x' * 4_000_000)")
    )
    assert (ran["signal"], ran["out_of_memory"]) == (signal.SIGKILL, True)


@isolating
async def test_memory_in_use_is_what_the_processes_hold(bench: Bench) -> None:
    name = await bench.start(
        "import time; held = b'x' * 40_000_000; open('/tmp/file', 'wb').write(held);"
        "print('ready', flush=True); time.sleep(1000)"
    )
    await bench.until(name, "ready")
    assert 40_000_000 < await bench.memory(name) < 64_000_000
    await bench.stop(name)


@isolating
async def test_tmp_has_the_size_that_was_asked_for_and_no_more(bench: Bench) -> None:
    ran = await bench.run(
        code("""
        import os
        free = os.statvfs("/tmp")
        print(free.f_bavail * free.f_frsize // 2**20)
        fd = os.open("/tmp/file", os.O_CREAT | os.O_WRONLY)
        try: os.posix_fallocate(fd, 0, 530 * 2**20)
        except OSError as error: print(error.errno)
        print(os.stat("/tmp").st_uid, oct(os.stat("/tmp").st_mode), os.listdir("/tmp"))
        """),
        memory_mb=1024,
    )
    free, error, rest = ran["output"].splitlines()
    assert 511 <= int(free) <= 517
    assert int(error) == 28
    assert rest == "993 0o40700 ['file']"


@as_root
async def test_files_in_tmp_are_not_charged_to_memory() -> None:
    bench = await make("namespaces")
    ran = await bench.run(
        code("""
        import os
        fd = os.open("/tmp/file", os.O_CREAT | os.O_WRONLY)
        for _ in range(300): os.write(fd, bytes(2**20))
        print(os.fstat(fd).st_size)
        """)
    )
    await bench.close()
    assert (ran["code"], ran["output"]) == (0, f"{300 * MIB}\n")


@isolating
async def test_tmp_is_private(bench: Bench) -> None:
    await bench.run("open('/tmp/mine', 'w').write('secret')")
    assert (await bench.run("import os; print(os.listdir('/tmp'))"))["output"] == "[]\n"
    assert not Path("/tmp/mine").exists()


# --- isolation ----------------------------------------------------------------------------------


@isolating
async def test_a_function_is_an_ordinary_user_without_any_privilege(bench: Bench) -> None:
    ran = await bench.run(
        "import os; print(os.getresuid(), os.getresgid(), open('/proc/self/status').read())"
    )
    assert ran["output"].startswith("(993, 993, 993) (990, 990, 990)")
    status = dict(line.split(":\t", 1) for line in ran["output"].splitlines() if ":\t" in line)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert status["Groups"].strip() in ("", "990", "65534")


@as_root
async def test_every_sandbox_is_another_user_of_the_host() -> None:
    bench = await make("namespaces")
    sleep = "import time; time.sleep(1000)"
    names = [await bench.start(sleep), await bench.start(sleep)]
    pids = (await bench.facts())["pids"]
    owners = {
        Path(f"/proc/{pids[name]}/status").read_text().split("Uid:\t")[1].split()[0]
        for name in names
    }
    assert len(owners) == 2
    assert all(int(owner) >= 0x7000_0000 for owner in owners)
    await bench.close()


@isolating
async def test_of_the_hosts_accounts_and_files_nothing_is_seen(bench: Bench) -> None:
    ran = await bench.run(
        code("""
        import os, pwd
        print([p for p in ("/etc/shadow", "/root", "/boot", "/lost+found", "/run/lock", "/srv") if os.path.exists(p)])
        print(os.listdir("/usr/local") if os.path.isdir("/usr/local") else [])
        print([entry.pw_name for entry in pwd.getpwall()], pwd.getpwuid(os.getuid()).pw_name)
        """).replace("-S", "")
    )
    assert ran["output"].splitlines() == [
        "[]",
        "[]",
        "['root', 'nobody', 'sbx_user1051'] sbx_user1051",
    ]


@isolating
async def test_only_its_own_processes_are_seen(bench: Bench) -> None:
    ran = await bench.run(
        "import os; print(os.getpid(), sorted(int(n) for n in os.listdir('/proc') if n.isdecimal()))"
    )
    assert ran["output"] == "2 [1, 2]\n"


@isolating
async def test_the_first_process_keeps_its_secrets(bench: Bench) -> None:
    ran = await bench.run(
        code("""
        import os
        for name in ("mem", "environ", "fd", "cwd", "root", "maps"):
            try:
                path = f"/proc/1/{name}"
                os.listdir(path) if name == "fd" else open(path, "rb").read() if name in ("mem", "environ", "maps") else os.readlink(path)
                print(name)
            except PermissionError: pass
        """)
    )
    assert ran["output"] == ""


@isolating
async def test_nothing_but_tmp_can_be_written(bench: Bench) -> None:
    ran = await bench.run(
        code("""
        import os
        for path in ("/", "/usr", "/etc", "/var/task", "/var/lang", "/opt", "/dev", "/var/tmp", "/run", "/proc/sys/kernel"):
            try: open(f"{path}/new", "w"); print(path)
            except OSError: pass
        for path in ("/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/proc/1/oom_score_adj", "/etc/hosts"):
            try: open(path, "w"); print(path)
            except OSError: pass
        """)
    )
    assert ran["output"] == ""


@isolating
async def test_no_other_descriptor_is_open(bench: Bench) -> None:
    ran = await bench.run("import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))")
    assert ran["output"] == "[0, 1, 2, 3, 4]\n"  # The last one is the directory's own.


@isolating
async def test_calls_that_reach_out_of_the_sandbox_are_refused(bench: Bench) -> None:
    column = ("x86_64", "aarch64").index(MACHINE)
    numbers = {
        name: both[column] for name, both in seccomp.DENIED.items() if both[column] is not None
    }
    ran = await bench.run(
        code(f"""
        import ctypes, errno
        libc = ctypes.CDLL(None, use_errno=True)
        for name, number in {numbers}.items():
            ctypes.set_errno(0)
            if libc.syscall(number, 0, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() != errno.EPERM:
                print(name, ctypes.get_errno())
        for flag in (0x20000, 0x10000000, 0x20000000, 0x40000000):
            ctypes.set_errno(0)
            if libc.syscall({seccomp._CLONE[MACHINE]}, flag, 0, 0, 0, 0) != -1: print(flag)
        """)
    )
    assert (ran["code"], ran["output"]) == (0, "")


@isolating
async def test_sockets_are_only_of_the_sandboxs_own_network(bench: Bench) -> None:
    ran = await bench.run(
        code("""
        import socket
        for family in range(46):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
                try: socket.socket(family, kind).close(); print(socket.AddressFamily(family).name)
                except OSError: pass
        """)
    )
    assert set(ran["output"].split()) == {"AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"}


@isolating
async def test_the_hosts_own_services_cannot_be_reached(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ran = await bench.run(
            code(f"""
            import socket
            try: socket.create_connection({server.getsockname()!r}, timeout=5); print("reached")
            except OSError as error: print(error.errno)
            print([name for _, name in socket.if_nameindex()])
            """)
        )
    assert ran["output"] == "111\n['lo']\n"


@isolating
async def test_names_certificates_and_time_are_there(bench: Bench) -> None:
    ran = await bench.run(
        code("""
        import os, socket, time
        print(socket.gethostname().startswith("169.254."), time.strftime("%Z"), os.cpu_count() > 0)
        print(socket.gethostbyname("localhost"))
        print(os.path.getsize("/etc/pki/tls/certs/ca-bundle.crt") > 1000 or "none on the host")
        """)
    )
    assert ran["output"].splitlines()[:2] == ["True UTC True", "127.0.0.1"]


@as_root
async def test_the_network_writes_the_names_it_resolves() -> None:
    bench = await make("namespaces")
    ran = await bench.run("import socket; print(socket.gethostbyname('from-the-network'))")
    assert ran["output"] == "127.0.0.9\n"
    await bench.close()
