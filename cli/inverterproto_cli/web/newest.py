"""What was measured last: a small view in memory, which takes readings as a sink does.

It reads the same pages as the sinks (`sinks/pages.py`), which are decoded once for all. At the
start it goes some records back in the store, so that a restart shows no gap.
"""

import asyncio
from collections.abc import Callable, Iterable
from time import time
from typing import NamedTuple

from inverterproto.quantity import Number
from inverterproto_cli.fakes.serials import is_simulated
from inverterproto_cli.sinks.pace import Pace
from inverterproto_cli.sinks.pages import EVERY, Pages, Wanted
from inverterproto_cli.sinks.sink import Entry
from inverterproto_cli.sinks.states import FRESH
from inverterproto_cli.store.schema import UNREADABLE

LOOK_BACK = 1000
"""Records of the store that are looked at, at the start."""


class Value(NamedTuple):
    """A quantity of a device, as it was measured last."""

    family: str
    device: str
    key: str
    value: Number
    time: float


class Newest:
    """The newest fresh values of each device.

    Args:
        most: devices that are shown at once.
        simulated: whether simulated ones are shown, too.
        clock: tells unix time in seconds.
    """

    def __init__(
        self, most: int, *, simulated: bool = False, clock: Callable[[], float] = time
    ) -> None:
        self._most = most
        self._simulated = simulated
        self._clock = clock
        self._values: dict[tuple[str, str], dict[str, Value]] = {}

    async def follow(self, pages: Pages, pace: Pace) -> None:
        """Take what comes, until the end of the pages."""
        await pages.more(0)
        number = max(0, pages.last - LOOK_BACK)
        while await pages.more(number):
            try:
                page = pages.after(number, Wanted())
            except UNREADABLE:
                await asyncio.sleep(EVERY)
                continue
            self.take(page.entries)
            number = page.last
            await pace.rest()

    def take(self, entries: Iterable[Entry]) -> None:
        """Take some readings; those that are historic, or of no time that is known, are not it."""
        for entry in entries:
            reading = entry.reading
            if reading.historic or reading.time is None or reading.device is None:
                continue
            if self._is_fresh(reading.time) and (
                self._simulated or not is_simulated(reading.device, reading.via)
            ):
                self._put(reading.family, reading.device, reading.time, reading.values.items())

    def _is_fresh(self, at: float) -> bool:
        # A clock that is ahead may have dated it.
        return abs(self._clock() - at) <= FRESH

    def _put(
        self, family: str, device: str, at: float, values: Iterable[tuple[str, object]]
    ) -> None:
        known = self._values.get((family, device))
        if known is None:
            if len(self._values) >= self._most:
                self._forget_old()
            if len(self._values) >= self._most:
                return
            known = self._values[family, device] = {}
        for key, value in values:
            if isinstance(value, int | float) and not isinstance(value, bool):
                before = known.get(key)
                if before is None or before.time <= at:
                    known[key] = Value(family, device, key, value, at)

    def _forget_old(self) -> None:
        for name, known in list(self._values.items()):
            for key, value in list(known.items()):
                if not self._is_fresh(value.time):
                    del known[key]
            if not known:
                del self._values[name]

    def values(self) -> list[Value]:
        """Return what is fresh now, by device."""
        self._forget_old()
        return [value for known in self._values.values() for value in known.values()]
