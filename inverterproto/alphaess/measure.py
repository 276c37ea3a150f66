"""From the keys of one status or record to measured quantities.

The table in `fields.py` says which key measures what. The rest is done here: sums, phases and
modules that are not there, states put together, and what is physically impossible left out, with
a line that says so.

*Sums*: the inverter's output over the phases, the grid's, all PV (the strings and the AC-coupled
PV), and the household's load (what inverter, grid and AC-coupled PV give, added up). A sum is there
only if all its parts are.

*Phases.* Where voltages are told (full and stored records), a phase without voltage is not there,
as long as another one has some. A status tells none: in it, phases 2 and 3 are not there if
inverter and meter show exactly 0 on both of them. So a single-phase house has no phantom phases,
and on three phases all are told, with their zeros, as soon as one of four figures is not 0. In the
one moment when all four are (a battery at rest in a house that uses phase 1 only) a real phase is
left out of a status; the next record has it. A power that is not 0 is never left out: an inverter
on one phase may stand in a house whose meter counts three.

*Modules* beyond BmsNum are not there; where that is not told, those with charge and current 0.

A key that stands more than once counts as it stands last, as in all JSON, and that is said.
"""

from collections.abc import Callable, Mapping
from functools import cache
from math import inf
from typing import Any, NamedTuple

from inverterproto.alphaess.fields import FIELDS
from inverterproto.quantity import Number, lookup, out_of_range, publishable, total

_PHASES = (1, 2, 3)
_MODULES = tuple((n, f"module{n}_state_of_charge", f"module{n}_current") for n in range(1, 7))
_STATES = ("status", "alarm", "fault")
_LONGEST_STATE = 64

_ACTIVE = tuple(f"active_power_l{n}" for n in _PHASES)
_VOLTAGE = tuple(f"grid_voltage_l{n}" for n in _PHASES)
_GRID = tuple(f"grid_power_l{n}" for n in _PHASES)
_SUMS = (
    ("active_power", _ACTIVE),
    ("grid_power", _GRID),
    ("pv_power", ("pv1_power", "pv2_power", "pv_meter_power")),
    ("load_power", (*_ACTIVE, *_GRID, "pv_meter_power")),
)

Values = dict[str, Number | str]


class Measured(NamedTuple):
    """Quantities by key, and what was wrong with some."""

    values: Values
    problems: tuple[str, ...]


class _Gauge(NamedTuple):
    """What a key measures."""

    quantity: str
    convert: Callable[[Number], Number] | None
    minimum: float
    maximum: float


@cache
def _gauges(confidence: str) -> dict[str, _Gauge]:
    """Return the keys that measure a number and may be published."""
    gauges = {}
    for field in FIELDS:
        key = field.quantity
        if key is not None and key not in _STATES and publishable(field.confidence, confidence):
            entry = lookup(key)
            low = -inf if entry.minimum is None else entry.minimum
            high = inf if entry.maximum is None else entry.maximum
            gauges[field.name] = _Gauge(key, field.convert, low, high)
    return gauges


_CODES = {
    state: tuple(field.name for field in FIELDS if field.quantity == state)
    for state in ("alarm", "fault")
}


def measure(fields: Mapping[str, Any], confidence: str = "B") -> Measured:
    """Return the quantities that some fields measure.

    Args:
        fields: values by key, typed.
        confidence: the least confidence of the keys to take, `"A"`, `"B"` or `"C"`.
    """
    gauges = _gauges(confidence)
    values: Values = {}
    problems: list[str] = []
    for name, value in fields.items():
        gauge = gauges.get(name)
        if gauge is None:
            gauge = _repeated(name, fields, gauges, problems)
        if gauge is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            if value not in ("", None):
                problems.append(f"{name}: no number: {str(value)[:_LONGEST_STATE]!r}")
            continue
        key, convert, minimum, maximum = gauge
        number = value if convert is None else convert(value)
        if minimum <= number <= maximum:
            values[key] = number
        else:
            problems.append(out_of_range(key, number) or "")
    _add_sums(values, problems)
    _drop_phases(values)
    _drop_modules(values, fields.get("BmsNum"), problems)
    _add_states(values, fields)
    return Measured(values, tuple(problems))


def sources(fields: Mapping[str, Any], key: str, confidence: str = "B") -> tuple[str, ...]:
    """Return the keys that tell a quantity: its own, or those that it follows from.

    What it follows from is found by leaving out one key after the other.
    """
    own = [field.name for field in FIELDS if field.quantity == key]
    if own:
        return tuple(name for name in fields if name.partition("#")[0] in own) or (own[0],)
    told = measure(fields, confidence).values.get(key)

    def told_without(name: str) -> Number | str | None:
        rest = {other: value for other, value in fields.items() if other != name}
        return measure(rest, confidence).values.get(key)

    return tuple(name for name in fields if told_without(name) != told)


def _repeated(
    name: str, fields: Mapping[str, Any], gauges: dict[str, _Gauge], problems: list[str]
) -> _Gauge | None:
    """Return what a repetition (`SOC#2`) of a key measures."""
    key, sign, _ = name.rpartition("#")
    if not sign or key not in gauges or key not in fields:
        return None
    problems.append(f"{key} stands more than once: the last counts")
    return gauges[key]


def _add_sums(values: Values, problems: list[str]) -> None:
    for key, parts in _SUMS:
        power = total(values, parts)
        if power is None:
            continue
        problem = out_of_range(key, power)
        if problem is None:
            values[key] = power
        else:
            problems.append(problem)


def _drop_phases(values: Values) -> None:
    """Leave out the phases that are not there."""
    voltages = [values.get(key) for key in _VOLTAGE]
    told = voltages != [None, None, None]
    live = any(voltages)
    metered = bool(values.get(_GRID[1]) or values.get(_GRID[2]))
    busy = bool(metered or values.get(_ACTIVE[1]) or values.get(_ACTIVE[2]))
    for at, voltage in enumerate(voltages):
        there = voltage != 0 or not live if told else at == 0 or busy
        if there:
            continue
        values.pop(_VOLTAGE[at], None)
        if not values.get(_ACTIVE[at]):
            values.pop(_ACTIVE[at], None)
        if not values.get(_GRID[at]) and not metered:
            values.pop(_GRID[at], None)


def _drop_modules(values: Values, count: object, problems: list[str]) -> None:
    """Leave out the battery modules that are not there."""
    for n, charge, current in _MODULES:
        empty = not (values.get(charge) or values.get(current))
        if n <= count if isinstance(count, int) else not empty:
            continue
        if not empty:
            problems.append(f"module {n} has values, but BmsNum is {count}")
        values.pop(charge, None)
        values.pop(current, None)


def _add_states(values: Values, fields: Mapping[str, Any]) -> None:
    """Add the state, and what is not 0 among the codes of alarms and faults."""
    status = fields.get("EmsStatus")
    if isinstance(status, str) and 0 < len(status) <= _LONGEST_STATE:
        values["status"] = status
    for state, names in _CODES.items():
        codes = {name: fields[name] for name in names if fields.get(name) not in (None, "")}
        if codes:
            wrong = [f"{name} {code}"[:_LONGEST_STATE] for name, code in codes.items() if code != 0]
            values[state] = ", ".join(wrong) or "none"
