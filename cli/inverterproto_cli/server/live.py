"""Readings as they come, a line each on standard output: for people, or as JSON.

A reader that is slow, or gone (`| head`), is no reason to stop: devices are still answered, and
what they send is still kept. It is said.
"""

import json
import logging
from collections.abc import Sequence
from time import time

from inverterproto.families import FAMILIES
from inverterproto.quantity import lookup
from inverterproto.reading import Dated, Reading
from inverterproto.session import Record
from inverterproto_cli.local_time import LocalTimes
from inverterproto_cli.server.logs import Log
from inverterproto_cli.server.outlet import Outlet
from inverterproto_cli.show import printable

FIRST = (
    "active_power", "pv_power", "grid_power", "battery_power", "state_of_charge", "load_power",
    "energy_today", "pv_energy_today", "energy_total",
)  # fmt: skip
"""What a line shows first, where it was measured."""
_MOST = 6
"""Quantities in a line."""


def readings_of(record: Record, dated: Dated, confidence: str = "B") -> list[Reading]:
    """Return what a record measured."""
    if record.family is None or not record.known:
        return []
    family = FAMILIES[record.family]
    message = family.message(family.framing.parse(record.frame))
    return [one.dated(dated) for one in message.records(confidence)]


def line(
    reading: Reading,
    times: LocalTimes,
    arrival: float | None = None,
    columns: Sequence[str] = (),
) -> str:
    """Return a reading in a line for people.

    Args:
        reading: what was measured.
        times: writes times.
        arrival: when it came: shown, after a `~`, where nobody knows when it was measured.
        columns: the quantities that are shown; if none, those that matter most.
    """
    at = arrival if reading.time is None else reading.time
    when = "time unknown" if at is None else times.text(at)
    if reading.time is None and at is not None:
        when = f"~{when}"
    parts = [f"{when:19}", printable(reading.device or "unknown device")]
    if reading.historic:
        parts.append("historic")
    values = reading.values
    keys = [key for key in FIRST if key in values]
    keys += [key for key in values if key not in keys and not lookup(key).diagnostic]
    # Of what has no others, the diagnostics.
    keys = [key for key in columns if key in values] or (keys or list(values))[:_MOST]
    for key in keys:
        unit = lookup(key).unit
        parts.append(f"{key} {printable(str(values[key]))}" + (f" {unit}" if unit else ""))
    if len(values) > _MOST and not columns:
        parts.append(f"+{len(values) - _MOST}")
    return "  ".join(parts)


class Live:
    """Shows readings as they come.

    Args:
        out: where to.
        log: is told when the reader is too slow, or gone.
        as_json: as the JSON of `decode` has them.
    """

    def __init__(self, out: Outlet, log: Log, *, as_json: bool) -> None:
        self._out = out
        self._log = log
        self._as_json = as_json
        self._times = LocalTimes(time())
        self._told_gone = False
        self._dropped = 0

    def __call__(self, record: Record, dated: Dated) -> None:
        """Show what a record measured."""
        out = self._out
        if out.gone is None:
            for reading in readings_of(record, dated):
                out.write(self._text(reading) + "\n")
        elif not self._told_gone:
            self._told_gone = True
            text = f"standard output: {out.gone}; readings are shown no more, all else goes on"
            self._log.tell("output-gone", text, logging.WARNING)
        if out.dropped > self._dropped:
            self._dropped = out.dropped
            text = "whoever reads standard output is too slow: some readings are not shown"
            self._log.complain("output-slow", text, time())

    def _text(self, reading: Reading) -> str:
        if self._as_json:
            return json.dumps({"family": reading.family, **reading.to_json()})
        return line(reading, self._times)
