"""What every sandbox promises about the life of a function, over every driver."""

# ruff: noqa: PTH208, F811

import asyncio
import os
import signal
from pathlib import Path

import pytest

from lampyr.worker.sandbox.base import SandboxError
from tests.contract.sandbox_benches import (  # noqa: F401  `bench` is a fixture.
    IN_POOL,
    as_root,
    bench,
    code,
    every,
    isolating,
    make,
    marked,
)
from tests.contract.sandboxes import Bench, LocalBench

MANY = 60
"""Their launcher has two descriptors for each."""

pytestmark = pytest.mark.asyncio(loop_scope="module")

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
    await bench.over(name)
    assert await bench.memory(name) == 0
    await bench.begin(name)
    await bench.freeze(name)
    await bench.thaw(name)
    assert (await bench.stop(name, 1.0))["code"] == 0


@pytest.mark.parametrize("bench", [IN_POOL], indirect=True)
async def test_one_of_many_that_run_starts_like_the_first(bench: Bench) -> None:
    """However many descriptors their launcher has."""
    started = [
        await bench.start("print('up', flush=True); import time; time.sleep(1000)")
        for _ in range(MANY)
    ]
    for name in started:
        await bench.until(name, "up")
    for ended in await asyncio.gather(*(bench.stop(name) for name in started)):
        assert ended["signal"] == signal.SIGKILL


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
