"""The vocabulary: every measured quantity once, for all families.

A key is public: readings, the JSON of `decode`, CSV columns and every sink use it as it is. Keys
with `{n}` stand for 1, 2, …; `{phase}` for l1, l2, l3.

Signs, wherever a sign has a meaning: grid + import, − export; battery + discharge, − charge; PV,
load and inverter output + production or consumption. Where a device counts the other way round,
its codec turns the sign, so that nothing downstream ever has to ask.

`minimum` and `maximum` bound what is physically possible on the devices these protocols serve (a
household's or small business's). They are wide on purpose: a value outside is a sensor fault or
a wrong layout, not a surprising day.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import NamedTuple

Number = int | float


class Quantity(NamedTuple):
    """One entry of the vocabulary.

    Attributes:
        key: the public name, perhaps with `{n}` or `{phase}`.
        unit: the unit's symbol, or None for a bare state.
        meaning: one line in plain words, with the sign where it has one.
        device_class: Home Assistant's `device_class`, or None.
        state_class: Home Assistant's `state_class`, or None.
        precision: decimals worth showing.
        minimum: smallest physically possible value.
        maximum: greatest physically possible value.
        diagnostic: describes the device rather than what flows through it.
    """

    key: str
    unit: str | None
    meaning: str
    device_class: str | None = None
    state_class: str | None = "measurement"
    precision: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    diagnostic: bool = False

    def in_range(self, value: object) -> bool:
        """Return whether `value` is physically possible (texts always are)."""
        if not isinstance(value, int | float):
            return True
        if self.minimum is not None and not value >= self.minimum:
            return False
        return self.maximum is None or value <= self.maximum


_MEGAWATT = 1_000_000.0
_ENERGY_TODAY = 10_000.0
_ENERGY_TOTAL = 100_000_000.0


def _power(key: str, meaning: str, *, diagnostic: bool = False, unit: str = "W") -> Quantity:
    device_class = {"W": "power", "VA": "apparent_power", "var": "reactive_power"}[unit]
    state_class = None if diagnostic else "measurement"
    return Quantity(
        key, unit, meaning, device_class, state_class, 0, -_MEGAWATT, _MEGAWATT, diagnostic
    )


def _energy(key: str, meaning: str) -> Quantity:
    most = _ENERGY_TODAY if key.endswith("_today") else _ENERGY_TOTAL
    return Quantity(key, "kWh", meaning, "energy", "total_increasing", 2, 0.0, most)


def _voltage(key: str, meaning: str, precision: int = 1) -> Quantity:
    return Quantity(key, "V", meaning, "voltage", "measurement", precision, 0.0, 2000.0)


def _current(key: str, meaning: str) -> Quantity:
    return Quantity(key, "A", meaning, "current", "measurement", 2, -2000.0, 2000.0)


def _temperature(key: str, meaning: str) -> Quantity:
    return Quantity(key, "°C", meaning, "temperature", "measurement", 1, -60.0, 150.0)


def _percent(key: str, meaning: str, device_class: str | None = "battery") -> Quantity:
    return Quantity(key, "%", meaning, device_class, "measurement", 0, 0.0, 100.0)


_DECLARED: tuple[Quantity, ...] = (
    _power("active_power", "AC output of the inverter"),
    _power("active_power_{phase}", "AC output of the inverter on one phase"),
    _power("apparent_power", "apparent power at the inverter's AC side", unit="VA"),
    _power("reactive_power", "reactive power at the inverter's AC side", unit="var"),
    _power("reactive_power_dc", "reactive power of the AC-coupled PV", unit="var"),
    _energy("energy_today", "AC energy delivered by the inverter today"),
    _energy("energy_total", "AC energy delivered by the inverter since it was made"),
    _energy("pv_energy_today", "energy from all PV inputs today"),
    _energy("pv_energy_total", "energy from all PV inputs since the inverter was made"),
    _power("pv_power", "power of all PV together"),
    _voltage("pv{n}_voltage", "voltage at PV input {n}"),
    _current("pv{n}_current", "current at PV input {n}"),
    _power("pv{n}_power", "power at PV input {n}"),
    _energy("pv{n}_energy_today", "energy from PV input {n} today"),
    _energy("pv{n}_energy_total", "energy from PV input {n} since the inverter was made"),
    _power("pv_meter_power", "AC-coupled PV, by its own meter"),
    _voltage("grid_voltage_{phase}", "grid voltage of one phase"),
    _current(
        "grid_current_{phase}",
        "grid-side current of one phase, as the inverter counts it (no sign convention)",
    ),
    Quantity("grid_frequency", "Hz", "grid frequency", "frequency", "measurement", 2, 0.0, 100.0),
    _power("grid_power", "power at the grid connection: + import, − export"),
    _power("grid_power_{phase}", "power at the grid connection on one phase: + import, − export"),
    _energy("grid_import_today", "energy taken from the grid today"),
    _energy("grid_import_total", "energy taken from the grid in all"),
    _energy("grid_export_today", "energy given to the grid today"),
    _energy("grid_export_total", "energy given to the grid in all"),
    _power("load_power", "power that the household uses"),
    _energy("load_energy_today", "energy that the household used today"),
    _energy("load_energy_total", "energy that the household used in all"),
    _power("battery_power", "battery power: + discharge, − charge"),
    _voltage("battery_voltage", "battery voltage", 2),
    _current("battery_current", "battery current: + discharge, − charge"),
    _percent("state_of_charge", "state of charge of the battery"),
    _temperature("battery_temperature", "temperature of the battery"),
    _temperature("ambient_temperature", "temperature around the device"),
    _temperature("logger_temperature", "temperature of the logger stick"),
    _voltage("battery_output_voltage", "voltage at the battery's output", 2),
    _current("battery_output_current", "current at the battery's output: + discharge"),
    _power("battery_output_power", "power at the battery's output: + discharge"),
    _voltage("cell{n}_voltage", "voltage of battery cell {n}", 3),
    _temperature("cell_temperature_{n}", "temperature of cell sensor {n}"),
    _percent("module{n}_state_of_charge", "state of charge of battery module {n}"),
    _current("module{n}_current", "current of battery module {n}: + discharge, − charge"),
    Quantity(
        "operating_time", "h", "hours of operation", "duration", "total_increasing", 0, 0.0, 1e6
    ),
    _energy("battery_charge_today", "energy put into the battery today"),
    _energy("battery_charge_total", "energy put into the battery in all"),
    _energy("battery_discharge_today", "energy taken from the battery today"),
    _energy("battery_discharge_total", "energy taken from the battery in all"),
    _energy("grid_charge_total", "energy put into the battery from the grid in all"),
    _power("charge_power_limit", "greatest power the battery will take now"),
    _power("discharge_power_limit", "greatest power the battery will give now"),
    _voltage("cell_voltage_min", "lowest cell voltage", 3),
    _voltage("cell_voltage_max", "highest cell voltage", 3),
    _temperature("cell_temperature_min", "lowest cell temperature"),
    _temperature("cell_temperature_max", "highest cell temperature"),
    _temperature("inverter_temperature", "temperature of the inverter"),
    _temperature("radiator_temperature", "temperature of the inverter's heat sink"),
    _voltage("bus_voltage", "voltage of the inverter's DC bus"),
    _power("rated_power", "power the inverter is rated for", diagnostic=True),
    Quantity(
        "signal_strength",
        "%",
        "radio signal of the logger",
        None,
        "measurement",
        0,
        0.0,
        100.0,
        diagnostic=True,
    ),
    Quantity("status", None, "operating state", None, None),
    Quantity("alarm", None, "alarm code or text", None, None),
    Quantity("fault", None, "fault code or text", None, None),
)

QUANTITIES: dict[str, Quantity] = {entry.key: entry for entry in _DECLARED}
"""Every entry by its key, templates with `{n}` and `{phase}` as they stand."""

_PHASE = re.compile(r"_l[123]$")
_NUMBER = re.compile(r"(?<![0-9])[1-9][0-9]?(?![0-9])")


def template_of(key: str) -> str:
    """Return the declared key that `key` is an instance of (`pv2_voltage` → `pv{n}_voltage`)."""
    return _NUMBER.sub("{n}", _PHASE.sub("_{phase}", key), count=1)


@cache
def lookup(key: str) -> Quantity:
    """Return the vocabulary's entry for a concrete key, with that key in it.

    Raises:
        KeyError: for a key that the vocabulary does not have.
    """
    entry = QUANTITIES[template_of(key)]
    number = _NUMBER.search(key)
    meaning = entry.meaning.replace("{n}", number[0]) if number else entry.meaning
    return entry._replace(key=key, meaning=meaning)


LEVELS = "ABC"
"""The levels of confidence, the surest first: two sources or real bytes, one source, a guess."""


def publishable(confidence: str, least: str) -> bool:
    """Return whether a field of some confidence is published where `least` is asked for."""
    return LEVELS.index(confidence) <= LEVELS.index(least)


def out_of_range(key: str, value: Number | str) -> str | None:
    """Return a line about a value that is physically impossible, None for any other."""
    entry = lookup(key)
    if entry.in_range(value):
        return None
    unit = f" {entry.unit}" if entry.unit else ""
    return f"{key}: {value}{unit} is outside {entry.minimum:g} to {entry.maximum:g}"


def check_ranges(values: dict[str, Number | str]) -> list[str]:
    """Take out of `values` what is physically impossible, and return a line for each."""
    problems = []
    for key in list(values):
        if problem := out_of_range(key, values[key]):
            problems.append(problem)
            del values[key]
    return problems


def total(values: Mapping[str, Number | str], keys: Iterable[str]) -> float | None:
    """Return the sum of some quantities, to the ten-thousandth, or None if one is missing."""
    sum_ = 0.0
    for key in keys:
        value = values.get(key)
        if not isinstance(value, int | float):
            return None
        sum_ += value
    return round(sum_, 4)
