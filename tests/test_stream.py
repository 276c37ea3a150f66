"""The stream decoder: whatever comes, however cut, every byte is told once and no frame is lost."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inverterproto import stream as stream_module
from inverterproto.alphaess.frame import FRAMING as ALPHA
from inverterproto.alphaess.frame import Frame as AlphaFrame
from inverterproto.deye.frame import ENVELOPE, FRAMING, LONGEST, START, Frame, V5Framing
from inverterproto.errors import ChecksumError, IncompleteError, ProtocolError
from inverterproto.stream import (
    DAMAGED,
    PIECE,
    Fault,
    Framed,
    Framing,
    Item,
    Reason,
    StreamDecoder,
    Unframed,
)
from tests.vectors import (
    AT_TEXT,
    BARE_MODBUS,
    BARE_MODBUS_REQUEST,
    BROKEN,
    CLIENT_HELLO,
    VALID,
    raw,
)

FRAME = "frame"
JUNK, CHECKSUM, END_MARKER, LENGTH, TRUNCATED, AT, MODBUS, TLS, MASKED = Reason

HEARTBEAT = raw("heartbeat")
DATA = raw("micro-5408-realtime")
STORED = raw("micro-5408-historic")
READ = raw("modbus-read-request")
POSTED = raw(BROKEN)


class TinyFraming:
    """`!`, a length of 0 to 3, so many bytes, their sum: small enough to find every overlap."""

    family = "tiny"
    start = ord("!")
    longest = 6

    def match(self, data: bytes | bytearray, start: int, end: int) -> int:
        if end - start < 2:
            return -2
        total = data[start + 1] + 3
        if total > self.longest:
            return 0
        if end - start < total:
            return -total
        return total if self._sum(data, start, total) == data[start + total - 1] else DAMAGED

    def diagnose(self, data: bytes | bytearray, start: int, end: int) -> Fault:
        have = end - start
        total = data[start + 1] + 3 if have > 1 else 3
        if total > self.longest:
            return Fault(LENGTH, ProtocolError("impossible length", offset=1))
        if have < total:
            return Fault(TRUNCATED, IncompleteError("incomplete", offset=0), have)
        return Fault(CHECKSUM, ChecksumError("bad checksum", offset=total - 1), total)

    def split(self, run: bytes) -> list[tuple[int, Reason]]:
        return [(len(run), JUNK)]

    def parse(self, raw: bytes, *, verify: bool = True) -> bytes:  # noqa: ARG002 - the protocol's
        return raw[2:-1]

    @staticmethod
    def _sum(data: bytes | bytearray, start: int, total: int) -> int:
        return sum(data[start + 2 : start + total - 1]) & 0xFF


class CountingFraming(V5Framing):
    """Counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def match(self, data: bytes | bytearray, start: int, end: int) -> int:
        self.asked += 1
        return super().match(data, start, end)

    def diagnose(self, data: bytes | bytearray, start: int, end: int) -> Fault:
        self.asked += 1
        return super().diagnose(data, start, end)


TINY = TinyFraming()


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Return the chunks of some data that is cut at some places."""
    ends = sorted({0, len(data), *(min(place, len(data)) for place in places)})
    return [data[start:end] for start, end in pairwise(ends)]


def decode(chunks: Sequence[bytes], *framings: Framing) -> list[Item]:
    """Return all items of some chunks, the flush's too."""
    decoder = StreamDecoder(*(framings or (FRAMING,)))
    items = [item for chunk in chunks for item in decoder.feed(chunk)]
    return items + decoder.flush()


def pieces_of(size: int) -> AbstractContextManager[object]:
    """Let junk be given away in pieces of another size: small ones have more ends."""
    return patch.object(stream_module, "PIECE", size)


def bytewise(data: bytes) -> list[bytes]:
    return cut(data, range(len(data)))


def told(items: Iterable[Item]) -> list[tuple[bytes, str]]:
    return [(item.raw, FRAME if isinstance(item, Framed) else item.reason) for item in items]


def frames(items: Iterable[Item]) -> list[tuple[int, bytes]]:
    return [(item.offset, item.raw) for item in items if isinstance(item, Framed)]


