"""What unknown bytes of several frames divide into, by what they do from one frame to the next.

Theory of operation
-------------------
A `Band` is a run of bytes that no field explains, from all frames that have it; it divides itself
into *stretches* of bytes that belong together:

1. Six bytes that are a date in every frame are a clock; bytes that are printable in every frame,
   some in a row, are text.
2. Bytes that never change are a stretch; nothing more can be told of them.
3. Bytes that change, with no more than a few between that do not, are looked at together: are they
   16-bit numbers, and in which byte order, beginning at this byte or at the one before? The right
   reading is *smoother* than the wrong ones: what is measured seldom jumps, and where the high byte
   is taken for the low one, a step of 1 becomes 256. So of each reading the mean steps are summed
   up as bits, and the smoothest wins; where two are as smooth, the one in the byte order of what
   was clear before. Another that is nearly as smooth is told as well. Two neighbours of which only
   both together count up are one 32-bit number.
4. A number that, as 32 bits, is a time in unix seconds in every frame says so.

*Goes up* means: never down from one frame to the next, and up at least once. With two frames that
is the toss of a coin. *Wraps* is going up, but for steps from near the top of the number's range to
near its bottom.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import pairwise
from math import log2
from typing import Any, NamedTuple

from inverterproto.field import Field
from inverterproto.octets import Clock, Value
from inverterproto.samples import plausible_dates

_TRIED = 256
"""Frames by which the smoothest reading is found; what it then says is told of all."""
_GAP = 3
_NEARLY = 1.1
_CLOCK = 6
_MOST_READINGS = 3
_SHORTEST_TEXT = 5
_FROM_2015, _TO_2100 = 1_420_070_400, 4_102_444_800


class Change(StrEnum):
    """How the values of a stretch follow one another."""

    ALONE = "once"
    SAME = "same"
    CHANGES = "changes"
    UP = "goes up"
    WRAPS = "goes up, wraps"


class Reading(NamedTuple):
    """What a stretch reads like.

    Attributes:
        type: `u16be`, `text`, `clock`, `unix u32le`, or the type of a known field.
        offset: of its first byte in the payload.
        values: in the first and in the last frame.
    """

    type: str
    offset: int
    values: tuple[Any, Any]


class Stretch(NamedTuple):
    """Bytes that belong together, or the values of one key.

    Attributes:
        offset: of the first byte in the payload; None for a key.
        length: number of bytes, or 0 for a key.
        frames: how many values there were.
        change: how they follow one another.
        distinct: how many different ones there were.
        ends: the first and the last, as bytes; of a key as values.
        readings: what they read like, the likeliest first.
        name: of the field or key; None for bytes that are not known.
        field: the field's declaration, where it is known.
    """

    offset: int | None
    length: int
    frames: int
    change: Change
    distinct: int
    ends: tuple[Any, Any]
    readings: tuple[Reading, ...] = ()
    name: str | None = None
    field: Field | None = None


def change_of(values: Sequence[int | float], bits: int | None = None) -> Change:
    """Return how numbers follow one another; `bits` tells the range in which they may wrap."""
    steps = [after - before for before, after in pairwise(values)]
    if not steps:
        return Change.ALONE
    if not any(steps):
        return Change.SAME
    if min(steps) >= 0:
        return Change.UP
    if bits is None or len(steps) < 3:
        return Change.CHANGES
    edge = 1 << bits - 2
    wraps = all(
        after >= before or (before >= 3 * edge and after < edge)
        for before, after in pairwise(values)
    )
    return Change.WRAPS if wraps and max(steps) > 0 else Change.CHANGES


def change_of_bytes(raws: list[bytes]) -> tuple[Change, int]:
    """Return whether bytes changed, and how many different ones there were."""
    distinct = len(set(raws))
    if len(raws) == 1:
        return Change.ALONE, 1
    return (Change.SAME if distinct == 1 else Change.CHANGES), distinct


class Band:
    """Unknown bytes of equal length from several frames.

    Attributes:
        parts: the bytes, one piece a frame.
        start: their offset in the payload.
        columns: the bytes of all frames at each offset.
        order: the byte order of the last number of which it was clear.
    """

    def __init__(self, parts: list[bytes], start: int, now: float | None) -> None:
        self.parts = parts
        self.start = start
        self.order = ""
        self.dates = plausible_dates(now)
        self.latest = _TO_2100 if now is None else now
        self.width = len(parts[0])
        together = b"".join(parts)
        self.columns = [together[at :: self.width] for at in range(self.width)]
        self.same = [column.count(column[0]) == len(column) for column in self.columns]

    def stretches(self) -> Iterator[Stretch]:
        """Yield what the bytes divide into, in order."""
        if len(self.parts) == 1:
            yield self._stretch(0, self.width)
            return
        at = 0
        for start, end, type_ in sorted([*self._clocks(), *self._texts()]):
            if start >= at:
                yield from self._numbers(at, start)
                yield self._typed(start, end, type_)
                at = end
        yield from self._numbers(at, self.width)

    def _stretch(self, start: int, end: int, readings: Iterable[Reading] = ()) -> Stretch:
        raws = [part[start:end] for part in self.parts]
        change, distinct = change_of_bytes(raws)
        return Stretch(
            self.start + start,
            end - start,
            len(raws),
            change,
            distinct,
            (raws[0], raws[-1]),
            tuple(readings),
        )

    def _typed(self, start: int, end: int, type_: str) -> Stretch:
        """Return the stretch of a clock or text."""

        def show(part: bytes) -> Value:
            raw = part[start:end]
            return Clock.decode(raw) if type_ == "clock" else raw.decode("ascii").rstrip()

        values = show(self.parts[0]), show(self.parts[-1])
        return self._stretch(start, end, [Reading(type_, self.start + start, values)])

    def _clocks(self) -> Iterator[tuple[int, int, str]]:
        """Yield where in every frame a date stands."""
        for at in range(self.width - _CLOCK + 1):
            month, day = self.columns[at + 1], self.columns[at + 2]
            if not (min(month) >= 1 and max(month) <= 12 and min(day) >= 1 and max(day) <= 31):
                continue
            dates = [str(Clock.decode(part[at : at + _CLOCK]) or "") for part in self.parts]
            if self.dates[0] <= min(dates) and max(dates) <= self.dates[1]:
                yield at, at + _CLOCK, "clock"

    def _texts(self) -> Iterator[tuple[int, int, str]]:
        """Yield where in every frame printable characters stand, enough of them to be a text."""
        start = 0
        for at in range(self.width + 1):
            if at < self.width and self._is_printable(at):
                continue
            if at - start >= _SHORTEST_TEXT:
                yield start, at, "text"
            start = at + 1

    def _is_printable(self, at: int) -> bool:
        column = self.columns[at]
        return min(column) >= 0x20 and max(column) < 0x7F

    def _numbers(self, start: int, end: int) -> Iterator[Stretch]:
        """Yield the stretches of bytes that are neither clock nor text."""
        at = start
        for first, last in self._changing(start, end):
            way, *rivals = self._ways(max(at, first - 1), first, last, end)
            for number in way:
                if all(self.same[number.at : number.end]):
                    continue
                if number.at > at:
                    yield self._stretch(at, number.at)
                change = change_of(self._series(number), 8 * number.width)
                stretch = self._stretch(number.at, number.end, self._readings(number, rivals))
                yield stretch._replace(change=change)
                at = number.end
        if at < end:
            yield self._stretch(at, end)

    def _changing(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield runs of bytes that change, with no more than a few between that do not."""
        first = last = -1
        for at in range(start, end):
            if self.same[at]:
                continue
            if first >= 0 and at - last > _GAP + 1:
                yield first, last + 1
                first = -1
            first, last = (at if first < 0 else first), at
        if first >= 0:
            yield first, last + 1

    def _ways(self, low: int, first: int, last: int, end: int) -> "list[list[_Number]]":
        """Return the ways to divide a run of changing bytes into numbers, the smoothest first.

        A number begins at `low` at the earliest, and ends at `end`. Ways that are not nearly as
        smooth are left out.
        """
        ways: list[tuple[float, list[_Number]]] = []
        for order in ("be", "le"):
            for begin in sorted({low, first}):
                stop = begin + (last - begin + 1) // 2 * 2
                if stop <= end:
                    way = [_Number(at, 2, order) for at in range(begin, stop, 2)]
                    ways.append((sum(map(self._roughness, way)), way))
        if not ways:  # a number of bytes that is odd, and no room beside them
            return [[_Number(at, 1, "") for at in range(first, last)]]
        ways.sort(key=lambda way: (round(way[0], 6), way[1][0].order != self.order))
        smooth = [self._lengthened(way) for cost, way in ways if cost <= ways[0][0] * _NEARLY]
        if len({way[0].order for way in smooth}) == 1:
            self.order = smooth[0][0].order
        return smooth

    def _lengthened(self, way: "list[_Number]") -> "list[_Number]":
        """Return a way with neighbours put together of which only both together count up."""
        done: list[_Number] = []
        for number in way:
            before = done[-1] if done else None
            if before is not None and before.width == 2 and self._is_long(before, number):
                done[-1] = before._replace(width=4)
            else:
                done.append(number)
        return done

    def _is_long(self, one: "_Number", other: "_Number") -> bool:
        high, low = (one, other) if one.order == "be" else (other, one)
        return (
            len(self.parts) > 2
            and change_of(self._series(high)) is Change.UP
            and change_of(self._series(low)) is Change.CHANGES
            and change_of(self._series(one._replace(width=4))) is Change.UP
        )

    def _series(self, number: "_Number", most: int | None = None) -> list[int]:
        """Return what a number is in each of the frames."""
        columns = [column[:most] for column in self.columns[number.at : number.end]]
        if number.order == "le":
            columns.reverse()
        values = list(columns[0])
        for column in columns[1:]:
            values = [value << 8 | byte for value, byte in zip(values, column, strict=True)]
        return values

    def _roughness(self, number: "_Number") -> float:
        """Return how a number jumps from frame to frame, in bits; wrapping is no jump."""
        series, range_ = self._series(number, _TRIED), 1 << 8 * number.width
        steps = [abs(after - before) for before, after in pairwise(series)]
        return log2(1 + sum(min(step, range_ - step) for step in steps) / len(steps))

    def _readings(self, number: "_Number", rivals: "list[list[_Number]]") -> list[Reading]:
        """Return what a number may be, the likeliest first."""
        others = [other for way in rivals for other in self._sharing(number, way)]
        found = [number, *others]
        for each in [number, *others]:
            long = each.longest
            if not (long.at >= 0 and long.end <= self.width):
                continue
            if self._is_time(long):
                return [self._reading(long, "unix "), self._reading(number)]
            if each is number and long != each and self._is_plausible(long, each):
                found.insert(1, long)
        return [self._reading(each) for each in found[:_MOST_READINGS]]

    def _sharing(self, number: "_Number", way: "list[_Number]") -> "Iterator[_Number]":
        """Yield the numbers of a way that have a byte that changes in common with another."""
        begin = bisect_left(way, number.at - 3, key=lambda other: other.at)
        for other in way[begin : begin + 7]:
            common = range(max(other.at, number.at), min(other.end, number.end))
            if any(not self.same[at] for at in common):
                yield other

    def _is_time(self, number: "_Number") -> bool:
        """Return whether a number may be unix seconds in every frame."""
        if not _FROM_2015 <= self._value(number, 0) <= self.latest:
            return False  # as most are not: all frames need not be looked at
        values = self._series(number)
        return min(values) >= _FROM_2015 and max(values) <= self.latest

    def _is_plausible(self, long: "_Number", number: "_Number") -> bool:
        """Return whether what a number is the low end of may be one number with it."""
        beyond = [*range(long.at, number.at), *range(number.end, long.end)]
        if not all(self.same[at] for at in beyond):
            return False
        zero = not any(self.columns[at][0] for at in beyond)
        return zero or change_of(self._series(long)) is Change.UP

    def _reading(self, number: "_Number", prefix: str = "") -> Reading:
        values = self._value(number, 0), self._value(number, -1)
        return Reading(prefix + number.type, self.start + number.at, values)

    def _value(self, number: "_Number", frame: int) -> int:
        order: Any = "little" if number.order == "le" else "big"
        return int.from_bytes(self.parts[frame][number.at : number.end], order)


class _Number(NamedTuple):
    """Where a number stands in a band, and in which byte order."""

    at: int
    width: int
    order: str

    @property
    def end(self) -> int:
        """The offset of the first byte behind it."""
        return self.at + self.width

    @property
    def type(self) -> str:
        """Its type: `u16be`."""
        return f"u{8 * self.width}{self.order}"

    @property
    def longest(self) -> "_Number":
        """The number of four bytes of which this is the low end."""
        at = self.end - 4 if self.order == "be" else self.at
        return _Number(at, 4, self.order or "le")
