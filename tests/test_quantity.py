"""The vocabulary: each measured thing once, with sign, unit and what is physically possible."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.quantity import (
    QUANTITIES,
    check_ranges,
    lookup,
    publishable,
    template_of,
    total,
)

INSTANCES = [
    key.replace("{n}", number).replace("{phase}", phase)
    for key in QUANTITIES
    for number, phase in (("1", "l1"), ("9", "l2"), ("16", "l3"))
]


@pytest.mark.parametrize("key", INSTANCES)
def test_every_instance_of_a_key_is_found_again(key: str) -> None:
    found = lookup(key)
    assert found.key == key
    assert "{" not in found.meaning
    declared = QUANTITIES[template_of(key)]
    assert found == declared._replace(key=key, meaning=found.meaning)


@pytest.mark.parametrize(
    "key",
    ["", "power", "pv_voltage", "pv0_voltage", "pv100_voltage", "grid_voltage_l4", "pvX_power"],
)
def test_what_the_vocabulary_does_not_have_is_no_key(key: str) -> None:
    with pytest.raises(KeyError):
        lookup(key)


@pytest.mark.parametrize("key", QUANTITIES)
def test_a_key_is_fit_for_columns_and_topics(key: str) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", key.replace("{n}", "1").replace("{phase}", "l1"))


@pytest.mark.parametrize("key", QUANTITIES)
def test_home_assistant_takes_the_classes_with_the_unit(key: str) -> None:
    quantity = QUANTITIES[key]
    units = {
        "power": "W",
        "apparent_power": "VA",
        "reactive_power": "var",
        "energy": "kWh",
        "voltage": "V",
        "current": "A",
        "frequency": "Hz",
        "battery": "%",
        "temperature": "°C",
        "duration": "h",
        None: quantity.unit if quantity.unit in (None, "%") else "a class for it",
    }
    assert quantity.unit == units[quantity.device_class]
    rising = quantity.device_class in ("energy", "duration")
    assert (quantity.state_class == "total_increasing") is rising
    assert quantity.meaning


def test_what_describes_the_device_is_diagnostic() -> None:
    diagnostic = {key for key, entry in QUANTITIES.items() if entry.diagnostic}
    assert diagnostic == {"rated_power", "signal_strength"}


@pytest.mark.parametrize("key", ["grid_power", "battery_power", "battery_current", "grid_power_l1"])
def test_what_has_two_directions_may_be_negative_and_says_which_is_which(key: str) -> None:
    entry = lookup(key)
    assert entry.in_range(-1)
    assert re.search(r"\+ (import|discharge), − (export|charge)", entry.meaning)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("state_of_charge", 0),
        ("state_of_charge", 100),
        ("radiator_temperature", 150.0),
        ("energy_total", 10_001.0),
        ("status", "anything"),
        ("status", -1),
        ("alarm", 2**64),
    ],
)
def test_what_is_physically_possible_is_in_range(key: str, value: float | str) -> None:
    assert lookup(key).in_range(value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("state_of_charge", 101),
        ("state_of_charge", -1),
        ("radiator_temperature", 150.01),
        ("grid_frequency", math.nan),
        ("grid_frequency", math.inf),
        ("grid_voltage_l1", -0.1),
        ("energy_today", 10_001.0),
    ],
)
def test_what_is_physically_impossible_is_not_in_range(key: str, value: float) -> None:
    assert not lookup(key).in_range(value)


def test_what_is_impossible_is_taken_out_and_said_with_its_unit() -> None:
    values: dict[str, int | float | str] = {
        "active_power": 4,
        "radiator_temperature": 655.35,
        "state_of_charge": 255,
        "status": "normal",
    }
    assert check_ranges(values) == [
        "radiator_temperature: 655.35 °C is outside -60 to 150",
        "state_of_charge: 255 % is outside 0 to 100",
    ]
    assert values == {"active_power": 4, "status": "normal"}


@pytest.mark.parametrize(
    ("least", "published"), [("A", {"A"}), ("B", {"A", "B"}), ("C", {"A", "B", "C"})]
)
def test_what_is_less_sure_than_asked_for_is_not_published(least: str, published: set[str]) -> None:
    assert {one for one in "ABC" if publishable(one, least)} == published


def test_a_sum_is_rounded_where_floating_point_is_not_decimal() -> None:
    assert total({"a": 0.1, "b": 0.2}, ("a", "b")) == 0.3


@pytest.mark.parametrize("values", [{}, {"a": 1}, {"a": 1, "b": "text"}])
def test_a_sum_with_a_part_missing_is_no_sum(values: dict[str, int | float | str]) -> None:
    assert total(values, ("a", "b")) is None


@given(st.lists(st.integers(0, 10**9)))
def test_a_sum_is_that_of_its_parts(parts: list[int]) -> None:
    values: dict[str, int | float | str] = {
        str(place): part / 100 for place, part in enumerate(parts)
    }
    sum_ = total(values, values)
    assert sum_ is not None
    assert math.isclose(sum_, sum(parts) / 100, rel_tol=1e-9, abs_tol=1e-4)


VOCABULARY = """
active_power W power measurement
active_power_{phase} W power measurement
apparent_power VA apparent_power measurement
reactive_power var reactive_power measurement
reactive_power_dc var reactive_power measurement
energy_today kWh energy total_increasing
energy_total kWh energy total_increasing
pv_energy_today kWh energy total_increasing
pv_energy_total kWh energy total_increasing
pv_power W power measurement
pv{n}_voltage V voltage measurement
pv{n}_current A current measurement
pv{n}_power W power measurement
pv{n}_energy_today kWh energy total_increasing
pv{n}_energy_total kWh energy total_increasing
pv_meter_power W power measurement
grid_voltage_{phase} V voltage measurement
grid_current_{phase} A current measurement
grid_frequency Hz frequency measurement
grid_power W power measurement
grid_power_{phase} W power measurement
grid_import_today kWh energy total_increasing
grid_import_total kWh energy total_increasing
grid_export_today kWh energy total_increasing
grid_export_total kWh energy total_increasing
load_power W power measurement
load_energy_today kWh energy total_increasing
load_energy_total kWh energy total_increasing
battery_power W power measurement
battery_voltage V voltage measurement
battery_current A current measurement
state_of_charge % battery measurement
battery_temperature °C temperature measurement
ambient_temperature °C temperature measurement
logger_temperature °C temperature measurement
battery_output_voltage V voltage measurement
battery_output_current A current measurement
battery_output_power W power measurement
cell{n}_voltage V voltage measurement
cell_temperature_{n} °C temperature measurement
module{n}_state_of_charge % battery measurement
module{n}_current A current measurement
operating_time h duration total_increasing
battery_charge_today kWh energy total_increasing
battery_charge_total kWh energy total_increasing
battery_discharge_today kWh energy total_increasing
battery_discharge_total kWh energy total_increasing
grid_charge_total kWh energy total_increasing
charge_power_limit W power measurement
discharge_power_limit W power measurement
cell_voltage_min V voltage measurement
cell_voltage_max V voltage measurement
cell_temperature_min °C temperature measurement
cell_temperature_max °C temperature measurement
inverter_temperature °C temperature measurement
radiator_temperature °C temperature measurement
bus_voltage V voltage measurement
rated_power W power None
signal_strength % None measurement
status None None None
alarm None None None
fault None None None
"""


def test_units_and_classes_are_those_that_users_build_on() -> None:
    declared = {
        key: [str(entry.unit), str(entry.device_class), str(entry.state_class)]
        for key, entry in QUANTITIES.items()
    }
    rows = [line.split() for line in VOCABULARY.strip().splitlines()]
    assert declared == {key: rest for key, *rest in rows}
