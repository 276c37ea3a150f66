"""Sofar HYD6000-ES hybrid inverters, sensor type 0x2708.

195 bytes of payload, little endian. One phase, two PV inputs, a battery. Powers come in tens of W,
totals in whole kWh.
"""

from typing import Any

from construct import Int16sl, Int16ul, Int32ul

from inverterproto.deye.layouts.head import DATA_HEAD
from inverterproto.layout import Clock, Field, Layout, Text, measured
from inverterproto.private import Private

_SOFAR: dict[str, Any] = {"source": "N", "confidence": "B"}
# N does not say which direction is positive, so what bears this is no quantity.
_NO_SIGN: dict[str, Any] = {
    "source": "N",
    "confidence": "C",
    "meaning": "charge or discharge: which is positive is not known",
}
# N puts a question mark behind this scale.
_UNSURE: dict[str, Any] = {"source": "N", "confidence": "C", "meaning": "the scale is not sure"}
_PV = (1, 2)

_FIELDS = (
    *DATA_HEAD,
    Field(21, "inverter_serial", Text(16, pad=b" "), private=Private.SERIAL, **_SOFAR),
    *(measured(31 + 6 * n, f"pv{n}_voltage", Int16ul, "1/10", **_SOFAR) for n in _PV),
    *(measured(33 + 6 * n, f"pv{n}_current", Int16ul, "1/100", **_UNSURE) for n in _PV),
    *(measured(35 + 6 * n, f"pv{n}_power", Int16ul, "10", **_SOFAR) for n in _PV),
    measured(49, "grid_voltage_l1", Int16ul, "1/10", **_SOFAR),
    measured(51, "grid_current_l1", Int16ul, "1/100", **_SOFAR),
    measured(53, "grid_frequency", Int16ul, "1/100", **_SOFAR),
    Field(55, "battery_power_sign_unknown", Int16sl, "10", unit="W", **_NO_SIGN),
    measured(57, "battery_voltage", Int16ul, "1/10", **_SOFAR),
    Field(59, "battery_current_sign_unknown", Int16sl, "1/100", unit="A", **_NO_SIGN),
    measured(61, "state_of_charge", Int16ul, **_SOFAR),
    measured(63, "battery_temperature", Int16ul, **_SOFAR),
    measured(67, "load_power", Int16ul, "10", **_SOFAR),
    measured(71, "active_power", Int16ul, "10", **_SOFAR),
    measured(77, "energy_today", Int16ul, "1/100", **_SOFAR),
    measured(79, "grid_export_today", Int16ul, "1/100", **_SOFAR),
    measured(81, "grid_import_today", Int16ul, "1/100", **_SOFAR),
    measured(83, "load_energy_today", Int16ul, "1/100", **_SOFAR),
    measured(85, "energy_total", Int16ul, absent=(0,), **_SOFAR),
    measured(89, "grid_export_total", Int16ul, **_SOFAR),
    measured(93, "grid_import_total", Int32ul, **_SOFAR),
    measured(97, "load_energy_total", Int32ul, **_SOFAR),
    measured(101, "battery_discharge_today", Int16ul, "1/100", **_SOFAR),
    measured(103, "battery_charge_today", Int16ul, "1/100", **_SOFAR),
    measured(105, "battery_charge_total", Int32ul, **_SOFAR),
    measured(109, "battery_discharge_total", Int32ul, **_SOFAR),
    measured(119, "bus_voltage", Int16ul, "1/10", **_SOFAR),
    measured(131, "inverter_temperature", Int16ul, **_SOFAR),
    measured(133, "radiator_temperature", Int16ul, **_SOFAR),
    measured(155, "operating_time", Int32ul, **_SOFAR),
    Field(189, "inverter_clock", Clock, meaning="local or UTC, as it was set", **_SOFAR),
)

LAYOUTS = (
    Layout(
        "sofar_hybrid",
        "Sofar hybrid inverter (HYD6000-ES)",
        _FIELDS,
        source="N",
        checked=False,
        sensor_type=0x2708,
    ),
)
