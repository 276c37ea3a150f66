"""Secrets that have been seen, and where else they stand.

A secret is looked for in all its spellings: a serial as text and, where it is a number of 32 bits,
as four bytes in either order and in hexadecimal; a MAC address as six bytes and with every usual
separator; an IP address as text and as four bytes; capital or small letters alike.

What is looked for is bounded by what it would harm. A long text with digits in it stands nowhere by
chance and is found anywhere. A word, or a few digits, must stand by itself, and not where a number
is known to stand; four bytes only where bytes are, whose meaning is not known. What has less than
four characters is not looked for.

The cost is linear: each place costs one look at its first four bytes, and for a hit one for each
length of secret that begins so.
"""

from collections.abc import Iterator
from typing import NamedTuple

from inverterproto.private import BLANKED, Private
from inverterproto.standin import MOST, StandIns, blank, match_case

FIXED, FREE, BINARY = 0, 1, 2
"""What may stand at a place: what is known to be none, text, or anything."""

SHORTEST = 4
LONGEST = 256

_LEAST = 1 << 24
"""Smaller numbers have a zero among their four bytes, and stand anywhere by chance."""

_DIGITS = frozenset(b"0123456789")
_WORD = _DIGITS | frozenset(b"abcdefghijklmnopqrstuvwxyz")


class Found(NamedTuple):
    """A secret in its place."""

    start: int
    end: int
    kind: Private
    stand_in: bytes


class _Spelling(NamedTuple):
    kind: Private
    stand_in: bytes | None
    least: int
    edges: frozenset[int]


class _Table:
    """Spellings by their first four bytes."""

    def __init__(self) -> None:
        self._lengths: dict[bytes, list[int]] = {}
        self._spellings: dict[bytes, _Spelling] = {}

    def add(self, spelled: bytes, spelling: _Spelling) -> None:
        old = self._spellings.get(spelled)
        if old is not None and (old.stand_in is not None or spelling.stand_in is None):
            return
        self._spellings[spelled] = spelling
        lengths = self._lengths.setdefault(spelled[:SHORTEST], [])
        if len(spelled) not in lengths:
            lengths.append(len(spelled))
            lengths.sort(reverse=True)

    def find(self, data: bytes, areas: bytes) -> Iterator[tuple[int, int, _Spelling]]:
        lengths, end = self._lengths, 0
        places = [at for at in range(len(data) - 3) if data[at : at + 4] in lengths]
        for at in places:
            if at < end:
                continue
            for length in lengths[data[at : at + SHORTEST]]:
                spelling = self._spellings.get(data[at : at + length])
                if spelling is not None and _fits(spelling, data, areas, at, at + length):
                    end = at + length
                    yield at, end, spelling
                    break


def _fits(spelling: _Spelling, data: bytes, areas: bytes, start: int, end: int) -> bool:
    if min(areas[start:end]) < spelling.least:
        return False
    before = data[start - 1] if start else -1
    after = data[end] if end < len(data) else -1
    return before not in spelling.edges and after not in spelling.edges


class Sought:
    """The secrets that have been seen."""

    def __init__(self, stand_ins: StandIns) -> None:
        self._stand_ins = stand_ins
        self._seen: set[tuple[Private, bytes]] = set()
        self._text = _Table()
        self._octets = _Table()

    def __len__(self) -> int:
        return len(self._seen)

    def add(self, kind: Private, value: bytes) -> bool:
        """Look for a secret from now on; return whether it can be looked for."""
        if (kind, value) in self._seen:
            return True
        if not SHORTEST <= len(value) <= LONGEST or len(self._seen) >= MOST:
            return False
        self._seen.add((kind, value))
        if kind is Private.MAC:
            self._add_mac(value)
        else:
            self._add_text(kind, value)
        return True

    def _add_mac(self, octets: bytes) -> None:
        other = self._stand_ins.of(Private.MAC, octets)
        none: frozenset[int] = frozenset()
        self._octets.add(octets, _Spelling(Private.MAC, other, FIXED, none))
        for separator in ("", ":", "-", " ", "."):
            spelled, stand_in = octets.hex(), other.hex()
            if separator:
                spelled, stand_in = octets.hex(separator), other.hex(separator)
            self._text.add(spelled.encode(), _Spelling(Private.MAC, stand_in.encode(), FIXED, none))

    def _add_text(self, kind: Private, value: bytes) -> None:
        stand_in = None if kind in BLANKED else self._stand_ins.of(kind, value)
        edges: frozenset[int] = frozenset()
        least = FIXED
        if kind is Private.IP:
            edges = _DIGITS
        elif value.isdigit() and len(value) < 8:
            edges, least = _WORD | frozenset(b".:/-"), FREE
        elif len(value) < 6 or _DIGITS.isdisjoint(value):
            edges, least = _WORD, FREE
        self._text.add(value.lower(), _Spelling(kind, stand_in, least, edges))
        if stand_in is not None:
            self._add_numbers(kind, value, stand_in)

    def _add_numbers(self, kind: Private, value: bytes, stand_in: bytes) -> None:
        """Look for a number of 32 bits as such."""
        number, other = _number(kind, value), _number(kind, stand_in)
        if number is None or other is None or number < _LEAST:
            return
        none: frozenset[int] = frozenset()
        spelling = _Spelling(kind, other.to_bytes(4, "big"), BINARY, none)
        self._octets.add(number.to_bytes(4, "big"), spelling)
        spelling = spelling._replace(stand_in=other.to_bytes(4, "little"))
        self._octets.add(number.to_bytes(4, "little"), spelling)
        spelled = b"%08x" % number
        if not spelled.isdigit():
            self._text.add(spelled, _Spelling(kind, b"%08x" % other, FREE, _WORD))

    def find(self, data: bytes, areas: bytes) -> Iterator[Found]:
        """Yield every secret; `areas` says for each byte what may stand there."""
        for start, end, spelling in self._text.find(data.lower(), areas):
            there = data[start:end]
            if spelling.stand_in is not None:
                stand_in = match_case(spelling.stand_in, there)
            elif there.isdigit() and areas[start] == FIXED:
                stand_in = b"1" * len(there)  # a number may stand in the place of a number only
            else:
                stand_in = blank(there)
            yield Found(start, end, spelling.kind, stand_in)
        for start, end, spelling in self._octets.find(data, areas):
            yield Found(start, end, spelling.kind, spelling.stand_in or b"")


def _number(kind: Private, value: bytes) -> int | None:
    """Return the number of 32 bits that a secret is, if it is one."""
    if kind is Private.IP:
        parts = value.split(b".")
        if len(parts) != 4 or not all(part.isdigit() and int(part) < 256 for part in parts):
            return None
        return int.from_bytes(bytes(map(int, parts)), "big")
    if kind is not Private.SERIAL or not value.isdigit() or value.startswith(b"0"):
        return None
    number = int(value)
    return number if number < 1 << 32 else None
