"""From keys to quantities: signs and sums on real records, and what must never be published."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.alphaess.fields import (
    BY_NAME,
    FIELDS,
    PRIVATE,
    RECORD,
    STATUS,
    Kind,
    fields_of,
)
from inverterproto.alphaess.frame import Frame
from inverterproto.alphaess.measure import measure
from inverterproto.alphaess.messages import Message
from inverterproto.private import Private
from inverterproto.quantity import QUANTITIES, lookup, template_of
from tests.vectors import fixtures

RAW = fixtures("alphaess")


def fields(name: str, **changes: object) -> dict[str, Any]:
    """Return the fields of a real frame, some changed; those that are `...` are left out."""
    found = {**Message.parse(Frame.parse(RAW[name])).fields, **changes}
    return {key: value for key, value in found.items() if value is not ...}


def measured(name: str, confidence: str = "B", **changes: object) -> dict[str, Any]:
    return measure(fields(name, **changes), confidence).values


# The table


def test_every_key_is_declared_once() -> None:
    assert [
        name for name, count in Counter(field.name for field in FIELDS).items() if count > 1
    ] == []


def test_every_quantity_is_in_the_vocabulary_and_each_is_measured_by_one_key_a_message() -> None:
    for message in (STATUS, RECORD, "stored_records", "configuration"):
        keys = [f.quantity for f in fields_of(message) if f.quantity and f.quantity != "fault"]
        assert len(keys) == len(set(keys))
        assert all(template_of(key) in QUANTITIES for key in keys)


def test_the_unit_of_a_key_is_its_own_or_its_quantitys() -> None:
    assert BY_NAME["Ppv1"].symbol == "W"
    assert BY_NAME["Poinv"].symbol == "kW"
    assert BY_NAME["VcellLow"].symbol == ""
    assert BY_NAME["SN"].symbol == ""
    assert BY_NAME["EmsStatus"].symbol == ""


def test_units_that_differ_from_the_quantitys_are_converted() -> None:
    for field in FIELDS:
        if field.quantity and field.unit is not None:
            assert field.convert is not None
            assert lookup(field.quantity).unit != field.unit


def test_only_numbers_measure_but_for_the_states() -> None:
    odd = [f.name for f in FIELDS if f.quantity and f.kind is not Kind.NUMBER]
    assert odd == ["EmsStatus"]


def test_all_that_the_sources_call_private_is_marked() -> None:
    told = "SN License UserName Password Address ZipCode PhoneNumber Country InvSN WifiSN SCBSN"
    serials = {f"BatterySN{n}" for n in range(1, 19)}
    own = {"mac", "ICCID", "Description"}
    assert {*told.split(), "BakBoxSN", *own, *serials} == PRIVATE.keys()
    assert PRIVATE["Password"] is Private.PASSWORD
    assert PRIVATE["UserName"] is Private.SERIAL


def test_what_is_known_from_definitions_alone_is_not_sure() -> None:
    assert {field.confidence for field in FIELDS if field.source == "D"} == {"B"}


# Signs and sums, on real records


def test_charging_is_negative_and_so_is_export() -> None:
    values = measured("status-2")
    assert values["battery_power"] == -688.896
    assert values["grid_power"] == values["grid_power_l1"] == -9
    evening = measured("status-3")
    assert evening["battery_power"] == 333.66
    assert evening["grid_power"] == 31


def test_what_comes_in_goes_out_again() -> None:
    # PV strings and battery feed the inverter, which loses a little of it.
    values = measured("status-1")
    source = values["pv1_power"] + values["pv2_power"] + values["battery_power"]
    assert 0.85 < values["active_power"] / source < 1
    assert values["load_power"] == values["active_power"] + values["pv_meter_power"]


def test_a_sum_needs_all_its_parts() -> None:
    values = measured("status-1", PmeterL3=...)
    assert "grid_power" not in values
    assert "load_power" not in values
    assert values["active_power"] == 1630
    assert "pv_power" not in measured("status-1", PmeterDC="")
    assert "active_power" not in measured("status-1", PrealL1="n/a")


def test_a_sum_of_possible_parts_may_be_impossible() -> None:
    found = measure(fields("status-1", PrealL1=900_000, PrealL2=900_000))
    assert "active_power" not in found.values
    assert found.problems == (
        "active_power: 1800000.0 W is outside -1e+06 to 1e+06",
        "load_power: 1801065.0 W is outside -1e+06 to 1e+06",
    )


def test_the_rated_power_is_in_watts() -> None:
    assert measured("config-from-battery") == {"rated_power": 4600}


# Confidence


def test_packed_cell_values_are_published_only_if_guesses_are_asked_for() -> None:
    assert not any(key.startswith("cell_") for key in measured("record"))
    values = measured("record", "C")
    assert values["cell_voltage_min"] == 3.327
    assert values["cell_voltage_max"] == 3.33
    assert values["cell_temperature_min"] == 21
    assert values["cell_temperature_max"] == 22
    assert measured("record", "C", TcellLow=0x0102_FFFB)["cell_temperature_min"] == -5


@pytest.mark.parametrize("confidence", ["A", "B", "C"])
def test_what_is_surely_known_is_always_published(confidence: str) -> None:
    assert measured("status-1", confidence)["state_of_charge"] == 33.2


# What is no number, or none that can be


@pytest.mark.parametrize("value", ["", "nan", "n/a", None, True, [1], {"a": 1}])
def test_what_is_no_number_measures_nothing(value: object) -> None:
    found = measure(fields("record", SOC=value))
    assert "state_of_charge" not in found.values
    told = () if value in ("", None) else (f"SOC: no number: {str(value)!r}",)
    assert found.problems == told


def test_what_is_physically_impossible_is_left_out_and_told() -> None:
    found = measure(fields("record", SOC=104.5, Fac=-1))
    assert "state_of_charge" not in found.values
    assert found.problems == (
        "grid_frequency: -1 Hz is outside 0 to 100",
        "state_of_charge: 104.5 % is outside 0 to 100",
    )


def test_of_a_repeated_key_the_last_counts_and_that_is_told() -> None:
    found = measure(
        {"SOC": 5, "SOC#2": 6, "x#2": 1, "Ppv1#2": 7, "Generator": "0", "Generator#2": 1}
    )
    assert found.values == {"state_of_charge": 6}
    assert found.problems == ("SOC stands more than once: the last counts",)


# Phases


def test_a_single_phase_house_has_no_phantom_phases() -> None:
    for name in ("status-1", "record"):
        values = measured(name)
        assert not any(key.endswith(("_l2", "_l3")) for key in values)
        assert "active_power_l1" in values


def test_three_phases_are_told_with_their_zeros() -> None:
    values = measured("status-1", PmeterL3=5)
    assert values["active_power_l2"] == values["active_power_l3"] == values["grid_power_l2"] == 0
    assert values["grid_power_l3"] == 5
    values = measured("status-1", PrealL2=-3)
    assert values["grid_power_l3"] == 0
    values = measured("record", Ub=230.1, Uc=229.9)
    assert values["grid_voltage_l2"] == 230.1
    assert values["active_power_l3"] == values["grid_power_l3"] == 0


def test_a_phase_without_voltage_is_not_there_unless_none_has_any() -> None:
    outage = measured("record", Ua=0.0, PrealL1=0, PmeterL1=0)
    assert [outage[f"grid_voltage_l{n}"] for n in (1, 2, 3)] == [0, 0, 0]
    assert outage["active_power_l2"] == 0
    second_only = measured("record", Ua=0, Ub=230.0, PrealL1=0, PmeterL1=0)
    assert not any(key.endswith("_l1") for key in second_only)
    assert second_only["grid_voltage_l2"] == 230.0


def test_an_inverter_on_one_phase_may_stand_in_a_house_that_is_metered_on_three() -> None:
    values = measured("record", PmeterL2=0, PmeterL3=120)
    assert values["grid_power_l3"] == 120
    assert values["grid_power_l2"] == 0
    assert values["grid_power"] == 116
    assert "active_power_l3" not in values
    assert "grid_voltage_l3" not in values


def test_a_power_that_is_not_zero_is_never_left_out() -> None:
    values = measured("record", PrealL2=7)
    assert values["active_power_l2"] == 7
    assert "grid_voltage_l2" not in values


def test_where_some_voltages_are_not_told_the_others_decide() -> None:
    values = measured("record", Ua=..., Ub=0.0, Uc=230.0)
    assert "grid_power_l1" in values
    assert "grid_power_l2" not in values


# Modules


def test_modules_beyond_their_number_are_not_there() -> None:
    values = measured("record", BmsNum=2)
    assert values["module2_state_of_charge"] == 0
    assert "module3_state_of_charge" not in values
    found = measure(fields("record", SOC2=40.0))
    assert "module2_state_of_charge" not in found.values
    assert found.problems == ("module 2 has values, but BmsNum is 1",)


@pytest.mark.parametrize("count", [..., "", "n/a", None])
def test_where_their_number_is_not_told_idle_modules_are_not_there(count: object) -> None:
    values = measured("record", BmsNum=count, BatC2=-1.5)
    assert values["module1_state_of_charge"] == 33.6
    assert values["module2_state_of_charge"] == 0
    assert values["module2_current"] == -1.5
    assert "module3_state_of_charge" not in values


# States


def test_faults_and_alarms_are_told_by_the_part_that_has_them() -> None:
    values = measured("record", ErrInv=3, ErrMeter="E7", WarInv=12, EmsStatus="Fault")
    assert values["fault"] == "ErrInv 3, ErrMeter E7"
    assert values["alarm"] == "WarInv 12"
    assert values["status"] == "Fault"


def test_states_that_are_not_told_are_absent() -> None:
    values = measured("status-1")
    assert not {"status", "alarm", "fault"} & values.keys()
    assert "alarm" not in measured("record", WarInv="")
    assert measured("record", ErrInv="", ErrBms=5)["fault"] == "ErrBms 5"
    for odd in ("", 5, None, "x" * 65):
        assert "status" not in measured("record", EmsStatus=odd)
    assert len(measured("record", ErrInv="x" * 60_000)["fault"]) < 100


# Properties

json_values = (
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(-1e15, 1e15)
    | st.text(max_size=5)
    | st.lists(st.integers(), max_size=2)
)


@given(st.dictionaries(st.sampled_from(sorted(BY_NAME)), json_values), st.sampled_from("ABC"))
def test_whatever_the_fields_say_all_that_is_published_is_possible(
    found: dict[str, Any], confidence: str
) -> None:
    values = measure(found, confidence).values
    assert all(lookup(key).in_range(value) for key, value in values.items())
    assert not any(isinstance(value, bool) for value in values.values())
    assert all(isinstance(value, int | float | str) for value in values.values())
