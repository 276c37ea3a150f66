"""The AlphaESS envelope: real frames as their sources tell them, then every way to be wrong."""

from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.alphaess.frame import (
    ENVELOPE,
    FRAMING,
    LONGEST,
    LONGEST_BINARY,
    AlphaFraming,
    Frame,
    header_fields,
)
from inverterproto.errors import ChecksumError, FieldError, IncompleteError, ProtocolError
from inverterproto.stream import DAMAGED, Reason
from tests.vectors import fixtures

RAW = fixtures("alphaess")
VALID = sorted(RAW.keys() - {"bad-crc"})
KEEP_ALIVE = RAW["keep-alive"]
STATUS = RAW["status-1"]

values = st.builds(
    Frame, st.just(1), st.integers(1, 2), st.integers(0, 255), st.binary(max_size=600)
)


# Real frames


def test_the_published_keep_alive_is_nine_bytes_with_its_crc_big_endian() -> None:
    assert Frame(1, 1, 0, b"").build().hex() == "01010000000000110a"
    assert Frame.parse(KEEP_ALIVE) == Frame(1, 1, 0, b"")


def test_a_real_status_has_the_header_that_its_source_tells() -> None:
    frame = Frame.parse(STATUS)
    assert (frame.version, frame.direction, frame.command) == (1, 1, 16)
    assert frame.payload == STATUS[7:-2]
    assert frame.payload.startswith(b'{"Time":"2021/03/24 10:01:52",')


@pytest.mark.parametrize("name", VALID)
def test_a_real_frame_builds_to_the_very_same_bytes(name: str) -> None:
    assert Frame.parse(RAW[name]).build() == RAW[name]


def test_the_header_by_field_names_is_that_of_the_json() -> None:
    assert header_fields(STATUS) == {
        "version": 1,
        "direction": 1,
        "command": 16,
        "length": 267,
        "crc": 0x1DF1,
    }


def test_a_frame_cannot_be_changed_but_copied_with_a_change() -> None:
    frame = Frame.parse(KEEP_ALIVE)
    with pytest.raises(FrozenInstanceError):
        frame.payload = b"x"  # type: ignore[misc]
    assert replace(frame, command=5) == Frame(1, 1, 5, b"")
    assert hash(frame) == hash(Frame(1, 1, 0, b""))


# What is wrong is said, with the place, what should be there and what is

WRONG: list[tuple[bytes, type[ProtocolError], str]] = [
    (b"", IncompleteError, "incomplete frame at offset 0: expected at least 9 bytes, found 0"),
    (
        KEEP_ALIVE[:-1],
        IncompleteError,
        "incomplete frame at offset 0: expected at least 9 bytes, found 8",
    ),
    (
        STATUS[:-1],
        IncompleteError,
        "incomplete frame at offset 0: expected 276 bytes, found 275",
    ),
    (
        b"\x02" + KEEP_ALIVE[1:],
        ProtocolError,
        "bad version at offset 0: expected 1, found 2",
    ),
    (
        b"\x01\x00" + KEEP_ALIVE[2:],
        ProtocolError,
        "bad direction at offset 1: expected 1 or 2, found 0",
    ),
    (
        b"\x01\x03" + KEEP_ALIVE[2:],
        ProtocolError,
        "bad direction at offset 1: expected 1 or 2, found 3",
    ),
    (
        b"\x01\x01\x00\xff\xff\xff\xff\x00\x00",
        ProtocolError,
        "impossible length at offset 3: expected a length of 0 or more, found -1",
    ),
    (
        KEEP_ALIVE + b"\x00",
        ProtocolError,
        "bytes behind the frame at offset 9: expected 9 bytes, found 10",
    ),
    (
        RAW["bad-crc"],
        ChecksumError,
        "bad CRC at offset 274: expected 0x1df1, found 0x1df0",
    ),
]


@pytest.mark.parametrize(("data", "kind", "text"), WRONG)
def test_a_wrong_frame_says_which_check_failed_where_expected_and_found(
    data: bytes, kind: type[ProtocolError], text: str
) -> None:
    with pytest.raises(ProtocolError) as caught:
        Frame.parse(data)
    assert type(caught.value) is kind
    assert str(caught.value) == text


@pytest.mark.parametrize("place", range(len(KEEP_ALIVE)))
def test_no_flipped_bit_of_a_frame_goes_unnoticed(place: int) -> None:
    for bit in range(8):
        flipped = bytearray(KEEP_ALIVE)
        flipped[place] ^= 1 << bit
        with pytest.raises(ProtocolError):
            Frame.parse(bytes(flipped))


@pytest.mark.parametrize(
    ("frame", "field", "found"),
    [
        (Frame(2, 1, 0, b""), "version", 2),
        (Frame(1, 0, 0, b""), "direction", 0),
        (Frame(1, 3, 0, b""), "direction", 3),
        (Frame(1, 1, -1, b""), "command", -1),
        (Frame(1, 1, 256, b""), "command", 256),
    ],
)
def test_what_does_not_fit_its_place_is_not_built(frame: Frame, field: str, found: int) -> None:
    with pytest.raises(FieldError, match="out of range") as caught:
        frame.build()
    assert (caught.value.field, caught.value.found) == (field, found)


def test_a_frame_may_be_read_without_looking_at_its_crc() -> None:
    wrong = RAW["bad-crc"]
    assert Frame.parse(wrong, verify=False) == Frame.parse(STATUS)
    assert FRAMING.parse(wrong, verify=False) == Frame.parse(STATUS)
    assert FRAMING.parse(STATUS) == Frame.parse(STATUS)
    with pytest.raises(ChecksumError):
        FRAMING.parse(wrong)


