"""The V5 envelope: real frames as their sources tell them, then every way to be wrong."""

from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.deye.frame import (
    ENVELOPE,
    FRAMING,
    LONGEST,
    PAYLOAD_AT,
    Frame,
    V5Framing,
    header_fields,
)
from inverterproto.errors import ChecksumError, FieldError, IncompleteError, ProtocolError
from inverterproto.stream import DAMAGED, Reason
from tests.vectors import BROKEN, VALID, raw

HEARTBEAT = raw("heartbeat")
DATA = raw("micro-5408-realtime")
POSTED = raw(BROKEN)

values = st.builds(
    Frame,
    st.integers(0, 0xFFFF),
    st.tuples(st.integers(0, 255), st.integers(0, 255)),
    st.integers(0, 0xFFFFFFFF),
    st.binary(max_size=600),
)


# Real frames


def test_a_real_data_frame_has_the_header_that_its_source_tells() -> None:
    frame = Frame.parse(DATA)
    assert frame.control_code == 0x4210
    assert frame.message_type == 0x42
    assert frame.sequence == (21, 22)
    assert frame.logger_serial == 2712345678
    assert len(frame.payload) == 330
    assert frame.payload == DATA[PAYLOAD_AT:-2]


def test_a_real_heartbeat_is_told_field_by_field() -> None:
    assert Frame.parse(HEARTBEAT) == Frame(0x4710, (0x97, 0x6D), 2712345678, b"\x00")


def test_the_documented_request_is_for_the_logger_in_its_description() -> None:
    frame = Frame.parse(raw("request-from-decoder"))
    assert (frame.control_code, frame.logger_serial) == (0x4510, 1782345394)


@pytest.mark.parametrize("name", VALID)
def test_a_real_frame_builds_to_the_very_same_bytes(name: str) -> None:
    assert Frame.parse(raw(name)).build() == raw(name)


def test_the_header_by_field_names_is_that_of_the_json() -> None:
    assert header_fields(DATA) == {
        "payload_length": 330,
        "control_code": 16912,
        "sequence": [21, 22],
        "logger_serial": 2712345678,
        "checksum": 0x50,
    }


def test_a_frame_cannot_be_changed() -> None:
    frame = Frame.parse(HEARTBEAT)
    with pytest.raises(FrozenInstanceError):
        frame.payload = b""  # type: ignore[misc]


def test_a_parsed_frame_is_the_same_as_one_made_of_values() -> None:
    frame = Frame.parse(HEARTBEAT)
    assert hash(frame) == hash(Frame(0x4710, (0x97, 0x6D), 2712345678, b"\x00"))
    assert replace(frame, sequence=(1, 2)) == Frame(0x4710, (1, 2), 2712345678, b"\x00")


# What is wrong is said, with the place, what should be there and what is


