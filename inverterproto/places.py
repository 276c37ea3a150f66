"""Where in payloads a number, text or time stands: every offset, width, byte order, sign, scale.

A place holds in all payloads: the first is searched, the others only where that had hits.

*Numbers* are tried at every offset, as integers of 1, 2, 3, 4 and 8 bytes in both byte orders with
each scale and bias that layouts have (`SCALES`), as binary-coded decimals, and as floats. Signed
integers are tried where one of the values is negative. A number with the other sign is tried,
too, as devices and portals differ about signs. Integers that have their lowest byte in common say
the same (the other bytes of the wider one are zero): one is told, with the others beside it.

*Text* is looked for as it is, with the bytes of each pair swapped (registers of 16 bits are
sometimes sent so), and as the bytes that it is the hexadecimal of (a MAC address).

*Times* are looked for as unix seconds in both byte orders, also those that are off by a time zone,
as six bytes, as six binary-coded decimals, and as six numbers of 16 bits.

A place's score tells how much its fitting is worth, about in bits: how many bits had to be right,
in how many different values, less what speaks against an unusual form or scale.
"""

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from math import ceil, floor, log2, nan
from typing import NamedTuple, TypeVar

from inverterproto.wanted import Interval, Wanted

SCALES: dict[tuple[str, int], float] = {
    ("1", 0): 0.0,
    ("1/10", 0): 0.0,
    ("1/100", 0): 0.0,
    ("1/1000", 0): 0.0,
    ("10", 0): -3.0,
    ("100", 0): -4.0,
    ("1", 40): -3.0,
    ("1", 100): -4.0,
    ("1/10", 1000): -3.0,
}
"""Scale and bias (a number is `(raw - bias) × scale`), and what speaks against each."""

_MOST_BITS = 24
_TEXT_SCORE, _TIME_SCORE = 40.0, 40.0
_OTHER_SIGN = -3.0
_WRITTEN_SCALE = 2.0
_EPOCH = datetime(1970, 1, 1)
_QUARTER, _FARTHEST_ZONE = 900, 14 * 3600
_HEXADECIMAL = re.compile(r"(?:[0-9A-Fa-f]{2}([:-]?))(?:[0-9A-Fa-f]{2}\1)+[0-9A-Fa-f]{2}")

Value = TypeVar("Value")


class Place(NamedTuple):
    """Where a wanted value stands in every frame.

    Attributes:
        offset: of the first byte in the payload; None for a key.
        length: number of bytes; 0 for a key.
        type: `u16be`, `f32le`, `bcd16be`, `text`, `unix u32le`, …; `key`.
        scale: the fraction by which the raw number is multiplied.
        bias: subtracted from the raw number before that.
        turned: it has the other sign there.
        note: what else is to know, or nothing.
        others: the same bytes read otherwise: type and offset.
        name: of the key, or of the known field that has a byte there.
        exact: whether that field is at this very place and says this.
        score: by which places are ranked.
    """

    offset: int | None
    length: int
    type: str
    scale: str = "1"
    bias: int = 0
    turned: bool = False
    note: str = ""
    others: tuple[tuple[str, int], ...] = ()
    name: str | None = None
    exact: bool = False
    score: float = 0.0


def places(payloads: Sequence[bytes], wanted: Wanted) -> list[Place]:
    """Return all places in binary payloads; several values are for one payload each."""
    shortest = min(map(len, payloads))  # what is beyond its end is not in all of them
    cut = [payload[:shortest] for payload in payloads]
    return [*_numbers(cut, wanted), *_texts(cut, wanted), *_times(cut, wanted)]


def one_each(values: Sequence[Value], count: int) -> Sequence[Value]:
    """Return values, one for each of so many payloads."""
    return list(values) * count if len(values) == 1 else values


def scaled(interval: Interval, scale: str, bias: int) -> Interval:
    """Return the raw values that a scale and bias turn into an interval."""
    numerator, _, denominator = scale.partition("/")
    low, high = (edge * int(denominator or 1) / int(numerator) + bias for edge in interval)
    return Interval(low, high)


# Numbers


class _Form(NamedTuple):
    """A form that a number may have in bytes.

    Attributes:
        type: its name.
        width: number of bytes.
        read: bytes → number; NaN where they are none.
        lowest: where an integer's lowest byte is, from the first; None for what is no integer.
        signed: whether it can be negative; None: it can be either.
        score: what speaks against it.
        scales: that are tried.
    """

    type: str
    width: int
    read: Callable[[bytes], float]
    lowest: int | None
    signed: bool | None
    score: float
    scales: Sequence[tuple[str, int]]


def _integer(width: int, order: str, *, signed: bool, score: float) -> _Form:
    big = order != "le"

    def read(raw: bytes) -> float:
        return int.from_bytes(raw, "big" if big else "little", signed=signed)

    name = f"{'s' if signed else 'u'}{8 * width}{order}"
    return _Form(name, width, read, width - 1 if big else 0, signed, score, tuple(SCALES))


