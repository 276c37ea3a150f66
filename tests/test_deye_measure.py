"""From fields to the vocabulary: what is there, with our signs, and nothing that is not known."""

from dataclasses import replace
from typing import Any

import pytest
from construct import Int8ub, Int16sb, Int16ub
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.deye.commands import command, reply
from inverterproto.deye.dating import Stamp
from inverterproto.deye.frame import Frame
from inverterproto.deye.layouts import MODULES, layout_of
from inverterproto.deye.measure import measure
from inverterproto.deye.messages import DATA, HEARTBEAT, Message
from inverterproto.layout import Field, Layout, Text, Values, measured
from inverterproto.quantity import lookup
from tests.vectors import frame


def message(name: str, **fields: Any) -> Message:  # noqa: ANN401 - values of fields
    """Return a real message, perhaps with other values."""
    real = Message.parse(frame(name))
    return Message.parse(real.replace(fields))


def values(name: str, confidence: str = "B", **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - values of fields
    """Return what a real message measures, perhaps with other values."""
    (record,) = message(name, **fields).records(confidence)
    return dict(record.values)


# Real frames, in all that they measure


REALTIME = {
    "energy_today": 0.9,
    "energy_total": 177.5,
    "grid_voltage_l1": 232.0,
    "grid_current_l1": 0.0,
    "grid_frequency": 50.1,
    "active_power": 4,
    "radiator_temperature": 27.7,
    "pv1_voltage": 27.1,
    "pv1_current": 0.0,
    "pv1_power": 0.0,
    "pv2_voltage": 27.8,
    "pv2_current": 0.0,
    "pv2_power": 0.0,
    "pv_power": 0.0,
    "rated_power": 800.0,
    "pv1_energy_today": 0.4,
    "pv2_energy_today": 0.4,
    "pv1_energy_total": 80.7,
    "pv2_energy_total": 88.1,
}
HISTORIC = {
    "energy_today": 3.3,
    "energy_total": 179.9,
    "grid_voltage_l1": 240.0,
    "grid_current_l1": 1.2,
    "grid_frequency": 50.1,
    "active_power": 300,
    "radiator_temperature": 27.5,
    "pv1_voltage": 32.8,
    "pv1_current": 4.5,
    "pv1_power": 147.6,
    "pv2_voltage": 32.2,
    "pv2_current": 4.7,
    "pv2_power": 151.34,
    "pv_power": 298.94,
    "rated_power": 800.0,
    "pv1_energy_today": 1.5,
    "pv2_energy_today": 1.6,
    "pv1_energy_total": 81.8,
    "pv2_energy_total": 89.2,
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("micro-5408-realtime", REALTIME),
        ("micro-5408-historic", HISTORIC),
        ("handshake-130", {"signal_strength": 54}),
        ("tsun-wifi", {"signal_strength": 97}),
    ],
)
def test_a_real_message_measures_all_this_and_no_more(name: str, expected: dict[str, Any]) -> None:
    assert values(name) == expected


def test_the_record_of_real_data_is_the_inverter_s_and_came_by_the_logger() -> None:
    (record,) = message("micro-5408-historic").records()
    assert (record.family, record.kind) == ("deye", "data")
    assert (record.device, record.via) == ("2301234567", "2712345678")
    assert record.stamp == Stamp(6836888, 6133, 0)
    assert record.historic is True


def test_device_information_is_the_logger_s_and_never_historic() -> None:
    (record,) = message("tsun-wifi").records()
    assert (record.device, record.via, record.kind) == ("2712345679", "2712345679", "wifi")
    assert record.historic is False  # though the frame type is 0x81


@pytest.mark.parametrize("name", ["heartbeat", "tsun-report", "modbus-read-reply", "tsun-at-reply"])
def test_what_measures_nothing_gives_no_record(name: str) -> None:
    assert message(name).records() == []


def test_what_the_cloud_says_is_no_measurement() -> None:
    assert Message.parse(reply(frame("heartbeat"), 1712596443)).records() == []
    assert Message.parse(command(0x05, 100, 2712345680)).records("C") == []


