"""Looking into the store beside a server that writes it; what is looked at is read in pages."""

from collections.abc import Callable, Iterator, Mapping
from heapq import merge
from itertools import chain, dropwhile, islice
from math import inf, nextafter
from pathlib import Path
from typing import Any, NamedTuple, Self

from inverterproto.errors import ProtocolError
from inverterproto.families import FAMILIES
from inverterproto.reading import Dated, Reading, TimeSource
from inverterproto_cli.store.schema import (
    CALENDAR,
    DEVICE_COLUMNS,
    arrival_of,
    open_for_reading,
    state_of,
    time_of,
)
from inverterproto_cli.store.sinks import SetAside, SinkRow, all_set_aside, all_sinks

PAGE = 500
"""Rows that are read at once: between pages the server may clean up its log."""
_SHORTEST_PAGE = 20
_LAST_ONES = 300
_LAST = 1 << 62
"""No record has so great a number."""

_KEPT = (
    "SELECT record.id, CAST(record.number AS INTEGER), CAST(record.family AS TEXT), "  # noqa: S608
    "CAST(record.kind AS TEXT), CAST(device.serial AS TEXT), CAST(carrier.serial AS TEXT), "
    "CAST(record.sender AS TEXT), record.historic, CAST(record.answered AS TEXT), "
    f"{arrival_of('record.arrival')}, CAST(record.stamp AS REAL), {time_of('record.time')}, "
    "CAST(record.source AS TEXT), CAST(record.clock_offset AS REAL), record.repeated, "
    f"{time_of('record.repeated_at')}, record.masked, CAST(record.frame AS BLOB) FROM record "
    "LEFT JOIN device ON device.id = record.device "
    "LEFT JOIN device AS carrier ON carrier.id = record.via "
)
"""Whatever happened to the file, a column has the type that it should have, and a time a date."""

_STRAY = (
    f"record.id IN (SELECT id FROM record WHERE known = 1 AND time < {CALENDAR[0]:f} "  # noqa: S608
    f"UNION ALL SELECT id FROM record WHERE known = 1 AND time >= {CALENDAR[1]:f})"
)
UNDATED = ("record.known = 1 AND record.time IS NULL", _STRAY)
"""Conditions of what is known and has no date; the second is met in damaged files only.

An index finds each: so the second does not say again that it is known, which would lead to another.
"""


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
    repeated_at: float | None
    masked: bool
    frame: bytes

    @property
    def last(self) -> float:
        """When it came the last time."""
        return self.arrival if self.repeated_at is None else self.repeated_at

    def message(self) -> Any:  # noqa: ANN401 - the family's own message, or None
        """Return what the frame says, or None of bytes that are none."""
        family = FAMILIES.get(self.family or "")
        if family is None or self.kind == "unframed":
            return None
        try:
            return family.message(family.framing.parse(self.frame))
        except ProtocolError:  # whatever happened to the file, the other records can be read
            return None

    def readings(self, confidence: str = "B") -> list[Reading]:
        """Return what was measured, by today's layouts, with the time it was given."""
        message = self.message()
        return [] if message is None else self.readings_of(message, confidence)

    def readings_of(self, message: Any, confidence: str) -> list[Reading]:  # noqa: ANN401 - as above
        """Return what its message measured."""
        try:
            source = TimeSource(self.source or TimeSource.UNKNOWN)
        except ValueError:
            source = TimeSource.UNKNOWN
        dated = Dated(None, self.time, source, self.clock_offset)
        return [record.dated(dated) for record in message.records(confidence)]


