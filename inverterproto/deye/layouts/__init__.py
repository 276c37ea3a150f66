"""The layouts of data payloads (0x42), one file a sensor type or family of types.

The sensor type in the payload's head says which layout follows; the whole 16 bits count (0x2708
is no micro-inverter, though 0x5408 is one). A new inverter is one file here, with the `LAYOUTS`
that it declares, and one line in `MODULES`. Modules are imported when their sensor type first
turns up.

A program may add layouts of its own, from files: they come first. That is for the whole process,
as what a sensor type means does not depend on who asks; who adds for a while removes again.
"""

from functools import lru_cache
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

_added: dict[int, Layout] = {}


@lru_cache(maxsize=256)  # because sensor types come from outside
def layout_of(sensor_type: int) -> Layout | None:
    """Return the layout of a sensor type, or None for one that is not known."""
    if sensor_type in _added:
        return _added[sensor_type]
    module = MODULES.get(sensor_type)
    if module is None:
        return None
    declared: tuple[Layout, ...] = import_module(f"{__name__}.{module}").LAYOUTS
    return next(layout for layout in declared if layout.sensor_type == sensor_type)


def maker_of(sensor_type: int) -> str | None:
    """Return who makes the devices with a sensor type: their titles begin with it.

    None where it is not known; what was added may have any title.
    """
    if sensor_type in _added:
        return None
    layout = layout_of(sensor_type)
    return None if layout is None else layout.title.partition(" ")[0].rstrip(",")


def sensor_types() -> list[int]:
    """Return every sensor type that has a layout."""
    return sorted(MODULES.keys() | _added.keys())


def add_layout(layout: Layout) -> None:
    """Let a layout stand for its sensor type, in the place of any other.

    Raises:
        ValueError: it has no sensor type, or does not begin with the head of all data payloads.
    """
    from inverterproto.deye.layouts.head import DATA_HEAD

    if layout.sensor_type is None:
        raise ValueError(f"layout {layout.name}: for no sensor type")
    if layout.fields[: len(DATA_HEAD)] != DATA_HEAD:
        raise ValueError(f"layout {layout.name}: does not begin with the head of data payloads")
    _added[layout.sensor_type] = layout
    layout_of.cache_clear()


def remove_layout(layout: Layout) -> None:
    """Undo `add_layout`; what was not added needs no removing."""
    if layout.sensor_type is not None and _added.get(layout.sensor_type) is layout:
        del _added[layout.sensor_type]
        layout_of.cache_clear()


def layout_from_toml(text: str) -> Layout:
    """Return the layout of data payloads that a TOML text declares from the head on.

    Raises:
        LayoutError: the text is no such layout; the error tells all that is wrong with it.
    """
    from inverterproto.deye.layouts.head import DATA_HEAD

    return Layout.from_toml(text, DATA_HEAD)


def layout_to_toml(layout: Layout) -> str:
    """Return the TOML text from which `layout_from_toml` makes the same layout."""
    from inverterproto.deye.layouts.head import DATA_HEAD

    return layout.to_toml(DATA_HEAD)
