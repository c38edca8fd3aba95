"""What every sandbox promises, over every driver; isolation over those that isolate."""

# ruff: noqa: PTH208, E501

import asyncio
import os
import shutil
import signal
import socket
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio

from lampyr.worker.sandbox.base import SandboxError
from lampyr.worker.sandbox.spawner import seccomp
from lampyr.worker.sandbox.spawner.linux import MACHINE
from tests.contract.sandboxes import Bench, LocalBench, RemoteBench, ordinary_python

pytestmark = pytest.mark.asyncio(loop_scope="module")

AS_USER = " as an ordinary user"
ISOLATING = ("namespaces", f"namespaces{AS_USER}", "bubblewrap", f"bubblewrap{AS_USER}")
EVERY = (*ISOLATING, "process")
isolating = pytest.mark.parametrize("bench", ISOLATING, indirect=True)
every = pytest.mark.parametrize("bench", EVERY, indirect=True)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
MIB = 1024 * 1024


async def make(kind: str) -> Bench:
    bench: LocalBench | RemoteBench
    if kind.startswith("bubblewrap") and shutil.which("bwrap") is None:
        pytest.skip("bwrap is not installed")
    if kind.endswith(AS_USER):
        python = ordinary_python() if os.geteuid() == 0 else None
        if python is None:
            pytest.skip("needs root, and an interpreter that others may run")
        bench = RemoteBench(python, kind.removesuffix(AS_USER))
    else:
        bench = LocalBench(kind)
    await bench.open()
    return cast("Bench", bench)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    bench = await make(request.param)
    yield bench
    await bench.close()


def code(text: str) -> str:
    return textwrap.dedent(text)


