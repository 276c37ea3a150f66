"""Reading the records that wait for a date, beside all else that the store does.

Theory of operation
-------------------
There may be a hundred thousand: a battery's statuses of days in which the host's clock was behind.
So they are read in steps, each in a transaction of the writer's, in the order of their numbers,
and up to the number that was the last at the beginning: what comes later is waiting for its date
already. The first step gives an arrival to those of which none is known.
"""

import sqlite3

from inverterproto.session import Record

STEP = 1000
"""Records that are read at once."""
_CAME = """
UPDATE record INDEXED BY record_undated SET arrival = ?
WHERE source IS NULL AND historic = 1 AND arrival = ?
"""
_READ = """
SELECT record.id, arrival, key, record.family, kind, device.serial, carrier.serial, historic, stamp,
       frame, masked, known, sender
FROM record LEFT JOIN device ON device.id = record.device
LEFT JOIN device AS carrier ON carrier.id = record.via
WHERE record.id IN (
    SELECT id FROM record INDEXED BY record_undated
    WHERE source IS NULL AND id > ? AND id <= ? ORDER BY id LIMIT ?
)
ORDER BY record.id
"""


class Recalling:
    """The reading of all records that wait for a date.

    Args:
        since: the arrival of those historic ones of which no arrival is known.
        now: the arrival that they get.

    Attributes:
        at_end: whether all were read.
    """

    def __init__(self, since: float, now: float) -> None:
        self.at_end = False
        self._came = now, since
        self._place = 0
        self._last: int | None = None
        self._rows: list[tuple[int, float, Record]] = []

    def step(self, connection: sqlite3.Connection) -> None:
        """Read the next records, in a transaction that may fail and be tried again."""
        last = self._last
        if last is None:
            connection.execute(_CAME, self._came)
            (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM record").fetchone()
        rows = connection.execute(_READ, (self._place, last, STEP)).fetchall()
        self._rows = [(number, arrival, Record(*values)) for number, arrival, *values in rows]
        self._read_to = last

    def stepped(self) -> list[tuple[Record, float]]:
        """Take note that the step is on disk; return what it read."""
        self._last = self._read_to
        self.at_end = len(self._rows) < STEP
        if self._rows:
            self._place = self._rows[-1][0]
        return [(record, arrival) for _, arrival, record in self._rows]