def frames_by_definition(data: bytes, *framings: Framing) -> list[tuple[int, bytes]]:
    """Return the frames that there are: from left to right, the first that fits."""
    by_start = {framing.start: framing for framing in framings}
    found, at = [], 0
    while at < len(data):
        framing = by_start.get(data[at])
        size = framing.match(data, at, len(data)) if framing else 0
        if size > DAMAGED:
            found.append((at, data[at : at + size]))
        at += max(size, 1)
    return found


def damaged(data: bytes) -> bytes:
    """Return a frame with its checksum one too high."""
    return data[:-2] + bytes(((data[-2] + 1) % 256,)) + data[-1:]


def lying(data: bytes, length: int) -> bytes:
    """Return a frame with another payload length."""
    return data[:1] + length.to_bytes(2, "little") + data[3:]


BAD_SUM = damaged(READ)
BAD_END = READ[:-1] + b"\x16"
TOO_LONG = lying(READ, 5000)

# Each stream is written as its parts, and what each of them is told to be.
PLAYBOOK: dict[str, list[tuple[bytes, str]]] = {
    "nothing": [],
    "a frame": [(HEARTBEAT, FRAME)],
    "frames in one segment": [(STORED, FRAME), (DATA, FRAME), (HEARTBEAT, FRAME), (READ, FRAME)],
    "junk before, between and behind": [
        (b"\x00\x01\x02", JUNK),
        (HEARTBEAT, FRAME),
        (b"\r\n", JUNK),
        (HEARTBEAT, FRAME),
        (b"\x15", JUNK),
    ],
    "modem text between frames": [(HEARTBEAT, FRAME), (AT_TEXT, AT), (HEARTBEAT, FRAME)],
    "modem text first": [(AT_TEXT, AT), (HEARTBEAT, FRAME)],
    "bare Modbus between frames": [
        (HEARTBEAT, FRAME),
        (BARE_MODBUS_REQUEST, MODBUS),
        (BARE_MODBUS, MODBUS),
        (HEARTBEAT, FRAME),
    ],
    "all that is foreign in one run": [
        (BARE_MODBUS, MODBUS),
        (b"\xfe\xfe", JUNK),
        (AT_TEXT, AT),
        (b"\0", JUNK),
        (DATA, FRAME),
    ],
    "a TLS ClientHello": [(CLIENT_HELLO, TLS)],
    "a damaged checksum": [(HEARTBEAT, FRAME), (BAD_SUM, CHECKSUM), (HEARTBEAT, FRAME)],
    "a damaged checksum at the very end": [(damaged(DATA), CHECKSUM)],
    "damage behind junk": [(b"\0\0", JUNK), (BAD_SUM, CHECKSUM), (b"\0\0", JUNK)],
    "one damaged frame after another": [(BAD_SUM, CHECKSUM), (BAD_END, END_MARKER)],
    "a bad end marker": [(HEARTBEAT, FRAME), (BAD_END, END_MARKER), (HEARTBEAT, FRAME)],
    "a length that points into the next frame": [
        (lying(READ, len(READ) - ENVELOPE + 5), END_MARKER),
        (DATA, FRAME),
        (HEARTBEAT, FRAME),
    ],
    "a length that points over several frames": [
        (lying(HEARTBEAT, 30), END_MARKER),
        (HEARTBEAT, FRAME),
        (READ, FRAME),
        (READ, FRAME),
    ],
    "a length that points behind the end of the stream": [
        (lying(HEARTBEAT, 3000), TRUNCATED),
        (DATA, FRAME),
        (HEARTBEAT, FRAME),
    ],
    "a length that is too short": [
        (lying(READ, 10)[:23], END_MARKER),
        (READ[23:], JUNK),
        (HEARTBEAT, FRAME),
    ],
    "an impossible length": [(TOO_LONG, LENGTH), (HEARTBEAT, FRAME)],
    "a start byte within junk": [(b"\x00\xa5\xff\xff\x00", JUNK), (HEARTBEAT, FRAME)],
    "nothing but start bytes": [
        (b"\xa5" * 49, LENGTH),
        (b"\xa5", TRUNCATED),  # with the next two it claims 434 bytes
        (HEARTBEAT, FRAME),
    ],
    "a frame within a frame": [
        (Frame(0x4810, (1, 2), 7, HEARTBEAT).build(), FRAME),
        (HEARTBEAT, FRAME),
    ],
    "a frame within a damaged frame": [
        (damaged(Frame(0x4810, (1, 2), 7, HEARTBEAT).build())[:11], CHECKSUM),
        (HEARTBEAT, FRAME),
        (damaged(Frame(0x4810, (1, 2), 7, HEARTBEAT).build())[-2:], JUNK),
        (DATA, FRAME),
    ],
    "cut after the start byte": [(HEARTBEAT, FRAME), (DATA[:1], TRUNCATED)],
    "cut within the length": [(DATA[:2], TRUNCATED)],
    "cut before the end marker": [(DATA[:-1], TRUNCATED)],
    "cut, with a whole frame inside": [
        (DATA[:20], TRUNCATED),
        (HEARTBEAT, FRAME),
        (DATA[20:40], JUNK),
    ],
    "cut twice": [(DATA[:20], TRUNCATED), (HEARTBEAT, FRAME), (STORED[:20], TRUNCATED)],
    "as a person posted it": [(POSTED, TRUNCATED)],
    "as a person posted it, and more": [(POSTED, END_MARKER), (DATA, FRAME)],
}


