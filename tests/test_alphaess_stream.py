"""AlphaESS frames in a stream: however it is cut, no frame is lost, swallowed or waited for."""

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inverterproto.alphaess.frame import FRAMING, LONGEST, AlphaFraming, Frame
from inverterproto.stream import Framed, Item, Reason, StreamDecoder, Unframed
from tests.vectors import AT_TEXT, CLIENT_HELLO, fixtures
from tests.work import is_linear

RAW = fixtures("alphaess")
STATUS = RAW["status-1"]
RECORD = RAW["record"]
REAL = sorted(RAW.values())


def decode(*chunks: bytes, framing: AlphaFraming = FRAMING) -> list[Item]:
    decoder = StreamDecoder(framing)
    items = [item for chunk in chunks for item in decoder.feed(chunk)]
    return items + decoder.flush()


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(ends)]


def told(items: list[Item]) -> list[tuple[int, bytes, str]]:
    return [(i.offset, i.raw, i.detail if isinstance(i, Unframed) else "frame") for i in items]


def with_length(raw: bytes, length: int) -> bytes:
    return raw[:3] + length.to_bytes(4, "big") + raw[7:]


# Real traffic


def test_a_conversation_in_one_segment_is_frame_by_frame() -> None:
    names = ["login", "keep-alive", "event-log", "resume-reply", "stored-records", "status-1"]
    stream = b"".join(RAW[name] for name in names)
    assert [item.raw for item in decode(stream)] == [RAW[name] for name in names]


@pytest.mark.parametrize("name", sorted(RAW.keys() - {"bad-crc"}))
def test_every_real_frame_comes_as_soon_as_its_last_byte(name: str) -> None:
    decoder = StreamDecoder(FRAMING)
    raw = RAW[name]
    assert [item for byte in raw[:-1] for item in decoder.feed(bytes([byte]))] == []
    (item,) = decoder.feed(raw[-1:])
    assert isinstance(item, Framed)
    assert item.frame == Frame.parse(raw)


def test_foreign_bytes_are_named_and_hide_no_frame() -> None:
    items = decode(AT_TEXT + STATUS)
    assert [item.reason for item in items if isinstance(item, Unframed)] == [Reason.AT_TEXT]
    assert items[-1].raw == STATUS
    (hello,) = decode(CLIENT_HELLO)
    assert isinstance(hello, Unframed)
    assert hello.reason is Reason.TLS


# Damage


@pytest.mark.parametrize("length", [300, 520, 1000, 4087])
def test_a_damaged_length_that_points_into_good_frames_swallows_none(length: int) -> None:
    damaged = with_length(STATUS, length)
    good = [STATUS, RECORD] + [STATUS] * 12
    items = decode(damaged + b"".join(good))
    assert [item.raw for item in items] == [damaged, *good]
    assert isinstance(items[0], Unframed)
    assert items[0].reason is Reason.CHECKSUM
    assert items[0].tentative is None


@pytest.mark.parametrize("length", [4088, 20000, LONGEST - 9])
def test_a_damaged_length_beyond_4_kib_is_noticed_with_the_next_frame(length: int) -> None:
    damaged = with_length(STATUS, length)
    decoder = StreamDecoder(FRAMING)
    assert decoder.feed(damaged) == []
    items = decoder.feed(STATUS)
    assert [item.raw for item in items] == [damaged, STATUS]
    assert isinstance(items[0], Unframed)
    assert items[0].reason is Reason.LENGTH
    assert f"found {length}, with a NUL at offset {len(STATUS) + 3}" in items[0].detail


@pytest.mark.parametrize("length", [LONGEST - 8, 2**31 - 1, -1 % 2**32])
def test_a_length_beyond_64_kib_is_noticed_at_once(length: int) -> None:
    decoder = StreamDecoder(FRAMING)
    decoder.feed(with_length(STATUS, length))
    items = decoder.feed(STATUS)
    assert items[-1].raw == STATUS


@pytest.mark.parametrize("length", [0, 1, 100, 266])
def test_a_damaged_length_that_is_too_short_hides_no_following_frame(length: int) -> None:
    items = decode(with_length(STATUS, length) + STATUS)
    assert items[-1].raw == STATUS
    assert isinstance(items[0], Unframed)
    assert items[0].reason is Reason.CHECKSUM


