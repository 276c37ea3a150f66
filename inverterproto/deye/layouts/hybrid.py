"""Deye hybrid inverters, sensor type 0x5411.

Big endian behind the head. The offsets are those of H's map of one device. Meaning, scale and sign
are not H's: the fields come in the order of the Modbus registers 514 to 535 (energies), 586 to 591
(battery) and 598 to 600 (grid voltages) of Deye's three-phase hybrids, and are read as public
register lists read those. They are the lists of low-voltage batteries.
"""

from typing import Any

from construct import Int16sb, Int32sb

from inverterproto.deye.layouts.head import DATA_HEAD
from inverterproto.layout import Field, Layout, Text, measured
from inverterproto.private import Private

_HYBRID: dict[str, Any] = {"source": "H", "confidence": "B"}
_UNSURE: dict[str, Any] = {"source": "H", "confidence": "C"}
_PHASES = (1, 2, 3)

_FIELDS = (
    *DATA_HEAD,
    Field(25, "inverter_serial", Text(10), private=Private.SERIAL, **_HYBRID),
    Field(41, "unknown_41", Text(28), meaning="a text", **_UNSURE),
    measured(95, "battery_charge_today", Int16sb, "1/10", **_HYBRID),
    measured(97, "battery_discharge_today", Int16sb, "1/10", **_HYBRID),
    measured(99, "battery_charge_total", Int32sb, "1/10", **_HYBRID),
    measured(103, "battery_discharge_total", Int32sb, "1/10", **_HYBRID),
    measured(107, "grid_import_today", Int16sb, "1/10", **_HYBRID),
    measured(109, "grid_export_today", Int16sb, "1/10", **_HYBRID),
    measured(111, "grid_import_total", Int32sb, "1/10", **_HYBRID),
    measured(115, "grid_export_total", Int32sb, "1/10", **_HYBRID),
    measured(119, "load_energy_today", Int16sb, "1/10", **_HYBRID),
    measured(121, "load_energy_total", Int32sb, "1/10", **_HYBRID),
    measured(129, "pv_energy_today", Int16sb, "1/10", **_HYBRID),
    *(measured(129 + 2 * n, f"pv{n}_energy_today", Int16sb, "1/10", **_UNSURE) for n in (1, 2)),
    measured(135, "pv_energy_total", Int32sb, "1/10", **_HYBRID),
    measured(173, "battery_temperature", Int16sb, "1/10", bias=1000, **_HYBRID),
    measured(175, "battery_voltage", Int16sb, "1/100", **_HYBRID),
    measured(177, "state_of_charge", Int16sb, **_HYBRID),
    measured(181, "battery_power", Int16sb, **_HYBRID),
    measured(183, "battery_current", Int16sb, "1/100", **_HYBRID),
    Field(185, "unknown_185", Int16sb, meaning="of the battery", **_UNSURE),
    *(measured(185 + 2 * n, f"grid_voltage_l{n}", Int16sb, "1/10", **_HYBRID) for n in _PHASES),
    *(measured(199 + 2 * n, f"grid_power_l{n}", Int16sb, **_HYBRID) for n in _PHASES),
)

LAYOUTS = (
    Layout(
        "hybrid", "Deye hybrid inverter", _FIELDS, source="H", checked=False, sensor_type=0x5411
    ),
)
