"""An error's text alone says where in a dump to look, and for what."""

import pytest

from inverterproto.errors import ChecksumError, FieldError, IncompleteError, ProtocolError


def test_an_error_says_where_what_and_what_instead() -> None:
    error = ChecksumError("bad checksum", offset=341, expected="0x4e", found="0x4f")
    assert str(error) == "bad checksum at offset 341: expected 0x4e, found 0x4f"
    assert (error.offset, error.expected, error.found) == (341, "0x4e", "0x4f")


def test_an_error_without_a_place_names_none() -> None:
    assert str(ProtocolError("no frame")) == "no frame"
    assert str(ProtocolError("no frame", expected=1, found=2)) == "no frame: expected 1, found 2"


def test_an_error_at_the_first_byte_says_offset_zero() -> None:
    assert str(ProtocolError("bad start marker", offset=0)) == "bad start marker at offset 0"


@pytest.mark.parametrize("kind", [ChecksumError, FieldError, IncompleteError])
def test_who_catches_protocol_errors_or_value_errors_catches_all(kind: type) -> None:
    assert issubclass(kind, ProtocolError)
    assert issubclass(kind, ValueError)


def test_a_moved_error_counts_from_further_back() -> None:
    error = ProtocolError("bad end marker", offset=22, expected="0x15", found="0x16")
    moved = error.moved(1000)
    assert str(moved) == "bad end marker at offset 1022: expected 0x15, found 0x16"
    assert str(error) == "bad end marker at offset 22: expected 0x15, found 0x16"


def test_an_error_of_the_whole_moves_to_where_the_whole_begins() -> None:
    assert ProtocolError("no frame").moved(7).offset == 7


def test_a_field_error_names_the_field() -> None:
    error = FieldError("time", "out of range", expected="0 to 4294967295", found=-1)
    assert error.field == "time"
    assert str(error) == "time: out of range: expected 0 to 4294967295, found -1"
