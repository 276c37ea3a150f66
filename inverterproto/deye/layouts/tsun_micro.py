"""TSUN GEN3 PLUS micro-inverters, sensor type 0x02B0.

409 bytes of payload; big endian from 181 on. From 181 to 268 stand the inverter's measurements
(its Modbus registers from 0x3000 on), from 269 its settings (from 0x2000 on). What is not named
here was the same in all frames that T saw, or is not understood.
"""

from construct import Int16ub, Int32ub

from inverterproto.deye.layouts.head import DATA_HEAD
from inverterproto.layout import Field, Layout, Text, Version, measured
from inverterproto.private import Private

_PV = (1, 2, 3, 4)
_PERCENT = "100/1024"

_FIELDS = (
    *DATA_HEAD,
    Field(21, "inverter_serial", Text(16), private=Private.SERIAL, source="T"),
    measured(181, "status", Int16ub, source="T"),
    Field(183, "detection_status_1", Int16ub, source="T"),
    Field(185, "detection_status_2", Int16ub, source="T"),
    measured(187, "alarm", Int16ub, hexadecimal=True, source="T"),
    measured(189, "fault", Int16ub, hexadecimal=True, source="T"),
    Field(191, "event_bits_1", Int16ub, hexadecimal=True, source="T"),
    Field(193, "event_bits_2", Int16ub, hexadecimal=True, source="T"),
    Field(197, "inverter_version", Version, source="T"),
    measured(199, "grid_voltage_l1", Int16ub, "1/10", source="T"),
    measured(201, "grid_current_l1", Int16ub, "1/100", source="T"),
    measured(203, "grid_frequency", Int16ub, "1/100", source="T"),
    measured(205, "inverter_temperature", Int16ub, bias=40, source="T"),
    measured(209, "rated_power", Int16ub, source="T"),
    measured(211, "active_power", Int16ub, "1/10", source="T"),
    *(measured(207 + 6 * n, f"pv{n}_voltage", Int16ub, "1/10", source="T") for n in _PV),
    *(measured(209 + 6 * n, f"pv{n}_current", Int16ub, "1/100", source="T") for n in _PV),
    *(measured(211 + 6 * n, f"pv{n}_power", Int16ub, "1/10", source="T") for n in _PV),
    measured(237, "energy_today", Int16ub, "1/100", source="T"),
    measured(239, "energy_total", Int32ub, "1/100", absent=(0,), source="T"),
    *(measured(237 + 6 * n, f"pv{n}_energy_today", Int16ub, "1/100", source="T") for n in _PV),
    *(measured(239 + 6 * n, f"pv{n}_energy_total", Int32ub, "1/100", source="T") for n in _PV),
    Field(269, "boot_status", Int16ub, source="T"),
    Field(271, "dsp_status", Int16ub, hexadecimal=True, source="T"),
    Field(275, "work_mode", Int16ub, source="T"),
    Field(281, "output_shutdown", Int16ub, hexadecimal=True, source="T"),
    Field(283, "max_designed_power", Int16ub, unit="W", source="T"),
    Field(285, "rated_level", Int16ub, source="T"),
    Field(287, "input_coefficient", Int16ub, _PERCENT, unit="%", source="T"),
    Field(289, "grid_voltage_calibration", Int16ub, source="T", confidence="B"),
    Field(301, "production_compliance_type", Int16ub, source="T", confidence="B"),
    Field(357, "output_coefficient", Int16ub, _PERCENT, unit="%", source="T"),
    Field(407, "unknown_407", Int16ub, confidence="C", source="T", meaning="0 in all frames seen"),
)

LAYOUTS = (
    Layout(
        "tsun_micro", "TSUN micro-inverter (GEN3 PLUS)", _FIELDS, source="T", sensor_type=0x02B0
    ),
)
