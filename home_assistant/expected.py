"""What should be in Home Assistant, made of what `inverterproto readings --json` tells.

Nothing here comes from the sink: not its topics, nor its discovery. What is said of a quantity
stands in `inverterproto.quantity`; the rest are the rules that a householder relies on.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from home_assistant.house import NAMES, OLD_UNIQUE_ID
from home_assistant.stick import INVERTER
from inverterproto.quantity import Number, Quantity, lookup

LAST_SEEN = "last_seen"
_KINDS = {"battery": "Battery", "inverter": "Inverter", "logger": "Logger"}
_many = re.compile(r"cell\d+_|cell_temperature_\d+$|module\d+_").match
"""Cells and modules, of which a battery may have hundreds."""


class Entity(NamedTuple):
    """An entity that should be there.

    Attributes:
        device: the identifier of its device.
        key: of the quantity, or `LAST_SEEN`.
        value: its state.
        time: when that was measured, in unix seconds.
    """

    device: str
    key: str
    value: Number | str
    time: float

    @property
    def quantity(self) -> Quantity | None:
        """What is measured, if anything is."""
        return None if self.key == LAST_SEEN else lookup(self.key)

    @property
    def is_diagnostic(self) -> bool:
        """Whether it describes the device."""
        return self.quantity is None or self.quantity.diagnostic

    @property
    def is_disabled(self) -> bool:
        """Whether Home Assistant shows it only to who asks for it."""
        return _many(self.key) is not None


class Device(NamedTuple):
    """A device that should be there.

    Attributes:
        serial: its own.
        name: what it is called.
        via: the identifier of the logger that carries it, if one does.
        maker: what the manufacturer's name begins with.
        tells_version: whether it tells the version of its firmware.
    """

    serial: str
    name: str
    via: str | None
    maker: str
    tells_version: bool = True


def is_logger(reading: Mapping[str, Any]) -> bool:
    """Return whether a logger tells of itself."""
    return reading["family"] == "deye" and reading["via"] in (None, reading["device"])


def identifier(family: str, serial: str) -> str:
    """Return the identifier of a device."""
    return f"inverterproto_{family}_{serial}"


def unique_id(device: str, key: str) -> str:
    """Return the unique id of an entity."""
    if (device, key) == (identifier("deye", INVERTER), "active_power"):
        return OLD_UNIQUE_ID
    return f"{device}_{key}"


def entities(readings: Iterable[Mapping[str, Any]]) -> dict[str, Entity]:
    """Return the entities that readings make, by their unique ids.

    A quantity that comes in several kinds of message has the value of the kind that comes most
    often. The readings are those of the devices' whole lives, the oldest first.
    """
    newest: dict[tuple[str, str, str], Entity] = {}
    often: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for reading in readings:
        device, kind = identifier(reading["family"], reading["device"]), reading["kind"]
        carrier = reading["device"] if is_logger(reading) else reading["via"]
        time = _unix(reading["time"])
        if not reading["historic"]:
            seen = dict(reading["values"])
            if carrier != reading["device"]:
                seen[LAST_SEEN] = reading["time"]
            for key, value in seen.items():
                often[device, key][kind] += 1
                newest[device, key, kind] = Entity(device, key, value, time)
        if carrier is not None:
            logger = identifier(reading["family"], carrier)
            often[logger, LAST_SEEN]["heard"] += 1
            newest[logger, LAST_SEEN, "heard"] = Entity(
                logger, LAST_SEEN, reading["arrival"], _unix(reading["arrival"])
            )
    found = {}
    for (device, key), kinds in often.items():
        [(kind, _)] = kinds.most_common(1)
        found[unique_id(device, key)] = newest[device, key, kind]
    return found


def devices(readings: Iterable[Mapping[str, Any]]) -> dict[str, Device]:
    """Return the devices that have measured something, or carried it, by their identifiers."""
    found: dict[str, Device] = {}
    for reading in readings:
        family, serial, via = reading["family"], reading["device"], reading["via"]
        carried = not is_logger(reading) and via is not None
        kind = "battery" if family == "alphaess" else "inverter" if carried else "logger"
        name = NAMES.get(serial) or f"{_KINDS[kind]} {serial}"
        maker = "AlphaESS" if kind == "battery" else "Solarman" if kind == "logger" else ""
        logger = identifier(family, via) if carried else None
        # Of the inverters only micro-inverters do; one that surely is, is enough.
        tells = kind != "inverter" or serial == INVERTER
        found[identifier(family, serial)] = Device(serial, name, logger, maker, tells)
        if logger is not None:
            found.setdefault(logger, Device(via, f"Logger {via}", None, "Solarman"))
    return found


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