def _decimal(width: int, order: str) -> _Form:
    def read(raw: bytes) -> float:
        digits = (raw if order == "be" else raw[::-1]).hex()
        return int(digits) if digits.isdecimal() else nan

    unbiased = tuple(scale for scale in SCALES if not scale[1])
    return _Form(
        f"bcd{8 * width}{order}", width, read, None, signed=False, score=-8.0, scales=unbiased
    )


def _float(width: int, order: str) -> _Form:
    unpack = struct.Struct((">" if order == "be" else "<") + ("f" if width == 4 else "d")).unpack

    def read(raw: bytes) -> float:
        value: float = unpack(raw)[0]
        return value

    return _Form(f"f{8 * width}{order}", width, read, None, None, 0.0, (("1", 0),))


_WIDTHS = {1: -4.0, 2: 0.0, 3: -8.0, 4: -1.0, 8: -8.0}
_ORDERS = ("be", "le")
_FORMS = (
    *(
        _integer(width, order, signed=signed, score=score)
        for width, score in _WIDTHS.items()
        for order in (_ORDERS if width > 1 else ("",))
        for signed in (False, True)
    ),
    *(_decimal(width, order) for width in (2, 3, 4) for order in _ORDERS),
    *(_float(width, order) for width in (4, 8) for order in _ORDERS),
)


class _Hits(NamedTuple):
    """Where a number stands in one form and scale."""

    form: _Form
    scale: tuple[str, int]
    turned: bool
    offsets: list[int]
    score: float


def _numbers(payloads: Sequence[bytes], wanted: Wanted) -> Iterator[Place]:
    """Yield the places of a number, one for each lowest byte and scale."""
    groups: dict[tuple[object, ...], list[tuple[_Hits, int]]] = {}
    for hits in _all_hits(payloads, wanted):
        lowest, type_ = hits.form.lowest, hits.form.type
        for offset in hits.offsets:
            place = offset + (lowest or 0)
            key = (place, type_ if lowest is None else "", hits.scale, hits.turned)
            groups.setdefault(key, []).append((hits, offset))
    for group in groups.values():
        group.sort(key=lambda hit: -hit[0].form.score)
        best, offset = group[0]
        yield Place(
            offset,
            best.form.width,
            best.form.type,
            *best.scale,
            turned=best.turned,
            others=tuple((hits.form.type, at) for hits, at in group[1:]),
            score=best.score + best.form.score,
        )


def _all_hits(payloads: Sequence[bytes], wanted: Wanted) -> Iterator[_Hits]:
    if not wanted.numbers:
        return
    straight = list(wanted.numbers)
    steady = _steady(payloads) if len(wanted.numbers) == 1 else [0] * len(payloads[0])
    turned = [each.turned for each in straight]
    ways = {False: straight, True: turned} if turned != straight else {False: straight}
    written = (f"1/{10**wanted.decimals}" if wanted.decimals else "1", 0)
    for other_sign, intervals in ways.items():
        signed = any(each.middle < 0 for each in intervals)
        for form in _FORMS:
            if form.signed is None or form.signed == signed:
                for hits in _hits(payloads, steady, form, intervals):
                    bonus = _WRITTEN_SCALE * (hits.scale == written) + _OTHER_SIGN * other_sign
                    yield hits._replace(turned=other_sign, score=hits.score + bonus)


def _steady(payloads: Sequence[bytes]) -> list[int]:
    """Return for each offset how many bytes from there on are the same in all payloads."""
    size = len(payloads[0])
    together = b"".join(payloads)
    steady = [0] * (size + 1)
    for at in reversed(range(size)):
        column = together[at::size]
        if column.count(column[0]) == len(column):
            steady[at] = steady[at + 1] + 1
    return steady[:size]


def _hits(
    payloads: Sequence[bytes], steady: Sequence[int], form: _Form, intervals: Sequence[Interval]
) -> Iterator[_Hits]:
    """Yield where numbers stand in one form, scale by scale.

    What is `steady`, and wanted alike in all payloads, holds in all if it does in the first.
    """
    width, read = form.width, form.read
    first = payloads[0]
    raws = [read(first[at : at + width]) for at in range(len(first) - width + 1)]
    zero = all(each.holds(0) for each in intervals)
    if zero and form.lowest is None:
        return  # zero is zero in every form
    for scale in form.scales:
        edges = [_edges(form, scaled(each, *scale)) for each in intervals]
        digit = form.type.startswith("bcd") and max(high for _, high in edges) < 10
        if digit or (zero and scale[0] != "1"):
            continue  # what is the same in another form or scale
        low, high = edges[0]
        offsets = [at for at, raw in enumerate(raws) if low <= raw <= high]
        moving = [at for at in offsets if steady[at] < width]
        offsets = [at for at in offsets if steady[at] >= width]
        for payload, (low, high) in zip(payloads, one_each(edges, len(payloads)), strict=True):
            if not moving:
                break
            moving = [at for at in moving if low <= read(payload[at : at + width]) <= high]
        offsets += moving
        if offsets:
            score = SCALES[scale] + (0.0 if zero else _worth(form, edges))
            yield _Hits(form, scale, False, offsets, score)  # noqa: FBT003 - a named tuple's


