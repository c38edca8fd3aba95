import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lampyr.worker.output import FrameDecoder, LineSplitter, Output

NOW_US = 1_795_226_923_123_456
NOW_MS = NOW_US // 1_000

# Bytes that look like the beginning of a frame are likely, and so are line feeds.
hostile = st.lists(
    st.one_of(
        st.binary(max_size=8),
        st.sampled_from(
            [b"\n", b"\xa5", b"\xa5\x5a", b"\xa5\x5a\x00", b"\xa5\x5a\x00\x03", b"\0\0\0"]
        ),
        st.text(max_size=6).map(str.encode),
    ),
    max_size=24,
).map(b"".join)
cuts = st.lists(st.integers(0, 300), max_size=12)


def frame(message: bytes, kind: int = 0x03, time_us: int = NOW_US) -> bytes:
    return struct.pack(">IIQ", 0xA55A0000 | kind, len(message), time_us) + message


def pieces(data: bytes, at: Sequence[int]) -> list[bytes]:
    ends = sorted({min(end, len(data)) for end in at} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def test_lines_are_cut_at_line_feeds() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"one\ntwo\n\nthr") == ["one", "two", ""]
    assert splitter.feed(b"ee\r\n") == ["three\r"]
    assert splitter.flush() == []


def test_a_line_without_an_end_comes_with_flush_once() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"no end") == []
    assert splitter.partial
    assert splitter.flush() == ["no end"]
    assert splitter.flush() == []


def test_bytes_that_are_not_utf_8_are_replaced() -> None:
    assert LineSplitter().feed(b"a\xff\xc3\nb\n") == ["a\ufffd\ufffd", "b"]


def test_a_character_cut_by_the_pipe_is_whole() -> None:
    splitter = LineSplitter()
    data = "é🎆\n".encode()
    assert [line for byte in data for line in splitter.feed(bytes([byte]))] == ["é🎆"]


def test_a_line_over_the_bound_goes_on_in_the_next_event() -> None:
    splitter = LineSplitter(8)
    assert splitter.feed(b"12345678\n123456789\n") == ["12345678", "12345678", "9"]
    assert splitter.feed("1234567é\n".encode()) == ["1234567", "é"]
    assert splitter.feed(b"\x80" * 9 + b"\n") == ["\ufffd" * 8, "\ufffd"]


def test_a_line_that_never_ends_is_not_kept() -> None:
    splitter = LineSplitter(1_024)
    lines = [line for _ in range(1_000) for line in splitter.feed(b"x" * 1_000)]
    assert sum(map(len, lines)) >= 1_000_000 - 1_024
    assert {len(line) for line in lines} == {1_024}


@given(hostile, cuts, st.integers(4, 40))
def test_lines_do_not_depend_on_how_the_bytes_arrive(
    data: bytes, at: list[int], bound: int
) -> None:
    whole, parts = LineSplitter(bound), LineSplitter(bound)
    expected = whole.feed(data) + whole.flush()
    assert [line for piece in pieces(data, at) for line in parts.feed(piece)] + parts.flush() == (
        expected
    )


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"))))
def test_every_line_comes_once(lines: list[str]) -> None:
    splitter = LineSplitter()
    assert splitter.feed("".join(f"{line}\n" for line in lines).encode()) == lines


def test_a_frame_is_one_event() -> None:
    decoder = FrameDecoder()
    data = frame(b"[ERROR] KeyError: 'x'\nTraceback\n  line\n", 0x17)
    assert decoder.feed(data) == [
        Output("[ERROR] KeyError: 'x'\nTraceback\n  line", NOW_MS, "ERROR")
    ]


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        (2, None),
        (3, None),
        (6, "TRACE"),
        (11, "DEBUG"),
        (14, "INFO"),
        (19, "WARN"),
        (22, "ERROR"),
        (27, "FATAL"),
    ],
)
def test_the_type_of_a_frame_says_its_level(kind: int, level: str | None) -> None:
    assert FrameDecoder().feed(frame(b"x", kind)) == [Output("x", NOW_MS, level)]


def test_frames_of_old_runtime_clients_have_no_time() -> None:
    data = b"\xa5\x5a\x00\x01" + struct.pack(">I", 5) + b"hello"
    assert FrameDecoder().feed(data + frame(b"new")) == [Output("hello"), Output("new", NOW_MS)]


def test_an_empty_frame_is_an_empty_line() -> None:
    assert FrameDecoder().feed(frame(b"")) == [Output("", NOW_MS)]


def test_what_is_no_frame_is_lines_and_the_next_frame_is_found() -> None:
    decoder = FrameDecoder()
    data = b"hello\nwor" + frame(b"framed") + b"ld\n" + frame(b"again")
    assert decoder.feed(data) == [
        Output("hello"),
        Output("wor"),
        Output("framed", NOW_MS),
        Output("ld"),
        Output("again", NOW_MS),
    ]


def test_a_length_that_cannot_be_is_no_frame() -> None:
    decoder = FrameDecoder()
    hostile_header = struct.pack(">IIQ", 0xA55A0003, 0xFFFFFFFF, 0)
    found = decoder.feed(hostile_header + b"text\n" + frame(b"framed"))
    assert found[-1] == Output("framed", NOW_MS)
    assert found[0].message.endswith("text")


def test_an_unknown_type_is_no_frame() -> None:
    assert FrameDecoder().feed(frame(b"x", 0x7F) + b"\n" + frame(b"y"))[-1] == Output("y", NOW_MS)


def test_a_frame_that_does_not_end_is_not_kept_whole() -> None:
    decoder = FrameDecoder(1_024, 1_000_000)
    decoder.feed(struct.pack(">IIQ", 0xA55A0003, 1_000_000, NOW_US))
    found = [event for _ in range(999) for event in decoder.feed(b"x" * 1_000)]
    assert {len(event.message) for event in found} == {1_024}
    assert len(decoder._message) <= 1_024
    assert len(decoder._buffer) <= 1_024


def test_a_frame_cut_short_by_exit_comes_with_flush() -> None:
    decoder = FrameDecoder()
    assert decoder.feed(frame(b"hello world")[:-6]) == []
    assert decoder.flush() == [Output("hello", NOW_MS)]
    assert decoder.flush() == []
    assert decoder.feed(b"\xa5\x5a\x00") == []
    assert decoder.flush() == [Output("\ufffdZ\0")]


@given(st.lists(st.one_of(hostile, hostile.map(frame)), max_size=6).map(b"".join), cuts)
def test_frames_do_not_depend_on_how_the_bytes_arrive(data: bytes, at: list[int]) -> None:
    whole, parts = FrameDecoder(16, 256), FrameDecoder(16, 256)
    expected = whole.feed(data) + whole.flush()
    found = [event for piece in pieces(data, at) for event in parts.feed(piece)]
    assert found + parts.flush() == expected


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=8))
def test_every_frame_comes_once_whatever_it_says(texts: list[str]) -> None:
    found = FrameDecoder().feed(b"".join(frame(text.encode()) for text in texts))
    assert [event.message for event in found] == [text.removesuffix("\n") for text in texts]