class Device(NamedTuple):
    """A device as it is known."""

    id: int
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
        self.close()

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    def devices(self) -> list[Device]:
        """Return all devices, the one last heard first.

        Of what came in no family's frame the device is known by the connection alone: it is
        another one only if no family knows its serial.
        """
        rows = self._connection.execute(
            f"SELECT {DEVICE_COLUMNS}, state FROM device AS own "  # noqa: S608
            "WHERE family IS NOT NULL OR NOT EXISTS (SELECT 1 FROM device "
            "WHERE serial = own.serial AND family IS NOT NULL) ORDER BY last DESC, id"
        ).fetchall()
        return [Device._make((*row[:7], state_of(row[7]) or {})) for row in rows]

    def known(self) -> set[tuple[str, str]]:
        """Return family and serial of all devices, and of the loggers that carry them."""
        return {
            (one.family or "", serial)
            for one in self.devices()
            for serial in (one.serial, one.via or one.serial)
        }

    def device(self, family: str, serial: str) -> Device | None:
        """Return a device by its name, or None if it is not known."""
        row = self._connection.execute(
            f"SELECT {DEVICE_COLUMNS}, state FROM device WHERE family = ? AND serial = ?",  # noqa: S608
            (family, serial),
        ).fetchone()
        return None if row is None else Device._make((*row[:7], state_of(row[7]) or {}))

    def latest(self, device: int, kind: str) -> Kept | None:
        """Return the record of device information of a kind that came last from a device."""
        row = self._connection.execute(
            f"{_KEPT}WHERE record.kind IN ('handshake', 'configuration') "
            "AND record.device = ? AND record.kind = ? ORDER BY record.id DESC LIMIT 1",
            (device, kind),
        ).fetchone()
        return None if row is None else Kept(*row)

    def newest(
        self,
        device: str | None = None,
        since: float | None = None,
        until: float | None = None,
        *,
        oldest_first: bool = False,
        behind: tuple[float, int] | None = None,
    ) -> Iterator[Kept]:
        """Yield the records by the time of measuring, else of arrival, the newest first.

        Args:
            device: only of this one and, if it is a logger, of all that it carries.
            since: only what was measured from then on, in unix seconds.
            until: only what was measured before.
            oldest_first: the other way round.
            behind: only what comes behind the record at this place (`place_of`).
        """
        first, end = (-inf if since is None else since, inf if until is None else until)
        if behind is not None and oldest_first:
            first = max(first, behind[0])
        elif behind is not None:
            end = min(end, nextafter(behind[0], inf))
        span = first, end
        numbers: list[int | None] = [None]
        if device is not None:
            numbers = [one.id for one in self.devices() if device in (one.serial, one.via)]
        page = max(PAGE // (len(numbers) or 1), _SHORTEST_PAGE)
        walk = self._ascend if oldest_first else self._walk
        walks = [each for number in numbers for each in walk(number, span, page)]
        merged = merge(*walks, key=place_of, reverse=not oldest_first)
        if behind is None:
            return merged
        at = behind
        return dropwhile(
            lambda kept: place_of(kept) <= at if oldest_first else place_of(kept) >= at, merged
        )

    def newest_of(self, device: int, most: int) -> Iterator[Kept]:
        """Yield the records of one device by its number, the newest first, in pages of `most`."""
        for walk in self._walk(device, (-inf, inf), most):
            yield from walk

    def present(self, device: int, until: float = inf) -> list[Kept]:
        """Return the newest dated record of each kind that a device had not kept.

        Only its last records before a time are looked at, and the device information that came
        last.
        """
        walks = self._walk(device, (-inf, until), _LAST_ONES)
        last = islice(chain.from_iterable(walks), _LAST_ONES)
        about = (self.latest(device, kind) for kind in ("handshake", "configuration"))
        found: dict[str | None, Kept] = {}
        for kept in (*last, *about):
            if kept is None or kept.historic or kept.time is None or kept.number is None:
                continue
            if kept.time < until:
                found.setdefault(kept.kind, kept)
        return list(found.values())

    def _walk(
        self, device: int | None, span: tuple[float, float], page: int
    ) -> tuple[Iterator[Kept], ...]:
        """Return the dated and the undated records of a device, or of all, the newest first."""
        whose, values = _whose(device)
        since, until = dated_span(span)
        dated = self._pages(
            "WHERE record.known = 1 AND (record.time, record.id) < (?, ?) AND record.time >= ? "
            f"{whose}ORDER BY record.time DESC, record.id DESC LIMIT ?",
            (until, -1),
            lambda kept: (kept.time, kept.id),
            (since, *values, page),
        )
        return dated, *(
            self._pages(
                f"WHERE {undated} AND record.id < ? "
                f"AND record.arrival >= ? AND record.arrival < ? {whose}"
                "ORDER BY record.id DESC LIMIT ?",
                (_LAST,),
                lambda kept: (kept.id,),
                (*span, *values, page),
            )
            for undated in UNDATED
        )

    def _ascend(
        self, device: int | None, span: tuple[float, float], page: int
    ) -> tuple[Iterator[Kept], ...]:
        """Return the dated and the undated records of a device, or of all, the oldest first."""
        whose, values = _whose(device)
        since, until = dated_span(span)
        dated = self._pages(
            "WHERE record.known = 1 AND (record.time, record.id) > (?, ?) AND record.time < ? "
            f"{whose}ORDER BY record.time, record.id LIMIT ?",
            (since, -1),
            lambda kept: (kept.time, kept.id),
            (until, *values, page),
        )
        return dated, *(
            self._pages(
                f"WHERE {undated} AND record.id > ? "
                f"AND record.arrival >= ? AND record.arrival < ? {whose}"
                "ORDER BY record.id LIMIT ?",
                (-1,),
                lambda kept: (kept.id,),
                (*span, *values, page),
            )
            for undated in UNDATED
        )

    def _pages(
        self,
        condition: str,
        place: tuple[object, ...],
        place_of: Callable[[Kept], tuple[object, ...]],
        values: tuple[object, ...],
    ) -> Iterator[Kept]:
        """Yield records page by page.

        Args:
            condition: of which the first values say behind what the page begins.
            place: where the first page begins.
            place_of: tells behind which record the next one begins.
            values: the condition's other values; the last is how many records a page has.
        """
        while True:
            rows = self._connection.execute(_KEPT + condition, (*place, *values)).fetchall()
            kept = [Kept(*row) for row in rows]
            yield from kept
            if len(kept) < values[-1]:  # type: ignore[operator]
                return
            place = place_of(kept[-1])

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

    def newest_time(self, device: int, kind: str, before: int, until: float = inf) -> float | None:
        """Return when the newest fresh record of a kind was measured.

        Args:
            device: of the device with this number.
            kind: of its message.
            before: only records with a smaller delivery number.
            until: only records that were measured before.
        """
        time: float | None = self._connection.execute(
            "SELECT CAST(max(time) AS REAL) FROM (SELECT time FROM record WHERE known = 1 "
            "AND device = ? AND time >= ? AND time < ? AND kind = ? AND historic = 0 "
            "AND number < ? ORDER BY time DESC LIMIT 1)",
            (device, CALENDAR[0], min(CALENDAR[1], until), kind, before),
        ).fetchone()[0]
        return time

    def sinks(self) -> list[SinkRow]:
        """Return all sinks that the store knows, by name."""
        return all_sinks(self._connection)

    def set_aside(self, name: str) -> list[SetAside]:
        """Return what a sink has set aside, in that order."""
        return all_set_aside(self._connection, name)

    def unknown(self) -> Iterator[Kept]:
        """Yield what nobody understands, the newest first."""
        return self._pages(
            "WHERE record.known = 0 AND record.id < ? ORDER BY record.id DESC LIMIT ?",
            (_LAST,),
            lambda kept: (kept.id,),
            (PAGE,),
        )

    def count(self) -> int:
        """Return how many records there are."""
        count: int = self._connection.execute("SELECT count(*) FROM record").fetchone()[0]
        return count


def dated_span(span: tuple[float, float]) -> tuple[float, float]:
    """Return the part of a span in which times have a date."""
    return max(span[0], CALENDAR[0]), min(span[1], CALENDAR[1])


def _whose(device: int | None) -> tuple[str, tuple[int, ...]]:
    """Return the condition that a record is of a device, and its values."""
    return ("", ()) if device is None else ("AND record.device = ? ", (device,))


def place_of(kept: Kept) -> tuple[float, int]:
    """Return what records are ordered by: the time of measuring, else of arrival; their number."""
    return (kept.arrival if kept.time is None else kept.time), kept.id
