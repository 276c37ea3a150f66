"""What is asked of a whole store, in stretches: records from one place of the order to another.

The order is that of time; what has no time comes behind, as it came. Where a stretch ends is told
by the index alone, so that all of them are known long before their records are read, by whoever.
Each is read by itself: between two of them the server may clean up its log.
"""

import sqlite3
from collections.abc import Iterator
from math import inf
from typing import NamedTuple

from inverterproto_cli.store.reader import UNDATED, Kept, dated_span
from inverterproto_cli.store.schema import arrival_of, time_of

EVERYTHING = 1 << 62
"""More than any store has: no record has so great a number."""
_ROW = (
    f"SELECT {time_of('time')}, {arrival_of('arrival')}, CAST(family AS TEXT), "  # noqa: S608 - ours
    "CAST(kind AS TEXT), historic, CAST(answered AS TEXT), CAST(source AS TEXT), "
    "CAST(frame AS BLOB) FROM record "
)
_DATED = "WHERE known = 1 AND (time, id) > (?, ?) AND (time, id) <= (?, ?) "
_UNDATED = tuple(
    f"WHERE {undated} AND id > ? AND id <= ? AND arrival >= ? AND arrival < ? "
    for undated in UNDATED
)

_CAME = (
    f"WHERE record.id > ? AND record.id <= ? AND coalesce({time_of('time')}, arrival) >= ? "
    f"AND coalesce({time_of('time')}, arrival) < ? "
)
_FRAME = (
    f"SELECT {arrival_of('arrival')}, CAST(sender AS TEXT), CAST(device.serial AS TEXT), "  # noqa: S608 - ours
    "CAST(carrier.serial AS TEXT), CAST(frame AS BLOB) FROM record "
    "LEFT JOIN device ON device.id = record.device "
    "LEFT JOIN device AS carrier ON carrier.id = record.via "
)

Values = tuple[object, ...]


class Row(NamedTuple):
    """What of a record makes its readings."""

    time: float | None
    arrival: float
    family: str | None
    kind: str
    historic: bool
    answered: str | None
    source: str | None
    frame: bytes

    def kept(self) -> Kept:
        """Return the record, without what no reading tells."""
        masked = False
        return Kept(
            0, None, self.family, self.kind, None, None, "", self.historic, self.answered,
            self.arrival, None, self.time, self.source, None, 0, None, masked, self.frame,
        )  # fmt: skip


class FrameRow(NamedTuple):
    """The bytes of a record, and where they came from."""

    arrival: float
    sender: str
    device: str | None
    via: str | None
    frame: bytes


class Stretch(NamedTuple):
    """Some records that follow each other.

    Attributes:
        condition: of them, in SQL.
        values: of the condition.
        size: how many there were when it was found.
    """

    condition: str
    values: Values
    size: int


class Selection:
    """Records that somebody wants.

    Args:
        connection: to the store.
        device: only of this one and, if it is a logger, of all that it carries.
        since: only what was measured from then on, in unix seconds; of what has no time, what came.
        until: only what was measured before.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        device: str | None = None,
        since: float | None = None,
        until: float | None = None,
    ) -> None:
        self._connection = connection
        self._span = (-inf if since is None else since, inf if until is None else until)
        self._whose = ""
        if device is not None:
            found = connection.execute(
                "SELECT id FROM device WHERE serial = ?1 OR via = ?1", (device,)
            ).fetchall()
            numbers = ", ".join(str(number) for (number,) in found)
            self._whose = f"AND record.device IN ({numbers}) "

    def stretches(self, size: int) -> Iterator[Stretch]:
        """Yield stretches of so many records; the last one of each kind has what is left."""
        since, until = dated_span(self._span)
        yield from self._cut(
            f"{_DATED}{self._whose}ORDER BY time, id ",
            "time, id",
            (since, -1),
            (until, -1),
            (),
            size,
        )
        for undated in _UNDATED:
            yield from self._cut(
                f"{undated}{self._whose}ORDER BY id ", "id", (-1,), (EVERYTHING,), self._span, size
            )

    def arrivals(self, size: int) -> Iterator[Stretch]:
        """Yield stretches of records, known or not, as they came."""
        yield from self._cut(
            f"{_CAME}{self._whose}ORDER BY record.id ", "id", (-1,), (EVERYTHING,), self._span, size
        )

    def _cut(
        self, condition: str, place: str, begin: Values, end: Values, more: Values, size: int
    ) -> Iterator[Stretch]:
        """Cut what meets a condition into stretches.

        Args:
            condition: and the order.
            place: the columns that tell the order.
            begin: the place behind which the first one begins.
            end: the place with which the last one ends.
            more: the condition's other values.
            size: of a stretch.
        """
        one = f"SELECT {place} FROM record {condition}LIMIT 1 OFFSET ?"  # noqa: S608 - ours
        while True:
            last = self._connection.execute(one, (*begin, *end, *more, size - 1)).fetchone()
            if last is None:
                rest = f"SELECT count(*) FROM (SELECT 1 FROM record {condition})"  # noqa: S608
                (left,) = self._connection.execute(rest, (*begin, *end, *more)).fetchone()
                if left:
                    yield Stretch(condition, (*begin, *end, *more), left)
                return
            yield Stretch(condition, (*begin, *last, *more), size)
            begin = last


def rows(connection: sqlite3.Connection, stretch: Stretch) -> list[Values]:
    """Return the records of a stretch, as the values of a `Row` each.

    Texts are read as SQLite's module does it itself, which takes a third of the time; where a
    damaged file has one that is none, as everywhere else.
    """
    own = connection.text_factory
    try:
        connection.text_factory = str
        return connection.execute(_ROW + stretch.condition, stretch.values).fetchall()
    except sqlite3.OperationalError:
        connection.text_factory = own
        return connection.execute(_ROW + stretch.condition, stretch.values).fetchall()
    finally:
        connection.text_factory = own


def frame_rows(connection: sqlite3.Connection, stretch: Stretch) -> list[FrameRow]:
    """Return the bytes of a stretch's records."""
    found = connection.execute(_FRAME + stretch.condition, stretch.values).fetchall()
    return [FrameRow._make(row) for row in found]


def total(stretches: Iterator[Stretch]) -> int:
    """Return how many records there are."""
    return sum(stretch.size for stretch in stretches)