@pytest.mark.parametrize("serial", ["", "no\tserial", "é" * 5])
def test_a_serial_that_is_none_leaves_the_reading_to_the_logger(serial: str) -> None:
    (record,) = message("micro-5408-realtime", inverter_serial=serial).records()
    assert (record.device, record.via) == ("2712345678", "2712345678")


def test_data_that_ends_with_its_head_measures_nothing() -> None:
    real = frame("solis-0504")
    assert Message.parse(replace(real, payload=real.payload[:21])).records() == []


# PV inputs and phases that are not there


@pytest.mark.parametrize("trackers", [1, 2, 3, 4])
def test_pv_inputs_beyond_the_tracker_count_are_absent(trackers: int) -> None:
    found = values("micro-5408-realtime", mppt_count=trackers, pv4_energy_total=1.5)
    voltages = [n for n in range(1, 5) if f"pv{n}_voltage" in found]
    assert voltages == list(range(1, trackers + 1))
    assert [n for n in range(1, 5) if f"pv{n}_power" in found] == voltages
    assert [n for n in range(1, 5) if f"pv{n}_energy_today" in found] == voltages
    assert ("pv4_energy_total" in found) is (trackers == 4)
    assert "pv_power" in found


def test_a_tracker_count_of_zero_says_nothing() -> None:
    assert "pv4_voltage" in values("micro-5408-realtime", mppt_count=0)


@pytest.mark.parametrize("phases", [1, 2, 3])
def test_phases_beyond_the_phase_count_are_absent(phases: int) -> None:
    found = values("micro-5408-realtime", "C", phase_count=phases)
    assert [n for n in (1, 2, 3) if f"grid_voltage_l{n}" in found] == list(range(1, phases + 1))
    assert [n for n in (1, 2, 3) if f"grid_current_l{n}" in found] == list(range(1, phases + 1))


THREE_PHASES = Layout(
    "three_phases",
    "No count of phases",
    (
        *(measured(2 * n - 2, f"grid_voltage_l{n}", Int16ub) for n in (1, 2, 3)),
        *(measured(2 * n + 4, f"grid_current_l{n}", Int16sb) for n in (1, 2, 3)),
        *(measured(2 * n + 10, f"grid_power_l{n}", Int16sb) for n in (1, 2, 3)),
    ),
)


def phases(*numbers: int) -> set[str]:
    return {
        f"grid_{kind}_l{number}" for kind in ("voltage", "current", "power") for number in numbers
    }


@pytest.mark.parametrize(
    ("voltages", "present"),
    [
        ((230, 231, 229), (1, 2, 3)),
        ((0, 0, 240), (3,)),  # a single-phase Solis reports its phase as L3
        ((230, 0, 0), (1,)),
        ((0, 230, 231), (2, 3)),
        ((0, 0, 0), (1, 2, 3)),  # a black-out is no missing phase
    ],
)
def test_where_no_count_is_told_a_dead_phase_is_absent_while_another_is_alive(
    voltages: tuple[int, int, int], present: tuple[int, ...]
) -> None:
    fields: Values = dict.fromkeys(phases(1, 2, 3), 0)
    fields |= {f"grid_voltage_l{n}": voltage for n, voltage in enumerate(voltages, 1)}
    assert measure(THREE_PHASES, fields).values.keys() == phases(*present) | {"grid_power"}


def test_a_phase_whose_voltage_is_not_told_is_not_called_dead() -> None:
    fields: Values = {"grid_voltage_l1": 230, "grid_power_l2": 5}
    assert measure(THREE_PHASES, fields).values == {**fields, "grid_power": 5}


def test_the_power_of_the_grid_is_the_sum_of_its_phases_if_all_can_be() -> None:
    fields: Values = {"grid_power_l1": 100, "grid_power_l2": -50, "grid_power_l3": 25}
    assert measure(THREE_PHASES, fields).values["grid_power"] == 75
    assert "grid_power" not in measure(THREE_PHASES, {**fields, "grid_power_l2": 9e9}).values


