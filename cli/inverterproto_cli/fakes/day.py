"""A made-up day, and the logger sticks that live through it.

The day may pass faster than life. The sticks do not: they live in the time that the server tells
them, so that their readings are dated as ever; only the sun rises sooner, and the sticks measure as
much more often. Where there are many, they measure one after the other, not all at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from inverterproto.deye.logger import LoggerSession, Source
from inverterproto_cli.fakes.household import DAY
from inverterproto_cli.fakes.inverters import Measure, Model, stick

INTERVAL = 300.0
"""Seconds from one measurement to the next of a real stick."""
_COUNTED_FROM = 1_727_740_800
"""When the sticks' counters were 0: 2024-10-01. Counters go on from one run to the next."""
_KEPT = 576
_HOUSEHOLDS = 16
"""So many kinds of weather and habits are enough for any number of inverters."""


@dataclass(frozen=True)
class Day:
    """A day.

    Attributes:
        begin: unix time at which it begins.
        first: unix time that it is then, in the day itself.
        speed: how much faster than life it passes.
        utc_offset: of the household's clocks, in seconds.
    """

    begin: float
    first: float
    speed: float = 1.0
    utc_offset: float = 0.0

    @property
    def end(self) -> float:
        """Unix time at which a day has passed."""
        return self.begin + DAY / self.speed

    def at(self, now: float) -> float:
        """Return what time of the day it is."""
        return self.first + (now - self.begin) * self.speed


def day_from(now: float, speed: float, minute: int | None = None) -> Day:
    """Return a day of this place that begins now.

    Args:
        now: unix time.
        speed: how much faster than life it passes.
        minute: of the day, with which it begins; None for the present one.
    """
    local = datetime.fromtimestamp(now).astimezone()
    offset = local.utcoffset()
    seconds = 0.0 if offset is None else offset.total_seconds()
    if minute is None:
        return Day(now, now, speed, seconds)
    midnight = now - (now + seconds) % DAY
    return Day(now, midnight + minute * 60, speed, seconds)


def sticks(
    model: Model,
    count: int,
    day: Day,
    until: float,
    *,
    wait: float = 10.0,
    interval: float = INTERVAL,
    historic: int = 0,
    seed: int = 0,
    first_serial: int | None = None,
) -> list[LoggerSession]:
    """Return so many sticks that live through a day.

    Args:
        model: what their inverters are.
        count: how many.
        day: the day.
        until: unix time from which on they measure nothing.
        wait: seconds after which they send again what was not answered.
        interval: seconds of the day from one measurement to the next.
        historic: records that each kept from before the day.
        seed: of weather, habits and what wavers.
        first_serial: of the first stick; None for a simulated one.
    """
    households = [
        model.household(seed * _HOUSEHOLDS + number, day.utc_offset)
        for number in range(min(count, _HOUSEHOLDS))
    ]
    every = interval / day.speed
    sessions = []
    for number in range(count):
        identity = stick(model, number, first_serial)
        household = households[number % len(households)]
        measure = model.measure(identity.inverter_serial, household, day.first, seed=seed)
        source = _source(measure, day, until)
        last = day.begin - every * number / count
        powered_on = _first(source, last, every, historic)
        sessions.append(
            LoggerSession(
                identity,
                source,
                powered_on=powered_on,
                working_time=int(powered_on - _COUNTED_FROM),
                interval=every,
                answer_within=wait,
                most_kept=max(_KEPT, historic + 1),
                pause=min(1.0, 1 / day.speed),
            )
        )
    return sessions


def _source(measure: Measure, day: Day, until: float) -> Source:
    def measured(now: float) -> Mapping[str, Any] | None:
        return measure(day.at(now)) if now < until else None

    return measured


def _first(source: Source, last: float, every: float, wanted: int) -> float:
    """Return since when to measure, so that there are so many records before the last time."""
    step = 0
    while wanted:
        step += 1
        wanted -= source(last - step * every) is not None
    return last - step * every
