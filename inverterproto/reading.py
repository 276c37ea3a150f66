"""A reading: which device, when, and what was measured.

Readings are what the rest of the world sees of a frame. Their values go by the keys and signs of
`inverterproto.quantity`; what is absent from `values` was not measured. A reading's time is the
time of *acquisition*, and always tells where it comes from; arrival is another thing and never
silently stands in for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from inverterproto.quantity import Number

_SHOWN_IN_SECONDS = 600.0
_DAY, _YEAR = 86_400.0, 365.25 * 86_400.0


class TimeSource(StrEnum):
    """Where a reading's time comes from."""

    DEVICE = "device"
    """The device's own clock, as the record itself tells it."""
    DEVICE_CORRECTED = "device-corrected"
    """The device's stamp, put right by what is surely known of its clock."""
    ESTIMATED = "estimated"
    """The device's stamp, put right by what its neighbours make likely."""
    ARRIVAL = "arrival"
    """The time at which the record reached us."""
    UNKNOWN = "unknown"
    """It cannot be known; the time is None."""


class Dated(NamedTuple):
    """The answer of a dating class (`deye.dating`, `alphaess.clock`) about one record.

    `key` is the caller's own name for the record; `time` is in unix seconds (None if unknown);
    `offset` is what was added to the device's stamp to get it (None where the time does not come
    from the device's stamp).
    """

    key: object
    time: float | None
    source: TimeSource
    offset: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What one device measured at one moment.

    Attributes:
        family: `"deye"` or `"alphaess"`.
        device: the serial of the inverter or battery where it is told, else the logger's.
        time: unix seconds of the acquisition, or None where that cannot be known.
        time_source: where `time` comes from.
        historic: whether the device kept the record and sent it later.
        values: quantity key → value in the quantity's unit and with our signs.
        kind: what kind of message it came in: `"data"`, `"handshake"`, `"wifi"` of a logger;
            `"status"`, `"record"`, `"stored"`, `"configuration"` of a battery.
        via: the serial of the logger that carried it, where there is one.
    """

    family: str
    device: str | None
    time: float | None
    time_source: TimeSource
    historic: bool
    values: Mapping[str, Number | str] = field(default_factory=dict)
    kind: str = "data"
    via: str | None = None

    def to_json(self) -> dict[str, object]:
        """Return the reading as the JSON contract has it (see `docs/json.md`)."""
        return {
            "device": self.device,
            "via": self.via,
            "kind": self.kind,
            "time": None if self.time is None else utc_text(self.time),
            "time_source": str(self.time_source),
            "historic": self.historic,
            "values": dict(self.values),
        }


@dataclass(frozen=True, slots=True)
class Record:
    """What one device measured at one moment that has yet to be dated.

    Attributes:
        family: `"deye"` or `"alphaess"`.
        device: the serial of the inverter or battery where it is told, else the logger's.
        stamp: the device's own time: a `deye.dating.Stamp`, or a battery's naive local time in
            seconds; None where there is none.
        historic: whether the device kept the record and sent it later.
        values: quantity key → value.
        kind: the message it came in.
        via: the serial of the logger that carried it, where there is one.
    """

    family: str
    device: str | None
    stamp: object
    historic: bool
    values: Mapping[str, Number | str]
    kind: str
    via: str | None = None

    def dated(self, date: Dated) -> Reading:
        """Return the reading that this is by a date."""
        return Reading(
            self.family,
            self.device,
            date.time,
            date.source,
            self.historic,
            self.values,
            self.kind,
            self.via,
        )


def span_text(seconds: float) -> str:
    """Return a difference of times for people, no finer than it matters.

    >>> [span_text(span) for span in (80.4, 3600, -4799, 302400, -178702984)]
    ['+80 s', '+1 h', '-1 h 20 min', '+3.5 days', '-5.7 years']
    """
    sign, span = "-" if seconds < 0 else "+", abs(seconds)
    if span < _SHOWN_IN_SECONDS:
        return f"{sign}{span:.0f} s"
    if span < 2 * _DAY:
        hours, minutes = divmod(round(span / 60), 60)
        parts = (f"{hours} h" if hours else "", f"{minutes} min" if minutes else "")
        return sign + " ".join(filter(None, parts))
    if span < 2 * _YEAR:
        return f"{sign}{span / _DAY:,.1f} days"
    return f"{sign}{span / _YEAR:,.1f} years"


def utc_text(time: float) -> str:
    """Return unix seconds as RFC 3339 text in UTC, to the second or, if need be, the millisecond.

    >>> utc_text(1712596443)
    '2024-04-08T17:14:03Z'
    """
    moment = datetime.fromtimestamp(round(time, 3), UTC)
    spec = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=spec).replace("+00:00", "Z")
