"""Hex text in any dress becomes bytes, or an error that says where."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.errors import ProtocolError
from inverterproto.hexdump import HexReader, is_hex
from tests.vectors import raw

HEARTBEAT = raw("heartbeat")
SEPARATORS = ["", " ", "\n", "\r\n", "\t", ",", ", ", ";", ":", "-", "_", "|", "0x", ", 0x", "\\x"]


def read(*chunks: str) -> bytes:
    """Read hex text that comes in chunks."""
    reader = HexReader()
    return b"".join(map(reader.feed, chunks)) + reader.finish()


@pytest.mark.parametrize(
    "text",
    [
        "a501001047976d4e1caba1001215",
        "A501001047976D4E1CABA1001215",
        "a5 01 00 10 47 97 6d 4e 1c ab a1 00 12 15\n",
        "a5:01:00:10:47:97:6d:4e:1c:ab:a1:00:12:15",
        "a5-01-00-10-47-97-6d-4e-1c-ab-a1-00-12-15",
        "0xa5, 0x01, 0x00, 0x10, 0x47, 0x97, 0x6d, 0x4e, 0x1c, 0xab, 0xa1, 0x00, 0x12, 0x15,",
        "0XA5,0X01,0X00,0X10,0X47,0X97,0X6D,0X4E,0X1C,0XAB,0XA1,0X00,0X12,0X15",
        r"\xa5\x01\x00\x10\x47\x97\x6d\x4e\x1c\xab\xa1\x00\x12\x15",
        "0xa501001047976d4e1caba1001215",
        "|a5|01|00|10|47|97|6d|4e|\n|1c|ab|a1|00|12|15|",
        "a5010010 47976d4e;1caba100_1215",
        "a501001047976d4e1c a\n\tba1001215\f\v",
    ],
)
def test_every_common_dress_of_a_real_heartbeat_is_read(text: str) -> None:
    assert read(text) == HEARTBEAT
    assert is_hex(text)


@given(st.binary(), st.lists(st.sampled_from(SEPARATORS)), st.lists(st.integers(0, 400)))
def test_bytes_written_with_any_separators_and_cut_anywhere_are_read_back(
    data: bytes, separators: list[str], places: list[int]
) -> None:
    text = ""
    for index, byte in enumerate(data):
        text += separators[index % len(separators)] if separators else ""
        text += f"{byte:02x}"
    ends = [0, *sorted(place for place in places if place < len(text)), len(text)]
    assert read(*(text[a:b] for a, b in pairwise(ends))) == data


def test_a_pair_may_be_broken_over_lines() -> None:
    assert read("a5 0\n1 0", "0") == bytes.fromhex("a50100")


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_prefix_may_be_broken_over_chunks(cut: int) -> None:
    text = r"0xa5\x15"
    assert read(text[:cut], text[cut:]) == b"\xa5\x15"


@pytest.mark.parametrize(
    ("text", "place", "found"),
    [
        ("a5 zz", "line 1, column 4", "'z'"),
        ("a5 0z", "line 1, column 5", "'z'"),
        ("x", "line 1, column 1", "'x'"),
        ("a5 01\na5 0g", "line 2, column 5", "'g'"),
        ("a5\r\n\n  a5 (", "line 3, column 6", "'('"),
        ("0xa5 0x01 0y", "line 1, column 12", "'y'"),
        ("a5\x1b[31m", "line 1, column 3", "'\\x1b'"),
        ("a5 \xb5", "line 1, column 4", "'\xb5'"),
        ("a5 \u0661", "line 1, column 4", "'\u0661'"),
    ],
)
def test_what_is_no_hex_is_told_with_line_and_column(text: str, place: str, found: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        read(text)
    assert f"no hex digit at {place}" in str(caught.value)
    assert str(caught.value).endswith(f"expected hex digits and separators, found {found}")


@given(st.lists(st.sampled_from(["a5 ", "0", "1", "\n", "0x", "\\x", ","]), max_size=30))
def test_line_and_column_do_not_depend_on_the_chunks(pieces: list[str]) -> None:
    text = "".join(pieces) + "!"
    with pytest.raises(ProtocolError) as whole:
        read(text)
    with pytest.raises(ProtocolError) as by_letter:
        read(*text)
    assert str(whole.value) == str(by_letter.value)
    lines = text.split("\n")
    assert f"line {len(lines)}, column {len(lines[-1])}:" in str(whole.value)


def test_a_lone_backslash_at_the_end_is_told() -> None:
    with pytest.raises(ProtocolError, match="line 1, column 3"):
        read("a5\\")


def test_half_a_byte_at_the_end_is_told() -> None:
    with pytest.raises(ProtocolError, match="odd number of hex digits: expected pairs"):
        read("a5 0")


@given(st.text())
def test_any_text_gives_bytes_or_a_protocol_error(text: str) -> None:
    try:
        data = read(text)
    except ProtocolError:
        return
    assert is_hex(text) or data == b""


@pytest.mark.parametrize("text", ["", " ", "0x", "\\x", ",;:", "a5 z", "dump.hex", "0y", "x"])
def test_what_holds_no_digit_or_anything_else_is_no_hex(text: str) -> None:
    assert not is_hex(text)


def test_the_end_of_nothing_is_nothing() -> None:
    assert HexReader().finish() == b""
