"""The devices: inverters and batteries that live on a server for some time.

A battery lives so much faster than life that it, too, sends a status every interval. If the time is
long enough, some batteries are away in the midst of it for more than the two minutes after which a
cloud asks for what they stored.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from functools import partial
from time import monotonic, time
from typing import Any, NamedTuple

from inverterproto.alphaess.battery_session import STATUS_EVERY
from inverterproto.families import ALPHAESS, DEYE
from inverterproto_cli.address import Address
from inverterproto_cli.fakes import driving, loggers
from inverterproto_cli.fakes.connecting import UnreachableError, calling
from inverterproto_cli.fakes.day import Day, sticks
from inverterproto_cli.fakes.exchange import Tally
from inverterproto_cli.fakes.inverters import MODELS
from inverterproto_cli.fakes.simulated import simulated_battery
from soaking.ledger import Ledger

WAIT = 5.0
"""Seconds for an answer."""
AWAY = 130.0
"""Seconds for which some batteries are away, if there is a minute more."""
_ONE_AWAY_IN = 10
_SOONER = 4.0
"""So many times sooner than life a logger connects again."""
_END = 60.0
"""Seconds after which what has not been answered will not be, however slow the machine is."""
_THERE, _AGAIN = 20.0, 0.5
"""Seconds for which a battery calls a server that is not there, and from one call to the next."""
_NOON = 43_200.0


class Plan(NamedTuple):
    """Which devices there are.

    Attributes:
        inverters: how many.
        batteries: how many.
        interval: seconds from one frame of a device to the next; 1 at least.
        seed: of all chances.
    """

    inverters: int
    batteries: int
    interval: float
    seed: int


class Fleet:
    """The devices.

    Args:
        plan: which.
        addresses: where the devices of each family call.
        ledger: is told what is accepted.
        tally: counts.
    """

    def __init__(
        self, plan: Plan, addresses: Mapping[str, Address], ledger: Ledger, tally: Tally
    ) -> None:
        self._plan = plan
        self._addresses = addresses
        self._ledger = ledger
        self._tally = tally
        self._clock = driving.Clock(STATUS_EVERY / plan.interval)
        self._call = calling(addresses["alphaess"])
        begin = self._clock.now()
        self._batteries = [simulated_battery(n + 1, begin) for n in range(plan.batteries)]

    async def live(self, seconds: float, *, historic: int = 0) -> None:
        """Let all devices live for so long, and until all that they have is answered.

        Args:
            seconds: how long.
            historic: records that each logger kept from before.
        """
        lives = [*self._loggers(seconds, historic), *self._all_batteries(seconds)]
        tasks = [asyncio.create_task(life) for life in lives]
        _, late = await asyncio.wait(tasks, timeout=seconds + 2 * _END)
        for task in late:
            task.cancel()
            self._tally.blame("a device that did not end in time")
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                self._tally.blame(f"a device that failed: {result!r}")

    def _loggers(self, seconds: float, historic: int) -> list[Coroutine[Any, Any, None]]:
        plan, begin = self._plan, time()
        bench = loggers.Bench(
            self._addresses["deye"], self._tally, begin + seconds, wait=WAIT, ending=_END,
            speed=_SOONER,
            fragment=True, faults=True, seed=plan.seed,
            accepted=partial(self._ledger.accept, DEYE, None),
        )  # fmt: skip
        noon = begin - begin % 86_400 + _NOON
        sessions = sticks(
            MODELS["hybrid"], plan.inverters, Day(begin, noon), bench.until,
            wait=WAIT, interval=plan.interval, historic=historic, seed=plan.seed,
        )  # fmt: skip
        return [loggers.live(session, bench) for session in sessions]

    def _all_batteries(self, seconds: float) -> list[Coroutine[Any, Any, None]]:
        return [self._battery(number, seconds) for number in range(len(self._batteries))]

    async def _battery(self, number: int, seconds: float) -> None:
        """Let a battery live; some with an absence."""
        if number % _ONE_AWAY_IN or seconds < AWAY + 60:
            await self._live_as_battery(number, seconds)
            return
        await self._live_as_battery(number, (seconds - AWAY) / 2)
        await asyncio.sleep(AWAY)
        await self._live_as_battery(number, (seconds - AWAY) / 2)

    async def _live_as_battery(self, number: int, seconds: float) -> None:
        battery, clock = self._batteries[number], self._clock
        begin = clock.now()
        late = monotonic() + _THERE
        bench = driving.Bench(
            clock, begin + seconds * STATUS_EVERY / self._plan.interval, WAIT, self._tally,
            lambda _: None, fragment=True, faults=True, seed=self._plan.seed,
            accepted=partial(self._ledger.accept, ALPHAESS, battery.serial),
        )  # fmt: skip
        while True:
            try:
                await driving.Life(number, battery, begin, bench).live(self._call)
            except UnreachableError as error:
                # A server that has just been killed is there again soon.
                if monotonic() > late:
                    self._tally.blame(str(error))
                    return
                await asyncio.sleep(_AGAIN)
            else:
                return
