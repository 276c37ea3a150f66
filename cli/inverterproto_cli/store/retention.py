"""How much is kept, and what goes first when it is too much.

Theory of operation
-------------------
The oldest records go, by arrival; what a sink has not had yet goes last. What nobody understands
has a budget of its own, so that a flood of junk evicts no reading.

*In small steps.* There may be a million records too much, and no answer may wait for them. So what
is to be done is a *round*, a generator that stands still behind each step, a transaction of
`STEP` rows. Behind a batch go as many steps as keep up with what it brought; where no batch waits,
the writer thread goes on by itself. A step that fails ends the round; the next look begins another.

*Age* goes by the host's clock, which may be wrong: one that is ahead by mistake would make all too
old. So nothing is too old until that clock has gone evenly for an hour, by the clock that nobody
sets: after each start, and after each time that it was set.

*By age* the records are gone through from the oldest on, until some are met that are kept for their
age. Those that came "in the future", while the clock was ahead, stop nobody.

*By size* what counts is the file and its log. What is removed is written to the log first, and the
log shrinks when it is copied to the file, which somebody who reads an old state for long can hold
up. Then removing would make all only larger: it is told, and waits.

*What was removed is told*, at most once a day for each reason, and counted.
"""

import math
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING

from inverterproto_cli.store.batch import ROW
from inverterproto_cli.store.schema import BUSY_SECONDS

if TYPE_CHECKING:
    from inverterproto_cli.store.batch import Batch

STEP = 500
"""Rows that are removed at once."""
EVERY = 60.0
"""Seconds between looks at age and size."""
EVENLY = 3600.0
"""Seconds for which the host's clock must have gone evenly before anything is too old."""
LEAP = 60.0
"""Seconds by which a clock that goes evenly may be set nevertheless."""
TOLD_EVERY = 86400.0
"""Seconds between two lines about the same reason."""
_PAGES = 2000
_READERS_PATIENCE = 100
"""Milliseconds that readers are waited for: they read pages, which takes less."""


@dataclass(frozen=True, slots=True)
class Keep:
    """How much is kept.

    Attributes:
        days: of records.
        size: bytes of the file and its log.
        unknown: bytes of what nobody understands, with what holds them.
    """

    days: float = 400.0
    size: int = 4 << 30
    unknown: int = 64 << 20


DEFAULT = Keep()
ALL = Keep(days=math.inf, size=1 << 62, unknown=1 << 62)
"""For who has the store for a moment, and does not know how much its server keeps."""

Say = Callable[[str, str], object]
"""Told of an event, by a short name and a text for people."""

_REASONS = {
    "age": ("store-aged", "that are old enough (--keep-days)"),
    "size": ("store-full", "before their time: the file is as large as it may be (--keep-size)"),
    "unknown": ("store-full", "that nobody understands: there are too many (--keep-unknown)"),
    "undelivered": (
        "store-full",
        "that a sink had not had yet: the file is as large as it may be (--keep-size)",
    ),
}
_BLOCKED = (
    "the store is larger than it should be (--keep-size), and cannot shrink while another program "
    "goes on reading an old state of it: which one has the file open?"
)


class Removed:
    """How much was removed; says it, and what hinders it, seldom.

    Args:
        say: is told.
        ticks: tells seconds, by a clock that nobody sets.

    Attributes:
        counts: of records, by reason.
    """

    def __init__(self, say: Say, ticks: Callable[[], float] = monotonic) -> None:
        self.counts: Counter[str] = Counter()
        self._say = say
        self._ticks = ticks
        self._told: dict[str, float] = {}
        self._counted: Counter[str] = Counter()

    def tell(self) -> None:
        """Tell what was removed since it was told last."""
        for reason, (event, why) in _REASONS.items():
            count = self.counts[reason] - self._counted[reason]
            if count and self.complain(
                reason, event, f"the store let go of {count:,} records {why}"
            ):
                self._counted[reason] += count

    def complain(self, about: str, event: str, text: str) -> bool:
        """Say something, unless it was said of late; return whether it was said."""
        now = self._ticks()
        if now - self._told.get(about, -math.inf) < TOLD_EVERY:
            return False
        self._told[about] = now
        self._say(event, text)
        return True


