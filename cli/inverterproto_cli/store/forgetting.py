"""Removing devices, with all that they sent.

Theory of operation
-------------------
A logger goes with the inverters that it carried last: they are what a householder means by it. Of
an inverter that another logger carries by now the records stay, the old ones too, and name no
logger where they named this one.

There may be a million records, and devices wait for every commit. So a `Removal` goes through the
records by their numbers in steps, each in a transaction of its own; a step costs what the range
costs, not what the file holds. Only what is left in the end, `STEP` numbers at most, goes in one
transaction with the devices themselves (`finish`). What is heard of them later is new.

New records always get numbers behind the ranges that are done: the range with the greatest number
is never done before the end.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable

STEP = 2000
"""Numbers of records that are gone through at once."""
_AMONG = "(SELECT value FROM json_each(?))"

StillWanted = Callable[[sqlite3.Connection, int], bool]
"""Told how many records are removed; returns whether to go on."""


class Removal:
    """The removal of some devices.

    Args:
        devices: by their numbers.
        still_wanted: is asked before each step, in the writer thread.

    Attributes:
        removed: records that are gone for good.
        at_end: whether all steps are done.
        withdrawn: whether it is not wanted any more.
    """

    def __init__(
        self, devices: Iterable[int], still_wanted: StillWanted = lambda _db, _count: True
    ) -> None:
        self.devices = frozenset(devices)
        self.removed = 0
        self.at_end = self.withdrawn = False
        self._still_wanted = still_wanted
        self._place = 0
        self._next = 0
        self._count = 0

    def step(self, connection: sqlite3.Connection) -> None:
        """Go through the next records, in a transaction that may fail and be tried again."""
        self._count, self._next = 0, self._place
        self.withdrawn = not self._still_wanted(connection, self.removed)
        if self.withdrawn:
            return
        first, last = connection.execute(
            "SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM record"
        ).fetchone()
        begin = max(self._place, first - 1)
        self.at_end = last - begin <= STEP
        if not self.at_end:
            self._next = begin + STEP
            self._count = self._remove(connection, begin, self._next)

    def stepped(self) -> None:
        """Take note that the step is on disk."""
        self._place = self._next
        self.removed += self._count

    def finish(self, connection: sqlite3.Connection) -> None:
        """Remove what is left, and the devices."""
        self._count = self._remove(connection, self._place, 1 << 62)
        connection.execute(
            f"DELETE FROM device WHERE id IN {_AMONG}",  # noqa: S608
            (self._among,),
        )

    @property
    def _among(self) -> str:
        return json.dumps(list(self.devices))

    def _remove(self, connection: sqlite3.Connection, after: int, until: int) -> int:
        place = (after, until, self._among)
        count = connection.execute(
            f"DELETE FROM record WHERE id > ? AND id <= ? AND device IN {_AMONG}",  # noqa: S608
            place,
        ).rowcount
        connection.execute(
            f"UPDATE record SET via = NULL WHERE id > ? AND id <= ? AND via IN {_AMONG}",  # noqa: S608
            place,
        )
        return count