@pytest.mark.parametrize("title", PLAYBOOK)
def test_a_stream_is_told_part_by_part(title: str) -> None:
    parts = PLAYBOOK[title]
    assert told(decode([b"".join(data for data, _ in parts)])) == parts


@pytest.mark.parametrize("title", PLAYBOOK)
def test_one_byte_at_a_time_tells_the_same(title: str) -> None:
    stream = b"".join(data for data, _ in PLAYBOOK[title])
    assert decode(bytewise(stream)) == decode([stream])


@pytest.mark.parametrize("name", VALID)
def test_every_real_frame_comes_as_soon_as_its_last_byte(name: str) -> None:
    data = raw(name)
    decoder = StreamDecoder(FRAMING)
    assert decoder.feed(data[:-1]) == []
    assert decoder.held == len(data) - 1
    (item,) = decoder.feed(data[-1:])
    assert isinstance(item, Framed)
    assert item.raw == data
    assert item.frame == Frame.parse(data)
    assert (decoder.held, decoder.offset) == (0, len(data))
    assert decoder.flush() == []


def test_a_night_of_stored_records_in_one_segment_is_eleven_frames() -> None:
    assert frames(decode([STORED * 11])) == [(n * len(STORED), STORED) for n in range(11)]


# What is said of unframed bytes


def only(items: list[Item]) -> Unframed:
    (item,) = items
    assert isinstance(item, Unframed)
    return item


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (BAD_SUM, "bad checksum at offset 1034: expected 0x38, found 0x39"),
        (BAD_END, "bad end marker at offset 1035: expected 0x15, found 0x16"),
        (TOO_LONG, "impossible length at offset 1001: expected a payload of at most 4083 bytes,"),
        (POSTED, "incomplete frame at offset 1000: expected 273 bytes, found 268"),
        (DATA[:2], "incomplete frame at offset 1000: expected at least 13 bytes, found 2"),
        (b"\0", "junk"),
        (AT_TEXT, "AT text"),
        (BARE_MODBUS, "bare Modbus RTU"),
        (CLIENT_HELLO, "TLS ClientHello"),
    ],
)
def test_the_detail_says_what_is_wrong_at_which_offset_of_the_stream(
    data: bytes, detail: str
) -> None:
    before = Frame(0x4710, (0, 0), 1, bytes(1000 - ENVELOPE)).build()
    first, item = decode([before + data])
    assert isinstance(first, Framed)
    assert isinstance(item, Unframed)
    assert item.offset == 1000
    assert item.detail.startswith(detail)


def test_a_frame_whole_but_for_its_checksum_is_shown_as_tentative() -> None:
    item = only(decode([damaged(DATA)]))
    assert item.tentative == Frame.parse(DATA)
    assert item.framing is FRAMING


@pytest.mark.parametrize("data", [BAD_END, POSTED, TOO_LONG, b"\0", AT_TEXT])
def test_what_fits_no_frame_has_nothing_tentative(data: bytes) -> None:
    assert only(decode([data])).tentative is None


