"""TSUN battery storage, sensor type 0x3026.

111 bytes of payload; big endian from 37 on. The battery's own current is positive while it charges,
against the vocabulary, so it is turned. The current at its output is unsigned: the output only
gives, which is the vocabulary's plus.
"""

from construct import Int16sb, Int16ub, Int32ub

from inverterproto.deye.layouts.head import DATA_HEAD
from inverterproto.layout import Field, Layout, Text, measured
from inverterproto.private import Private

_PV_STATUS = {0: "standby", 1: "working"}
_CELLS = range(1, 17)
_CELL_SENSORS = (1, 2, 3)

_FIELDS = (
    *DATA_HEAD,
    Field(21, "inverter_serial", Text(16), private=Private.SERIAL, source="T"),
    measured(37, "pv1_voltage", Int16ub, "1/100", source="T"),
    measured(39, "pv1_current", Int16ub, "1/100", source="T"),
    measured(41, "pv2_voltage", Int16ub, "1/100", source="T"),
    measured(43, "pv2_current", Int16ub, "1/100", source="T"),
    measured(45, "battery_charge_total", Int32ub, "1/100", source="T"),
    Field(49, "pv1_status", Int16ub, names=_PV_STATUS, source="T"),
    Field(51, "pv2_status", Int16ub, names=_PV_STATUS, source="T"),
    measured(53, "battery_voltage", Int16sb, "1/100", source="T"),
    measured(
        55, "battery_current", Int16sb, "1/100", turned=True, source="T", meaning="positive: charge"
    ),
    measured(57, "state_of_charge", Int16ub, "1/100", source="T"),
    *(measured(57 + 2 * n, f"cell{n}_voltage", Int16ub, "1/1000", source="T") for n in _CELLS),
    *(measured(89 + 2 * n, f"cell_temperature_{n}", Int16sb, source="T") for n in _CELL_SENSORS),
    measured(97, "battery_output_voltage", Int16ub, "1/100", source="T"),
    measured(99, "battery_output_current", Int16ub, "1/100", source="T"),
    Field(101, "output_status", Int16ub, source="T"),
    measured(103, "ambient_temperature", Int16sb, source="T"),
    measured(105, "alarm", Int16ub, hexadecimal=True, source="T"),
    Field(107, "hardware_version", Int16ub, hexadecimal=True, source="T"),
    Field(109, "software_version", Int16ub, hexadecimal=True, source="T"),
)

LAYOUTS = (Layout("tsun_battery", "TSUN battery storage", _FIELDS, source="T", sensor_type=0x3026),)