def marked(marker: str) -> list[int]:
    """Processes of the host with this text in their command."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                command = Path(f"/proc/{name}/cmdline").read_bytes()
            except OSError:
                continue
            if command.startswith(marker.encode()):
                found.append(int(name))
    return found


# --- what a function gets -----------------------------------------------------------------------


@every
async def test_output_and_errors_are_read_from_one_pipe(bench: Bench) -> None:
    ran = await bench.run("import sys; print('out', flush=True); print('err', file=sys.stderr)")
    assert (ran["code"], ran["signal"], ran["output"]) == (0, None, "out\nerr\n")


@every
async def test_stdout_can_be_opened_by_name(bench: Bench) -> None:
    ran = await bench.run(
        "", argv=["/bin/sh", "-c", "echo out >/dev/stdout; echo err >/dev/stderr"]
    )
    assert ran["output"] == "out\nerr\n"


@every
async def test_telemetry_is_written_to_the_descriptor_that_a_variable_names(bench: Bench) -> None:
    ran = await bench.run("import os; os.write(int(os.environ['_LAMBDA_TELEMETRY_LOG_FD']), b'x')")
    assert (ran["said"], ran["output"]) == ("x", "")


@every
async def test_the_environment_is_what_was_asked_for_and_nothing_of_the_hosts(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = await bench.run(
        "import os; print(sorted(dict(os.environ).items()))",
        variables={"A": "{runtime_api}", "B": "http://{endpoint}", "ü": "\n=é"},
    )
    found = dict(eval(ran["output"]))
    found.pop("_LAMBDA_TELEMETRY_LOG_FD")
    found.pop("LC_CTYPE", None)  # Python's own, on coercing the C locale.
    assert found == {"A": "{runtime_api}", "B": "http://{endpoint}", "ü": "\n=é"}


@every
async def test_a_function_reaches_its_runtime_api_at_the_address_it_is_told(bench: Bench) -> None:
    name = await bench.start(
        code("""
        import os, socket
        host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
        connection = socket.create_connection((host, int(port)))
        connection.sendall(connection.recv(100).upper())
        connection.recv(100)
        """)
    )
    assert await bench.ask(name, "hello", 10) == "HELLO"
    await bench.stop(name)


@every
async def test_exit_codes_and_signals_are_told_apart(bench: Bench) -> None:
    assert (await bench.run("import os; os._exit(137)"))["code"] == 137
    for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGABRT):
        ran = await bench.run(f"import os; os.kill(os.getpid(), {number:d})")
        assert (ran["code"], ran["signal"], ran["out_of_memory"]) == (None, number, False)


@every
async def test_programs_threads_and_subprocesses_run(bench: Bench) -> None:
    ran = await bench.run(
        code("""
        import subprocess, threading
        found = []
        threads = [threading.Thread(target=found.append, args=(i,)) for i in range(20)]
        [t.start() for t in threads]; [t.join() for t in threads]
        print(len(found), subprocess.run(["/bin/echo", "hi"], capture_output=True).stdout)
        """)
    )
    assert ran["output"] == "20 b'hi\\n'\n"


@every
async def test_of_two_layers_the_later_wins(bench: Bench) -> None:
    ran = await bench.run(
        "",
        argv=["/bin/sh", "-c", 'cat "$PATH/a" "$PATH/b" "$PATH/c"'.replace("cat", "/bin/cat")],
        variables={"PATH": "/opt"},
        layers=[{"a": "1", "b": "1"}, {"b": "2", "c": "2"}],
    )
    assert ran["output"] == "122"


@every
async def test_one_layer_is_opt(bench: Bench) -> None:
    ran = await bench.run(
        "", argv=["/bin/sh", "-c", '/bin/cat "$PATH/a"'], variables={"PATH": "/opt"},
        layers=[{"a": "1"}],
    )  # fmt: skip
    assert ran["output"] == "1"


@every
async def test_the_code_is_the_working_directory(bench: Bench) -> None:
    assert (await bench.run("print(open('bundled.txt').read())"))["output"] == "of the function\n"


@every
async def test_a_program_that_is_not_there_is_an_error_that_says_so(bench: Bench) -> None:
    with pytest.raises(SandboxError, match="No such file"):
        await bench.run("", argv=["/nothing/here"])
    assert (await bench.run("print(1)"))["output"] == "1\n"


@every
async def test_a_mount_point_that_is_not_ours_to_give_is_refused(bench: Bench) -> None:
    with pytest.raises(SandboxError, match="cannot mount at /etc"):
        await bench.run("", mounts={"/etc": "/etc"})


@every
async def test_an_unknown_limit_is_refused(bench: Bench) -> None:
    with pytest.raises(SandboxError, match="NONSENSE"):
        await bench.run("", rlimits={"NONSENSE": 1})


@every
async def test_a_limit_is_applied(bench: Bench) -> None:
    ran = await bench.run(
        "import resource; print(resource.getrlimit(resource.RLIMIT_FSIZE))",
        rlimits={"FSIZE": 4096},
    )
    assert ran["output"] == "(4096, 4096)\n"


# --- life and death -----------------------------------------------------------------------------


@every
async def test_stop_gives_the_grace_that_was_asked_for(bench: Bench) -> None:
    name = await bench.start(
        code("""
        import os, signal, time
        signal.signal(signal.SIGTERM, lambda *_: os._exit(5))
        print("ready", flush=True)
        while True: time.sleep(1)
        """)
    )
    await bench.until(name, "ready")
    assert (await bench.stop(name, 30.0))["code"] == 5


@every
async def test_what_does_not_heed_sigterm_is_killed(bench: Bench) -> None:
    name = await bench.start(
        code("""
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("ready", flush=True)
        while True: time.sleep(1)
        """)
    )
    await bench.until(name, "ready")
    assert (await bench.stop(name, 0.05))["signal"] == signal.SIGKILL


@every
async def test_stop_kills_every_descendant(bench: Bench, tmp_path: Path) -> None:
    marker = f"lampyr-{os.getpid()}-{tmp_path.name}"
    name = await bench.start(
        code(f"""
        import os, time
        for detached in (False, True):
            if os.fork() == 0:
                if detached:
                    os.setsid()
                    if os.fork(): os._exit(0)
                os.execv("/bin/sleep", ["{marker}", "1000"])
        print("ready", flush=True)
        time.sleep(1000)
        """).replace("/bin/sleep", os.path.realpath("/bin/sleep"))
    )
    await bench.until(name, "ready")
    while len(marked(marker)) < 2:
        await asyncio.sleep(0.005)
    await bench.stop(name)
    assert marked(marker) == []


@isolating
async def test_the_end_of_the_function_is_the_end_of_its_descendants(
    bench: Bench, tmp_path: Path
) -> None:
    marker = f"lampyr-{os.getpid()}-{tmp_path.name}"
    await bench.run(
        code(f"""
        import os
        read, write = os.pipe()
        if os.fork() == 0:
            os.setsid()
            os.close(1); os.close(2)
            os.execv("/bin/sleep", ["{marker}", "1000"])
        os.close(write)
        os.read(read, 1)  # until it is executed
        """)
    )
    assert marked(marker) == []


@isolating
async def test_a_fork_bomb_is_bounded_and_dies(bench: Bench) -> None:
    name = await bench.start(
        code("""
        import os
        count = 0
        while True:
            try:
                if os.fork() == 0: count = -1
            except OSError:
                os.write(1, b"full\\n")
                while True: os.waitid(os.P_ALL, 0, os.WEXITED)
            if count < 0:
                import time; time.sleep(1000)
            count += 1
        """),
        rlimits={"NPROC": 200},
    )
    await bench.until(name, "full")
    assert (await bench.stop(name))["signal"] == signal.SIGKILL


@every
async def test_a_frozen_function_does_nothing_until_it_is_thawed(bench: Bench) -> None:
    name = await bench.start(
        code("""
        import os, socket
        host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
        connection = socket.create_connection((host, int(port)))
        while data := connection.recv(100): connection.sendall(data)
        """)
    )
    assert await bench.ask(name, "1", 10) == "1"
    await bench.freeze(name)
    await bench.freeze(name)
    while await bench.ask(name, "2", 0.1) is not None:
        pass  # It takes a moment to stop.
    await bench.thaw(name)
    answer = await bench.ask(name, "", 10)
    assert answer is not None
    assert answer.startswith("2")
    await bench.freeze(name)
    assert (await bench.stop(name))["signal"] == signal.SIGKILL


@every
async def test_nothing_that_is_done_to_an_ended_sandbox_fails(bench: Bench) -> None:
    name = await bench.start("")
    while await bench.memory(name):
        await asyncio.sleep(0.01)
    await bench.begin(name)
    await bench.freeze(name)
    await bench.thaw(name)
    assert (await bench.stop(name, 1.0))["code"] == 0


async def test_stop_may_be_called_many_times_at_once() -> None:
    bench = LocalBench("namespaces")
    await bench.open()
    sandbox = await bench.driver.start(bench.spec("import time; time.sleep(1000)"))
    bench.sandboxes["it"] = sandbox
    await asyncio.gather(sandbox.stop(), sandbox.stop(1.0), sandbox.stop())
    await sandbox.stop()
    await bench.close()


async def test_a_start_that_is_given_up_leaves_nothing() -> None:
    bench = LocalBench("namespaces")
    await bench.open()
    await bench.run("")
    before = len(os.listdir("/proc/self/fd"))
    for turns in (1, 3, 20, 50):
        spec = bench.spec("import time; time.sleep(1000)")
        start = asyncio.ensure_future(bench.driver.start(spec))
        for _ in range(turns):
            await asyncio.sleep(0)
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
    while bench.network.released < 5 or len(os.listdir("/proc/self/fd")) > before + 4:
        await asyncio.sleep(0.005)  # Up to four /tmp are made ahead.
    await bench.close()


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
