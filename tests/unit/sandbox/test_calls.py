"""System calls written down for a fork: their form, and that filling one in is writing it anew."""

from typing import Any

import pytest

from lampyr.worker.sandbox import setup
from lampyr.worker.sandbox.calls import NUMBERS, Calls
from lampyr.worker.sandbox.forms import Forms
from lampyr.worker.sandbox.setup import Host, Place
from lampyr.worker.sandbox.spawner import variables
from lampyr.worker.sandbox.spawner.batch import (
    CALL,
    COUNT,
    DATA_BYTES,
    MAY,
    PART,
    REGION_BYTES,
)
from lampyr.worker.sandbox.spawner.cgroups import CgroupsV1, CgroupsV2

BASE = 0x10000
V1 = CgroupsV1({name: f"/cg/{name}" for name in ("memory", "cpu", "pids", "freezer")}, "0a")
V2 = CgroupsV2(dict.fromkeys(("memory", "cpu", "pids"), "/cg"), "0a")
HIDDEN = [("sys", "", 0x1027), ("kcore", "/dev/null", 0)]
PLACE = Place(
    base=BASE,
    filter=0x7777,
    variables=0x9000_0000,
    number=0x9100_0000,
    robust=0x9200_0000,
    robust_bytes=24,
    rseq=0x9300_0000,
    locale=None,
)


def host(cgroups: Any) -> Host:
    return Host(cgroups=cgroups, last_capability=40, hidden=HIDDEN)


def message(**changes: Any) -> dict[str, Any]:
    return {
        "id": "a" * 32,
        "mounts": [("/var/task", "/")],
        "layers": [],
        "files": [("/etc/hosts", "127.0.0.1 localhost\n")],
        "cwd": "/var/task",
        "hostname": "169-254-0-1",
        "uid": 1_879_048_193,
        "gid": 1_879_048_193,
        "tmp_bytes": 512,
        "tmp_device": "/dev/loop7",
        "memory_bytes": 128,
        "shm_bytes": 64,
        "processes": 1_024,
        "rlimits": [("NOFILE", "1024")],
        "stdin": False,
        "waits": False,
        "variables": [("X", "1")],
        **changes,
    }


def read(packet: bytes) -> list[tuple[int, ...]]:
    (count,) = COUNT.unpack_from(packet)
    return list(CALL.iter_unpack(packet[DATA_BYTES : DATA_BYTES + count * CALL.size]))


def text(packet: bytes, address: int) -> str:
    return packet[address - BASE :].partition(b"\0")[0].decode("latin-1")


def test_a_call_has_its_number_its_arguments_and_how_it_is_judged() -> None:
    calls = Calls(BASE)
    calls.step("one")
    calls.call("mkdir", calls.text("/a"), 0o755, judged=MAY)
    calls.step("two")
    calls.call("setsid")
    packet = calls.packed()
    made, followed = read(packet)
    number, path, mode, *others = made
    assert (number, text(packet, path), mode) == (NUMBERS["mkdir"], "/a", 0o755)
    assert others == [0, 0, 0, 0, MAY, 0, 0]
    assert followed[0] == NUMBERS["setsid"]
    assert len(packet) == REGION_BYTES
    assert (calls.name(0), calls.name(1)) == ("one: mkdir", "two: setsid")


def test_the_second_process_leaves_out_what_the_first_one_ends_with() -> None:
    written = setup.written_down(host(V1), message(), PLACE)
    calls = read(written.packed())
    at, parting = next((at, call) for at, call in enumerate(calls) if call[7] == PART)
    assert parting[0] == NUMBERS["clone"]
    assert calls[at + parting[8]][0] == NUMBERS["execveat"]
    assert calls[at + parting[8] + 1][0] == NUMBERS["futex"]
    assert calls[at - 1][:2] == (NUMBERS["set_tid_address"], calls[at + parting[8] + 1][1])


def test_a_word_is_nobody_elses() -> None:
    calls = Calls(BASE)
    one = calls.data(bytes([1]) + bytes(7))
    assert len({one, calls.word(1), calls.word(1)}) == 3


def test_what_a_call_gives_goes_where_the_next_ones_take_it_from() -> None:
    calls = Calls(BASE)
    calls.write("/a", "text", 1)
    packet = calls.packed()
    opened, written, closed = read(packet)
    first = BASE + DATA_BYTES
    assert opened[-2:] == (first + CALL.size + 8, first + 2 * CALL.size + 8)
    assert (text(packet, written[2]), written[3]) == ("text", 4)
    assert closed[0] == NUMBERS["close"]


def test_equal_texts_are_there_once() -> None:
    calls = Calls(BASE)
    assert calls.text("same") == calls.text("same") != calls.text("other")


def test_too_much_is_refused() -> None:
    data, calls = Calls(BASE), Calls(BASE)
    data.text("x" * DATA_BYTES)
    for _ in range(REGION_BYTES // CALL.size):
        calls.call("setsid")
    for each in (data, calls):
        with pytest.raises(ValueError, match="too much"):
            each.packed()


@pytest.mark.parametrize("cgroups", [None, V1, V2], ids=["no groups", "version 1", "version 2"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"stdin": True, "layers": ["/"]},
        {"tmp_device": None},
        {"id": "parked-1", "hostname": "h"},
        {"uid": 1_000, "gid": 1_000},
        {"uid": 1_879_048_193, "gid": 1_879_048_999},
    ],
    ids=["usual", "stdin and layer", "tmpfs", "short", "short user", "another group"],
)
def test_a_form_that_is_filled_in_is_what_would_be_written_anew(
    cgroups: Any, changes: dict[str, Any]
) -> None:
    forms = Forms(host(cgroups))
    plain = message(**changes)
    others = [
        plain,
        {**plain, "id": plain["id"].replace("a", "b"), "variables": [("Y", "2")]},
        {**plain, "uid": plain["uid"] + 7, "gid": plain["gid"] + 7},
        plain if plain["tmp_device"] is None else {**plain, "tmp_device": "/dev/loop1234"},
    ]
    for each in others:
        _, filled_in = forms.filled_in(each, PLACE)
        anew = setup.written_down(host(cgroups), each, PLACE).packed()
        assert resolved(filled_in) == resolved(anew)
        told = dict(each["variables"])
        assert filled_in[len(anew) :] == variables.packed(told, PLACE.variables)


def resolved(packet: bytes) -> list[list[Any]]:
    """Its calls, with the texts that they point to in the place of where those are."""
    return [[followed(packet, word) for word in call] for call in read(packet)]


def followed(packet: bytes, word: int) -> int | str:
    """A text, the first of several, or a number."""
    if not BASE < word < BASE + DATA_BYTES:
        return word
    pointer = int.from_bytes(packet[word - BASE :][:8], "little")
    return text(packet, pointer if BASE < pointer < BASE + DATA_BYTES else word)


def test_several_layers_and_a_network_to_come_do_not_fit() -> None:
    assert setup.fits(message())
    assert not setup.fits(message(layers=["/a", "/b"]))
    assert not setup.fits(message(waits=True))