def test_a_dead_phase_of_a_real_solis_is_absent() -> None:
    found = values("solis-0504")
    assert found["grid_voltage_l3"] == 240.6
    assert found["grid_current_l3"] == 3.4
    assert not {"grid_voltage_l1", "grid_voltage_l2", "grid_current_l1"} & found.keys()


# Signs, enumerations, texts, what is absent


SIGNS = Layout(
    "signs",
    "Signs and names",
    (
        measured(0, "battery_current", Int16sb, "1/10", turned=True),
        measured(2, "grid_power", Int16sb),
        measured(4, "status", Int8ub, names={0: "standby", 2: "normal"}),
        Field(5, "alarm_text", Text(4), quantity="alarm"),
        measured(9, "energy_total", Int8ub, absent=(0,)),
        Field(10, "load", Int8ub, quantity="load_power"),
    ),
)


def measure_bytes(layout: Layout, payload: str, confidence: str = "B") -> dict[str, Any]:
    return measure(layout, layout.parse(bytes.fromhex(payload)), confidence).values


def test_a_device_that_counts_the_other_way_is_turned_and_others_are_not() -> None:
    found = measure_bytes(SIGNS, "0015 0014")
    assert found == {"battery_current": -2.1, "grid_power": 20}
    assert measure_bytes(SIGNS, "ffeb ffec") == {"battery_current": 2.1, "grid_power": -20}


def test_a_turned_zero_has_no_sign() -> None:
    assert str(measure_bytes(SIGNS, "0000")["battery_current"]) == "0.0"


def test_an_enumeration_is_told_by_name_and_an_unknown_value_as_its_number() -> None:
    assert measure_bytes(SIGNS, "0000 0000 02")["status"] == "normal"
    assert measure_bytes(SIGNS, "0000 0000 07")["status"] == "7"


def test_a_text_is_told_as_it_is() -> None:
    assert measure_bytes(SIGNS, "0000 0000 00 45303400")["alarm"] == "E04"


def test_a_value_that_means_no_reading_is_absent_not_zero() -> None:
    assert "energy_total" not in measure_bytes(SIGNS, "0000 0000 00 00000000 00")
    assert measure_bytes(SIGNS, "0000 0000 00 00000000 01")["energy_total"] == 1
    assert "energy_total" not in values("micro-5408-realtime", energy_total=None)


def test_a_quantity_goes_by_its_key_whatever_the_field_is_called() -> None:
    assert measure_bytes(SIGNS, "0000 0000 00 00000000 01 09")["load_power"] == 9


def test_bytes_that_are_not_understood_are_no_value() -> None:
    assert measure(SIGNS, {"status": b"\x02", "grid_power": 3}).values == {"grid_power": 3}


# Confidence


CONFIDENCES = Layout(
    "confidences",
    "Confidences",
    (
        measured(0, "active_power", Int8ub),
        measured(1, "grid_power", Int8ub, confidence="B"),
        measured(2, "load_power", Int8ub, confidence="C"),
    ),
)


@pytest.mark.parametrize(
    ("confidence", "published"),
    [
        ("A", {"active_power"}),
        ("B", {"active_power", "grid_power"}),
        ("C", {"active_power", "grid_power", "load_power"}),
    ],
)
def test_only_what_is_as_sure_as_asked_for_is_published(
    confidence: str, published: set[str]
) -> None:
    assert measure_bytes(CONFIDENCES, "010101", confidence).keys() == published


def test_guesses_are_published_only_where_they_are_asked_for() -> None:
    assert "grid_voltage_l2" not in values("micro-5408-realtime", phase_count=3)
    assert "grid_voltage_l2" in values("micro-5408-realtime", "C", phase_count=3)


# What is physically impossible


def test_a_value_out_of_range_stays_in_the_fields_with_its_problem_named() -> None:
    hot = message("micro-5408-realtime", radiator_temperature=150.01)
    assert hot.fields["radiator_temperature"] == 150.01
    assert "radiator_temperature" not in hot.records()[0].values
    assert hot.problems == ("radiator_temperature: 150.01 °C is outside -60 to 150",)