class Retention:
    """Removes what is too much.

    Args:
        connection: to the file.
        keep: how much is kept.
        removed: counts and tells what goes.
        clock: tells unix time in seconds.
        ticks: tells seconds of a clock that nobody sets.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        keep: Keep,
        removed: Removed,
        *,
        clock: Callable[[], float] = time,
        ticks: Callable[[], float] = monotonic,
    ) -> None:
        self._connection = connection
        self._keep = keep
        self._removed = removed
        self._path = Path(connection.execute("PRAGMA database_list").fetchone()[2])
        self._unknown = self._count_unknown()
        self._clock = clock
        self._ticks = ticks
        self._looked = -math.inf
        self._begin = -math.inf  # what the clock showed when the ticks began
        self._evenly_since = 0.0  # in ticks
        self._rounds: list[Iterator[None]] = []

    def after(self, batch: "Batch") -> None:
        """Begin to remove what is too much, after a batch was written."""
        if batch.removals:
            self._unknown = self._count_unknown()
        else:
            self._unknown += batch.unknown
        ticks = self._ticks()
        if not self._rounds:
            if self._unknown > self._keep.unknown:
                self._rounds.append(self._trim_unknown())
            if ticks - self._looked >= EVERY:
                self._looked = ticks
                self._rounds.append(self._trim(self._clock(), ticks))
        for _ in range(1 + 2 * len(batch) // STEP):
            if not self.step():
                return

    def step(self) -> bool:
        """Do the next step; return whether there are more."""
        if not self._rounds:
            return False
        going = self._rounds.pop()
        for _ in going:
            self._rounds.append(going)
            return True
        self._removed.tell()
        return bool(self._rounds)

    def _trim(self, now: float, ticks: float) -> Iterator[None]:
        """Remove what is too old, and what makes the file too large."""
        if abs(now - ticks - self._begin) > LEAP:
            self._begin, self._evenly_since = now - ticks, ticks
        if ticks - self._evenly_since >= EVENLY:
            yield from self._remove_older(now - self._keep.days * 86400, now)
        if self.size + self._log_size > self._keep.size:
            yield from self._trim_size()
        self._shrink()

    def _remove_older(self, oldest: float, now: float) -> Iterator[None]:
        """Go through the records from the first on, until some are to be kept."""
        place = 0
        while (last := self._remove_older_behind(place, oldest, now)) is not None:
            place = last
            yield

    def _remove_older_behind(self, place: int, oldest: float, now: float) -> int | None:
        """Look at some records; return the last of them if there may be more behind."""
        last: int | None = self._connection.execute(
            "SELECT max(id) FROM (SELECT id FROM record WHERE id > ? ORDER BY id LIMIT ?)",
            (place, STEP),
        ).fetchone()[0]
        if last is None:
            return None
        if self._remove("age", "id > ? AND id <= ? AND arrival < ?", place, last, oldest):
            return last
        kept = self._connection.execute(
            "SELECT 1 FROM record WHERE id > ? AND id <= ? AND arrival BETWEEN ? AND ? LIMIT 1",
            (place, last, oldest, now),
        ).fetchone()
        return None if kept else last

    def _trim_size(self) -> Iterator[None]:
        """Remove the oldest until the file is small enough."""
        if not self._shorten_log():
            self._removed.complain("log", "store-full", _BLOCKED)
            return
        # What is removed is written to the log first: it must not count against itself.
        most = self._keep.size - self._log_size
        while self.size > most and (self._remove_oldest() or self._remove_undelivered()):
            yield

    def _shorten_log(self) -> bool:
        """Copy all of the log to the file; return whether nobody held it up."""
        execute = self._connection.execute
        execute(f"PRAGMA busy_timeout = {_READERS_PATIENCE}")
        try:
            blocked: int = execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        finally:
            execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
        return not blocked

    @property
    def size(self) -> int:
        """Bytes of the file that hold something."""
        pages, free, page = (
            self._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * page)

    @property
    def _log_size(self) -> int:
        try:
            return os.stat(self._path.with_name(self._path.name + "-wal")).st_size
        except OSError:
            return 0

    def _trim_unknown(self) -> Iterator[None]:
        """Make room for what nobody understands: more than must be, as counting takes long."""
        self._unknown = self._count_unknown()  # what came again was counted twice
        if self._unknown > self._keep.unknown:
            while self._unknown > self._keep.unknown * 0.9 and self._remove_unknown():
                yield

    def _count_unknown(self) -> int:
        count: int = self._connection.execute(
            "SELECT coalesce(sum(length(frame) + ?), 0) FROM record WHERE known = 0", (ROW,)
        ).fetchone()[0]
        return count

    def _remove_unknown(self) -> int:
        rows = self._connection.execute(
            "DELETE FROM record WHERE id IN (SELECT id FROM record WHERE known = 0 "
            "ORDER BY id LIMIT ?) RETURNING length(frame)",
            (STEP,),
        ).fetchall()
        self._unknown -= sum(size + ROW for (size,) in rows)
        self._removed.counts["unknown"] += len(rows)
        return len(rows)

    def _remove_oldest(self) -> int:
        """Remove the oldest records, if every sink has had them; return how many."""
        return self._remove("size", "id <= (SELECT min(id) + ? FROM record)", STEP - 1)

    def _remove(self, reason: str, condition: str, *values: object) -> int:
        """Remove records that every sink has had; return how many."""
        count = self._connection.execute(
            "DELETE FROM record WHERE " + condition + " AND (number IS NULL OR "  # noqa: S608
            "number <= (SELECT coalesce(min(number), 1 << 62) FROM sink))",
            values,
        ).rowcount
        self._removed.counts[reason] += count
        return count

    def _remove_undelivered(self) -> int:
        count = self._connection.execute(
            "DELETE FROM record WHERE id IN (SELECT id FROM record ORDER BY id LIMIT ?)", (STEP,)
        ).rowcount
        self._removed.counts["undelivered"] += count
        return count

    def _shrink(self) -> None:
        self._connection.execute(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
