"""What is to be written next: collected by the program's loop, written by the writer thread."""

import json
import sqlite3
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from inverterproto.reading import Dated
from inverterproto.session import Record
from inverterproto_cli.store.forgetting import Removal

if TYPE_CHECKING:
    from collections.abc import Callable

ROW = 512
"""Bytes that a row takes beside its frame, about: a flood of short frames is a flood, too."""

_INSERT = """
INSERT OR IGNORE INTO record
    (key, family, kind, device, via, sender, historic, known, masked, answered,
     arrival, stamp, frame, time, source, clock_offset, number, repeated)
VALUES %s
"""
_VALUES = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)"
_INSERT_ONE = _INSERT % _VALUES
_TOGETHER = 32
_INSERT_MANY = _INSERT % ", ".join([_VALUES] * _TOGETHER)
"""Between two statements the thread waits for its turn: the fewer there are, the better. One that
may fail half-way, as it does with `ON CONFLICT … DO UPDATE`, would keep a journal of its own."""
_COME_AGAIN = """
UPDATE record SET
    repeated = repeated + 1,
    repeated_at = ?,
    time = iif(source IS NULL, ?, time),
    clock_offset = iif(source IS NULL, ?, clock_offset),
    number = iif(source IS NULL, ?, number),
    source = coalesce(source, ?)
WHERE key = ? AND id <= ?
"""
_REPEAT = "UPDATE record SET repeated = repeated + ?, repeated_at = ? WHERE key = ?"
_DATE = """
UPDATE record SET time = ?, source = ?, clock_offset = ?, number = ?
WHERE key = ? AND source IS NULL
"""
_DEVICE = """
INSERT INTO device (id, family, serial, via, first, last, answered) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    last = excluded.last, via = coalesce(excluded.via, via),
    answered = coalesce(excluded.answered, answered)
"""
_STATE = "UPDATE device SET state = ? WHERE id = ?"


class DeviceRow(NamedTuple):
    """What the table of devices says of one."""

    id: int
    family: str | None
    serial: str
    via: str | None
    first: float
    last: float
    answered: str | None


class Batch:
    """Some records, dates, devices and states; and who waits until they are safe.

    Attributes:
        size: of the rows, in bytes, about.
        unknown: of those that nobody understands.
        waiting: called in the loop once all is on disk.
        looks: called in the writer thread before it writes; they only read.
        jobs: called in the transaction.
    """

    def __init__(self) -> None:
        self.size = 0
        self.waiting: list[Callable[[], object]] = []
        self.jobs: list[Callable[[sqlite3.Connection], object]] = []
        self.looks: list[Callable[[sqlite3.Connection], object]] = []
        self.unknown = 0
        self.rows: dict[bytes, list[Any]] = {}
        self.repeats: dict[bytes, tuple[int, float]] = {}  # how often, and when last
        self.dates: list[tuple[Any, ...]] = []
        self.devices: dict[int, DeviceRow] = {}
        self.states: dict[int, dict[str, Any]] = {}
        self.removals: list[Removal] = []

    def __bool__(self) -> bool:
        return bool(self.writes or self.waiting or self.looks)

    @property
    def writes(self) -> bool:
        """Whether there is anything in it to be written."""
        return bool(
            self.rows
            or self.dates
            or self.states
            or self.devices
            or self.jobs
            or self.repeats
            or self.removals
        )

    def __len__(self) -> int:
        return len(self.rows)

    def keep(
        self,
        record: Record,
        device: int | None,
        via: int | None,
        arrival: float,
        answered: str | None,
    ) -> None:
        """Add a record that came at `arrival`."""
        key, family, kind, _, _, historic, stamp, frame, masked, known, sender = record
        if key in self.rows:
            self._repeat(key, 1, arrival)
            return
        self.size += ROW + len(frame)
        if not known:
            self.unknown += ROW + len(frame)
        self.rows[key] = [
            key, family, kind, device, via, sender, historic, known, masked, answered,
            arrival, stamp, frame, None, None, None, None,
        ]  # fmt: skip

    def _repeat(self, key: bytes, count: int, arrival: float) -> None:
        before = self.repeats.get(key)
        self.repeats[key] = (count if before is None else before[0] + count), arrival

    def date(self, dated: Dated, number: int) -> None:
        """Give a record its date and its number."""
        key: Any = dated.key
        row = self.rows.get(key)
        date = (dated.time, str(dated.source), dated.offset, number)
        if row is None:
            self.dates.append((*date, key))
        elif row[14] is None:
            row[13:] = date

    def device(self, row: DeviceRow) -> None:
        """Note a device, or when it was last heard."""
        self.devices[row.id] = row

    def state(self, device: int, state: dict[str, Any]) -> None:
        """Note what is remembered of a device."""
        self.states[device] = state

    def forget(self, removal: Removal) -> None:
        """Remove devices with all that they sent until now."""
        self.removals.append(removal)
        gone = removal.devices
        for key, row in list(self.rows.items()):
            if row[3] in gone:
                self.size -= ROW + len(row[12])
                del self.rows[key]
            elif row[4] in gone:
                row[4] = None
        for device in gone:
            self.devices.pop(device, None)
            self.states.pop(device, None)

    def write(self, connection: sqlite3.Connection) -> None:
        """Write all of it in one transaction; what fails leaves no trace."""
        for look in self.looks:
            look(connection)
        if not self.writes:
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            for removal in self.removals:
                removal.finish(connection)
            if self.devices:
                connection.executemany(_DEVICE, self.devices.values())
            if self.rows:
                _insert(connection, list(self.rows.values()))
            if self.repeats:
                connection.executemany(
                    _REPEAT, ((*repeat, key) for key, repeat in self.repeats.items())
                )
            if self.dates:
                connection.executemany(_DATE, self.dates)
            if self.states:
                states = (
                    (json.dumps(state, separators=(",", ":")), device)
                    for device, state in self.states.items()
                )
                connection.executemany(_STATE, states)
            for job in self.jobs:
                job(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def add(self, later: "Batch") -> None:
        """Take in a batch that came after this one."""
        for removal in later.removals:
            self.forget(removal)
        for key, row in later.rows.items():
            if key in self.rows:
                self._repeat(key, 1, row[10])
                if self.rows[key][14] is None:
                    self.rows[key][13:] = row[13:]
            else:
                self.rows[key] = row
        for key, (count, arrival) in later.repeats.items():
            self._repeat(key, count, arrival)
        self.dates += later.dates
        self.devices |= later.devices
        self.states |= later.states
        self.waiting += later.waiting
        self.jobs += later.jobs
        self.looks += later.looks
        self.size += later.size
        self.unknown += later.unknown


def _insert(connection: sqlite3.Connection, rows: list[list[Any]]) -> None:
    """Write rows, many with one statement where there are many; count those that are there."""
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM record").fetchone()
    for at in range(0, len(rows), _TOGETHER):
        some = rows[at : at + _TOGETHER]
        if len(some) == _TOGETHER:
            new = connection.execute(_INSERT_MANY, [*chain.from_iterable(some)]).rowcount
        else:
            new = connection.executemany(_INSERT_ONE, some).rowcount
        if new < len(some):
            again = ((row[10], row[13], row[15], row[16], row[14], row[0], last) for row in some)
            known = connection.executemany(_COME_AGAIN, again).rowcount
            if new + known < len(some):  # whatever was ignored was not there
                raise ValueError("a record does not fit its table")