def test_what_is_out_of_range_is_no_part_of_what_is_derived() -> None:
    impossible = message("micro-5408-historic", pv1_voltage=2000.1)
    (record,) = impossible.records()
    assert not {"pv1_voltage", "pv1_power", "pv_power"} & record.values.keys()
    assert record.values["pv2_power"] == 151.34
    assert impossible.problems == ("pv1_voltage: 2000.1 V is outside 0 to 2000",)


def test_what_is_derived_is_held_to_its_range_too() -> None:
    impossible = message("micro-5408-historic", pv1_voltage=2000.0, pv1_current=2000.0)
    (record,) = impossible.records()
    assert not {"pv1_power", "pv_power"} & record.values.keys()
    assert impossible.problems


# What is derived


PANELS = Layout(
    "panels",
    "PV with powers of their own",
    (
        measured(0, "pv1_voltage", Int8ub),
        measured(1, "pv1_current", Int8ub),
        measured(2, "pv1_power", Int8ub),
        measured(3, "pv2_voltage", Int8ub),
        measured(4, "pv2_current", Int8ub, "1/100"),
        measured(5, "battery_output_voltage", Int8ub),
        measured(6, "battery_output_current", Int8ub),
        measured(7, "pv3_energy_today", Int8ub),
    ),
)


def test_the_power_of_an_input_is_voltage_times_current_where_there_is_no_field() -> None:
    found = measure_bytes(PANELS, "0a 02 15 0a 21")
    assert found["pv1_power"] == 21
    assert found["pv2_power"] == 3.3
    assert found["pv_power"] == 24.3


def test_the_power_of_a_battery_output_is_derived_alike() -> None:
    assert measure_bytes(PANELS, "00 00 00 00 00 30 02")["battery_output_power"] == 96


def test_the_power_of_a_battery_keeps_the_sign_of_its_current() -> None:
    layout = Layout(
        "battery",
        "Battery",
        (
            measured(0, "battery_voltage", Int16ub, "1/100"),
            measured(2, "battery_current", Int16sb, "1/100", turned=True),
        ),
    )
    assert measure_bytes(layout, "1400 ff9c")["battery_power"] == 51.2


def test_a_sum_with_an_input_missing_is_not_told() -> None:
    assert "pv_power" not in measure_bytes(PANELS, "0a 02 15")
    assert "pv_power" not in measure_bytes(PANELS, "0a 02 15 0a")


def test_a_sum_that_the_device_tells_is_the_device_s() -> None:
    layout = Layout("sum", "Sum", (*PANELS.fields, measured(8, "pv_power", Int8ub)))
    assert measure_bytes(layout, "0a 02 15 0a 21 00 00 00 63")["pv_power"] == 99


def test_where_there_is_no_pv_none_is_derived() -> None:
    assert "pv_power" not in measure_bytes(SIGNS, "0000 0001 00 00000000 01 09")


# Whatever comes


@given(
    st.sampled_from(sorted(MODULES)),
    st.binary(max_size=420),
    st.sampled_from("ABC"),
)
def test_what_is_published_is_in_the_vocabulary_in_range_and_sure(
    sensor_type: int, rest: bytes, confidence: str
) -> None:
    payload = b"\x01" + sensor_type.to_bytes(2, "little") + rest
    found = Message.parse(Frame(DATA << 8 | 0x10, (0, 0), 1, payload))
    layout = layout_of(sensor_type)
    assert layout is not None
    sure = {field.quantity for field in layout.fields if field.confidence <= confidence}
    for record in found.records(confidence):
        assert record.values
        for key, value in record.values.items():
            assert lookup(key).in_range(value)
            assert isinstance(value, int | float | str)
            assert key in sure or key.endswith("_power")


def test_a_heartbeat_of_any_payload_measures_nothing() -> None:
    assert Message.parse(Frame(HEARTBEAT << 8, (0, 0), 1, bytes(50))).records("C") == []
