"""The classic layout: Solis (0x0504) and Sofar (0x2701) string inverters, Sofar ME3000SP (0x2703).

Little endian throughout; 124 to 219 bytes of payload. Up to offset 72 the makers agree, from 73 on
they do not: what Sofar says there is nonsense in the real frame of a Solis. A single-phase
inverter reports its phase as L3. The ME3000SP is a battery inverter: it has the battery's
temperature where the others have the inverter's, and nothing known where they have PV.
"""

from typing import Any

from construct import Int8ul, Int16sl, Int16ul, Int32ul

from inverterproto.deye.layouts.head import DATA_HEAD
from inverterproto.layout import Clock, Field, Layout, Text, measured
from inverterproto.private import Private

# What the words of a declaration rest on: real bytes; one source.
_SOLIS: dict[str, Any] = {"source": "I"}
_SOFAR: dict[str, Any] = {"source": "N", "confidence": "B"}


def _head(told: dict[str, Any]) -> tuple[Field, ...]:
    """Return the fields up to offset 36."""
    return (
        *DATA_HEAD,
        Field(21, "inverter_serial", Text(16, pad=b" "), private=Private.SERIAL, **told),
    )


def _solar(told: dict[str, Any]) -> tuple[Field, ...]:
    """Return the fields that an inverter with PV inputs has from 37 to 52."""
    return (
        measured(37, "inverter_temperature", Int16sl, "1/10", **told),
        *(measured(37 + 2 * n, f"pv{n}_voltage", Int16ul, "1/10", **told) for n in (1, 2)),
        *(measured(41 + 2 * n, f"pv{n}_current", Int16ul, "1/10", **told) for n in (1, 2)),
        *(measured(45 + 2 * n, f"grid_current_l{n}", Int16ul, "1/10", **told) for n in (1, 2, 3)),
    )


def _grid(told: dict[str, Any]) -> tuple[Field, ...]:
    """Return the fields from 53 to 72."""
    return (
        *(measured(51 + 2 * n, f"grid_voltage_l{n}", Int16ul, "1/10", **told) for n in (1, 2, 3)),
        measured(59, "grid_frequency", Int16ul, "1/100", **told),
        measured(61, "active_power", Int32ul, **told),
        measured(65, "energy_today", Int32ul, "1/100", **told),
        measured(69, "energy_total", Int32ul, "1/10", absent=(0,), **told),
    )


_SOFAR_STATUS = {0: "standby", 2: "normal", 3: "fault", 4: "permanent fault"}

_SOFAR_FROM_73 = (
    measured(73, "operating_time", Int32ul, **_SOFAR),
    measured(77, "status", Int8ul, names=_SOFAR_STATUS, meaning="low byte only", **_SOFAR),
    measured(
        79,
        "fault",
        Int32ul,
        hexadecimal=True,
        meaning="bits of four bytes, those of the first lowest; 0: none",
        **_SOFAR,
    ),
    measured(101, "logger_temperature", Int16sl, **_SOFAR),
    measured(103, "bus_voltage", Int16ul, "1/10", **_SOFAR),
)

_SOLIS_FROM_73 = (
    Field(77, "status_77", Int16ul, confidence="C", source="I", meaning="3 while it makes 818 W"),
    # Our reading: 827² VA² is 818² W² and 121.7² var² in the one real frame.
    measured(100, "apparent_power", Int32ul, confidence="C", source="I", meaning="our reading"),
    measured(104, "reactive_power", Int32ul, confidence="C", source="I", meaning="our reading"),
)

_ME3000SP_OWN = (
    measured(37, "battery_temperature", Int16sl, "1/10", **_SOFAR),
    # N does not say which direction is positive, so these two are no quantities.
    Field(
        89,
        "battery_power_sign_unknown",
        Int16sl,
        "1/10",
        unit="W",
        meaning="charge or discharge: which is positive is not known",
        **_SOFAR,
    ),
    measured(91, "battery_voltage", Int16ul, "1/10", **_SOFAR),
    Field(
        93,
        "battery_current_sign_unknown",
        Int16sl,
        "1/10",
        unit="A",
        meaning="charge or discharge: which is positive is not known",
        **_SOFAR,
    ),
    measured(95, "state_of_charge", Int16ul, **_SOFAR),
    measured(155, "inverter_temperature", Int16ul, **_SOFAR),
    measured(157, "radiator_temperature", Int16ul, **_SOFAR),
    measured(185, "battery_charge_today", Int16ul, "1/100", **_SOFAR),
    measured(187, "battery_discharge_today", Int16ul, "1/100", **_SOFAR),
    measured(189, "battery_charge_total", Int32ul, **_SOFAR),
    measured(193, "battery_discharge_total", Int32ul, **_SOFAR),
    Field(213, "inverter_clock", Clock, meaning="local or UTC, as it was set", **_SOFAR),
)

LAYOUTS = (
    Layout(
        "solis_string",
        "Solis string inverter",
        (*_head(_SOLIS), *_solar(_SOLIS), *_grid(_SOLIS), *_SOLIS_FROM_73),
        source="I",
        sensor_type=0x0504,
    ),
    Layout(
        "sofar_string",
        "Sofar string inverter (KTL-X)",
        (
            *_head(_SOFAR),
            *_solar(_SOFAR),
            *_grid(_SOFAR),
            *_SOFAR_FROM_73,
            Field(141, "inverter_clock", Clock, meaning="local or UTC, as it was set", **_SOFAR),
        ),
        source="N",
        checked=False,
        sensor_type=0x2701,
    ),
    Layout(
        "sofar_battery",
        "Sofar battery inverter (ME3000SP)",
        (*_head(_SOFAR), *_grid(_SOFAR), *_SOFAR_FROM_73, *_ME3000SP_OWN),
        source="N",
        checked=False,
        sensor_type=0x2703,
    ),
)
