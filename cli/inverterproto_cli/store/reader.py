"""Looking into the store beside a server that writes it; what is looked at is read in pages."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

from inverterproto.families import FAMILIES
from inverterproto.reading import Dated, Reading, TimeSource
from inverterproto_cli.store.schema import open_for_reading

PAGE = 500
"""Rows that are read at once: between pages the server may clean up its log."""

_KEPT = (
    "SELECT record.id, record.number, record.family, record.kind, device.serial, "
    "carrier.serial, record.sender, record.historic, record.answered, record.arrival, "
    "record.stamp, record.time, record.source, record.clock_offset, record.repeated, "
    "record.masked, record.frame FROM record "
    "LEFT JOIN device ON device.id = record.device "
    "LEFT JOIN device AS carrier ON carrier.id = record.via "
)


class Kept(NamedTuple):
    """A record as it is kept."""

    id: int
    number: int | None
    family: str | None
    kind: str
    device: str | None
    via: str | None
    sender: str
    historic: bool
    answered: str | None
    arrival: float
    stamp: float | None
    time: float | None
    source: str | None
    clock_offset: float | None
    repeated: int
    masked: bool
    frame: bytes

    def message(self) -> Any:  # noqa: ANN401 - the family's own message, or None
        """Return what the frame says, or None of bytes that are none."""
        if self.family is None or self.kind == "unframed":
            return None
        family = FAMILIES[self.family]
        return family.message(family.framing.parse(self.frame))

    def readings(self, confidence: str = "B") -> list[Reading]:
        """Return what was measured, by today's layouts, with the time it was given."""
        message = self.message()
        if message is None:
            return []
        source = TimeSource.UNKNOWN if self.source is None else TimeSource(self.source)
        dated = Dated(None, self.time, source, self.clock_offset)
        return [record.dated(dated) for record in message.records(confidence)]


class Device(NamedTuple):
    """A device as it is known."""

    family: str | None
    serial: str
    via: str | None
    first: float
    last: float
    answered: str | None
    state: Mapping[str, Any]


class Reader:
    """Reads a store. Use it in a `with` statement.

    Raises:
        StoreError: there is none, or it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._connection = open_for_reading(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._connection.close()

    def devices(self) -> list[Device]:
        """Return all devices, the one last heard first."""
        rows = self._connection.execute(
            "SELECT family, serial, via, first, last, answered, state FROM device "
            "ORDER BY last DESC"
        ).fetchall()
        return [Device._make((*row[:6], json.loads(row[6] or "{}"))) for row in rows]

    def latest(self, device: str, kind: str) -> Kept | None:
        """Return the latest record of a kind that a device, or what it carries, sent."""
        row = self._connection.execute(
            _KEPT + "WHERE (device.serial = ? OR carrier.serial = ?) AND record.kind = ? "
            "ORDER BY record.id DESC LIMIT 1",
            (device, device, kind),
        ).fetchone()
        return None if row is None else Kept(*row)

    def newest(self, device: str | None = None, since: float | None = None) -> Iterator[Kept]:
        """Yield the records by the time of measuring, the newest first, the undated last."""
        conditions, values = _conditions(device, since)
        last: tuple[float, int] | None = None
        while True:
            more, bound = "", list(values)
            if last is not None:
                more = "AND (coalesce(record.time, 0), record.id) < (?, ?) "
                bound += last
            rows = self._connection.execute(
                f"{_KEPT}WHERE record.known = 1 {conditions}{more}"
                "ORDER BY coalesce(record.time, 0) DESC, record.id DESC LIMIT ?",
                (*bound, PAGE),
            ).fetchall()
            kept = [Kept(*row) for row in rows]
            yield from kept
            if len(kept) < PAGE:
                return
            last = kept[-1].time or 0.0, kept[-1].id

    def delivered_after(self, number: int, most: int = PAGE) -> list[Kept]:
        """Return the next records by their number."""
        rows = self._connection.execute(
            _KEPT + "WHERE record.number > ? ORDER BY record.number LIMIT ?", (number, most)
        ).fetchall()
        return [Kept(*row) for row in rows]

    def last_number(self) -> int:
        """Return the number of the last record that was dated."""
        number: int = self._connection.execute(
            "SELECT coalesce(max(number), 0) FROM record"
        ).fetchone()[0]
        return number

    def unknown(self) -> Iterator[Kept]:
        """Yield what nobody understands, the newest first."""
        before = 1 << 62
        while True:
            rows = self._connection.execute(
                _KEPT + "WHERE record.known = 0 AND record.id < ? ORDER BY record.id DESC LIMIT ?",
                (before, PAGE),
            ).fetchall()
            kept = [Kept(*row) for row in rows]
            yield from kept
            if len(kept) < PAGE:
                return
            before = kept[-1].id

    def count(self) -> int:
        """Return how many records there are."""
        count: int = self._connection.execute("SELECT count(*) FROM record").fetchone()[0]
        return count


def _conditions(device: str | None, since: float | None) -> tuple[str, list[Any]]:
    text = ""
    values: list[Any] = []
    if device is not None:
        text += "AND (device.serial = ? OR carrier.serial = ?) "
        values += [device, device]
    if since is not None:
        text += "AND record.time >= ? "
        values.append(since)
    return text, values


def is_locked(error: sqlite3.Error) -> bool:
    """Return whether an error says that another process has the file for itself."""
    return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
