"""Types of fields that are a fixed number of bytes with a meaning of their own: text, clocks, MACs.

They are `construct` types, beside its own integers, in the tables of `inverterproto.layout`. A
type's title names it in tables and layout files: types of one title are the same type.
"""

from collections.abc import Callable
from typing import Any

import construct

Value = int | float | str | bytes | None
"""What a field may hold."""


class Octets(construct.Adapter):  # type: ignore[misc]
    """A fixed number of bytes with a meaning of their own, as a `construct` type.

    `decode` turns the bytes into a value (and never fails); `encode` turns a value into exactly
    `length` bytes or raises ValueError.
    """

    def __init__(
        self,
        title: str,
        length: int,
        decode: Callable[[bytes], Value],
        encode: Callable[[Any], bytes],
    ) -> None:
        super().__init__(construct.Bytes(length))
        self.title = title
        self.length = length
        self.decode = decode
        self.encode = encode

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Octets) and self.title == other.title

    def __hash__(self) -> int:
        return hash(self.title)

    def _decode(self, obj: bytes, context: object, path: str) -> Value:  # noqa: ARG002 - construct's signature
        return self.decode(obj)

    def _encode(self, obj: Value, context: object, path: str) -> bytes:  # noqa: ARG002 - construct's signature
        return self.encode(obj)


PADDING = b"\0 "
"""What may follow a text."""


def decode_text(raw: bytes) -> str:
    """Return padded text without its padding: UTF-8, else (no byte lost) Latin-1."""
    raw = raw.rstrip(PADDING)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


_PADS = {b"\0": "", b" ": " spaces"}


def Text(length: int, pad: bytes = b"\0") -> Octets:  # noqa: N802 - a type, spelled as construct spells types
    """Text of at most `length` bytes; who writes it pads with NUL or with spaces."""

    def encode(text: str) -> bytes:
        for encoding in ("utf-8", "latin-1"):
            raw = text.encode(encoding)
            if len(raw) <= length and decode_text(raw) == text:
                return raw.ljust(length, pad)
        raise ValueError(f"at most {length} bytes of text that does not end in NUL or space")

    return Octets(f"text {length}{_PADS[pad]}", length, decode_text, encode)


def as_bytes(raw: object) -> bytes:
    """Return bytes given as such or as hexadecimal text (a number would be that many zeros)."""
    if isinstance(raw, str):
        return bytes.fromhex(raw)
    if isinstance(raw, bytes | bytearray):
        return bytes(raw)
    raise TypeError("neither bytes nor hexadecimal text")


def Raw(length: int) -> Octets:  # noqa: N802 - a type, spelled as construct spells types
    """Bytes whose meaning is not known."""

    def encode(raw: bytes | str) -> bytes:
        data = as_bytes(raw)
        if len(data) != length:
            raise ValueError(f"exactly {length} bytes")
        return data

    return Octets(f"bytes {length}", length, bytes, encode)


# Dates and times out of tables, which have no entry for what is none: `datetime` takes five times
# as long.
_TWO_DIGITS = tuple(f"{number:02}" for number in range(60))
_HOURS = _TWO_DIGITS[:24]
_LAST_DAYS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DAYS = tuple(
    {day: f"-{month:02}-{day:02} " for day in range(1, last + 1)}
    for month, last in enumerate(_LAST_DAYS)
)
_LEAP_DAYS = (*_DAYS[:2], {**_DAYS[2], 29: "-02-29 "}, *_DAYS[3:])
_YEARS = tuple((f"20{year:02}", _DAYS if year % 4 else _LEAP_DAYS) for year in range(100))


def _decode_clock(raw: bytes) -> str | None:
    year, month, day, hour, minute, second = raw
    try:
        name, days = _YEARS[year]
        time = f"{_HOURS[hour]}:{_TWO_DIGITS[minute]}:{_TWO_DIGITS[second]}"
        return f"{name}{days[month][day]}{time}"
    except LookupError:
        return None


def _encode_clock(text: str | None) -> bytes:
    if text is None:
        return bytes(6)
    raw = bytes(int(text[at : at + 2]) for at in (2, 5, 8, 11, 14, 17))
    if _decode_clock(raw) != text:
        raise ValueError("a date and time of this century")
    return raw


Clock = Octets("clock 6", 6, _decode_clock, _encode_clock)
"""Year − 2000, month, day, hour, minute, second; None where that is no date."""

Mac = Octets(
    "MAC 6", 6, lambda raw: raw.hex(":"), lambda text: bytes.fromhex(text.replace(":", ""))
)
"""A MAC address, `02:00:00:a1:b2:c3`."""


def _decode_version(raw: bytes) -> str:
    digits = raw.hex().upper()
    return f"V{digits[0]}.{digits[1]}.{digits[2:]}"


def _encode_version(text: str) -> bytes:
    raw = bytes.fromhex(text.removeprefix("V").replace(".", ""))
    if len(raw) != 2 or _decode_version(raw) != text:
        raise ValueError("a version like V4.0.10")
    return raw


Version = Octets("version 2", 2, _decode_version, _encode_version)
"""A version of four hexadecimal digits, `V4.0.10` (source: T)."""
