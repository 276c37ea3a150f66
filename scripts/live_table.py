"""Draw the newest reading of each device as a table that refreshes.

Reads what `inverterproto readings --follow --json` writes, until there is no more; what the table
shows then stays.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.live import Live
from rich.table import Table

from inverterproto.quantity import lookup

SHOWN = (
    "pv_power",
    "active_power",
    "battery_power",
    "grid_power",
    "load_power",
    "state_of_charge",
)


def table(newest: Mapping[str, Mapping[str, Any]], count: int) -> Table:
    """Return the newest values of each device; `count` readings have come."""
    drawn = Table(caption=f"{count} readings")
    drawn.add_column("device", no_wrap=True)
    drawn.add_column("time", no_wrap=True)
    for key in SHOWN:
        drawn.add_column(f"{key} {lookup(key).unit}".replace("_", "\n"), justify="right")
    for device, values in newest.items():
        drawn.add_row(device, values["time"], *(str(values.get(key, "")) for key in SHOWN))
    return drawn


def main() -> None:
    """Draw until the input ends."""
    newest: dict[str, dict[str, Any]] = {}
    with Live(table(newest, 0), refresh_per_second=10) as live:
        for count, line in enumerate(sys.stdin, 1):
            reading = json.loads(line)
            if any(key in reading["values"] for key in SHOWN):
                time = (reading["time"] or "")[11:19]
                known = newest.setdefault(reading["device"] or "", {})
                known.update(reading["values"], time=time)
            live.update(table(newest, count))


if __name__ == "__main__":
    main()
