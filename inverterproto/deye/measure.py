"""From a payload's fields to measured quantities.

A layout says which fields measure which quantity. Here the rest is done, alike for all layouts:
signs are turned to the vocabulary's, PV inputs and phases that are not there are left out, what is
physically impossible is left out and said, and what no field tells but others imply is derived:
the power of a PV input, of the battery or its output as voltage × current, the power of all PV and
that of the grid as sums.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from inverterproto.layout import Layout, Values
from inverterproto.quantity import Number, check_ranges, out_of_range, publishable, total

_PV = re.compile(r"pv(\d+)_")
_PHASE = re.compile(r"_l([123])$")


class Measured(NamedTuple):
    """Quantities by key, and what was wrong with some."""

    values: dict[str, Number | str]
    problems: tuple[str, ...]


class Published(NamedTuple):
    """A field that measures a quantity, and all that is needed to take it."""

    name: str
    key: str
    turned: bool
    names: Mapping[int, str] | None


# Bounded because the counts come from outside; a household has one or two combinations.
@lru_cache(maxsize=64)
def published(
    layout: Layout, confidence: str, trackers: int | None, phases: int | None
) -> tuple[Published, ...]:
    """Return the fields that may be published of a device with so many PV inputs and phases."""
    return tuple(
        Published(field.name, field.quantity, field.turned, field.names)
        for field in layout.fields
        if field.quantity is not None
        and publishable(field.confidence, confidence)
        and not _beyond(field.quantity, trackers, phases)
    )


def measure(layout: Layout, fields: Values, confidence: str = "B") -> Measured:
    """Return the quantities that the fields of one payload measure."""
    values: dict[str, Number | str] = {}
    trackers = _count(fields, layout.trackers)
    phases = _count(fields, layout.phases)
    for name, key, turned, names in published(layout, confidence, trackers, phases):
        value = fields.get(name)
        if value is None or isinstance(value, bytes):
            continue
        if names is not None:
            value = names.get(int(value), str(value))
        elif turned and not isinstance(value, str):
            value = 0 - value  # not −value, which would make −0.0 of 0.0
        values[key] = value
    if phases is None:
        _drop_dead_phases(values)
    told = frozenset(values)
    problems = check_ranges(values)
    problems += _derive(values, pv_inputs(layout, trackers), told)
    return Measured(values, tuple(problems))


def sources(layout: Layout, fields: Values, key: str, confidence: str = "B") -> tuple[str, ...]:
    """Return the names of the fields that tell a quantity: its own, or those that it follows from.

    What it follows from is found by leaving out one field after the other.
    """
    own = tuple(field.name for field in layout.fields if field.quantity == key)
    if own:
        return own
    told = measure(layout, fields, confidence).values.get(key)

    def told_without(name: str) -> Number | str | None:
        rest = {other: value for other, value in fields.items() if other != name}
        return measure(layout, rest, confidence).values.get(key)

    return tuple(name for name in fields if told_without(name) != told)


def _count(fields: Values, name: str | None) -> int | None:
    """Return what a counting field says, or None where there is none or it says nothing."""
    value = fields.get(name) if name is not None else None
    return value if isinstance(value, int) and value > 0 else None


def _beyond(key: str, trackers: int | None, phases: int | None) -> bool:
    """Return whether a quantity belongs to a PV input or phase that the device does not have."""
    if trackers is not None and (pv := _PV.match(key)):
        return int(pv[1]) > trackers
    if phases is not None and (phase := _PHASE.search(key)):
        return int(phase[1]) > phases
    return False


def _drop_dead_phases(values: dict[str, Number | str]) -> None:
    """Leave out phases without voltage, as long as another one has some."""
    voltages = {phase: values.get(f"grid_voltage_l{phase}") for phase in (1, 2, 3)}
    if not any(voltages.values()):
        return
    for phase, voltage in voltages.items():
        if voltage == 0:
            for key in [key for key in values if key.endswith(f"_l{phase}")]:
                del values[key]


@lru_cache(maxsize=64)
def pv_inputs(layout: Layout, trackers: int | None) -> tuple[int, ...]:
    """Return the numbers of the PV inputs whose power the layout can tell."""
    found = {
        int(pv[1])
        for field in layout.fields
        if field.quantity is not None
        and (pv := _PV.match(field.quantity))
        and field.quantity.endswith(("_power", "_voltage"))
    }
    return tuple(sorted(n for n in found if trackers is None or n <= trackers))


def with_power(inputs: tuple[int, ...]) -> tuple[str, ...]:
    """Return what has a power that follows from voltage and current, as their keys begin."""
    return (*(f"pv{n}" for n in inputs), "battery", "battery_output")


def _derive(
    values: dict[str, Number | str], inputs: tuple[int, ...], told: frozenset[str]
) -> list[str]:
    """Add what is implied: power as voltage × current, sums of PV inputs and phases.

    What the device `told` itself, be it impossible, is not derived.

    Returns a line for each result that is physically impossible; such a one is not added.
    """
    problems: list[str] = []

    def add(key: str, power: float | None) -> None:
        if power is None or key in told:
            return
        if problem := out_of_range(key, power):
            problems.append(problem)
        else:
            values[key] = power

    for stem in with_power(inputs):
        voltage, current = values.get(f"{stem}_voltage"), values.get(f"{stem}_current")
        if isinstance(voltage, int | float) and isinstance(current, int | float):
            add(f"{stem}_power", round(voltage * current, 2))
    if inputs:
        add("pv_power", total(values, (f"pv{n}_power" for n in inputs)))
    if phases := [key for key in told if key.startswith("grid_power_l")]:
        add("grid_power", total(values, sorted(phases)))
    return problems
