"""A folder with files by day: what they are called, whose turn it is, what is packed or removed.

`readings-2024-04-08.jsonl`, `readings-2024-04-08.csv`, `readings-2024-04-08.2.csv` for what has
more columns; `.gz` behind the name of a packed one. Only files that are called so are ever touched.

*Whose turn it is.* Several programs may write into a folder: each holds a lock while it adds a
batch, which goes with the process. The file that is locked stays.

*Clearing up.* Days that are over are packed, one file a batch, so that no batch waits for long.
What is too old goes by the machine's clock, which may be wrong; so nothing is removed until it has
gone evenly for an hour, as in the store.
"""

import csv
import fcntl
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from threading import Event
from time import monotonic, time
from typing import NamedTuple

from inverterproto_cli.sinks.day_files import PACKED, DayFiles
from inverterproto_cli.store.retention import EVENLY, LEAP

LOCK = ".inverterproto.lock"
PATIENCE = 30.0
"""Seconds for which another program's batch is waited for."""
LOOK = 0.05
"""Seconds between looks whether it has ended."""
_match = re.compile(
    r"readings-(\d{4}-\d\d-\d\d)(?:\.([1-9]\d{0,5}))?\.(jsonl|csv)(\.gz)?", re.ASCII
).fullmatch
_READERS = 0o444


class Place(NamedTuple):
    """A file of ours.

    Attributes:
        form: `"jsonl"` or `"csv"`.
        day: that it is of, local.
        part: 1 for the first of that day, 2 for the one with more columns, …
        packed: whether it is.
    """

    form: str
    day: date
    part: int = 1
    packed: bool = False

    @property
    def name(self) -> str:
        """What the file is called."""
        part = f".{self.part}" if self.part > 1 else ""
        return f"readings-{self.day}{part}.{self.form}{PACKED if self.packed else ''}"


def place_of(name: str) -> Place | None:
    """Return which file of ours is called so; None if none is."""
    found = _match(name)
    if found is None:
        return None
    try:
        day = date.fromisoformat(found[1])
    except ValueError:
        return None
    place = Place(found[3], day, int(found[2] or 1), found[4] is not None)
    return place if place.name == name else None


class Folder:
    """The folder.

    Args:
        path: where it is.
        mode: who may read its files.
        pack: whether days that are over are packed.
        keep_days: what is older is removed; nothing if None.

    Attributes:
        ending: set when nobody is to be waited for any more.
    """

    def __init__(self, path: Path, mode: int, *, pack: bool, keep_days: int | None) -> None:
        self.path = path
        self.files = DayFiles(mode)
        self.ending = Event()
        self._mode = mode
        self._pack = pack
        self._keep_days = keep_days
        self._cleared: date | None = None
        self._begin = -math.inf  # what the clock showed when the ticks began
        self._evenly_since = 0.0  # in ticks

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Let nobody else write into the folder meanwhile; it is made if it is not there."""
        # Who may read the files may look into the folder.
        self.path.mkdir(self._mode | (self._mode & _READERS) >> 2 | 0o700, True, True)  # noqa: FBT003
        lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            until = monotonic() + PATIENCE
            while not _lock(lock):
                if monotonic() > until:
                    raise OSError(0, "another program writes into it, and does not end")
                self.go_on(LOOK)
            yield
        finally:
            os.close(lock)

    def go_on(self, wait: float = 0.0) -> None:
        """Wait for some seconds, unless it ends.

        Raises:
            OSError: it does.
        """
        if self.ending.wait(wait):
            raise OSError(0, "somebody else writes into it, and this program ends")

    def places(self) -> list[Place]:
        """Return all files of ours; those of one form by their days."""
        with os.scandir(self.path) as found:
            places = [place_of(entry.name) for entry in found]
        return sorted(place for place in places if place is not None)

    def of_day(self, form: str, day: date, part: int = 1) -> Place:
        """Return where a day's lines stand or shall stand: in the packed file if there is one."""
        packed = Place(form, day, part, packed=True)
        return packed if (self.path / packed.name).exists() else packed._replace(packed=False)

    def parts(self, form: str, day: date) -> int:
        """Return how many parts a day has."""
        count = 0
        while (self.path / self.of_day(form, day, count + 1).name).exists():
            count += 1
        return count

    def columns(self, place: Place) -> tuple[str, ...]:
        """Return the columns that a table's head tells; none if it has no head yet."""
        line = self.files.first_line(self.path / place.name).decode("utf-8", "replace")
        return tuple(next(csv.reader([line]), ()))

    def newest_columns(self) -> tuple[str, ...]:
        """Return the columns of the newest table."""
        tables = [place for place in self.places() if place.form == "csv"]
        return self.columns(tables[-1]) if tables else ()

    # Clearing up

    def touched(self, day: date) -> None:
        """Note that something was added to a day."""
        if self._cleared is not None and day < self._cleared:
            self._cleared = None

    def clear_up(self, now: float = math.nan, ticks: float = math.nan) -> None:
        """Pack and remove what is due, one file at most that is packed.

        Args:
            now: unix time; now, if it is not given.
            ticks: seconds of the clock that nobody sets.
        """
        now, ticks = (time(), monotonic()) if math.isnan(now) else (now, ticks)
        today = date.fromtimestamp(now)
        if abs(now - ticks - self._begin) > LEAP:
            self._begin, self._evenly_since = now - ticks, ticks
            self._cleared = None
        sure = ticks - self._evenly_since >= EVENLY
        if self._cleared == today and (sure or self._keep_days is None):
            return
        places = self.places()
        if sure and self._keep_days is not None:
            oldest = today - timedelta(days=self._keep_days)
            for place in places:
                if place.day < oldest:
                    (self.path / place.name).unlink(missing_ok=True)
            places = [place for place in places if place.day >= oldest]
        due = [place for place in places if place.day < today and not place.packed]
        if self._pack and due:
            self.files.pack(self.path / due[0].name)
            due.pop(0)
        if not (self._pack and due) and (sure or self._keep_days is None):
            self._cleared = today


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
