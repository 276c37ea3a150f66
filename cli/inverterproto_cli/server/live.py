"""Readings as they come, a line each on standard output: for people, or as JSON."""

import json
import sys
from datetime import datetime

from inverterproto.families import FAMILIES
from inverterproto.quantity import lookup
from inverterproto.reading import Dated, Reading
from inverterproto.session import Record
from inverterproto_cli.show import printable

_FIRST = (
    "active_power", "pv_power", "grid_power", "battery_power", "battery_soc", "energy_today",
    "pv_energy_today", "energy_total",
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


def line(reading: Reading) -> str:
    """Return a reading in a line for people, in local time."""
    if reading.time is None:
        when = "time unknown       "
    else:
        when = datetime.fromtimestamp(reading.time).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    parts = [when, printable(reading.device or "unknown device")]
    if reading.historic:
        parts.append("historic")
    values = reading.values
    keys = [key for key in _FIRST if key in values]
    keys += [key for key in values if key not in keys and not lookup(key).diagnostic]
    for key in keys[:_MOST]:
        unit = lookup(key).unit
        parts.append(f"{key} {printable(str(values[key]))}" + (f" {unit}" if unit else ""))
    if len(values) > _MOST:
        parts.append(f"+{len(values) - _MOST}")
    return "  ".join(parts)


class Live:
    """Shows readings as they come.

    Args:
        as_json: as the JSON of `decode` has them.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def __call__(self, record: Record, dated: Dated) -> None:
        """Show what a record measured."""
        for reading in readings_of(record, dated):
            if self._as_json:
                shown = json.dumps({"family": reading.family, **reading.to_json()})
            else:
                shown = line(reading)
            sys.stdout.write(shown + "\n")
        sys.stdout.flush()
