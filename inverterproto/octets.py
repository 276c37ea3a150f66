"""Types of fields that are a fixed number of bytes with a meaning of their own: text, clocks, MACs.

They are `construct` types, beside its own integers, in the tables of `inverterproto.layout`.
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

    def _decode(self, obj: bytes, context: object, path: str) -> Value:  # noqa: ARG002 - construct's signature
        return self.decode(obj)

    def _encode(self, obj: Value, context: object, path: str) -> bytes:  # noqa: ARG002 - construct's signature
        return self.encode(obj)


def decode_text(raw: bytes) -> str:
    """Return padded text without its padding: UTF-8, else (no byte lost) Latin-1."""
    raw = raw.rstrip(b"\0 ")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def Text(length: int, pad: bytes = b"\0") -> Octets:  # noqa: N802 - a type, spelled as construct spells types
    """Text of at most `length` bytes, padded with NUL or spaces."""

    def encode(text: str) -> bytes:
        for encoding in ("utf-8", "latin-1"):
            raw = text.encode(encoding)
            if len(raw) <= length and decode_text(raw) == text:
                return raw.ljust(length, pad)
        raise ValueError(f"at most {length} bytes of text that does not end in NUL or space")

    return Octets(f"text {length}", length, decode_text, encode)


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


_TWO_DIGITS = [f"{number:02}" for number in range(100)]
_DAYS = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _decode_clock(raw: bytes) -> str | None:
    """Return six bytes as a date and time (written out: `datetime` takes three times as long)."""
    year, month, day, hour, minute, second = raw
    if year > 99 or not 0 < month < 13 or hour > 23 or minute > 59 or second > 59:
        return None
    if not 0 < day <= _DAYS[month] or (month == 2 and day == 29 and year % 4):
        return None
    digits = _TWO_DIGITS
    return (
        f"20{digits[year]}-{digits[month]}-{digits[day]} "
        f"{digits[hour]}:{digits[minute]}:{digits[second]}"
    )


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
