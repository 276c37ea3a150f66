"""Dating for many batteries at once: one `BatteryClock` each, a bounded number of them."""

from math import inf
from typing import TYPE_CHECKING

from inverterproto.alphaess.clock import BatteryClock, date
from inverterproto.reading import Dated, Record

if TYPE_CHECKING:
    from inverterproto.alphaess.messages import Message

MOST_BATTERIES = 1024
"""Batteries whose clocks are followed; the records of more get what can be known at once."""


LATEST_STAMP = 1e11
"""In the year 5138: stamps are taken from 1970 till then, whatever the offset."""


class Dating:
    """Dates the records of all batteries (see `inverterproto.families.Dating`).

    Args:
        clock_offset: the batteries' clock minus UTC in seconds, where the user knows it.
        now: not used: without an arrival, only the offset dates a battery's record.
    """

    def __init__(self, clock_offset: float | None = None, now: float | None = None) -> None:
        del now
        self._clock_offset = clock_offset
        self._clocks: dict[str | None, BatteryClock] = {}

    def see(
        self,
        message: "Message",
        keys: list[object],
        records: list[Record],
        arrival: float | None,
    ) -> list[Dated]:
        """Take in a message's records; without an arrival only a known offset dates them."""
        del message  # all that matters of it is in its records
        dates = []
        for key, record in zip(keys, records, strict=True):
            stamp = usable_stamp(record.stamp)
            if arrival is None:
                dates.append(date(stamp, self._clock_offset, key))
            else:
                clock = self._clock(record.device)
                dates += clock.observe(key, stamp, arrival, historic=record.historic)
                if clock is not self._clocks.get(record.device):
                    dates += clock.settle(inf)
        return dates

    def _clock(self, device: str | None) -> BatteryClock:
        """Return the clock of a battery; beyond the bound one that is forgotten at once."""
        clock = self._clocks.get(device)
        if clock is None:
            clock = BatteryClock(self._clock_offset)
            if len(self._clocks) < MOST_BATTERIES:
                self._clocks[device] = clock
        return clock

    def settle(self, now: float) -> list[Dated]:
        """Return what is dated because its waiting is over."""
        return [dated for clock in self._clocks.values() for dated in clock.settle(now)]

    def finish(self) -> list[Dated]:
        """Date all that waits as well as can be."""
        return self.settle(inf)


def usable_stamp(stamp: object) -> float | None:
    """Return a stamp that is one: in the year 1 or 9999 less an offset is no date any more."""
    return stamp if isinstance(stamp, float) and 0 <= stamp < LATEST_STAMP else None
