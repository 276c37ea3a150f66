"""Sofar KTLX-G3 string inverters and HYD-EP hybrids, sensor type 0x270A.

About 1,432 bytes of payload, big endian behind the head; what follows the bus voltage is not
known. The offsets and scales are N's, with one exception: N has the powers in W, where the raw
values only make sense as hundredths of a kW. That is our reading, and no more than a guess.
"""

from typing import Any

from construct import Int16sb, Int16ub, Int32ub

from inverterproto.deye.layouts.head import DATA_HEAD
from inverterproto.layout import Field, Layout, Text, measured
from inverterproto.private import Private

_SOFAR: dict[str, Any] = {"source": "N", "confidence": "B"}
_POWER: dict[str, Any] = {
    "source": "N",
    "confidence": "C",
    "meaning": "hundredths of a kW is our reading",
}
_PV = (1, 2)
_PHASES = (1, 2, 3)
_CLOCK = ("year", "month", "day", "hour", "minute", "second")

_FIELDS = (
    *DATA_HEAD,
    measured(69, "inverter_temperature", Int16sb, meaning="of its plate", **_SOFAR),
    measured(73, "radiator_temperature", Int16sb, **_SOFAR),
    *(
        Field(109 + 2 * place, f"inverter_clock_{part}", Int16ub, **_SOFAR)
        for place, part in enumerate(_CLOCK)
    ),
    Field(131, "inverter_serial", Text(14), private=Private.SERIAL, **_SOFAR),
    measured(187, "grid_frequency", Int16ub, "1/100", **_SOFAR),
    measured(189, "active_power", Int16ub, "10", **_POWER),
    *(measured(183 + 22 * n, f"grid_voltage_l{n}", Int16ub, "1/10", **_SOFAR) for n in _PHASES),
    *(measured(185 + 22 * n, f"grid_current_l{n}", Int16ub, "1/100", **_SOFAR) for n in _PHASES),
    # A: two listings of N's users agree on these.
    *(measured(341 + 6 * n, f"pv{n}_voltage", Int16ub, "1/10", source="N") for n in _PV),
    *(measured(343 + 6 * n, f"pv{n}_current", Int16ub, "1/100", source="N") for n in _PV),
    *(measured(345 + 6 * n, f"pv{n}_power", Int16ub, "10", **_POWER) for n in _PV),
    measured(635, "energy_today", Int32ub, "1/100", **_SOFAR),
    measured(639, "energy_total", Int32ub, "1/10", absent=(0,), **_SOFAR),
    measured(711, "bus_voltage", Int16ub, "1/10", **_SOFAR),
)

LAYOUTS = (
    Layout(
        "sofar_g3",
        "Sofar string inverter or hybrid (KTLX-G3, HYD-EP)",
        _FIELDS,
        source="N",
        checked=False,
        sensor_type=0x270A,
    ),
)