def test_a_damaged_frame_that_a_good_one_cuts_short_has_nothing_tentative() -> None:
    outer = damaged(Frame(0x4810, (1, 2), 7, HEARTBEAT).build())
    item = decode([outer])[0]
    assert isinstance(item, Unframed)
    assert item.reason is CHECKSUM
    assert item.tentative is None


def test_bytes_that_only_claim_to_be_a_damaged_frame_have_nothing_tentative() -> None:
    assert Unframed(0, b"\xa5\x01", CHECKSUM, "by hand", FRAMING).tentative is None


# Frames as items


def test_a_frame_is_taken_apart_once_and_only_when_asked_for() -> None:
    asked: list[bytes] = []

    class Telling(V5Framing):
        def parse(self, raw: bytes, *, verify: bool = True) -> Frame:
            asked.append(raw)
            return super().parse(raw, verify=verify)

    (item,) = decode([HEARTBEAT], Telling())
    assert asked == []
    assert isinstance(item, Framed)
    assert item.frame is item.frame
    assert asked == [HEARTBEAT]


def test_framed_items_are_equal_by_place_bytes_and_family() -> None:
    item = Framed(3, HEARTBEAT, FRAMING)
    assert item == Framed(3, HEARTBEAT, V5Framing())
    assert hash(item) == hash(Framed(3, HEARTBEAT, V5Framing()))
    assert item != Framed(4, HEARTBEAT, FRAMING)
    assert item != Framed(3, READ, FRAMING)
    assert item != Framed(3, HEARTBEAT, TINY)
    assert item != HEARTBEAT
    assert repr(item) == "Framed(3, deye, 14 bytes)"


# Waiting, giving away, giving up


def test_a_decoder_without_a_framing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one framing"):
        StreamDecoder()


def test_junk_is_given_away_in_pieces_while_it_comes() -> None:
    decoder = StreamDecoder(FRAMING)
    items = decoder.feed(bytes(2 * PIECE + 100))
    assert [(item.offset, len(item.raw)) for item in items] == [(0, PIECE), (PIECE, PIECE)]
    assert (decoder.held, decoder.offset) == (100, 2 * PIECE)
    assert [(item.offset, len(item.raw)) for item in decoder.flush()] == [(2 * PIECE, 100)]


def test_all_pieces_of_a_run_bear_the_reason_of_the_first() -> None:
    stream = TOO_LONG + bytes(2 * PIECE) + AT_TEXT
    items = decode([stream])
    assert {item.reason for item in items if isinstance(item, Unframed)} == {LENGTH}
    assert [item.detail for item in items if isinstance(item, Unframed)] == [
        "impossible length at offset 1: expected a payload of at most 4083 bytes, found 5000",
        "impossible length, continued",
        "impossible length, continued",
    ]


def test_a_frame_right_behind_a_whole_piece_of_junk_is_found() -> None:
    assert told(decode([bytes(PIECE), HEARTBEAT])) == [(bytes(PIECE), JUNK), (HEARTBEAT, FRAME)]


def test_a_start_byte_right_behind_a_whole_piece_of_junk_is_still_junk() -> None:
    stream = bytes(PIECE) + TOO_LONG
    assert told(decode([stream[:PIECE], stream[PIECE:]])) == told(decode([stream]))


def test_damage_right_behind_a_whole_piece_of_junk_is_told() -> None:
    assert told(decode([bytes(PIECE), BAD_SUM])) == [(bytes(PIECE), JUNK), (BAD_SUM, CHECKSUM)]


def test_the_longest_frame_is_taken_and_one_byte_more_is_an_impossible_length() -> None:
    longest = Frame(0x4210, (0, 0), 1, bytes(LONGEST - ENVELOPE)).build()
    longer = Frame(0x4210, (0, 0), 1, bytes(LONGEST - ENVELOPE + 1)).build()
    assert told(decode([longest])) == [(longest, FRAME)]
    assert {reason for _, reason in told(decode([longer]))} == {LENGTH}
    assert told(decode([longer], V5Framing(LONGEST + 1))) == [(longer, FRAME)]


