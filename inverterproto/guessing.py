"""Which known layout an unknown sensor type might have.

Theory of operation
-------------------
Makers copy each other, and give one inverter several sensor types. So each known layout is laid
over the payloads, and what the fields then say is judged. Nothing of it is a reading: a guess is
for the eye.

*That a value is in its range says little*: zero is in nearly every range, and ranges are wide. What
counts is what would hardly stand there by chance. So each field gives *points*: about as many as
the number of bits that its fitting is worth, fewer than none where it does not fit, none where it
says nothing (zeros, no reading). A mains voltage or frequency counts more than a power, a serial
that is text more than a number; and what follows from other fields counts most: a power that is
voltage × current, cells that add up to their battery, inputs that add up to their inverter.

*A layout's score* is the sum of its points, the mean over the frames. The head that all payloads
have in common is left out, and so is what is of unknown meaning. A layout of nothing but a head
has no points; one that does not fit has fewer. So what scores above zero is worth a look, and the
best first. A payload that ends before a layout's last field lacks those fields' points, and pays
for it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from inverterproto.field import Field
from inverterproto.layout import Layout, Values
from inverterproto.octets import Clock, Octets, Value
from inverterproto.quantity import lookup
from inverterproto.samples import Samples, plausible_dates

MOST_JUDGED = 200
"""Of more frames so many, evenly spread, are judged."""

_MAINS = {"V": ((100.0, 130.0), (200.0, 260.0)), "Hz": ((49.0, 51.0), (59.0, 61.0))}
_MAINS_POINTS = {"V": 3.0, "Hz": 5.0}
_LIMITS = {"V": ((80.0, 300.0),), "Hz": ((45.0, 66.0),)}
"""Settings of the protection: wider than what is measured."""
_USUAL = {
    "V": (2.0, 1000.0),
    "A": (0.01, 100.0),
    "W": (1.0, 20_000.0),
    "VA": (1.0, 20_000.0),
    "var": (1.0, 20_000.0),
    "°C": (-20.0, 90.0),
    "kWh": (0.01, 200_000.0),
    "%": (0.1, 100.0),
    "h": (1.0, 200_000.0),
    "min": (1.0, 1440.0),
    "s": (1.0, 3600.0),
}
"""Where a household's values mostly are."""
_CELL = (2.0, 4.5)
_ENERGY_OF_A_DAY = 300.0

Dates = tuple[str, str]
"""The first and the last date that a clock may show."""


class Verdict(NamedTuple):
    """What one value, or several together, say for or against a layout.

    Attributes:
        name: of the field, or what was compared.
        points: positive for, negative against, 0 where it says nothing.
        reason: in a few words.
    """

    name: str
    points: float
    reason: str


class Guess(NamedTuple):
    """A layout laid over some payloads.

    Attributes:
        label: what messages of this layout name it with: its sensor type.
        layout: the layout.
        score: the points of all verdicts, the mean over the frames.
        in_range: how many values are possible, and of how many, in all frames together.
        speaking: how many of those say something, as they are not zero.
        values: what its fields say in the last frame.
        verdicts: of those.
    """

    label: str
    layout: Layout
    score: float
    in_range: tuple[int, int]
    speaking: int
    values: Values
    verdicts: tuple[Verdict, ...]


