"""Frames of one kind held side by side: what changes from one to the next, and how.

Theory of operation
-------------------
`compare` divides the payload into stretches. Where a field is known, it is a stretch, with the
values that its declaration gives. What is left is divided by what its bytes do (`stretches.py`),
one *band* after another: frames may differ in length, and a band ends where the next of them does.

Payloads that are text (AlphaESS) name their values, so there the values of each key are compared;
each row of a table is as good as a frame.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from inverterproto.field import Field, Row
from inverterproto.octets import Octets, Value
from inverterproto.samples import Kind, Samples
from inverterproto.stretches import Band, Change, Reading, Stretch, change_of, change_of_bytes

MOST_KEYS = 2000
"""Of one kind's keys so many are compared; further ones are counted."""
_LONGEST_VALUE = 120


class Comparison(NamedTuple):
    """All stretches of one kind of frames.

    Attributes:
        kind: the kind.
        frames: how many there were.
        lengths: of their payloads, each once.
        start: the offset of the payload in the frame.
        stretches: in the order of their offsets, or keys in the order of coming.
        left_out: how many keys were too many.
    """

    kind: Kind
    frames: int
    lengths: tuple[int, ...]
    start: int
    stretches: tuple[Stretch, ...]
    left_out: int = 0


def compare(samples: Samples, now: float | None = None) -> Comparison:
    """Compare the frames of one kind.

    Args:
        samples: the frames.
        now: unix time in seconds, where it is known: no clock is more than a day ahead of it.
    """
    payloads = samples.payloads
    stretches: Iterable[Stretch]
    left_out = 0
    if samples.family.textual:
        stretches, left_out = _keys(samples)
    else:
        stretches = _stretches(samples, payloads, now)
    lengths = tuple(sorted({len(payload) for payload in payloads}))
    return Comparison(
        samples.kind, len(payloads), lengths, samples.start, tuple(stretches), left_out
    )


# Keys


class _Series:
    """The values of one key, as much of them as is needed."""

    def __init__(self, first: Any) -> None:  # noqa: ANN401 - any JSON value
        self.first = self.last = first
        self.count = 1
        self.numbers = [first] if _is_number(first) else None
        self.seen = {first}

    def add(self, value: Any) -> None:  # noqa: ANN401
        self.last = value
        self.count += 1
        self.seen.add(value)
        if self.numbers is not None:
            if _is_number(value):
                self.numbers.append(value)
            else:
                self.numbers = None

    def stretch(self, name: str) -> Stretch:
        """Return what is to be told of it."""
        if self.count > 1 and self.numbers is not None:
            change = change_of(self.numbers)
        elif self.count == 1:
            change = Change.ALONE
        else:
            change = Change.SAME if len(self.seen) == 1 else Change.CHANGES
        ends = (self.first, self.last)
        return Stretch(None, 0, self.count, change, len(self.seen), ends, name=name)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _keys(samples: Samples) -> tuple[list[Stretch], int]:
    """Return what the values of each key do, and how many keys are left out."""
    series: dict[str, _Series] = {}
    left_out = set[int]()
    for raw in samples.raws:
        for name, value in samples.values(raw):
            plain = value if _is_number(value) or value is None else str(value)[:_LONGEST_VALUE]
            if name in series:
                series[name].add(plain)
            elif len(series) < MOST_KEYS:
                series[name] = _Series(plain)
            else:
                left_out.add(hash(name))
    return [found.stretch(name) for name, found in series.items()], len(left_out)


# Bytes


def _stretches(samples: Samples, payloads: list[bytes], now: float | None) -> Iterator[Stretch]:
    longest = max(samples.raws, key=len)
    end = 0
    for row in samples.message(longest).rows(longest):
        offset = row.offset - samples.start
        if offset < 0 or row.offset >= len(longest) - 2 or not _is_known(row):
            continue
        yield from _unknown(payloads, end, offset, now)
        end = offset + len(row.raw)
        yield _known(payloads, offset, end, row.field)
    yield from _unknown(payloads, end, len(longest) - samples.start - 2, now)


def _is_known(row: Row) -> bool:
    return row.field.known and not isinstance(row.value, bytes | dict | list)


def _known(payloads: list[bytes], start: int, end: int, field: Field) -> Stretch:
    """Return the stretch of a field that is known."""
    raws = [payload[start:end] for payload in payloads if len(payload) >= end]
    change, distinct = change_of_bytes(raws)
    if not isinstance(field.type, Octets):
        change = change_of([_integer(field, raw) for raw in raws], 8 * field.size)
    ends = raws[0], raws[-1]
    values = _value(field, ends[0]), _value(field, ends[1])
    reading = Reading(field.type_name, start, values)
    return Stretch(
        start, end - start, len(raws), change, distinct, ends, (reading,), field.name, field
    )


def _integer(field: Field, raw: bytes) -> int:
    order: Any = "big" if field.order == ">" else "little"
    return int.from_bytes(raw, order, signed=field.code.islower())


def _value(field: Field, raw: bytes) -> Value:
    """Return what a field says."""
    return field.to_value(raw if isinstance(field.type, Octets) else _integer(field, raw))


def _unknown(payloads: list[bytes], start: int, end: int, now: float | None) -> Iterator[Stretch]:
    """Yield the stretches of bytes that no field explains, one band of equal frames after another.

    A band is as far as the next shorter payload's end.
    """
    ends = sorted({len(payload) for payload in payloads if start < len(payload) < end} | {end})
    for stop in ends:
        if start < stop:
            present = [payload[start:stop] for payload in payloads if len(payload) >= stop]
            yield from Band(present, start, now).stretches()
        start = stop
