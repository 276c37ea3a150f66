"""Stand-ins: for each secret another value of its kind, the same one each time.

Theory of operation
-------------------
A secret's value is written as a number below the count of all values of its shape (its *domain*):
a serial of ten digits as one of the numbers of ten digits, a text by the letters and digits at
its places, a MAC address by its 46 free bits, a private IP address by its place among all of the
same text length. That number is permuted within its domain by a keyed Feistel network (rounds of
BLAKE2, walked on while outside the domain): π⁻¹(π(x) + 1), which no value maps to itself, and no
two to one. So length and kind are kept, the same secret always gives the same stand-in, and
without the key nobody turns it back.

Public IP addresses are more than there are private ones of their length; they are hashed into
these, and whoever comes second to a place walks on to the next free one. IPv6 addresses are hashed
into 120 bits, where none comes second.

What that gives, and what not: two secrets never share a stand-in. A stand-in may by chance be the
same text as another secret of the input, one time in the size of the domain; nobody can tell, as
that secret stands there nowhere itself. It could be avoided only by making stand-ins depend on
what else is in the input, and then one key would not give the same ones for two files.

A text that is mostly other characters than ASCII letters and digits would hardly change, and gets
no stand-in (`has_stand_in`).
"""

import re
from collections.abc import Iterator
from hashlib import blake2b
from itertools import product
from math import prod

from inverterproto.private import Private

MOST = 20_000
"""Stand-ins that are remembered."""
LONGEST = 64
"""Longer values get no stand-in: they are blanked."""
_ROUNDS = 8
_STEPS = 256
"""So many places are tried for an address until one is free."""

_match_mac = re.compile(
    rb"[0-9A-Fa-f]{2}(?:([:. -]?)[0-9A-Fa-f]{2}(?:\1[0-9A-Fa-f]{2}){4})"
).fullmatch
_match_ip = re.compile(rb"(?:(?:0|[1-9][0-9]{0,2})\.){3}(?:0|[1-9][0-9]{0,2})").fullmatch
_COUNTS = {1: 10, 2: 90, 3: 156}
"""How many numbers up to 255 have so many digits."""
_FIRST = {1: 0, 2: 10, 3: 100}
_PRIVATE_BLOCKS = ("10", *(f"172.{n}" for n in range(16, 32)), "192.168")
_SHORTEST_BLOCK = ("0",)
"""For addresses that are too short to be private ones: "this network", which nobody routes."""


