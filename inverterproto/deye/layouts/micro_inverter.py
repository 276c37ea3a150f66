"""Deye micro-inverters (SUN600, SUN-M80G3 and their like), sensor type 0x5408.

330 bytes of payload in the real frames (M80, logger firmware MW3_16U_5406_2.32-D1); H's map of a
SUN600 ends at 251. Little endian up to 128, big endian from 129 on.
"""

from construct import Int8ul, Int16sl, Int16ub, Int16ul, Int32ub, Int32ul

from inverterproto.deye.layouts.head import DATA_HEAD
from inverterproto.layout import Clock, Field, Layout, Text, measured
from inverterproto.private import Private

_PV = (1, 2, 3, 4)

_FIELDS = (
    *DATA_HEAD,
    Field(21, "inverter_serial", Text(10), private=Private.SERIAL, source="H, M"),
    Field(31, "unknown_31", Int16ul, source="H", confidence="C"),
    measured(33, "energy_today", Int32ul, "1/100", source="H, M"),
    # 0 when the night begins (H): publishing it would reset the meter of whoever adds up.
    measured(37, "energy_total", Int32ul, "1/10", absent=(0,), source="H, M"),
    measured(45, "grid_voltage_l1", Int16ul, "1/10", source="H, M"),
    measured(47, "grid_voltage_l2", Int16ul, "1/10", confidence="C", meaning="as L1 is"),
    measured(49, "grid_voltage_l3", Int16ul, "1/10", confidence="C", meaning="as L1 is"),
    measured(51, "grid_current_l1", Int16ul, "1/10", source="H, M"),
    measured(53, "grid_current_l2", Int16ul, "1/10", confidence="C", meaning="as L1 is"),
    measured(55, "grid_current_l3", Int16ul, "1/10", confidence="C", meaning="as L1 is"),
    measured(57, "grid_frequency", Int16ul, "1/100", source="H, M"),
    measured(59, "active_power", Int32ul, source="H, M"),
    measured(63, "radiator_temperature", Int16sl, "1/100", source="H, M"),
    *(
        Field(
            offset,
            f"temperature_{offset}",
            Int16sl,
            "1/100",
            unit="°C",
            absent=(-1000,),
            confidence="C",
            source="I",
            meaning="−10.00 (no sensor fitted) in the real frames",
        )
        for offset in (65, 67, 69, 71)
    ),
    *(measured(81 + 4 * n, f"pv{n}_voltage", Int16ul, "1/10", source="H, M") for n in _PV),
    *(measured(83 + 4 * n, f"pv{n}_current", Int16ul, "1/10", source="H, M") for n in _PV),
    Field(101, "protocol_version", Text(8), source="H, M"),
    Field(109, "dc_master_firmware", Text(8), source="H, M"),
    Field(117, "ac_firmware", Text(8), source="H, M"),
    measured(129, "rated_power", Int16ub, "1/10", source="H"),
    Field(131, "mppt_count", Int8ul, source="H", meaning="PV inputs in use"),
    Field(132, "phase_count", Int8ul, source="H"),
    Field(133, "unknown_133", Int16ub, source="I", confidence="C", meaning="number of PV ids?"),
    # H and M read u16le one byte later, which is the same below 25.6 kWh; all from 129 on is big
    # endian, and only this reading tiles 133…158 without a gap.
    *(measured(133 + 2 * n, f"pv{n}_energy_today", Int16ub, "1/10", source="H, M, I") for n in _PV),
    *(
        measured(139 + 4 * n, f"pv{n}_energy_total", Int32ub, "1/10", absent=(0,), source="H, I")
        for n in _PV
    ),
    *(
        Field(
            143 + 16 * n,
            f"pv{n}_id",
            Text(16, pad=b" "),
            private=Private.SERIAL,
            source="I",
            meaning="the inverter serial, a hyphen, the number of the input",
        )
        for n in _PV
    ),
    Field(223, "over_frequency_start", Int16ub, "1/100", unit="Hz", source="H"),
    Field(225, "over_frequency_load_reduction", Int16ub, unit="%", source="H"),
    *(
        Field(offset, f"unknown_{offset}", Int16ub, confidence="C", source="I")
        for offset in (227, 229, 231, 233)
    ),
    Field(235, "grid_voltage_limit_upper", Int16ub, "1/10", unit="V", source="H"),
    Field(237, "grid_voltage_limit_lower", Int16ub, "1/10", unit="V", source="H"),
    Field(239, "grid_frequency_limit_upper", Int16ub, "1/100", unit="Hz", source="H"),
    Field(241, "grid_frequency_limit_lower", Int16ub, "1/100", unit="Hz", source="H"),
    Field(243, "self_check_time", Int16ub, unit="s", source="H"),
    Field(245, "inverter_clock", Clock, source="H, M", meaning="local or UTC, as it was set"),
    Field(
        284, "second_over_frequency_start", Int16ub, "1/100", unit="Hz", confidence="C", source="I"
    ),
    Field(
        286, "second_over_frequency_load_reduction", Int16ub, unit="%", confidence="C", source="I"
    ),
    Field(
        308,
        "second_grid_voltage_limit_upper",
        Int16ub,
        "1/10",
        unit="V",
        confidence="C",
        source="I",
    ),
    Field(
        310,
        "second_grid_voltage_limit_lower",
        Int16ub,
        "1/10",
        unit="V",
        confidence="C",
        source="I",
    ),
    Field(
        312,
        "second_grid_frequency_limit_upper",
        Int16ub,
        "1/100",
        unit="Hz",
        confidence="C",
        source="I",
    ),
    Field(
        314,
        "second_grid_frequency_limit_lower",
        Int16ub,
        "1/100",
        unit="Hz",
        confidence="C",
        source="I",
    ),
)

LAYOUTS = (
    Layout(
        "micro_inverter",
        "Deye micro-inverter",
        _FIELDS,
        source="H, M, I",
        trackers="mppt_count",
        phases="phase_count",
        sensor_type=0x5408,
    ),
)