def test_after_a_flush_a_frame_is_found_and_offsets_go_on() -> None:
    decoder = StreamDecoder(FRAMING)
    decoder.feed(DATA[:100])
    assert told(decoder.flush()) == [(DATA[:100], TRUNCATED)]
    assert decoder.held == 0
    assert frames(decoder.feed(DATA)) == [(100, DATA)]


def test_after_a_flush_nothing_of_the_run_before_it_is_remembered() -> None:
    decoder = StreamDecoder(FRAMING)
    decoder.feed(bytes(PIECE))
    decoder.flush()
    decoder.feed(AT_TEXT)
    assert told(decoder.flush()) == [(AT_TEXT, AT)]


# Two families on one stream


def test_frames_of_two_families_are_told_apart() -> None:
    tiny = b"!\x02\x01\x02\x03"
    stream = b"??" + tiny + HEARTBEAT + b"?" + HEARTBEAT + tiny + b"?"
    for chunks in ([stream], bytewise(stream)):
        items = decode(chunks, FRAMING, TINY)
        assert told(items) == [
            (b"??", JUNK),
            (tiny, FRAME),
            (HEARTBEAT, FRAME),
            (b"?", JUNK),
            (HEARTBEAT, FRAME),
            (tiny, FRAME),
            (b"?", JUNK),
        ]
        assert [item.family for item in items if isinstance(item, Framed)] == [
            "tiny",
            "deye",
            "deye",
            "tiny",
        ]


KEEP_ALIVE = bytes.fromhex("01010000000000110a")
STATUS_REPLY = bytes.fromhex("010210000000147b22537461747573223a2253756363657373227d57ac")
READ_COILS = bytes.fromhex("0101001300138c02")  # in AlphaESS the head of a frame of 310 MiB


def test_frames_of_both_families_are_told_apart() -> None:
    parts = [
        (KEEP_ALIVE, FRAME),
        (HEARTBEAT, FRAME),
        (STATUS_REPLY, FRAME),
        (DATA, FRAME),
        (AT_TEXT, AT),
        (KEEP_ALIVE, FRAME),
    ]
    items = decode([b"".join(data for data, _ in parts)], FRAMING, ALPHA)
    assert told(items) == parts
    families = [item.family for item in items if isinstance(item, Framed)]
    assert families == ["alphaess", "deye", "alphaess", "deye", "alphaess"]


@pytest.mark.parametrize(
    "message",
    [BARE_MODBUS, BARE_MODBUS_REQUEST, READ_COILS],
    ids=["reply", "request", "request to read coils"],
)
def test_bare_modbus_is_told_as_such_though_it_begins_as_a_frame_of_the_other_family(
    message: bytes,
) -> None:
    parts = [(HEARTBEAT, FRAME), (message, MODBUS), (HEARTBEAT, FRAME)]
    stream = b"".join(data for data, _ in parts)
    assert told(decode([stream], FRAMING)) == parts
    assert told(decode([stream], FRAMING, ALPHA)) == parts
    assert told(decode(bytewise(stream), FRAMING, ALPHA)) == parts


# Properties

real = st.sampled_from([HEARTBEAT, READ, DATA, raw("tsun-wifi"), raw("tsun-at-reply")])
foreign = st.sampled_from([AT_TEXT, BARE_MODBUS, BARE_MODBUS_REQUEST, CLIENT_HELLO])
lies = st.builds(lying, real, st.integers(0, 60) | st.integers(0, 0xFFFF))


@st.composite
def flips(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(real))
    data[draw(st.integers(0, len(data) - 1))] ^= draw(st.integers(1, 255))
    return bytes(data)


@st.composite
def fragments(draw: st.DrawFn) -> bytes:
    data = draw(real)
    start = draw(st.integers(0, len(data)))
    return data[start : draw(st.integers(start, len(data)))]


@st.composite
def forged(draw: st.DrawFn) -> bytes:
    """A frame of any payload, which may hold others."""
    payload = draw(st.binary(max_size=30) | st.lists(real | flips(), max_size=2).map(b"".join))
    data = Frame(draw(st.integers(0, 0xFFFF)), (1, 2), 3, payload).build()
    return damaged(data) if draw(st.booleans()) else data


