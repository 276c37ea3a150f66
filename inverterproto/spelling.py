"""The ways in which a secret may be written, each with its stand-in written the same way.

A text stands for itself. A MAC address is six bytes. A serial of digits may be written as a number:
as bytes in either order (also with the order of its 16-bit words turned, as Modbus devices do), or
with two digits a byte. Those bytes may stand as hexadecimal text, too, in either order, with any of
the usual separators between any two digits, or none (`Squeezed` is a text without them). An IP
address may be four bytes. Numbers that hold zero bytes stand anywhere by chance, and are not told.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator

from inverterproto.private import Private

_find_separators = re.compile(
    rb"(?<=[0-9a-fA-F])[ \t:.,;_-]{1,2}(?:(?:0|\\)[xX])?(?=[0-9a-fA-F])"
    rb"|(?:0|\\)[xX](?=[0-9a-fA-F])"
).finditer
_MOST_ZEROS = 1
_ORDERS: tuple[Callable[[bytes], bytes], ...] = (
    lambda octets: octets,
    lambda octets: octets[::-1],
    lambda octets: octets[2:] + octets[:2],
    lambda octets: octets[1::-1] + octets[:1:-1],
)
"""The orders of four bytes; of other numbers only the first two."""

Pair = tuple[bytes, bytes | None]
"""A spelling of the secret, and of its stand-in (None: it is blanked)."""


def text_spellings(kind: Private, value: bytes, stand_in: bytes | None) -> Iterator[Pair]:
    """Yield how a secret may stand in text, in small letters."""
    if kind is not Private.MAC or stand_in is None:
        yield value.lower(), stand_in


def hex_spellings(kind: Private, value: bytes, stand_in: bytes | None) -> Iterator[Pair]:
    """Yield how a secret may stand as hexadecimal text without separators, in small letters."""
    if stand_in is None or kind not in (Private.MAC, Private.SERIAL):
        return
    own = kind is Private.MAC
    number = value if own else _octets(kind, value)
    other = stand_in if own else _octets(kind, stand_in)
    if number and (own or number.count(0) <= _MOST_ZEROS):
        for turn in _ORDERS[:2]:
            yield turn(number).hex().encode(), turn(other).hex().encode()


def binary_spellings(kind: Private, value: bytes, stand_in: bytes | None) -> Iterator[Pair]:
    """Yield how a secret may stand in bytes, where it is no text."""
    if stand_in is None:
        return
    if kind is Private.MAC:
        yield value, stand_in
        return
    number, other = _octets(kind, value), _octets(kind, stand_in)
    if number and number.count(0) <= _MOST_ZEROS:
        for turn in _ORDERS if len(number) == 4 else _ORDERS[:2]:
            yield turn(number), turn(other)
    if kind is Private.SERIAL and _is_number(value) and len(value) % 2 == 0:
        yield bytes.fromhex(value.decode()), bytes.fromhex(stand_in.decode())


def _is_number(value: bytes) -> bool:
    return value.isdigit() and not value.startswith(b"0") and 8 <= len(value) <= 19


def _octets(kind: Private, value: bytes) -> bytes:
    """Return the bytes of the number that a secret is, big endian; none if it is no number.

    Numbers of equally many digits have equally many bytes, so that a stand-in fits; those of
    ten digits are of 32 bits, or all greater (see `standin.py`).
    """
    if kind is Private.IP:
        parts = value.split(b".")
        if len(parts) == 4 and all(part.isdigit() and int(part) < 256 for part in parts):
            return bytes(map(int, parts))
    elif kind is Private.SERIAL and _is_number(value):
        number = int(value)
        greatest = number if len(value) <= 10 else 10 ** len(value) - 1
        return number.to_bytes(max(4, (greatest.bit_length() + 7) // 8), "big")
    return b""


class Squeezed:
    """A text without what separates the digits of hexadecimal numbers.

    Attributes:
        text: what is left, in small letters.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._cuts: list[int] = []  # where in the text something was
        self._shifts = [0]  # how many bytes were left out before
        parts, end = [], 0
        for found in _find_separators(data):
            parts.append(data[end : found.start()])
            end = found.end()
            self._cuts.append(found.start() - self._shifts[-1])
            self._shifts.append(self._shifts[-1] + end - found.start())
        parts.append(data[end:])
        self.text = b"".join(parts).lower()

    def place(self, at: int) -> int:
        """Return where in the data a character of the text stands."""
        return at + self._shifts[bisect_right(self._cuts, at)]

    def spelled(self, start: int, new: bytes) -> bytes:
        """Return other digits, separated as those from `start` of the text on are."""
        first = self.place(start)
        spelled = bytearray(self._data[first : self.place(start + len(new) - 1) + 1])
        for at, digit in enumerate(new, start):
            spelled[self.place(at) - first] = digit
        return bytes(spelled)