WRONG: list[tuple[bytes, type[ProtocolError], str]] = [
    (b"", IncompleteError, "incomplete frame at offset 0: expected at least 13 bytes, found 0"),
    (
        HEARTBEAT[:2],
        IncompleteError,
        "incomplete frame at offset 0: expected at least 13 bytes, found 2",
    ),
    (
        HEARTBEAT[:3],
        IncompleteError,
        "incomplete frame at offset 0: expected 14 bytes, found 3",
    ),
    (
        HEARTBEAT[:13],
        IncompleteError,
        "incomplete frame at offset 0: expected 14 bytes, found 13",
    ),
    (
        b"\x16",
        ProtocolError,
        "bad start marker at offset 0: expected 0xa5, found 0x16",
    ),
    (POSTED, IncompleteError, "incomplete frame at offset 0: expected 273 bytes, found 268"),
    (
        b"\xa4" + HEARTBEAT[1:],
        ProtocolError,
        "bad start marker at offset 0: expected 0xa5, found 0xa4",
    ),
    (
        HEARTBEAT[:-1] + b"\x16",
        ProtocolError,
        "bad end marker at offset 13: expected 0x15, found 0x16",
    ),
    (
        HEARTBEAT[:-2] + b"\x13\x15",
        ChecksumError,
        "bad checksum at offset 12: expected 0x12, found 0x13",
    ),
    (
        HEARTBEAT + b"\x00",
        ProtocolError,
        "bytes behind the frame at offset 14: expected 14 bytes, found 15",
    ),
    (
        HEARTBEAT + HEARTBEAT,
        ProtocolError,
        "bytes behind the frame at offset 14: expected 14 bytes, found 28",
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


@pytest.mark.parametrize("place", range(len(HEARTBEAT)))
def test_no_flipped_bit_of_a_frame_goes_unnoticed(place: int) -> None:
    for bit in range(8):
        flipped = bytearray(HEARTBEAT)
        flipped[place] ^= 1 << bit
        with pytest.raises(ProtocolError):
            Frame.parse(bytes(flipped))


@pytest.mark.parametrize(
    ("frame", "field", "found"),
    [
        (Frame(-1, (0, 0), 0, b""), "control_code", -1),
        (Frame(0x1_0000, (0, 0), 0, b""), "control_code", 0x1_0000),
        (Frame(0, (256, 0), 0, b""), "sequence", 256),
        (Frame(0, (0, 256), 0, b""), "sequence", 256),
        (Frame(0, (-1, 0), 0, b""), "sequence", -1),
        (Frame(0, (0, -1), 0, b""), "sequence", -1),
        (Frame(0, (0, 0), -1, b""), "logger_serial", -1),
        (Frame(0, (0, 0), 0x1_0000_0000, b""), "logger_serial", 0x1_0000_0000),
    ],
)
def test_what_does_not_fit_its_place_is_not_built(frame: Frame, field: str, found: int) -> None:
    with pytest.raises(FieldError, match="out of range") as caught:
        frame.build()
    assert caught.value.field == field
    assert caught.value.found == found


def test_a_payload_longer_than_the_length_field_can_say_is_not_built() -> None:
    assert len(Frame(0, (0, 0), 0, bytes(0xFFFF)).build()) == 0xFFFF + ENVELOPE
    with pytest.raises(FieldError, match="payload_length"):
        Frame(0, (0, 0), 0, bytes(0x1_0000)).build()


# The framing


def test_the_framing_tells_a_whole_frame_from_one_that_lacks_bytes_and_from_none() -> None:
    end = len(DATA)
    assert FRAMING.match(DATA, 0, end) == end
    assert FRAMING.match(b"\0\0" + DATA + DATA, 2, 2 * end + 2) == end
    assert FRAMING.match(DATA, 0, 2) == -3
    assert FRAMING.match(DATA, 0, 3) == -end
    assert FRAMING.match(DATA, 0, end - 1) == -end
    assert FRAMING.match(DATA[:-1] + b"\x16", 0, end) == DAMAGED
    assert FRAMING.match(DATA[:-2] + b"\x51\x15", 0, end) == DAMAGED


def test_the_framing_takes_no_frame_beyond_its_limit() -> None:
    assert V5Framing(len(DATA)).match(DATA, 0, len(DATA)) == len(DATA)
    assert V5Framing(len(DATA) - 1).match(DATA, 0, len(DATA)) == 0
    fault = V5Framing(len(DATA) - 1).diagnose(DATA, 0, len(DATA))
    assert (fault.reason, fault.extent) == (Reason.LENGTH, 0)
    assert LONGEST == 4096


def test_the_framing_verifies_unless_told_not_to() -> None:
    wrong = HEARTBEAT[:-2] + b"\x13\x15"
    assert FRAMING.parse(HEARTBEAT) == Frame.parse(HEARTBEAT)
    assert FRAMING.parse(wrong, verify=False) == Frame.parse(HEARTBEAT)
    with pytest.raises(ChecksumError):
        FRAMING.parse(wrong)


@pytest.mark.parametrize("data", [b"", HEARTBEAT[:-1], HEARTBEAT + b"\0"])
def test_what_has_not_a_frames_length_is_not_even_a_tentative_frame(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        FRAMING.parse(data, verify=False)


# Properties


@given(values)
def test_a_frame_is_what_is_built_of_it(frame: Frame) -> None:
    data = frame.build()
    assert len(data) == len(frame.payload) + ENVELOPE
    assert Frame.parse(data) == frame
    assert FRAMING.match(data, 0, len(data)) == len(data)
    assert FRAMING.parse(data, verify=False) == frame
    assert header_fields(data)["checksum"] == data[-2]


@given(st.binary(max_size=60) | values.map(Frame.build))
def test_bytes_are_a_frame_that_builds_to_them_or_a_protocol_error(data: bytes) -> None:
    try:
        frame = Frame.parse(data)
    except ProtocolError:
        return
    assert frame.build() == data


@given(values, st.data())
def test_a_damaged_frame_is_none_and_the_reason_is_right(frame: Frame, draw: st.DataObject) -> None:
    data = bytearray(frame.build())
    place = draw.draw(st.integers(3, len(data) - 1))
    data[place] ^= draw.draw(st.integers(1, 255))
    fault = FRAMING.diagnose(data, 0, len(data))
    assert FRAMING.match(data, 0, len(data)) == DAMAGED
    last = place == len(data) - 1
    assert fault.reason is (Reason.END_MARKER if last else Reason.CHECKSUM)
    assert fault.extent == len(data)
    with pytest.raises(ProtocolError, match=str(fault.reason)):
        Frame.parse(bytes(data))


@given(values, st.data())
def test_a_cut_frame_waits_and_is_truncated_when_no_more_comes(
    frame: Frame, draw: st.DataObject
) -> None:
    data = frame.build()
    end = draw.draw(st.integers(1, len(data) - 1))
    assert FRAMING.match(data, 0, end) == (-3 if end < 3 else -len(data))
    fault = FRAMING.diagnose(data, 0, end)
    assert (fault.reason, fault.extent) == (Reason.TRUNCATED, end)
    assert fault.error.found == end


@pytest.mark.parametrize("sequence", [(1, 2, 3), (1,), ("a", 1), (1.5, 2), (-1, 0), (0, 256)])
def test_a_sequence_is_two_counters(sequence: tuple[int, int]) -> None:
    with pytest.raises(FieldError, match="sequence"):
        Frame(0x4710, sequence, 1, b"").build()
