"""The layouts of data payloads (0x42), one file a sensor type or family of types.

The sensor type in the payload's head says which layout follows; the whole 16 bits count (0x2708
is no micro-inverter, though 0x5408 is one). A new inverter is one file here, with a `LAYOUTS`
table from sensor type to `Layout`, and one line in `MODULES`. Modules are imported when their
sensor type first turns up.
"""

from functools import cache
from importlib import import_module

from inverterproto.layout import Layout

MODULES: dict[int, str] = {
    0x02B0: "tsun_micro",
    0x0504: "classic_string",
    0x1097: "little_known",
    0x2701: "classic_string",
    0x2703: "classic_string",
    0x2708: "sofar_hybrid",
    0x270A: "sofar_g3",
    0x3026: "tsun_battery",
    0x5408: "micro_inverter",
    0x5411: "hybrid",
    0x5413: "little_known",
}
"""Sensor type → the module of this package that declares its layout."""


@cache
def layout_of(sensor_type: int) -> Layout | None:
    """Return the layout of a sensor type, or None for one that is not known."""
    module = MODULES.get(sensor_type)
    if module is None:
        return None
    layout: Layout = import_module(f"{__name__}.{module}").LAYOUTS[sensor_type]
    return layout
