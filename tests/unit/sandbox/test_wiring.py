"""What every driver decides in the same way."""

import signal
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lampyr.limits import DEFAULT_LIMITS
from lampyr.worker.sandbox import wiring
from lampyr.worker.sandbox.base import Exit, SandboxError, SandboxSpec
from lampyr.worker.sandbox.disks import device_mb
from lampyr.worker.sandbox.process import relocate, relocate_all
from lampyr.worker.sandbox.spawner.cgroups import quota_microseconds

SPEC = SandboxSpec(
    environment_id="e", argv=("/bin/true",), variables={}, mounts={}, memory_mb=128, tmp_mb=512
)


def variables(**given: str) -> dict[str, str]:
    found = wiring.variables(replace(SPEC, variables=given), "1.2.3.4:5", "6.7.8.9:10")
    assert found.pop("_LAMBDA_TELEMETRY_LOG_FD") == "3"
    return found


def test_the_two_address_variables_are_filled_in() -> None:
    assert variables(
        AWS_LAMBDA_RUNTIME_API="{runtime_api}", AWS_ENDPOINT_URL="http://{endpoint}"
    ) == {"AWS_LAMBDA_RUNTIME_API": "1.2.3.4:5", "AWS_ENDPOINT_URL": "http://6.7.8.9:10"}


@given(st.dictionaries(st.from_regex(r"[A-Z]{1,8}", fullmatch=True), st.text()))
def test_what_users_write_is_taken_as_it_stands(given: dict[str, str]) -> None:
    assert variables(**given) == given


@pytest.mark.parametrize("value", ["{endpoint}", "https://{endpoint}", "http://{endpoint}/x", "x"])
def test_only_the_exact_token_is_replaced(value: str) -> None:
    assert variables(AWS_ENDPOINT_URL=value) == {"AWS_ENDPOINT_URL": value}


def test_an_endpoint_that_is_not_there_is_not_told_of() -> None:
    spec = replace(SPEC, variables={"AWS_ENDPOINT_URL": "http://{endpoint}", "A": "b"})
    found = wiring.variables(spec, "1.2.3.4:5", None)
    assert found == {"A": "b", "_LAMBDA_TELEMETRY_LOG_FD": "3"}


def test_limits_are_lambdas_unless_said_otherwise() -> None:
    assert wiring.rlimits(SPEC, DEFAULT_LIMITS) == {"NPROC": 1024, "NOFILE": 1024, "CORE": 0}
    more = replace(SPEC, rlimits={"NOFILE": 9, "STACK": 1})
    assert wiring.rlimits(more, DEFAULT_LIMITS) == {
        "NPROC": 1024, "NOFILE": 9, "CORE": 0, "STACK": 1,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".", "x" * 129])
def test_a_name_that_is_no_directorys_name_is_refused(name: str) -> None:
    with pytest.raises(SandboxError, match="not a name"):
        wiring.check(replace(SPEC, environment_id=name), ())


@pytest.mark.parametrize("argv", [(), ("relative",)])
def test_a_program_is_an_absolute_path(argv: tuple[str, ...]) -> None:
    with pytest.raises(SandboxError, match="absolute path"):
        wiring.check(replace(SPEC, argv=argv), ())


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (0, Exit(code=0)),
        (3 << 8, Exit(code=3)),
        (137 << 8, Exit(code=137)),
        (9, Exit(signal=signal.SIGKILL)),
        (11 | 0x80, Exit(signal=signal.SIGSEGV)),
    ],
)
def test_wait_statuses(status: int, answer: Exit) -> None:
    assert wiring.exit_of(status, out_of_memory=False) == answer


def test_numbers_are_held_by_one_at_a_time() -> None:
    numbers = wiring.Numbers()
    assert [numbers.take() for _ in range(3)] == [1, 2, 3]
    numbers.give_back(2)
    assert [numbers.take() for _ in range(2)] == [2, 4]


@given(st.integers(128, 10240))
def test_the_cpu_share_is_that_of_the_memory_size(memory_mb: int) -> None:
    share = quota_microseconds(memory_mb, 1769) / 100_000
    assert share == pytest.approx(memory_mb / 1769, abs=0.00001)


@given(st.integers(512, 10240))
def test_a_tmp_device_is_hardly_larger_than_what_fits(tmp_mb: int) -> None:
    assert tmp_mb < device_mb(tmp_mb) < tmp_mb * 1.031 + 2


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/var/task", "/code"),
        ("/var/task/lib/x.so", "/code/lib/x.so"),
        ("/var/tasks", "/var/tasks"),
        ("/var/lang/bin/python3", "/python/bin/python3"),
        ("/usr/bin/env", "/usr/bin/env"),
        ("task.handler", "task.handler"),
    ],
)
def test_paths_inside_are_paths_outside_without_mounts(path: str, answer: str) -> None:
    assert relocate(path, {"/var/task": "/code", "/var/lang": "/python"}) == answer


def test_lists_of_paths_are_rewritten_one_by_one() -> None:
    assert relocate_all("/var/task/lib:/usr/lib:/opt", {"/var/task": "/c", "/opt": "/o"}) == (
        "/c/lib:/usr/lib:/o"
    )
