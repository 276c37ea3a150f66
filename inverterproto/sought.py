"""Secrets that have been seen, and where else they stand.

A secret is looked for in all its spellings (`spelling.py`): as text, capital or small letters
alike, as hexadecimal text whatever separates its digits, and where bytes stand whose meaning
is not known, as a number.

What is looked for is bounded by what it would harm. A long text with digits in it stands nowhere by
chance and is found anywhere, but where a number or time is known to stand only as the whole of it.
A word, or a few digits, must stand by itself, and in text. Keys and other punctuation of a known
message are never touched. What has less than four characters is not looked for.

Where two secrets overlap without one being part of the other, neither stand-in fits: all of the
two is blanked.

The cost is linear: each place costs one look at its first four bytes, and for a hit one for each
length of secret that begins so, of which there are at most 32.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from inverterproto.private import BLANKED, Private
from inverterproto.spelling import Squeezed, binary_spellings, hex_spellings, text_spellings
from inverterproto.standin import MOST, StandIns, blank, match_case

KEPT, FIXED, FREE, BINARY = 0, 1, 2, 3
"""What may stand at a place: no secret; a number or a time; text; anything."""

SHORTEST = 4
LONGEST = 256
MOST_LENGTHS = 32

_DIGITS = frozenset(b"0123456789")
_WORD = _DIGITS | frozenset(b"abcdefghijklmnopqrstuvwxyz")
_NONE: frozenset[int] = frozenset()


class Found(NamedTuple):
    """A secret in its place."""

    start: int
    end: int
    kind: Private
    stand_in: bytes


class _Spelling(NamedTuple):
    """How a secret may be written.

    Attributes:
        kind: of the secret.
        stand_in: what is written in its place, or None if it is blanked.
        least: the areas in which it is looked for, and all above.
        edges: what must not stand beside it.
    """

    kind: Private
    stand_in: bytes | None
    least: int
    edges: frozenset[int]


class _Table:
    """Spellings by their first four bytes."""

    def __init__(self) -> None:
        self._lengths: dict[bytes, list[int]] = {}
        self._spellings: dict[bytes, _Spelling] = {}
        self._firsts: set[int] = set()
        self._find_first = re.compile(rb"(?!)").finditer

    def add(self, spelled: bytes, spelling: _Spelling) -> bool:
        old = self._spellings.get(spelled)
        if old is not None and (old.stand_in is not None or spelling.stand_in is None):
            return True
        lengths = self._lengths.setdefault(spelled[:SHORTEST], [])
        if len(spelled) not in lengths:
            if len(lengths) >= MOST_LENGTHS:
                return False
            lengths.append(len(spelled))
            lengths.sort(reverse=True)
        self._spellings[spelled] = spelling
        if spelled[0] not in self._firsts:
            self._firsts.add(spelled[0])
            self._find_first = re.compile(b"[" + re.escape(bytes(self._firsts)) + b"]").finditer
        return True

    def find(self, data: bytes, areas: bytes) -> Iterator[tuple[int, int, _Spelling]]:
        """Yield at each place the longest secret, also those inside of others."""
        lengths = self._lengths
        firsts = [first.start() for first in self._find_first(data)]
        for at in [at for at in firsts if data[at : at + SHORTEST] in lengths]:
            for length in lengths[data[at : at + SHORTEST]]:
                spelling = self._spellings.get(data[at : at + length])
                if spelling is not None and _fits(spelling, data, areas, at, at + length):
                    yield at, at + length, spelling
                    break


def _fits(spelling: _Spelling, data: bytes, areas: bytes, start: int, end: int) -> bool:
    area = min(areas[start:end])
    if area < spelling.least:
        return False
    if area == FIXED:  # all of it or nothing
        return FIXED not in (*areas[start - 1 : start], *areas[end : end + 1])
    edges = spelling.edges
    before = data[start - 1] if start else -1
    after = data[end] if end < len(data) else -1
    return before not in edges and after not in edges


class Sought:
    """The secrets that have been seen."""

    def __init__(self, stand_ins: StandIns) -> None:
        self._stand_ins = stand_ins
        self._seen: set[tuple[Private, bytes]] = set()
        self._text = _Table()
        self._octets = _Table()
        self._hex = _Table()

    def __len__(self) -> int:
        return len(self._seen)

    def add(self, kind: Private, value: bytes) -> bool:
        """Look for a secret from now on; return whether it can be looked for."""
        if (kind, value) in self._seen:
            return True
        if not SHORTEST <= len(value) <= LONGEST or len(self._seen) >= MOST:
            return False
        self._seen.add((kind, value))
        stand_in = None if kind in BLANKED else self._stand_ins.of(kind, value)
        least, edges = _limits(kind, value)
        added = True
        for spelled, other in text_spellings(kind, value, stand_in):
            added &= self._text.add(spelled, _Spelling(kind, other, least, edges))
        for spelled, other in hex_spellings(kind, value, stand_in):
            # A number in text that is no hexadecimal one must stay a number.
            area = least if kind is Private.MAC else BINARY if spelled.isdigit() else FREE
            added &= self._hex.add(spelled, _Spelling(kind, other, area, _NONE))
        for spelled, other in binary_spellings(kind, value, stand_in):
            added &= self._octets.add(spelled, _Spelling(kind, other, BINARY, _NONE))
        return added

    def find(self, data: bytes, areas: bytes) -> Iterator[Found]:
        """Yield every secret; `areas` says for each byte what may stand there."""
        yield from _merged(data, self._text_in(data, areas))
        yield from _merged(data, self._hex_in(data, areas))
        yield from _merged(data, self._octets_in(data, areas))

    def _text_in(self, data: bytes, areas: bytes) -> Iterator[Found]:
        for start, end, spelling in self._text.find(data.lower(), areas):
            there = data[start:end]
            if spelling.stand_in is not None:
                stand_in = match_case(spelling.stand_in, there)
            elif there.isdigit() and areas[start] == FIXED:
                stand_in = b"1" * len(there)  # a number may stand in the place of a number only
            else:
                stand_in = blank(there)
            yield Found(start, end, spelling.kind, stand_in)

    def _hex_in(self, data: bytes, areas: bytes) -> Iterator[Found]:
        squeezed = Squeezed(data)
        anywhere = bytes((BINARY,)) * len(squeezed.text)
        for start, end, spelling in self._hex.find(squeezed.text, anywhere):
            first, behind = squeezed.place(start), squeezed.place(end - 1) + 1
            if _fits(spelling, data, areas, first, behind):
                there = bytes(data[squeezed.place(at)] for at in range(start, end))
                stand_in = squeezed.spelled(start, match_case(spelling.stand_in or b"", there))
                yield Found(first, behind, spelling.kind, stand_in)

    def _octets_in(self, data: bytes, areas: bytes) -> Iterator[Found]:
        for start, end, spelling in self._octets.find(data, areas):
            yield Found(start, end, spelling.kind, spelling.stand_in or b"")


def _merged(data: bytes, hits: Iterable[Found]) -> Iterator[Found]:
    """Yield hits without those inside of others; what overlaps is one, and blanked."""
    last: Found | None = None
    end = 0
    for hit in hits:
        if last is None or hit.start >= end:
            if last is not None:
                yield _blanked_to(end, last, data)
            last = hit
        end = max(end, hit.end)
    if last is not None:
        yield _blanked_to(end, last, data)


def _blanked_to(end: int, hit: Found, data: bytes) -> Found:
    if hit.end == end:
        return hit
    return hit._replace(end=end, stand_in=blank(data[hit.start : end]))


def _limits(kind: Private, value: bytes) -> tuple[int, frozenset[int]]:
    """Return where a text is looked for, and what must not stand beside it."""
    if kind is Private.MAC:
        return FIXED, _NONE
    if kind is Private.IP:
        return FIXED, _DIGITS
    if value.isdigit() and len(value) < 8:
        return FREE, _WORD | frozenset(b".:/-")
    if len(value) < 6 or _DIGITS.isdisjoint(value):
        return FREE, _WORD
    return FIXED, _NONE
