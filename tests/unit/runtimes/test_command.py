"""The command that a runtime is started with."""

from pathlib import Path
from types import MappingProxyType

import pytest

from lampyr.worker.runtimes import Runtime

NODE = Runtime(
    name="nodejs22.x",
    version="22.1.0",
    argv=(
        "/var/lang/bin/node",
        "--expose-gc",
        "--no-experimental-require-module",
        "/var/runtime/index.mjs",
    ),
    mounts=MappingProxyType({"/var/lang": "/n", "/var/runtime": "/r"}),
    variables=MappingProxyType({"NODE_PATH": "/opt/nodejs:/var/runtime:/var/task"}),
)
TASK = Path("/t")


JAVA = Runtime(
    name="java17",
    version="17.0.1",
    argv=(
        *("/var/lang/bin/java", "-XX:+UseSerialGC", "-XX:+TieredCompilation"),
        *(
            "-XX:TieredStopAtLevel=1",
            "-cp",
            "/var/runtime/lib/a.jar:/var/task:/var/task/lib/*",
            "M",
        ),
    ),
    mounts=MappingProxyType({"/var/lang": "/j", "/var/runtime": "/r"}),
)


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/java-customization.html")
@pytest.mark.parametrize(
    ("options", "gone", "kept"),
    [
        ("", (), ("-XX:MaxHeapSize=445644k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")),
        ("-Xmx64m", ("-XX:MaxHeapSize=445644k",), ("-XX:+UseSerialGC",)),
        ("-XX:+UseG1GC", ("-XX:+UseSerialGC",), ("-XX:MaxHeapSize=445644k",)),
        (
            "-XX:TieredStopAtLevel=4",
            ("-XX:TieredStopAtLevel=1", "-XX:+TieredCompilation"),
            ("-XX:+UseSerialGC",),
        ),
    ],
)
def test_what_java_tool_options_choose_stands(
    options: str, gone: tuple[str, ...], kept: tuple[str, ...]
) -> None:
    configured = {"JAVA_TOOL_OPTIONS": options}
    command = JAVA.command(memory_mb=512, task=TASK, configured=configured)
    assert set(kept) <= set(command)
    assert not set(gone) & set(command)
    assert command[-3:] == JAVA.argv[-3:]


def test_each_part_of_a_class_path_is_one_of_the_host_without_a_sandbox() -> None:
    argv, _ = JAVA.on_host(TASK)
    assert argv[-2] == "/r/lib/a.jar:/t:/t/lib/*"


def test_nodes_heap_follows_the_memory_size() -> None:
    command = NODE.command(memory_mb=1024, task=TASK)
    assert command[:3] == (
        "/var/lang/bin/node",
        "--max-semi-space-size=51",
        "--max-old-space-size=921",
    )
    assert command[3:] == NODE.argv[1:]


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html")
def test_what_node_options_switches_on_is_not_switched_off() -> None:
    on = {"NODE_OPTIONS": "--enable-source-maps --experimental-require-module"}
    command = NODE.command(memory_mb=128, task=TASK, configured=on)
    assert "--no-experimental-require-module" not in command
    assert "--expose-gc" in command
    other = {"NODE_OPTIONS": "--enable-source-maps"}
    kept = NODE.command(memory_mb=128, task=TASK, configured=other)
    assert "--no-experimental-require-module" in kept


def test_without_a_sandbox_paths_are_those_of_the_host() -> None:
    environ = {"LAMBDA_TASK_ROOT": "/var/task", "OWN": "/var/tasks", "HOME": "x"}
    argv, found = NODE.on_host(TASK, environ)
    assert (argv[0], argv[-1]) == ("/n/bin/node", "/r/index.mjs")
    assert found["NODE_PATH"] == "/opt/nodejs:/r:/t"
    assert found["LAMBDA_TASK_ROOT"] == "/t"
    assert (found["OWN"], found["HOME"]) == ("/var/tasks", "x")


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html")
def test_a_wrapper_gets_the_command_of_the_runtime() -> None:
    wrapper = {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrap"}
    bare = NODE.command(memory_mb=128, task=TASK)
    command = NODE.command(memory_mb=128, task=TASK, configured=wrapper)
    assert command[:2] == ("/bin/sh", "-c")
    assert command[3:] == ("/var/task/wrap", *bare)
