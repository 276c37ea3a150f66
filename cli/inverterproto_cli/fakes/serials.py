"""The serials of simulated devices: of a kind of their own, and no two the same.

Loggers have the numbers from `FIRST_LOGGER` on; each model of inverter begins a million further, so
that four models at once are four devices, and what is renumbered of captures further still. The
inverter's serial follows from its logger's. A battery's ends in a number, which counts.
"""

import re

FIRST_LOGGER = 4_290_000_000
"""The serial of the first simulated logger."""
SHARE = 1_000_000
"""Loggers of each model."""
FIRST_BATTERY = "SIM000000000001"

_match_battery = re.compile(r"([0-9A-Za-z]{0,30}?)([0-9]{1,15})", re.ASCII).fullmatch


def first_logger(model: int) -> int:
    """Return the serial of the first simulated logger of a model, by the model's number from 0."""
    return FIRST_LOGGER + model * SHARE


def inverter_serial(logger: int) -> str:
    """Return the serial, of ten characters, of the inverter at a logger."""
    if logger < FIRST_LOGGER:  # one that a user has chosen
        return f"SX{logger:08X}"
    return f"SIM{logger - FIRST_LOGGER + 1:07d}"


def battery_serial(number: int, first: str = FIRST_BATTERY) -> str:
    """Return the serial of a battery with a number, from 1 on.

    Args:
        number: of the battery.
        first: the serial of the first; what it ends in is counted up.

    Raises:
        ValueError: it ends in no number, or that has no room for so many.
    """
    name, count = _split(first)
    digits = str(int(count) + number - 1).zfill(len(count))
    if len(digits) > len(count):
        raise ValueError(f"{first!r} has no room for {number:,} serials")
    return name + digits


def is_simulated(*serials: str | None) -> bool:
    """Return whether one of some serials is of the kind that simulated devices have."""
    return any(
        serial is not None
        and (
            serial.startswith("SIM")
            or (serial.isascii() and serial.isdecimal() and FIRST_LOGGER <= int(serial) < 1 << 32)
        )
        for serial in serials
    )


def number_of(serial: str) -> int:
    """Return the number that a battery's serial ends in."""
    return int(_split(serial)[1])


def _split(serial: str) -> tuple[str, str]:
    found = _match_battery(serial)
    if found is None:
        raise ValueError(f"{serial!r} is no serial that ends in a number")
    return found[1], found[2]
