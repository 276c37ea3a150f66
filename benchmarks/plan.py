"""One frame in Python written by hand for speed: the measure of the library's derived plan.

One function for the micro-inverter's data frame and nothing else: two precompiled structs, a
template dict copied and set, conversions unrolled, the checksum by `zlib.adler32`. It knows the
frame's length, makes no object but the dict, and fails on any other message.
"""

from datetime import datetime
from struct import Struct
from typing import Any
from zlib import adler32

_SIZE = 343
_PAD = b"\0 "
_HEADER = Struct("<BHHBBI").unpack_from
_LITTLE = Struct("<BHLLLHL10sHLL4sHHHHHHHLhhhhh12sHHHHHHHH8s8s8s4s").unpack_from
_BIG = Struct(">HBBHHHHHLLLL16s16s16s16sHHHHHHHHHHH6s33sHH20sHHHH").unpack_from
_TEMPLATE: dict[str, Any] = dict.fromkeys(
    (
        "frame_type",
        "sensor_type",
        "total_working_time",
        "power_on_time",
        "offset_time",
        "unknown_15",
        "packet_counter",
        "inverter_serial",
        "unknown_31",
        "energy_today",
        "energy_total",
        "unknown_41",
        "grid_voltage_l1",
        "grid_voltage_l2",
        "grid_voltage_l3",
        "grid_current_l1",
        "grid_current_l2",
        "grid_current_l3",
        "grid_frequency",
        "active_power",
        "radiator_temperature",
        "temperature_65",
        "temperature_67",
        "temperature_69",
        "temperature_71",
        "unknown_73",
        "pv1_voltage",
        "pv1_current",
        "pv2_voltage",
        "pv2_current",
        "pv3_voltage",
        "pv3_current",
        "pv4_voltage",
        "pv4_current",
        "protocol_version",
        "dc_master_firmware",
        "ac_firmware",
        "unknown_125",
        "rated_power",
        "mppt_count",
        "phase_count",
        "unknown_133",
        "pv1_energy_today",
        "pv2_energy_today",
        "pv3_energy_today",
        "pv4_energy_today",
        "pv1_energy_total",
        "pv2_energy_total",
        "pv3_energy_total",
        "pv4_energy_total",
        "pv1_id",
        "pv2_id",
        "pv3_id",
        "pv4_id",
        "over_frequency_start",
        "over_frequency_load_reduction",
        "unknown_227",
        "unknown_229",
        "unknown_231",
        "unknown_233",
        "grid_voltage_limit_upper",
        "grid_voltage_limit_lower",
        "grid_frequency_limit_upper",
        "grid_frequency_limit_lower",
        "self_check_time",
        "inverter_clock",
        "unknown_251",
        "second_over_frequency_start",
        "second_over_frequency_load_reduction",
        "unknown_288",
        "second_grid_voltage_limit_upper",
        "second_grid_voltage_limit_lower",
        "second_grid_frequency_limit_upper",
        "second_grid_frequency_limit_lower",
        "unknown_316",
    )
)


def _clock(raw: bytes) -> str | None:
    year, month, day, hour, minute, second = raw
    try:
        return str(datetime(2000 + year, month, day, hour, minute, second))
    except ValueError:
        return None


