"""A household that is made up: sun, load, battery and grid, minute by minute.

For test benches: plausible, in balance, and the same for the same time and seed. The sun shines by
its height (from six to six), less by clouds; the load has a hump in the morning and one in the
evening; the battery takes what is left over and gives what is missing, within its power and
capacity, and the grid does the rest.

A day is computed at once, and alone: it begins with what the battery holds when the day before
ends. What it held when that one began hardly matters: each night it runs empty, or each
afternoon full, and then what was before is forgotten.
"""

from functools import lru_cache
from math import pi, sin
from random import Random
from typing import NamedTuple

DAY = 86400
MINUTES = 1440
_FIRST_CHARGE = 0.3
_FULL, _EMPTY = 0.98, 0.1
"""Parts of the capacity between which the battery is used."""
_KWH = 60_000
"""Watts times minutes."""


class Moment(NamedTuple):
    """What flows at some minute, in watts, and what has flowed, in kWh.

    Attributes:
        pv: from the panels.
        load: into the house.
        battery: positive: discharge.
        grid: positive: import.
        charge: state of charge, in percent.
        pv_today: since midnight.
        load_today: since midnight.
        imported_today: since midnight.
        exported_today: since midnight.
        charged_today: since midnight.
        discharged_today: since midnight.
        days: whole days before this one, for totals.
    """

    pv: float
    load: float
    battery: float
    grid: float
    charge: float
    pv_today: float
    load_today: float
    imported_today: float
    exported_today: float
    charged_today: float
    discharged_today: float
    days: int


class Household:
    """A household with panels and perhaps a battery.

    Args:
        seed: makes this household's clouds and habits.
        peak: of the panels, in watts.
        capacity: of the battery, in kWh; 0 for none.
        utc_offset: of its clocks, in seconds.

    Attributes:
        utc_offset: of its clocks, in seconds.
    """

    def __init__(
        self, seed: int, *, peak: float = 6000.0, capacity: float = 10.0, utc_offset: float = 0.0
    ) -> None:
        self._seed = seed
        self._peak = peak
        self._capacity = capacity
        self.utc_offset = utc_offset
        self._day = lru_cache(maxsize=4)(self._begun)

    def at(self, now: float) -> Moment:
        """Return what flows at some unix time."""
        day, second = divmod(now + self.utc_offset, DAY)
        return self._day(int(day))[int(second // 60)]

    def evening(self, day: int) -> Moment:
        """Return the last minute of a day, counted as `Moment.days` counts."""
        return self._day(day)[-1]

    def _begun(self, day: int) -> list[Moment]:
        """Return the minutes of a day that begins as the one before ends."""
        before = self._compute(day - 1, _FIRST_CHARGE)
        return self._compute(day, before[-1].charge / 100)

    def _compute(self, day: int, charge: float) -> list[Moment]:
        """Return the minutes of a day that begins with some part of the battery's capacity."""
        chance = Random(self._seed * 1_000_003 + day)  # noqa: S311 - no secret
        clouds, held = 1.0, charge * self._capacity
        sums = [0.0] * 6
        moments = []
        for minute in range(MINUTES):
            hour = minute / 60
            clouds = min(1.0, max(0.2, clouds + chance.uniform(-0.1, 0.1)))
            pv = self._peak * max(0.0, sin(pi * (hour - 6) / 12)) ** 1.3 * clouds
            load = 250 + _hump(hour, 7.5, 1400) + _hump(hour, 19, 2200) + chance.uniform(0, 150)
            battery = self._battery(load - pv, held)
            held -= battery / _KWH
            grid = load - pv - battery
            flows = (pv, load, max(grid, 0), max(-grid, 0), max(-battery, 0), max(battery, 0))
            sums = [total + flow / _KWH for total, flow in zip(sums, flows, strict=True)]
            percent = 100 * held / self._capacity if self._capacity else 0.0
            moments.append(Moment._make((pv, load, battery, grid, percent, *sums, day)))
        return moments

    def _battery(self, missing: float, held: float) -> float:
        """Return what the battery gives, in watts, where so much is missing."""
        most = 500.0 * self._capacity
        room = max(0.0, self._capacity * _FULL - held) * _KWH
        left = max(0.0, held - self._capacity * _EMPTY) * _KWH
        return max(-min(most, room), min(most, left, missing))


def _hump(hour: float, middle: float, height: float) -> float:
    return height * max(0.0, 1 - abs(hour - middle) / 2)
