"""A battery as it is from one connection to the next: clock, settings, stored minutes.

Theory of operation
-------------------
*What it measures* comes from the caller, as fields by the keys of statuses and records. The same
time must give the same: a stored record is made when it is asked for, and asked for twice it must
be the same.

*The clock* is off by `offset` and drifts; the record of a minute is stamped with what it shows at
the end of that minute, and made whether or not there is a connection. Of minutes as many are held
as `capacity` says: how many a real battery holds is not known.
"""

from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from inverterproto.alphaess.clock import format_stamp
from inverterproto.alphaess.commands import login
from inverterproto.alphaess.fields import (
    CONFIGURATION,
    EVENT_LOG,
    RECORD,
    STATUS,
    STORED,
    fields_of,
)
from inverterproto.alphaess.frame import Frame
from inverterproto.alphaess.messages import build
from inverterproto.alphaess.table import COLUMNS, ROWS

MINUTE = 60.0  # seconds
CAPACITY = 10080  # minutes held: a week

_CAME_ONLINE = 41  # the code that V's battery logs newest when it connects
_STATUS_KEYS, _RECORD_KEYS, _COLUMNS = (
    tuple(field.name for field in fields_of(name)) for name in (STATUS, RECORD, STORED)
)
_STORED_KEYS = ("Date", *(key for key in _COLUMNS if key != "Date"))
_OWN_KEYS = frozenset(field.name for field in fields_of(CONFIGURATION))

Measure = Callable[[float], Mapping[str, Any]]
"""Gives what is measured at some unix time, by the keys of a full record."""


class Battery:
    """What a battery is from one connection to the next.

    Args:
        serial: its SN.
        measure: gives what it measures; the same for the same time.
        now: unix time, from which on it stores records.
        password: of its login.
        offset: its clock minus UTC, in seconds.
        drift: what its clock gains, in seconds a second.
        configuration: its settings, by the keys of its own configuration.
        capacity: the number of minutes of which it holds the records.

    Attributes:
        serial: its SN.
        configuration: its settings.
        logged_in: whether a login of its was answered: then it sends none any more.
    """

    def __init__(
        self,
        serial: str,
        measure: Measure,
        now: float,
        *,
        password: str = "",
        offset: float = 0.0,
        drift: float = 0.0,
        configuration: Mapping[str, Any] | None = None,
        capacity: int = CAPACITY,
    ) -> None:
        self.serial = serial
        self.configuration = dict(configuration or {})
        self.logged_in = False
        self._password = password
        self._measure = measure
        self._offset, self._drift = offset, drift
        self._set_at = now  # when the clock was set
        self._minutes: deque[tuple[float, float]] = deque(maxlen=capacity)  # time and stamp of each
        self._next_minute = now + MINUTE

    def clock(self, now: float) -> float:
        """Return what its clock shows, as `clock.parse_stamp` has it."""
        return now + self._offset + self._drift * (now - self._set_at)

    def set_clock(self, now: float, shown: float) -> None:
        """Set its clock."""
        self.store(now)
        self._offset, self._set_at = shown - now, now

    def store(self, now: float) -> None:
        """Store the records of the minutes that have ended by now."""
        skipped = int((now - self._next_minute) // MINUTE) + 1 - (self._minutes.maxlen or 0)
        self._next_minute += MINUTE * max(0, skipped)
        while self._next_minute <= now:
            self._minutes.append((self._next_minute, self.clock(self._next_minute)))
            self._next_minute += MINUTE

    def held(self, since: float | None, minutes: int | None) -> list[tuple[float, float]]:
        """Return time and stamp of stored records, in the order in which they were made.

        Args:
            since: by its clock; None for all that it holds.
            minutes: so many at most; None for all.
        """
        found = (each for each in self._minutes if since is None or each[1] >= since)
        return list(islice(found, minutes))

    def login(self) -> Frame:
        """Return its login."""
        return login(self.serial, self._password)

    def event_log(self, now: float) -> Frame:
        """Return an event log that says that it came online."""
        event = f"{format_stamp(self.clock(now))[2:]} {_CAME_ONLINE};"
        return build(EVENT_LOG, {"MsgType": "EventLog", "MsgContent": event, "Description": "OK"})

    def status(self, now: float) -> Frame:
        """Return its status."""
        return build(STATUS, self._fields(_STATUS_KEYS, now, self.clock(now)))

    def record(self, now: float) -> Frame:
        """Return its full record."""
        return build(RECORD, self._fields(_RECORD_KEYS, now, self.clock(now)))

    def stored(self, minutes: list[tuple[float, float]]) -> Frame:
        """Return the stored records of some minutes."""
        rows = [self._fields(_STORED_KEYS, time, stamp) for time, stamp in minutes]
        columns = [key for key in _STORED_KEYS if any(key in row for row in rows)]
        table = {COLUMNS: columns, ROWS: [[row.get(key, "") for key in columns] for row in rows]}
        return build(STORED, table)

    def own_configuration(self) -> Frame:
        """Return its own configuration."""
        return build(CONFIGURATION, {"SN": self.serial, **self.configuration})

    def configure(self, fields: Mapping[str, Any]) -> None:
        """Take the settings that a configuration of the cloud changes.

        It keeps the keys that it has: the cloud's configuration has others, too.
        """
        known = self.configuration.keys() & _OWN_KEYS
        self.configuration |= {key: fields[key] for key in known if key in fields}

    def _fields(self, keys: tuple[str, ...], now: float, stamp: float) -> dict[str, Any]:
        """Return what is measured at a time by the keys of one kind of message."""
        measured = self._measure(now)
        day, _, time = format_stamp(stamp).partition(" ")
        apart = "Date" in keys
        own = {
            "Date": day,
            "Time": time if apart else f"{day} {time}",
            "SN": self.serial,
            **{f"Vpv{n}": measured[f"Upv{n}"] for n in (1, 2) if f"Upv{n}" in measured},
        }
        found = {**measured, **own}
        return {key: found[key] for key in keys if key in found}
