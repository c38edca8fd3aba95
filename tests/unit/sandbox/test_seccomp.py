"""The filter, decided by a small interpreter of its instructions."""

import errno
import struct

import pytest

from lampyr.worker.sandbox.spawner import seccomp

ALLOW = 0x7FFF0000
KILL = 0x80000000
ERRNO = 0x00050000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
WRITE = {"x86_64": 1, "aarch64": 64}
machines = pytest.mark.parametrize("machine", ARCHITECTURES)


def decide(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """What the kernel would answer to this call."""
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    told = ARCHITECTURES[machine] if architecture is None else architecture
    data = struct.pack("<IIQ6Q", number, told, 0, *padded)
    program = list(struct.iter_unpack("<HBBI", seccomp.build(machine)))
    place = accumulator = 0
    while True:
        code, if_true, if_false, value = program[place]
        place += 1
        if code == 0x20:
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif code == 0x06:
            return int(value)
        else:
            true = {
                0x15: accumulator == value,
                0x35: accumulator >= value,
                0x45: bool(accumulator & value),
            }[code]
            place += if_true if true else if_false


@machines
@pytest.mark.parametrize("name", seccomp.DENIED)
def test_every_call_on_the_list_is_refused(machine: str, name: str) -> None:
    number = seccomp.DENIED[name][("x86_64", "aarch64").index(machine)]
    if number is not None:
        assert decide(machine, number) == ERRNO | errno.EPERM


@machines
def test_an_ordinary_call_is_allowed(machine: str) -> None:
    assert decide(machine, WRITE[machine]) == ALLOW


@machines
def test_a_call_of_another_architecture_kills(machine: str) -> None:
    assert decide(machine, WRITE[machine], architecture=0x40000003) == KILL


def test_an_x32_call_kills() -> None:
    assert decide("x86_64", 0x40000000 | 1) == KILL


@machines
def test_clone_makes_threads_and_processes_but_no_namespaces(machine: str) -> None:
    clone = seccomp._CLONE[machine]
    assert decide(machine, clone, 0x3D0F00) == ALLOW  # As pthread_create does.
    assert decide(machine, clone, 17) == ALLOW  # As fork does.
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert decide(machine, clone, 17 | flag) == ERRNO | errno.EPERM


@machines
def test_clone3_is_as_if_the_kernel_had_none(machine: str) -> None:
    assert decide(machine, 435) == ERRNO | errno.ENOSYS


@machines
@pytest.mark.parametrize(
    ("family", "protocol", "answer"),
    [
        pytest.param(1, 0, ALLOW, id="unix"),
        pytest.param(2, 6, ALLOW, id="IPv4"),
        pytest.param(10, 17, ALLOW, id="IPv6"),
        pytest.param(16, 0, ALLOW, id="netlink, routes"),
        pytest.param(16, 9, ERRNO | errno.EPROTONOSUPPORT, id="netlink, audit"),
        pytest.param(17, 0, ERRNO | errno.EAFNOSUPPORT, id="packets"),
        pytest.param(38, 0, ERRNO | errno.EAFNOSUPPORT, id="kernel cryptography"),
        pytest.param(40, 0, ERRNO | errno.EAFNOSUPPORT, id="the hypervisor"),
    ],
)
def test_socket_families(machine: str, family: int, protocol: int, answer: int) -> None:
    assert decide(machine, seccomp._SOCKET[machine], family, 1, protocol) == answer
