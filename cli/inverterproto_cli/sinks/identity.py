"""What a device is, in a few words, for who shows it to people."""

from inverterproto_cli.sinks.sink import Identity
from inverterproto_cli.store.about import About, about
from inverterproto_cli.store.reader import Reader

_STICK = "Solarman"
"""Who makes the logger sticks, and stands in for a maker of whom nothing is known."""


def identity_of(reader: Reader, serial: str, family: str) -> Identity:
    """Return what the store knows of a device."""
    device = reader.device(family, serial)
    known = About() if device is None else about(reader, device)
    if family == "alphaess":
        return by_name(family, serial)._replace(model=known.model, firmware=known.firmware)
    if device is not None and known.kind is None and device.via in (None, serial):
        return by_name("logger", serial)._replace(firmware=known.firmware)
    via = None if device is None else device.via
    # A layout's title begins with the maker's name.
    manufacturer = known.kind.split()[0] if known.kind else _STICK
    return Identity(family, serial, "inverter", manufacturer, known.kind, known.firmware, via)


def by_name(what: str, serial: str) -> Identity:
    """Return what a device's family tells alone; `what` may also be `"logger"`."""
    if what == "alphaess":
        return Identity(what, serial, "battery", "AlphaESS")
    if what == "logger":
        return Identity("deye", serial, "logger", _STICK, "logger stick")
    return Identity(what, serial, "inverter", _STICK)


def logger_of(reader: Reader, serial: str) -> Identity:
    """Return what the store knows of a logger stick."""
    device = reader.device("deye", serial)
    firmware = None if device is None else about(reader, device).firmware
    return by_name("logger", serial)._replace(firmware=firmware)
