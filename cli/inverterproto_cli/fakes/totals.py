"""Energies that a made-up household counts from day to day."""

from inverterproto_cli.fakes.household import Household


class Totals:
    """Energies in kWh since a device was made.

    They are some round number on the day on which the simulation begins, and go on from there by
    what the days add up to, also backwards.

    Args:
        household: whose.
        begin: unix time of the beginning.
        first: kWh at the beginning of that day.
    """

    def __init__(self, household: Household, begin: float, first: float = 2000.0) -> None:
        self._household = household
        self._begin = household.at(begin).days
        self._first = first
        self._before: dict[str, dict[int, float]] = {}

    def at(self, now: float, name: str) -> float:
        """Return the total at some unix time of what a `Moment` counts by this name, per day."""
        moment = self._household.at(now)
        before = self._before.setdefault(name, {self._begin: self._first})
        first, last = min(before), max(before)
        for day in range(last, moment.days):
            before[day + 1] = before[day] + self._day(day, name)
        for day in range(first, moment.days, -1):
            before[day - 1] = max(0.1, before[day] - self._day(day - 1, name))
        today: float = getattr(moment, name)
        return before[moment.days] + today

    def _day(self, day: int, name: str) -> float:
        total: float = getattr(self._household.evening(day), name)
        return total