# The framing


def test_the_framing_tells_a_whole_frame_from_one_that_lacks_bytes_and_from_none() -> None:
    end = len(STATUS)
    assert FRAMING.match(STATUS, 0, end) == end
    assert FRAMING.match(bytearray(b"\0\0" + STATUS + STATUS), 2, 2 * end + 2) == end
    assert FRAMING.match(STATUS, 0, 1) == -2
    assert FRAMING.match(STATUS, 0, 2) == -7
    assert FRAMING.match(STATUS, 0, 6) == -7
    assert FRAMING.match(STATUS, 0, 7) == -end
    assert FRAMING.match(STATUS, 0, end - 1) == -end
    assert FRAMING.match(RAW["bad-crc"], 0, end) == DAMAGED


@pytest.mark.parametrize(
    "head", ["0100", "0103", "01030000000000", "0101007fffffff", "010100ffffffff"]
)
def test_the_framing_needs_no_more_than_a_header_to_refuse_one(head: str) -> None:
    assert FRAMING.match(bytes.fromhex(head), 0, len(head) // 2) == 0


def test_the_framing_takes_no_frame_beyond_its_limit() -> None:
    assert AlphaFraming(len(STATUS)).match(STATUS, 0, len(STATUS)) == len(STATUS)
    assert AlphaFraming(len(STATUS) - 1).match(STATUS, 0, len(STATUS)) == 0
    fault = AlphaFraming(len(STATUS) - 1).diagnose(STATUS, 0, len(STATUS))
    assert (fault.reason, fault.extent) == (Reason.LENGTH, 0)
    assert LONGEST == 65536


def test_the_framing_takes_a_long_payload_if_it_is_text_all_the_way() -> None:
    size = LONGEST - ENVELOPE
    text = Frame(1, 1, 99, b"x" * size).build()
    assert FRAMING.match(text, 0, len(text)) == LONGEST
    for place in (0, size // 2, size - 1):
        payload = bytearray(b"x" * size)
        payload[place] = 0
        binary = Frame(1, 1, 99, bytes(payload)).build()
        assert FRAMING.match(binary, 0, len(binary)) == 0
        fault = FRAMING.diagnose(binary, 0, len(binary))
        assert (fault.reason, fault.extent) == (Reason.LENGTH, 0)
        assert str(fault.error) == (
            "impossible length at offset 3: expected text all the way in so long a payload, "
            f"found {size}, with a NUL at offset {place + 7}"
        )


def test_the_framing_takes_a_short_payload_whatever_is_in_it() -> None:
    binary = Frame(1, 1, 99, bytes(LONGEST_BINARY - ENVELOPE)).build()
    assert FRAMING.match(binary, 0, len(binary)) == LONGEST_BINARY
    longer = Frame(1, 1, 99, bytes(LONGEST_BINARY - ENVELOPE + 1)).build()
    assert FRAMING.match(longer, 0, len(longer)) == 0


def test_a_nul_in_the_crc_of_a_long_frame_is_no_nul_in_its_payload() -> None:
    size = LONGEST_BINARY
    frames = (Frame(1, 1, 99, b"%06d" % n + b"x" * size).build() for n in range(1000))
    frame = next(frame for frame in frames if frame[-1] == 0)
    assert FRAMING.match(frame, 0, len(frame)) == len(frame)


def test_a_long_frame_is_asked_for_in_small_steps() -> None:
    frame = Frame(1, 1, 99, b"x" * 20000).build()
    asked = []
    have = 7
    while (needed := FRAMING.match(frame, 0, have)) < 0:
        assert have < -needed <= len(frame)
        asked.append(-needed)
        have = -needed
    assert needed == len(frame)
    assert asked[:3] == [263, 519, 775]
    assert len(asked) < 40


@pytest.mark.parametrize(
    ("data", "reason", "text", "extent"),
    [
        (STATUS[:1], Reason.TRUNCATED, "expected at least 9 bytes, found 1", 0),
        (STATUS[:6], Reason.TRUNCATED, "expected at least 9 bytes, found 6", 6),
        (STATUS[:200], Reason.TRUNCATED, "expected 276 bytes, found 200", 200),
        (RAW["bad-crc"], Reason.CHECKSUM, "expected 0x1df1, found 0x1df0", 276),
        (b"\x01\x03", Reason.JUNK, "expected 1 or 2, found 3", 0),
    ],
)
def test_the_framing_says_why_there_is_no_frame(
    data: bytes, reason: Reason, text: str, extent: int
) -> None:
    fault = FRAMING.diagnose(data, 0, len(data))
    assert (fault.reason, fault.extent) == (reason, extent)
    assert text in str(fault.error)


# Properties


@given(values)
def test_a_frame_of_any_values_is_read_back(frame: Frame) -> None:
    raw = frame.build()
    assert Frame.parse(raw) == frame
    assert FRAMING.match(raw, 0, len(raw)) == len(raw)


@given(st.binary(max_size=100) | st.builds(bytes.__add__, st.just(b"\x01\x01"), st.binary()))
def test_any_bytes_are_a_frame_that_builds_to_them_or_an_error_of_the_protocol(data: bytes) -> None:
    try:
        frame = Frame.parse(data)
    except ProtocolError:
        return
    assert frame.build() == data