junk = st.one_of(
    st.binary(max_size=40),
    st.lists(st.sampled_from(b"\xa5\x15\x00\x01\x0a"), max_size=40).map(bytes),
)
parts = st.one_of(real, foreign, lies, flips(), fragments(), forged(), junk)
streams = st.lists(parts, max_size=8).map(b"".join)
cuts = st.lists(st.integers(0, 2000), max_size=12)
pieces = st.sampled_from([1, 7, 32, PIECE])
alpha = st.one_of(
    st.sampled_from([KEEP_ALIVE, STATUS_REPLY, READ_COILS, STATUS_REPLY[:-1] + b"\xad"]),
    st.builds(
        lambda direction, command, payload: AlphaFrame(1, direction, command, payload).build(),
        st.integers(1, 2),
        st.integers(0, 255),
        st.binary(max_size=40) | st.just(STATUS_REPLY),
    ),
    st.builds(
        lambda length, rest: b"\x01\x01\x10" + length.to_bytes(4, "big") + rest,
        st.integers(0, 100) | st.integers(0, 70_000) | st.integers(0, 2**32 - 1),
        st.binary(max_size=100),
    ),
    st.lists(st.sampled_from(b"\x00\x01\x02\x03{"), max_size=30).map(bytes),
)
mixed_streams = st.lists(alpha | parts, max_size=8).map(b"".join)
tiny_streams = st.lists(st.sampled_from(b"!!!\x00\x01\x02\x03\x04"), max_size=60).map(bytes)


@given(streams, cuts, pieces)
@example(b"\0" * 32 + TOO_LONG, [32], 32)
@example(BAD_SUM + AT_TEXT, [len(BAD_SUM)], PIECE)
def test_any_chunking_gives_the_same_items(stream: bytes, places: list[int], piece: int) -> None:
    with pieces_of(piece):
        assert decode(cut(stream, places)) == decode([stream])


@given(tiny_streams, cuts, pieces)
def test_any_chunking_of_overlapping_frames_gives_the_same_items(
    stream: bytes, places: list[int], piece: int
) -> None:
    with pieces_of(piece):
        items = decode([stream], TINY)
        assert decode(cut(stream, places), TINY) == items
        assert decode(bytewise(stream), TINY) == items


@given(mixed_streams, cuts, pieces)
def test_any_chunking_of_two_families_gives_the_same_items(
    stream: bytes, places: list[int], piece: int
) -> None:
    with pieces_of(piece):
        for framings in ((ALPHA,), (FRAMING, ALPHA)):
            items = decode([stream], *framings)
            assert decode(cut(stream, places), *framings) == items
            assert decode(bytewise(stream), *framings) == items


@given(mixed_streams | tiny_streams, cuts, pieces)
def test_the_items_tile_the_stream(stream: bytes, places: list[int], piece: int) -> None:
    for framings in ((FRAMING,), (ALPHA,), (TINY,), (FRAMING, ALPHA, TINY)):
        with pieces_of(piece):
            items = decode(cut(stream, places), *framings)
        assert b"".join(item.raw for item in items) == stream
        at = 0
        for item in items:
            assert item.offset == at
            assert item.raw
            at += len(item.raw)


@given(mixed_streams)
def test_the_frames_are_those_that_there_are(stream: bytes) -> None:
    for framings in ((FRAMING,), (ALPHA,), (FRAMING, ALPHA)):
        assert frames(decode([stream], *framings)) == frames_by_definition(stream, *framings)


@given(tiny_streams)
def test_the_overlapping_frames_are_those_that_there_are(stream: bytes) -> None:
    assert frames(decode([stream], TINY)) == frames_by_definition(stream, TINY)


@given(st.binary(max_size=100).map(lambda data: data.replace(bytes((START,)), b"")), real)
def test_junk_without_a_start_byte_delays_no_frame(before: bytes, good: bytes) -> None:
    items = StreamDecoder(FRAMING).feed(before + good)
    assert frames(items) == [(len(before), good)]


@given(streams, real, streams)
def test_a_good_frame_is_lost_only_to_a_good_frame_that_claims_its_start(
    before: bytes, good: bytes, after: bytes
) -> None:
    at = len(before)
    found = frames(decode([before + good + after]))
    assert (at, good) in found or any(offset < at < offset + len(data) for offset, data in found)


