from hypothesis import given
from hypothesis import strategies as st

from lampyr.observe.base import LogEvent, LogGroup
from lampyr.observe.segments import decode, directory_name, encode

text = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.integers(0, 2**62), text, text)
def test_an_event_is_one_line_and_comes_back(at: int, message: str, rest: str) -> None:
    event = LogEvent(at, "2026/11/21/[1]00", message + "\x1f" + rest)
    line = encode(event)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line) == event


def test_a_lone_surrogate_is_replaced() -> None:
    assert decode(encode(LogEvent(1, "s", "a\ud800b"))) == LogEvent(1, "s", "a?b")


@given(st.binary())
def test_what_is_not_a_line_is_nothing_or_an_event(data: bytes) -> None:
    decode(data.replace(b"\n", b"") + b"\n")


def test_blocks_of_zeros_are_no_event() -> None:
    assert decode(b"\0" * 4096 + b"\n") is None


@given(text, text)
def test_a_directory_is_named_by_the_whole_identity(one: str, other: str) -> None:
    names = {directory_name(LogGroup("0", "r", name)) for name in (one, other)}
    assert len(names) == len({one, other})
    for name in names:
        assert len(name) <= 128
        assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


def test_account_region_and_name_cannot_be_shifted_into_each_other() -> None:
    assert directory_name(LogGroup("1", "2", "3")) != directory_name(LogGroup("12", "", "3"))
