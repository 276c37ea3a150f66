"""A page: the readings of some records, in columns where they can be, else one by one.

Data frames of inverters are decoded many at once where `numpy` is there
(`inverterproto.deye.columns`); everything else, and everything where it is not, by its message.
Both give the same readings. A page keeps the order of its records.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from itertools import compress
from operator import or_
from typing import TYPE_CHECKING, Any, NamedTuple

from inverterproto.reading import Reading, TimeSource
from inverterproto_cli.store.selection import Row, Values

if TYPE_CHECKING:
    from inverterproto.columns import Column

SIZE = 8192
"""Records in a page."""


class Batch(NamedTuple):
    """Readings of data frames, in columns: of each a value a reading.

    Attributes:
        places: where the readings stand in the page.
        devices: what measured.
        loggers: what carried it.
        times: of measuring.
        sources: where the times come from.
        historic: whether the device had kept it.
        arrivals: when it came.
        answered: by whom the device was answered.
        columns: what was measured, by quantity.
    """

    places: Sequence[int]
    devices: Sequence[str]
    loggers: Sequence[str]
    times: Sequence[float | None]
    sources: Sequence[str]
    historic: Sequence[bool]
    arrivals: Sequence[float]
    answered: Sequence[str | None]
    columns: "dict[str, Column]"


class Single(NamedTuple):
    """A reading by itself.

    Attributes:
        place: where it stands in the page.
        row: its record.
        reading: what was measured.
    """

    place: int
    row: Row
    reading: Reading


class Page(NamedTuple):
    """Some readings.

    Attributes:
        records: of which they are.
        batches: those that are in columns.
        singles: those that are not.
    """

    records: int
    batches: list[Batch]
    singles: list[Single]

    def keys(self) -> set[str]:
        """Return the quantities that occur."""
        found = {key for single in self.singles for key in single.reading.values}
        for batch in self.batches:
            found.update(key for key, column in batch.columns.items() if column.there.any())
        return found


class Wanted(NamedTuple):
    """Which readings are wanted.

    Attributes:
        confidence: the least of their fields.
        columns: the quantities of which each shows one at least; all if there are none.
    """

    confidence: str = "B"
    columns: Collection[str] = ()


class _Sources(dict[str | None, str]):
    """Where times come from; a text that only a damaged file has says nothing."""

    def __missing__(self, _text: str | None) -> str:
        return TimeSource.UNKNOWN.value


_SOURCES = _Sources({source.value: source.value for source in TimeSource})


@cache
def has_numpy() -> bool:
    """Return whether columns can be had."""
    return find_spec("numpy") is not None


def page_of(rows: Sequence[Values], wanted: Wanted) -> Page:
    """Return the readings of some records."""
    left = bytearray(b"\1") * len(rows)
    batches = []
    for batch in _batches(rows, wanted.confidence) if has_numpy() else ():
        if len(batch.places) == len(rows):
            left = bytearray(len(rows))
        for place in batch.places if any(left) else ():
            left[place] = 0
        batches.append(_chosen(batch, wanted.columns) if wanted.columns else batch)
    singles = [single for place in _ones(left) for single in singles_of(place, rows[place], wanted)]
    return Page(len(rows), batches, singles)


def _ones(left: bytearray) -> Iterator[int]:
    place = left.find(1)
    while place >= 0:
        yield place
        place = left.find(1, place + 1)


def singles_of(place: int, row: Values, wanted: Wanted) -> Iterator[Single]:
    """Yield the readings of one record."""
    record = Row._make(row)
    for reading in record.kept().readings(wanted.confidence):
        values = reading.values
        if wanted.columns:
            values = {key: values[key] for key in wanted.columns if key in values}
        if values:
            yield Single(place, record, replace(reading, values=values))


def _batches(rows: Sequence[Values], confidence: str) -> Iterator[Batch]:
    """Yield what can be had in columns."""
    from inverterproto.deye.columns import blocks

    told = Row._make(zip(*rows, strict=True)) if rows else None
    if told is None:
        return
    data: Sequence[int] = range(len(rows))
    families: Any = told.family
    if families.count("deye") + told.kind.count("data") < 2 * len(rows):
        kinds = zip(families, told.kind, strict=True)
        data = [place for place, kind in enumerate(kinds) if kind == ("deye", "data")]
    frames: list[bytes] = _at(data, told.frame)
    for block in blocks(frames, confidence):
        places = _at(block.rows.tolist(), data)
        yield Batch(
            places,
            block.devices,
            block.loggers,
            _at(places, told.time),
            list(map(_SOURCES.__getitem__, _at(places, told.source))),
            block.historic.tolist(),
            _at(places, told.arrival),
            _at(places, told.answered),
            block.columns,
        )


def _at(places: Sequence[int], values: Any) -> Any:  # noqa: ANN401 - of whatever
    """Return what stands at some places, which are in order."""
    return values if len(places) == len(values) else [values[place] for place in places]


def _chosen(batch: Batch, keys: Collection[str]) -> Batch:
    """Return a batch with some quantities only, where there is one of them at least."""
    columns = {key: batch.columns[key] for key in keys if key in batch.columns}
    rows = [False] * len(batch.places)
    for column in columns.values():
        rows = list(map(or_, rows, column.there.tolist()))
    if all(rows):
        return batch._replace(columns=columns)
    few = {key: type(each)(each.values[rows], each.there[rows]) for key, each in columns.items()}
    lists: list[Any] = [list(compress(each, rows)) for each in batch[:-1]]
    return Batch._make([*lists, few])
