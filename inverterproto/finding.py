"""Which bytes of several frames hold the quantities that somebody knows.

Theory of operation
-------------------
`find` looks for what is wanted (`wanted.py`) in all frames of a kind, and ranks the places where it
stands in every one of them (`places.py`). A number of two bytes fits by chance once in some
thousand places, so there may be many. To what their fitting is worth comes:

- what a known field at that very place says: if it is what is wanted, this is it;
- where several quantities are wanted, how near another of them stands in the same byte order: in a
  layout, neighbours are of one style.

In payloads that are text (AlphaESS) the keys are told whose values fit, in every frame; in a table
it may be any of its rows.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from inverterproto.families import Message
from inverterproto.field import Row
from inverterproto.places import SCALES, Place, one_each, places, scaled
from inverterproto.samples import Kind, Samples
from inverterproto.wanted import Wanted

MOST_PLACES = 1000
"""Of more places the best are told."""
_COMPARED = 50
"""So many places of each other quantity are looked at for neighbours."""
_NEAR = 64
_NEIGHBOUR = 8.0
_KNOWN = 100.0
_KEY_SCALES = ("1", "1/10", "1/100", "1/1000", "10", "100")


class Found(NamedTuple):
    """Where one wanted quantity stands in one kind of frames.

    Attributes:
        kind: the kind.
        frames: how many there are.
        start: the offset of the payload in a frame.
        wanted: what was looked for.
        places: the likeliest first, at most `MOST_PLACES`.
        total: how many there were.
        mismatch: why it was not looked for, or nothing.
    """

    kind: Kind
    frames: int
    start: int
    wanted: Wanted
    places: tuple[Place, ...]
    total: int
    mismatch: str = ""


def find(samples: Samples, wanted: Sequence[Wanted]) -> list[Found]:
    """Return where each of some quantities stands in the frames of one kind."""
    every = [sorted(_search(samples, each), key=_rank) for each in wanted]
    found: list[Found] = []
    for number, (each, unranked) in enumerate(zip(wanted, every, strict=True)):
        near = _Neighbours(every[:number] + every[number + 1 :])
        ranked = sorted((near.counted(place) for place in unranked), key=_rank)
        frames = len(samples.raws)
        found.append(
            Found(
                samples.kind,
                frames,
                samples.start,
                each,
                tuple(ranked[:MOST_PLACES]),
                len(ranked),
                "" if each.frames in (1, frames) else _mismatch(each.frames, frames),
            )
        )
    return found


def _mismatch(values: int, frames: int) -> str:
    return f"{values} values, {frames} frame" + ("" if frames == 1 else "s")


def _rank(place: Place) -> tuple[float, int]:
    return -place.score, place.offset or 0


def _search(samples: Samples, wanted: Wanted) -> Iterator[Place]:
    """Yield all places of one quantity."""
    if wanted.frames not in (1, len(samples.raws)):
        return
    if samples.family.textual:
        yield from _keys(samples, wanted)
        return
    raw = samples.raws[0]
    known = _KnownFields(samples.message(raw), raw, samples.start)
    for place in places(samples.payloads, wanted):
        yield known.named(place, wanted)


class _KnownFields:
    """The fields that are known of the first frame."""

    def __init__(self, message: Message, raw: bytes, start: int) -> None:
        self.rows = [
            row._replace(offset=row.offset - start) for row in message.rows(raw) if row.field.known
        ]
        self.offsets = [row.offset for row in self.rows]

    def named(self, place: Place, wanted: Wanted) -> Place:
        """Return a place with the name of the field that stands there, if it is known."""
        ways = [(place.type, place.offset or 0), *place.others]
        for type_, offset in ways:
            row = self._row_at(offset)
            if row is None or row.offset != offset or not _says(row, place, type_, wanted):
                continue
            others = tuple(way for way in ways if way != (type_, offset))
            return place._replace(
                offset=offset,
                length=len(row.raw),
                type=type_,
                others=others,
                name=row.field.name,
                exact=True,
                score=place.score + _KNOWN,
            )
        row = self._row_at(place.offset or 0)
        return place if row is None else place._replace(name=row.field.name)

    def _row_at(self, offset: int) -> Row | None:
        """Return the field that has the byte at an offset."""
        row = self.rows[bisect_right(self.offsets, offset) - 1]
        return row if row.offset <= offset < row.offset + len(row.raw) else None


def _says(row: Row, place: Place, type_: str, wanted: Wanted) -> bool:
    """Return whether a field says what is wanted, in the way in which it was found."""
    if isinstance(row.value, str):
        return row.value in wanted.texts or (type_ == "clock" and bool(wanted.times))
    if type_.startswith("unix "):
        return type_.removeprefix("unix ") == row.field.type_name
    # Of zero the scale cannot be told; nor the sign of what is not negative.
    zero = all(each.holds(0) for each in wanted.numbers)
    scale = zero or (row.field.scale, row.field.bias) == (place.scale, place.bias)
    return scale and type_[0] in "us" and type_[1:] == row.field.type_name[1:]


class _Neighbours:
    """The places of the other quantities, by byte order."""

    def __init__(self, others: list[list[Place]]) -> None:
        self.offsets = [
            {
                order: sorted(
                    place.offset
                    for place in found[:_COMPARED]
                    if place.offset is not None and place.type.endswith(order)
                )
                for order in ("be", "le")
            }
            for found in others
        ]

    def counted(self, place: Place) -> Place:
        """Return a place with what its neighbours are worth added to its score."""
        order, at = place.type[-2:], place.offset or 0
        bonus = 0.0
        for offsets in self.offsets:
            same = offsets.get(order, [])
            low = bisect_left(same, at)
            distances = [abs(other - at) for other in same[max(0, low - 1) : low + 2]]
            nearest = min((far for far in distances if far >= place.length), default=_NEAR)
            bonus += max(0.0, _NEIGHBOUR * (1 - nearest / _NEAR))
        return place._replace(score=place.score + bonus)


# Keys


def _keys(samples: Samples, wanted: Wanted) -> Iterator[Place]:
    """Yield the keys whose values are what is wanted in every frame."""
    fits: set[tuple[str, str, bool]] | None = None
    for index, raw in enumerate(samples.raws):
        here = {
            (name, scale, turned)
            for name, value in samples.values(raw)
            for scale, turned in _fits(value, wanted, index, len(samples.raws))
        }
        fits = here if fits is None else fits & here
        if not fits:
            return
    for name, scale, turned in sorted(fits or ()):
        score = SCALES[scale, 0] - 3 * turned - (scale != "1")
        yield Place(None, 0, "key", scale, turned=turned, name=name, score=score)


def _fits(value: object, wanted: Wanted, index: int, frames: int) -> Iterator[tuple[str, bool]]:
    """Yield in which scale, and with which sign turned, a value is what is wanted in a frame."""
    if isinstance(value, str):
        texts = [*one_each(wanted.texts, frames)[index : index + 1]]
        texts += [str(time) for time in one_each(wanted.times, frames)[index : index + 1]]
        if value.replace("/", "-") in [text.replace("/", "-") for text in texts]:
            yield "1", False
    for interval in one_each(wanted.numbers, frames)[index : index + 1]:
        for scale in _KEY_SCALES if value else ("1",):
            raw = scaled(interval, scale, 0)
            if raw.holds(value):
                yield scale, False
            elif raw.turned.holds(value):
                yield scale, True