def _edges(form: _Form, interval: Interval) -> tuple[float, float]:
    """Return the least and the greatest raw value of an interval."""
    low, high = interval
    if form.type.startswith("f"):
        return float(low), float(high)
    return ceil(low), floor(high)


def _worth(form: _Form, edges: Sequence[tuple[float, float]]) -> float:
    """Return how many bits had to be right, more of them where there were several values."""
    low, high = edges[0]
    several = 1 + log2(len(set(edges)))
    if form.type.startswith("f"):
        return _MOST_BITS * several
    # High bytes of zero are no wonder.
    greatest = max(abs(edge) for edge in edges[0])
    told = 8 * ceil(int(greatest).bit_length() / 8)
    return min(_MOST_BITS, told - log2(high - low + 1)) * several


# Text


def _texts(payloads: Sequence[bytes], wanted: Wanted) -> Iterator[Place]:
    texts = one_each(wanted.texts, len(payloads))
    if not texts:
        return
    for type_, spell in _SPELLINGS.items():
        spelled = [spell(text) for text in texts]
        length = len(spelled[0])
        if all(spelled):
            for offset in _standing(payloads, spelled):
                yield Place(offset, length, type_, score=_TEXT_SCORE)


def _swapped(text: str) -> bytes:
    """Return text with the bytes of each pair swapped, as far as there are pairs."""
    raw = text.encode()
    pairs = len(raw) // 2 * 2
    swapped = bytearray(raw)
    swapped[:pairs:2], swapped[1:pairs:2] = raw[1:pairs:2], raw[:pairs:2]
    return bytes(swapped)


def _from_hexadecimal(text: str) -> bytes:
    if not _HEXADECIMAL.fullmatch(text):
        return b""
    return bytes.fromhex(re.sub(r"[:-]", "", text))


_SPELLINGS: dict[str, Callable[[str], bytes]] = {
    "text": str.encode,
    "text, pairs swapped": _swapped,
    "bytes": _from_hexadecimal,
}


def _standing(payloads: Sequence[bytes], wanted: Sequence[bytes]) -> Iterator[int]:
    """Yield the offsets at which each payload has its own wanted bytes."""
    at = payloads[0].find(wanted[0])
    while at >= 0:
        if all(payload.startswith(raw, at) for payload, raw in zip(payloads, wanted, strict=True)):
            yield at
        at = payloads[0].find(wanted[0], at + 1)


# Times


def _times(payloads: Sequence[bytes], wanted: Wanted) -> Iterator[Place]:
    times = one_each(wanted.times, len(payloads))
    if not times:
        return
    for order in ("big", "little"):
        yield from _unix(payloads, times, order)
    for type_, spell in _CLOCKS.items():
        spelled = [spell(time) for time in times]
        for offset in _standing(payloads, spelled):
            yield Place(offset, len(spelled[0]), type_, score=_TIME_SCORE)


def _unix(payloads: Sequence[bytes], times: Sequence[datetime], order: str) -> Iterator[Place]:
    """Yield where unix seconds stand, right or off by one time zone in all payloads."""
    seconds = [round((time - _EPOCH).total_seconds()) for time in times]
    for at in range(len(payloads[0]) - 3):
        zones = {
            int.from_bytes(payload[at : at + 4], "big" if order == "big" else "little") - second
            for payload, second in zip(payloads, seconds, strict=True)
        }
        zone = zones.pop()
        if zones or zone % _QUARTER or abs(zone) > _FARTHEST_ZONE:
            continue
        note = f"{zone / 3600:+g} hours" if zone else ""
        type_ = f"unix u32{order[0]}e"
        yield Place(at, 4, type_, note=note, score=_TIME_SCORE - 5 * bool(zone))


def _clock_parts(time: datetime) -> tuple[int, ...]:
    return time.year % 100, time.month, time.day, time.hour, time.minute, time.second


_CLOCKS: dict[str, Callable[[datetime], bytes]] = {
    "clock": lambda time: bytes(_clock_parts(time)),
    "clock, bcd": lambda time: bytes.fromhex(time.strftime("%y%m%d%H%M%S")),
    "clock, 6 × u16be": lambda time: struct.pack(">6H", time.year, *_clock_parts(time)[1:]),
    "clock, 6 × u16le": lambda time: struct.pack("<6H", time.year, *_clock_parts(time)[1:]),
}