def guess(samples: Samples, now: float | None = None) -> list[Guess]:
    """Return every layout of the family as it fits some frames, the best first.

    Args:
        samples: frames of which the layout is not known.
        now: unix time in seconds, where it is known: no clock is more than a day ahead of it.
    """
    payloads = samples.payloads
    payloads = payloads[:: -(-len(payloads) // MOST_JUDGED)]
    head = samples.message(samples.raws[0]).rows(samples.raws[0])
    known = {row.field.name for row in head}
    dates = plausible_dates(now)
    guesses = [
        _judge(label, layout, payloads, known, dates)
        for label, layout in samples.family.layouts.items()
    ]
    return sorted(guesses, key=lambda guess: -guess.score)


def _judge(
    label: str, layout: Layout, payloads: list[bytes], known: set[str], dates: Dates
) -> Guess:
    fields = [field for field in layout.fields if field.known and field.name not in known]
    points, possible, told, speaking = 0.0, 0, 0, 0
    values: Values = {}
    verdicts: list[Verdict] = []
    for payload in payloads:
        values = layout.parse(payload)
        alone = [_verdict(field, values, payload, dates) for field in fields]
        verdicts = [*alone, *_relations(values)]
        points += sum(verdict.points for verdict in verdicts)
        told += sum(field.name in values for field in fields)
        possible += sum(
            verdict.points >= 0 and field.name in values
            for field, verdict in zip(fields, alone, strict=True)
        )
        speaking += sum(verdict.points > 0 for verdict in alone)
    score = points / len(payloads)
    return Guess(label, layout, score, (possible, told), speaking, values, tuple(verdicts))


def _verdict(field: Field, values: Values, payload: bytes, dates: Dates) -> Verdict:
    """Judge one field."""
    if field.name not in values:
        return Verdict(field.name, -0.5, "beyond the end")
    points, reason = _points(field, values[field.name], payload[field.offset : field.end], dates)
    return Verdict(field.name, points, reason)


def _points(field: Field, value: Value, raw: bytes, dates: Dates) -> tuple[float, str]:
    if not any(raw):
        return 0.0, "zero"
    if isinstance(field.type, Octets):
        return _octets_points(field, value, raw, dates)
    if not isinstance(value, int | float):
        return 1.0, "no reading"
    if field.names is not None:
        return (1.0, "a known state") if value in field.names else (-2.0, "no known state")
    return _number_points(field, value)


def _octets_points(field: Field, value: Value, raw: bytes, dates: Dates) -> tuple[float, str]:
    if field.type is Clock:
        return _clock_points(value, dates)
    if isinstance(value, str) and field.type.title.startswith("text"):
        text = raw.rstrip(b"\0 ")
        if not text.isascii() or not text.decode("ascii", "replace").isprintable():
            return -4.0, "no text"
        return (4.0, "a text") if len(text) >= 4 else (0.5, "a short text")
    return 0.0, ""


def _clock_points(value: Value, dates: Dates) -> tuple[float, str]:
    if not isinstance(value, str):
        return -1.0, "no date"
    if not dates[0] <= value <= dates[1]:
        return -1.0, "a date that cannot be"
    return 6.0, "a date"


def _number_points(field: Field, value: float) -> tuple[float, str]:
    entry = lookup(field.quantity) if field.quantity is not None else None
    if entry is not None and not entry.in_range(value):
        return -4.0, "impossible"
    unit, name = field.symbol, field.name
    if unit in _MAINS and name.startswith(("grid_voltage_l", "grid_frequency", "over_frequency")):
        setting = entry is None
        bands = _LIMITS[unit] if setting else _MAINS[unit]
        if not any(low <= value <= high for low, high in bands):
            return -4.0, "no mains"
        return (2.0 if setting else _MAINS_POINTS[unit]), "mains"
    if unit not in _USUAL:
        return 0.0, ""
    low, high = _CELL if name.startswith("cell") and unit == "V" else _USUAL[unit]
    if name.endswith("_today"):
        high = _ENERGY_OF_A_DAY
    if unit == "°C" or field.code.islower():
        fits = low <= value <= high or low <= -value <= high
    else:
        fits = low <= value <= high
    return (1.0, "usual") if fits else (-1.0, "unusual")


def _relations(values: Values) -> Iterator[Verdict]:
    """Judge what follows from several fields together."""
    numbers = {
        name: value
        for name, value in values.items()
        if isinstance(value, int | float) and value != 0
    }
    for stem in ("pv1", "pv2", "pv3", "pv4", "battery", "battery_output"):
        voltage, current = numbers.get(f"{stem}_voltage"), numbers.get(f"{stem}_current")
        power = numbers.get(f"{stem}_power")
        if voltage and current and power:
            yield _equal(f"{stem}: voltage × current", abs(power), abs(voltage * current), 0.1)
    yield from _sums(numbers)
    active, reactive = numbers.get("active_power"), numbers.get("reactive_power")
    apparent = numbers.get("apparent_power")
    if active and reactive and apparent:
        both = (active**2 + reactive**2) ** 0.5
        yield _equal("apparent power", apparent, both, 0.01)


_SUMS = (
    ("battery_voltage", "cell{}_voltage", 0.03),
    ("active_power", "pv{}_power", 0.15),
    ("energy_today", "pv{}_energy_today", 0.2),
    ("energy_total", "pv{}_energy_total", 0.15),
)
"""What is the sum of what: a total, its parts, and how far they are apart (losses, rounding)."""


def _sums(numbers: Mapping[str, float]) -> Iterator[Verdict]:
    for total, parts, tolerance in _SUMS:
        found = [numbers[name] for name in map(parts.format, range(1, 33)) if numbers.get(name)]
        if total in numbers and len(found) > 1:
            yield _equal(f"{total}: its parts add up", numbers[total], sum(found), tolerance)


def _equal(name: str, one: float, other: float, tolerance: float) -> Verdict:
    if abs(one - other) <= tolerance * max(abs(one), abs(other)):
        return Verdict(name, 4.0, "right")
    return Verdict(name, -3.0, f"{one:g} is not {other:g}")


def outstanding(guess: Guess, most: int = 3) -> tuple[list[Verdict], list[Verdict]]:
    """Return what speaks loudest for a guess, and what against it."""

    def strongest(verdicts: Iterable[Verdict]) -> list[Verdict]:
        return sorted(verdicts, key=lambda verdict: -abs(verdict.points))[:most]

    for_it = strongest(v for v in guess.verdicts if v.points > 1)
    return for_it, strongest(v for v in guess.verdicts if v.points < 0)
