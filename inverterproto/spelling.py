"""The ways in which a secret may be written, each with its stand-in written the same way.

A text stands for itself. A MAC address is written with any of the usual separators or none, or is
six bytes. A serial of digits may be written as a number: in hexadecimal, as bytes in either order
(also with the order of its 16-bit words turned, as Modbus devices do), or with two digits a byte.
An IP address may be four bytes. Numbers that hold zero bytes stand anywhere by chance, and are not
told.
"""

from collections.abc import Callable, Iterator

from inverterproto.private import Private

_SEPARATORS = (":", "-", " ", ".")
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
    if kind is Private.MAC and stand_in is not None:
        yield value.hex().encode(), stand_in.hex().encode()
        for separator in _SEPARATORS:
            yield value.hex(separator).encode(), stand_in.hex(separator).encode()
        return
    yield value.lower(), stand_in
    if stand_in is None or kind is not Private.SERIAL:
        return
    number, other = _octets(kind, value), _octets(kind, stand_in)
    if number and not number.hex().isdigit() and number.count(0) <= _MOST_ZEROS:
        yield number.hex().encode(), other.hex().encode()


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
