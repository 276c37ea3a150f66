"""How much is kept, and what goes first when it is too much.

The oldest records go, by arrival; what a sink has not had yet goes last, and that is told. What
nobody understands has a budget of its own, so that a flood of junk evicts no reading. All is done
in small steps after a commit, in the writer thread, so that no answer waits for long.

*Age* goes by the host's clock, which may be wrong: one that is ahead by mistake would make all too
old. So nothing is too old until that clock has gone evenly for an hour, by the clock that nobody
sets: after each start, and after each time that it was set. What is removed is told, once a day.
"""

import math
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING

from inverterproto_cli.store.batch import ROW

if TYPE_CHECKING:
    from collections.abc import Callable

    from inverterproto_cli.store.batch import Batch

STEP = 500
"""Rows that are removed at once."""
EVERY = 60.0
"""Seconds between looks at age and size."""
EVENLY = 3600.0
"""Seconds for which the host's clock must have gone evenly before anything is too old."""
LEAP = 60.0
"""Seconds by which a clock that goes evenly may be set nevertheless."""
TELL_EVERY = 86400.0
"""Seconds after which it is told again what was removed."""
_PAGES = 2000


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


class Retention:
    """Removes what is too much.

    Args:
        connection: to the store.
        keep: how much is kept.
        clock: tells unix time in seconds.
        ticks: tells seconds of a clock that nobody sets.

    Attributes:
        removed: records removed.
        undelivered: those of them that a sink had not had.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        keep: Keep,
        *,
        clock: "Callable[[], float]" = time,
        ticks: "Callable[[], float]" = monotonic,
    ) -> None:
        self._connection = connection
        self._keep = keep
        self._path = Path(connection.execute("PRAGMA database_list").fetchone()[2])
        self._unknown = self._count_unknown()
        self._clock = clock
        self._ticks = ticks
        self._looked = -math.inf
        self._begin = -math.inf  # what the clock showed when the ticks began
        self._evenly_since = 0.0  # in ticks
        self._told, self._told_at = 0, -math.inf
        self.removed = 0
        self.undelivered = 0

    def after(self, batch: "Batch") -> None:
        """Remove what is too much, after a batch was written."""
        if batch.removals:
            self._unknown = self._count_unknown()
        else:
            self._unknown += batch.unknown
        if self._unknown > self._keep.unknown:
            self._trim_unknown()
        ticks = self._ticks()
        if ticks - self._looked >= EVERY:
            self._looked = ticks
            self._trim(self._clock(), ticks)

    def news(self) -> str | None:
        """Return what was removed, if it is time to tell it."""
        count, ticks = self.removed - self._told, self._ticks()
        if not count or ticks - self._told_at < TELL_EVERY:
            return None
        self._told, self._told_at = self.removed, ticks
        return f"{count:,} records were removed: too old, or too much (--keep-days, --keep-size)"

    def _trim(self, now: float, ticks: float) -> None:
        """Remove what is too old, and what makes the file too large."""
        if abs(now - ticks - self._begin) > LEAP:
            self._begin, self._evenly_since = now - ticks, ticks
        if ticks - self._evenly_since >= EVENLY:
            oldest = now - self._keep.days * 86400
            while self._remove("arrival < ?", oldest) == STEP:
                pass
        if self.size + self._log_size > self._keep.size:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            # What is removed is written to the log first: it must not count against itself.
            most = self._keep.size - self._log_size
            while self.size > most and (self._remove("1") or self._remove_undelivered()):
                pass
        self._shrink()

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

    def _trim_unknown(self) -> None:
        """Make room for what nobody understands: more than must be, as counting takes long."""
        self._unknown = self._count_unknown()  # what came again was counted twice
        if self._unknown > self._keep.unknown:
            while self._unknown > self._keep.unknown * 0.9 and self._remove_unknown():
                pass

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
        self.removed += len(rows)
        return len(rows)

    def _remove(self, condition: str, *values: object) -> int:
        """Remove the oldest records that every sink has had; return how many."""
        count = self._connection.execute(
            "DELETE FROM record WHERE id IN (SELECT id FROM record WHERE id <= "  # noqa: S608
            "(SELECT min(id) + ? FROM record) AND " + condition + " AND "
            "(number IS NULL OR number <= (SELECT coalesce(min(number), 1 << 62) FROM sink)))",
            (STEP - 1, *values),
        ).rowcount
        self.removed += count
        return count

    def _remove_undelivered(self) -> int:
        count = self._connection.execute(
            "DELETE FROM record WHERE id IN (SELECT id FROM record ORDER BY id LIMIT ?)", (STEP,)
        ).rowcount
        self.removed += count
        self.undelivered += count
        return count

    def _shrink(self) -> None:
        self._connection.execute(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