def parse(raw: bytes) -> tuple[int, int, int, int, dict[str, Any]]:
    """Return control code, both counters, logger serial and the fields of a frame."""
    start, length, control_code, first, second, serial = _HEADER(raw)
    if len(raw) != _SIZE or start != 0xA5 or length != _SIZE - 13 or raw[-1] != 0x15:
        raise ValueError("no such frame")
    if (adler32(raw[1:257]) + adler32(raw[257:-2]) - 2) & 0xFF != raw[-2]:
        raise ValueError("bad checksum")
    fields = _TEMPLATE.copy()
    (
        fields["frame_type"],
        fields["sensor_type"],
        fields["total_working_time"],
        fields["power_on_time"],
        fields["offset_time"],
        fields["unknown_15"],
        fields["packet_counter"],
        inverter_serial,
        fields["unknown_31"],
        energy_today,
        energy_total,
        fields["unknown_41"],
        grid_voltage_l1,
        grid_voltage_l2,
        grid_voltage_l3,
        grid_current_l1,
        grid_current_l2,
        grid_current_l3,
        grid_frequency,
        fields["active_power"],
        radiator_temperature,
        temperature_65,
        temperature_67,
        temperature_69,
        temperature_71,
        fields["unknown_73"],
        pv1_voltage,
        pv1_current,
        pv2_voltage,
        pv2_current,
        pv3_voltage,
        pv3_current,
        pv4_voltage,
        pv4_current,
        protocol_version,
        dc_master_firmware,
        ac_firmware,
        fields["unknown_125"],
    ) = _LITTLE(raw, 11)
    (
        rated_power,
        fields["mppt_count"],
        fields["phase_count"],
        fields["unknown_133"],
        pv1_energy_today,
        pv2_energy_today,
        pv3_energy_today,
        pv4_energy_today,
        pv1_energy_total,
        pv2_energy_total,
        pv3_energy_total,
        pv4_energy_total,
        pv1_id,
        pv2_id,
        pv3_id,
        pv4_id,
        over_frequency_start,
        fields["over_frequency_load_reduction"],
        fields["unknown_227"],
        fields["unknown_229"],
        fields["unknown_231"],
        fields["unknown_233"],
        grid_voltage_limit_upper,
        grid_voltage_limit_lower,
        grid_frequency_limit_upper,
        grid_frequency_limit_lower,
        fields["self_check_time"],
        inverter_clock,
        fields["unknown_251"],
        second_over_frequency_start,
        fields["second_over_frequency_load_reduction"],
        fields["unknown_288"],
        second_grid_voltage_limit_upper,
        second_grid_voltage_limit_lower,
        second_grid_frequency_limit_upper,
        second_grid_frequency_limit_lower,
    ) = _BIG(raw, 140)
    fields["inverter_serial"] = inverter_serial.rstrip(_PAD).decode()
    fields["energy_today"] = energy_today / 100
    fields["energy_total"] = energy_total / 10 if energy_total else None
    fields["grid_voltage_l1"] = grid_voltage_l1 / 10
    fields["grid_voltage_l2"] = grid_voltage_l2 / 10
    fields["grid_voltage_l3"] = grid_voltage_l3 / 10
    fields["grid_current_l1"] = grid_current_l1 / 10
    fields["grid_current_l2"] = grid_current_l2 / 10
    fields["grid_current_l3"] = grid_current_l3 / 10
    fields["grid_frequency"] = grid_frequency / 100
    fields["radiator_temperature"] = radiator_temperature / 100
    fields["temperature_65"] = None if temperature_65 == -1000 else temperature_65 / 100
    fields["temperature_67"] = None if temperature_67 == -1000 else temperature_67 / 100
    fields["temperature_69"] = None if temperature_69 == -1000 else temperature_69 / 100
    fields["temperature_71"] = None if temperature_71 == -1000 else temperature_71 / 100
    fields["pv1_voltage"] = pv1_voltage / 10
    fields["pv1_current"] = pv1_current / 10
    fields["pv2_voltage"] = pv2_voltage / 10
    fields["pv2_current"] = pv2_current / 10
    fields["pv3_voltage"] = pv3_voltage / 10
    fields["pv3_current"] = pv3_current / 10
    fields["pv4_voltage"] = pv4_voltage / 10
    fields["pv4_current"] = pv4_current / 10
    fields["protocol_version"] = protocol_version.rstrip(_PAD).decode()
    fields["dc_master_firmware"] = dc_master_firmware.rstrip(_PAD).decode()
    fields["ac_firmware"] = ac_firmware.rstrip(_PAD).decode()
    fields["rated_power"] = rated_power / 10
    fields["pv1_energy_today"] = pv1_energy_today / 10
    fields["pv2_energy_today"] = pv2_energy_today / 10
    fields["pv3_energy_today"] = pv3_energy_today / 10
    fields["pv4_energy_today"] = pv4_energy_today / 10
    fields["pv1_energy_total"] = pv1_energy_total / 10 if pv1_energy_total else None
    fields["pv2_energy_total"] = pv2_energy_total / 10 if pv2_energy_total else None
    fields["pv3_energy_total"] = pv3_energy_total / 10 if pv3_energy_total else None
    fields["pv4_energy_total"] = pv4_energy_total / 10 if pv4_energy_total else None
    fields["pv1_id"] = pv1_id.rstrip(_PAD).decode()
    fields["pv2_id"] = pv2_id.rstrip(_PAD).decode()
    fields["pv3_id"] = pv3_id.rstrip(_PAD).decode()
    fields["pv4_id"] = pv4_id.rstrip(_PAD).decode()
    fields["over_frequency_start"] = over_frequency_start / 100
    fields["grid_voltage_limit_upper"] = grid_voltage_limit_upper / 10
    fields["grid_voltage_limit_lower"] = grid_voltage_limit_lower / 10
    fields["grid_frequency_limit_upper"] = grid_frequency_limit_upper / 100
    fields["grid_frequency_limit_lower"] = grid_frequency_limit_lower / 100
    fields["inverter_clock"] = _clock(inverter_clock)
    fields["second_over_frequency_start"] = second_over_frequency_start / 100
    fields["second_grid_voltage_limit_upper"] = second_grid_voltage_limit_upper / 10
    fields["second_grid_voltage_limit_lower"] = second_grid_voltage_limit_lower / 10
    fields["second_grid_frequency_limit_upper"] = second_grid_frequency_limit_upper / 100
    fields["second_grid_frequency_limit_lower"] = second_grid_frequency_limit_lower / 100
    fields["unknown_316"] = raw[327:-2]
    return control_code, first, second, serial, fields