def test_a_frame_cut_off_by_the_end_of_the_stream_is_truncated() -> None:
    (item,) = decode(STATUS[:100])
    assert isinstance(item, Unframed)
    assert (item.reason, item.raw) == (Reason.TRUNCATED, STATUS[:100])


def test_a_frame_inside_a_truncated_one_is_found() -> None:
    items = decode(with_length(STATUS, 4000) + STATUS)
    assert items[-1].raw == STATUS


# Properties

junk = st.binary(max_size=40) | st.text("\x00\x01\x02\x10{", max_size=40).map(str.encode)
heads = st.builds(
    lambda direction, length: bytes([1, direction, 16]) + length.to_bytes(4, "big"),
    st.integers(0, 3),
    st.integers(0, 300) | st.integers(4000, 6000) | st.integers(65000, 66000),
)
damaged = st.builds(
    with_length, st.sampled_from(REAL), st.integers(0, 600) | st.integers(4000, 70000)
)
streams = st.lists(
    st.sampled_from(REAL) | junk | heads | damaged | st.just(b"x" * 5000), max_size=6
).map(b"".join)


@given(streams, st.lists(st.integers(0, 20000), max_size=8))
def test_any_chunking_gives_the_same_items(stream: bytes, places: list[int]) -> None:
    assert told(decode(*cut(stream, places))) == told(decode(stream))


@given(st.lists(st.sampled_from(REAL) | junk | heads, max_size=4).map(b"".join))
def test_one_byte_at_a_time_tells_the_same(stream: bytes) -> None:
    assert told(decode(*(bytes([byte]) for byte in stream))) == told(decode(stream))


@given(streams, st.lists(st.integers(0, 20000), max_size=8))
def test_the_items_tile_the_stream(stream: bytes, places: list[int]) -> None:
    items = decode(*cut(stream, places))
    assert b"".join(item.raw for item in items) == stream
    assert [item.offset for item in items] == [
        sum(len(item.raw) for item in items[:at]) for at in range(len(items))
    ]


@given(damaged | junk, st.lists(st.sampled_from(sorted(RAW.keys() - {"bad-crc"})), min_size=1))
def test_good_frames_behind_a_damaged_one_are_all_found(before: bytes, names: list[str]) -> None:
    good = [RAW[name] for name in names]
    items = decode(before + b"".join(good))
    frames = [item.raw for item in items if isinstance(item, Framed)]
    assert frames[-len(good) :] == good


# Bounds


@pytest.mark.parametrize(
    "unit",
    [
        bytes.fromhex("01010000000ff0"),  # short claims, as dense as they can stand
        bytes.fromhex("0101000000fff0"),  # long claims
        b"\x01",
        b"\x01\x01",
        with_length(STATUS, 60000),
    ],
)
@pytest.mark.parametrize("chunk", [1, 1000])
def test_the_work_is_linear_in_hostile_input(unit: bytes, chunk: int) -> None:
    def spent(size: int) -> float:
        data = (unit * (size // len(unit) + 1))[:size]
        decoder = StreamDecoder(FRAMING)
        begun = time.process_time()
        for start in range(0, size, chunk):
            decoder.feed(data[start : start + chunk])
        return time.process_time() - begun

    assert is_linear(spent, 20_000)


def test_no_more_is_held_than_the_longest_frame() -> None:
    decoder = StreamDecoder(AlphaFraming(20_000))
    claim = with_length(STATUS, 19_000)
    text = b"x" * 40_000
    for start in range(0, len(text), 500):
        decoder.feed(claim if start == 0 else text[start : start + 500])
        assert decoder.held <= 20_000 + 500


@settings(max_examples=20)
@given(st.integers(4097, 30_000), st.integers(1, 700))
def test_a_long_frame_of_text_is_taken_however_it_is_cut(size: int, chunk: int) -> None:
    frame = Frame(1, 1, 99, b"x" * size).build()
    chunks = [frame[start : start + chunk] for start in range(0, len(frame), chunk)]
    assert [item.raw for item in decode(*chunks)] == [frame]