def blank(text: bytes) -> bytes:
    """Return a text with all of it blanked; what was no UTF-8 is none afterwards."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return bytes(0xFF if byte >= 0x80 else ord("*") for byte in text)
    return b"*" * len(text)


def has_stand_in(text: bytes) -> bool:
    """Return whether a text can be replaced by another of its shape, and be hidden by that."""
    if not text.isascii() or len(text) > LONGEST or not text.decode().isprintable():
        return False
    return sum(map(str.isalnum, text.decode())) * 2 >= len(text)


def match_case(text: bytes, like: bytes) -> bytes:
    """Return a text in upper or lower case as another of its length is."""
    if like == like.lower():
        return text.lower()
    if like == like.upper():
        return text.upper()
    pairs = zip(text, like, strict=True)
    return b"".join(
        bytes((a,)).upper() if bytes((b,)).isupper() else bytes((a,)).lower() for a, b in pairs
    )


class StandIns:
    """Gives stand-ins.

    Args:
        key: makes them other ones than anybody else's; whoever has it can turn them back.
    """

    def __init__(self, key: bytes) -> None:
        self._key = blake2b(key).digest()
        self._known: dict[tuple[Private, bytes], bytes] = {}
        self._taken: set[tuple[Private, bytes]] = set()

    def of(self, kind: Private, value: bytes) -> bytes:
        """Return the stand-in for a text (a MAC address also as its six bytes)."""
        if kind is Private.MAC:
            return self._mac_text(value)
        # The case of letters is kept, and makes no difference.
        folded = value.lower()
        return match_case(self._remembered(kind, folded), value)

    def number(self, number: int) -> int:
        """Return the stand-in for a serial of 32 bits."""
        return int(self.of(Private.SERIAL, b"%d" % number))

    def address6(self, text: str) -> str:
        """Return another IPv6 address in full: a unique local one, by a hash with the key."""
        digits = "fd" + self._hash("ip6", text.lower().encode())[:15].hex()
        return ":".join(digits[at : at + 4] for at in range(0, 32, 4))

    def _remembered(self, kind: Private, value: bytes) -> bytes:
        known = self._known.get((kind, value))
        if known is not None:
            return known
        found = self._next(kind, value)
        for _ in range(_STEPS):
            if (kind, found) not in self._taken:
                break
            found = self._next(kind, found)
        if len(self._known) < MOST:
            self._known[kind, value] = found
            self._taken.add((kind, found))
        return found

    def _next(self, kind: Private, value: bytes) -> bytes:
        if kind is Private.MAC:
            return self._mac(value)
        if kind is Private.IP and _match_ip(value):
            return self._ip(value)
        return self._number(kind, value) if value.isdigit() else self._text(kind, value)

    def _mac_text(self, value: bytes) -> bytes:
        """Return the stand-in for a MAC address in any spelling."""
        if len(value) == 6:
            return self._remembered(Private.MAC, value)
        found = _match_mac(value)
        if found is None:
            return blank(value)
        separator = found[1]
        octets = bytes.fromhex(re.sub(rb"[:. -]", b"", value).decode())
        stand_in = self._remembered(Private.MAC, octets).hex().encode()
        pairs = [stand_in[at : at + 2] for at in range(0, 12, 2)]
        return match_case(separator.join(pairs), value)

    def _mac(self, octets: bytes) -> bytes:
        """Return another MAC address: a locally administered one."""
        number = int.from_bytes(octets, "big")
        low = number >> 40 & 3
        free = number >> 42 << 40 | number & (1 << 40) - 1
        free = self._permute(f"mac {low}", free, 1 << 46)
        return (free >> 40 << 42 | 2 << 40 | free & (1 << 40) - 1).to_bytes(6, "big")

    def _number(self, kind: Private, digits: bytes) -> bytes:
        """Return another number of as many digits; of 32 bits if it was."""
        rest = digits.lstrip(b"0")
        if not rest:
            return digits
        low, high = 10 ** (len(rest) - 1), 10 ** len(rest)
        number = int(rest)
        if len(rest) == 10:
            low, high = (low, 1 << 32) if number < 1 << 32 else (1 << 32, high)
        zeros = len(digits) - len(rest)
        permuted = low + self._permute(f"{kind} {zeros} {low}", number - low, high - low)
        return b"0" * zeros + b"%d" % permuted

    def _text(self, kind: Private, text: bytes) -> bytes:
        """Return a text with other digits and letters at the places of digits and letters."""
        shape = bytes(
            ord("0") if b in b"0123456789" else ord("a") if 97 <= b < 123 else b for b in text
        )
        sizes = [10 if b == ord("0") else 26 if b == ord("a") else 1 for b in shape]
        number = 0
        for byte, size, first in zip(text, sizes, shape, strict=True):
            number = number * size + byte - first
        number = self._permute(f"{kind} {shape!r}", number, prod(sizes))
        other = bytearray()
        for size, first in zip(reversed(sizes), reversed(shape), strict=True):
            number, digit = divmod(number, size)
            other.append(first + digit)
        return bytes(reversed(other))

    def _ip(self, text: bytes) -> bytes:
        """Return a private IP address of the same length."""
        pool = list(_pool(len(text)))
        size = sum(count for _, _, count in pool)
        label = f"ip {len(text)}"
        index = _index(text.decode(), pool)
        if index is None:
            index = int.from_bytes(self._hash(label, text), "big") % size
        return _address(self._permute(label, index, size), pool)

    def _hash(self, label: str, data: bytes) -> bytes:
        return blake2b(label.encode() + b"\0" + data, key=self._key).digest()

    def _permute(self, label: str, number: int, size: int) -> int:
        """Return another number below `size`; a permutation without fixed points."""
        if size < 2:
            return number
        half = ((size - 1).bit_length() + 1) // 2
        mask = (1 << half) - 1

        def mix(turn: int, right: int) -> int:
            data = turn.to_bytes(1, "big") + right.to_bytes(LONGEST, "big")
            return int.from_bytes(self._hash(f"{label} {size}", data), "big") & mask

        def there(x: int) -> int:
            left, right = x >> half, x & mask
            for turn in range(_ROUNDS):
                left, right = right, left ^ mix(turn, right)
            return left << half | right

        def back(x: int) -> int:
            left, right = x >> half, x & mask
            for turn in reversed(range(_ROUNDS)):
                left, right = right ^ mix(turn, left), left
            return left << half | right

        number = there(number)
        while number >= size:
            number = there(number)
        number = back((number + 1) % size)
        while number >= size:
            number = back(number)
        return number


_Block = tuple[str, tuple[int, ...], int]


def _pool(length: int) -> Iterator[_Block]:
    """Yield the blocks of addresses of some length: prefix, digits of the rest, how many."""
    for prefix in _PRIVATE_BLOCKS if length > 7 else _SHORTEST_BLOCK:
        numbers = 3 - prefix.count(".")
        for digits in product((1, 2, 3), repeat=numbers):
            if len(prefix) + sum(digits) + numbers == length:
                yield prefix, digits, prod(_COUNTS[n] for n in digits)


def _index(address: str, pool: list[_Block]) -> int | None:
    """Return an address's place in a pool; None if it is not there."""
    before = 0
    for prefix, digits, count in pool:
        if address.startswith(f"{prefix}."):
            parts = address[len(prefix) + 1 :].split(".")
            if tuple(map(len, parts)) == digits and all(int(part) < 256 for part in parts):
                for n, part in zip(digits, parts, strict=True):
                    count //= _COUNTS[n]
                    before += (int(part) - _FIRST[n]) * count
                return before
        before += count
    return None


def _address(index: int, pool: list[_Block]) -> bytes:
    """Return the address at a place in a pool."""
    at = 0
    while index >= pool[at][2]:
        index -= pool[at][2]
        at += 1
    prefix, digits, _ = pool[at]
    parts = []
    for n in reversed(digits):
        index, part = divmod(index, _COUNTS[n])
        parts.append(str(part + _FIRST[n]))
    return ".".join((prefix, *reversed(parts))).encode()