@given(streams, real)
def test_a_good_frame_waits_for_no_more_than_the_longest_frame(before: bytes, good: bytes) -> None:
    stream = before + good + bytes(LONGEST)
    expected = frames_by_definition(before + good, FRAMING)
    assert frames(StreamDecoder(FRAMING).feed(stream))[: len(expected)] == expected


@given(streams, streams, pieces)
@example(bytes(32), AT_TEXT, 32)
def test_what_follows_a_flush_is_decoded_as_if_it_came_first(
    first: bytes, second: bytes, piece: int
) -> None:
    with pieces_of(piece):
        decoder = StreamDecoder(FRAMING)
        decoder.feed(first)
        decoder.flush()
        assert told(decoder.feed(second) + decoder.flush()) == told(decode([second]))


@given(streams, cuts)
def test_what_is_held_is_what_no_item_has_told(stream: bytes, places: list[int]) -> None:
    decoder = StreamDecoder(FRAMING)
    fed = given_away = 0
    for chunk in cut(stream, places):
        given_away += sum(len(item.raw) for item in decoder.feed(chunk))
        fed += len(chunk)
        assert decoder.offset == given_away
        assert decoder.held == fed - given_away


# Bounds


def greatest_held(chunks: Iterable[bytes], framing: V5Framing) -> int:
    decoder = StreamDecoder(framing)
    greatest = 0
    for chunk in chunks:
        decoder.feed(chunk)
        greatest = max(greatest, decoder.held)
    return greatest


def two_of_the_longest(longest: int) -> bytes:
    """Return a damaged frame, and shortly before its end a start that claims as much again."""
    claim = bytes((START,)) + (longest - ENVELOPE).to_bytes(2, "little")
    return claim + bytes(longest - 6) + claim + bytes(longest)


@pytest.mark.parametrize("longest", [100, LONGEST, 0xFFFF + ENVELOPE])
@pytest.mark.parametrize("size", [1, 1000])
def test_no_more_is_held_than_the_longest_frame_and_one_more_or_a_piece(
    longest: int, size: int
) -> None:
    framing = V5Framing(longest)
    start = bytes((START,)) + (longest - ENVELOPE).to_bytes(2, "little")
    for stream in (
        bytes(3 * PIECE),
        bytes(PIECE - 1) + start + bytes(3 * longest),
        two_of_the_longest(longest),
        start * 3000,
    ):
        chunks = cut(stream, range(0, len(stream), size))
        assert greatest_held(chunks, framing) < longest + max(longest, PIECE)


@given(streams, cuts)
def test_with_ordinary_limits_no_more_than_the_longest_frame_and_a_piece_is_held(
    stream: bytes, places: list[int]
) -> None:
    assert greatest_held(cut(stream, places), FRAMING) < LONGEST + PIECE


@pytest.mark.parametrize(
    "stream",
    [
        bytes(50_000),
        DATA * 50,
        damaged(DATA) * 50,
        bytes((START,)) * 20_000,
        b"\xa5\x15\x0d" * 7000,  # each of them claims 3,362 bytes, and finds an end marker there
        two_of_the_longest(LONGEST) * 3,
        (TOO_LONG + HEARTBEAT + AT_TEXT) * 100,
    ],
    ids=["junk", "frames", "damaged", "starts", "claims", "long claims", "mixed"],
)
def test_the_work_is_linear_however_the_stream_is_cut(stream: bytes) -> None:
    # A start byte is asked about when it is there (twice where a chunk begins with it), when its
    # length is, when all of it is; and why there is no frame.
    most = 5 * stream.count(START)
    at_once = told(decode([stream]))
    for size in (1, 1000, len(stream)):
        framing = CountingFraming()
        chunks = cut(stream, range(0, len(stream), size))
        assert told(decode(chunks, framing)) == at_once
        assert framing.asked <= most


def test_bytes_that_are_not_told_are_named_by_their_offsets() -> None:
    (item, *_) = StreamDecoder(FRAMING).pass_over(HEARTBEAT, [5, 7, 8, 9, 12])
    assert isinstance(item, Unframed)
    assert item.detail == "masked: of 14 bytes not told: 5, 7 to 9, 12"
