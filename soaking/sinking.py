"""The soak of sinks: every reading of every record that is committed arrives at every sink.

Theory of operation
-------------------
A fake server has six sinks (`outlets.py`): MQTT, InfluxDB, Splunk, files, a webhook, and another
webhook that is dead nearly all the time. The devices live three times:

1. *Faults*: every line is reset, black-holed, half-closed and refused at random, the broker is
   killed and told to end, Splunk and the webhook are busy, hang up, answer too late or by half; and
   the server itself is killed.
2. *Calm*, shortly: what grows once has grown then. What the server holds is counted.
3. *One is dead*, nothing else: how far the others lag behind is measured (`lagging.py`), and what
   the server has in memory meanwhile. For the last part of it the dead one comes back: how fast it
   catches up is measured while devices go on.

Then the soak waits until `inverterproto sinks` shows nothing that waits, ends the server, reads the
store, and holds what arrived at each sink against that (`arrivals.py`). What devices were told is
accepted is held against the store by the ledger, as in every soak.

*Waits* of sinks that are a minute in life are seconds here, as in the soak of the proxy.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

from inverterproto_cli.fakes.exchange import Tally
from inverterproto_cli.sinks.sink import Entry
from inverterproto_cli.store import Reader
from soaking.arrivals import Held, committed
from soaking.checks import MOST_GROWTH, growth
from soaking.devices import WAIT, Fleet, Plan
from soaking.lagging import Watch, told
from soaking.ledger import Ledger
from soaking.outlets import DEAD, NEEDS_TIME, SINKS, Outlets
from soaking.report import counted, held, say
from soaking.server import MAIN, FakeServer, Figures, ServerError

FAULTS, CALM, ONE_DEAD = 0.5, 0.1, 0.4
"""Parts of the time."""
_BACK = 0.75
"""The part of the last life after which the dead one comes back."""
_IDLE = 5.0
"""Seconds after which a sink has closed the connection of its last request."""
_MOST_ENDS = 3
_BETWEEN_KILLS = (3.0, 15.0)
"""Seconds, from and to."""
LONGEST_CATCH_UP = 240.0
"""Seconds after which what has not arrived will not."""
MOST_LAG = 20.0
"""Seconds that a sink may be behind because another is dead; two of them are how it is measured."""
_HISTORIC = 20
_IN_LIFE = (60, 10)
"""Seconds between two readings of a device in life."""
LEAST_CATCH_UP = 20.0
"""So many times faster than life a sink catches up at least: an hour in three minutes."""
_Beside = Callable[[float], Coroutine[Any, Any, None]]
"""Goes on beside a life, for so many seconds."""
_WAITS = f"""
from inverterproto_cli.sinks import delivery, mqtt_connection, mqtt_sink
delivery.PATIENCE, delivery.LAST_RETRY = 10.0, 5.0
mqtt_connection.PATIENCE, mqtt_sink.LAST_RETRY = 5.0, 5.0
{MAIN}
"""


class Sinking(FakeServer):
    """A fake server with sinks; see `FakeServer`.

    Args:
        store: the file of the store.
        devices: how many there will be.
        config: the file that names the sinks.
    """

    main = _WAITS

    def __init__(self, store: Path, devices: int, config: Path) -> None:
        super().__init__(store, devices)
        self._config = config

    def _command(self) -> list[str]:
        """Return the command and the options that only it has."""
        return ["--config", str(self._config), *super()._command(), "--include-simulated"]

    async def sinks(self) -> dict[str, dict[str, object]]:
        """Return what `inverterproto sinks` tells of each sink.

        Raises:
            ServerError: it tells nothing.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", MAIN, "sinks", "--json", "--store", str(self.store),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        out, _ = await process.communicate()
        if process.returncode:
            raise ServerError(f"inverterproto sinks ended with {process.returncode}")
        return {found["name"]: found for found in map(json.loads, out.splitlines())}


class SinkSoak:
    """A soak of sinks.

    Args:
        folder: for all that is on disk.
        plan: the devices.
        seconds: how long they live, in all lives together.
        server: makes the server that is soaked.
    """

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        seconds: float,
        server: Callable[[Path, int, Path], Sinking] = Sinking,
    ) -> None:
        self.wrong: list[str] = []
        self._plan = plan
        self._seconds = seconds
        self._outlets = Outlets(folder, plan.seed)
        self._config = folder / "config.toml"
        self._server = server(folder / "soak.db", plan.inverters + plan.batteries, self._config)
        self._chance = Random(f"{plan.seed} kills")
        self._kills = 0
        self._lived = 0.0
        self._ledger = Ledger()
        self._tally = Tally()
        self._goal = 0

    async def run(self) -> None:
        """Do it, and print what came of it."""
        try:
            await self._outlets.start()
            self._config.write_text(self._outlets.configuration())
            await self._server.start()
            await self._soak()
            await self._end()
            await self._report()
        except* ServerError as errors:
            self.wrong += [str(error) for error in errors.exceptions]
        finally:
            await self._server.abandon()
            await self._outlets.end()
        self.wrong += self._server.wrong + self._outlets.wrong
        self.wrong += [f"{count:,} × {what}" for what, count in self._tally.wrong.items()]

    async def _soak(self) -> None:
        seconds, server = self._seconds, self._server
        addresses = server.addresses
        fleet = Fleet(self._plan, addresses, self._ledger, self._tally)

        async def live(part: float, *others: _Beside, historic: int = 0) -> None:
            begin = monotonic()
            async with asyncio.TaskGroup() as group:
                for other in others:
                    group.create_task(other(part * seconds))
                group.create_task(fleet.live(part * seconds, historic=historic))
            self._lived += monotonic() - begin
            await asyncio.sleep(self._plan.interval + 1)  # so that no second is measured twice

        others = [name for name in SINKS if name != DEAD]
        await live(FAULTS, self._outlets.disturb, self._kill_now_and_then, historic=_HISTORIC)
        await self._until_nothing_waits(others)
        calm, dead, back = (Watch(server, others) for _ in range(3))
        await live(CALM, calm.watch)
        before = await self._at_rest()
        say("server before", held(before))

        async def one_is_dead(seconds: float) -> None:
            await dead.watch(seconds * _BACK)
            with Reader(server.store) as reader:
                self._goal = reader.last_number()
            await self._outlets.revive()
            await back.watch(seconds * (1 - _BACK))

        await live(ONE_DEAD, one_is_dead)
        await self._until_nothing_waits(SINKS)
        after = await self._at_rest()
        say("server after", held(after))
        self.wrong += growth("the server", before, after)
        self._report_watches(calm, dead, back)

    async def _at_rest(self) -> Figures:
        await asyncio.sleep(_IDLE)
        return await self._server.at_rest()

    async def _end(self) -> None:
        """Let the server end, when all that is in the store is delivered.

        What waits for its date gets it when the server ends, behind the last word of the sinks: it
        is delivered when a server is there again.

        Raises:
            ServerError: it does not come to that.
        """
        for again in range(_MOST_ENDS):
            await self._until_nothing_waits(SINKS)
            await self._server.stop()
            waiting = max(_waiting(row) for row in (await self._server.sinks()).values())
            if not waiting:
                return
            say(f"waiting after end {again + 1}", f"{waiting:,} records, dated last of all")
            await self._server.start()
        raise ServerError("there is always something that waits when the server has ended")

    def _report_watches(self, calm: Watch, dead: Watch, back: Watch) -> None:
        for when, watch in (("nothing but the dead one", dead), ("it catches up", back)):
            say(f"lags while {when}", told(watch.lags))
            self.wrong += [
                f"{name} was {lag.seconds:.1f} s behind while another sink was dead"
                for name, lag in watch.lags.items()
                if lag.seconds > MOST_LAG
            ]
        say("most memory", f"calm {calm.memory:.1f} MiB, one dead {dead.memory:.1f} MiB, "
            f"catching up {back.memory:.1f} MiB")  # fmt: skip
        if max(dead.memory, back.memory) > calm.memory + MOST_GROWTH:
            self.wrong.append(f"a dead sink costs memory: more than {MOST_GROWTH:g} MiB")

    async def _kill_now_and_then(self, seconds: float) -> None:
        """Kill the server and start it again, until shortly before the devices end."""
        end = monotonic() + seconds - WAIT / 2
        while (pause := self._chance.uniform(*_BETWEEN_KILLS)) < end - monotonic():
            await asyncio.sleep(pause)
            self._kills += 1
            await self._server.kill()
            await self._server.start()

    async def _until_nothing_waits(self, names: Sequence[str]) -> None:
        """Wait until some sinks have had all that there is.

        Raises:
            ServerError: it does not come to that.
        """
        end = monotonic() + LONGEST_CATCH_UP
        while True:
            found = await self._server.sinks()
            waiting = {name: _waiting(found[name]) for name in names if name in found}
            if len(waiting) == len(names) and not any(waiting.values()):
                return
            if monotonic() > end:
                raise ServerError(f"this many records wait, and go nowhere: {waiting}")
            await asyncio.sleep(0.5)

    # What came of it

    async def _report(self) -> None:
        plan, ledger = self._plan, self._ledger
        compared = ledger.compare(self._server.store)
        self.wrong += compared.wrong
        entries = committed(self._server.store)
        timed = sum(entry.reading.time is not None for entry in entries)
        say("plan", f"{plan.inverters:,} inverters, {plan.batteries:,} batteries, each a frame "
            f"every {plan.interval:g} s; {self._seconds:g} s; seed {plan.seed}")  # fmt: skip
        say("accepted", f"{ledger.distinct:,} records")
        say("in the store", f"{compared.kept:,} records; {len(entries):,} readings, {timed:,} of "
            "them with a time")  # fmt: skip
        say("server killed", f"{self._kills} times; log lines {counted(self._server.events)}")
        for what, text in self._outlets.faults().items():
            say(what, text)
        for name, found in self._outlets.held(entries).items():
            self._report_held(name, found)
        points = await self._outlets.points(entries)
        say("influx", f"{points:,} points, of {timed:,} readings; none twice")
        self._report_catch_up(len(entries))
        self._look_at_rows(await self._server.sinks(), entries)
        if not entries:
            self.wrong.append("nothing was to arrive: nothing is shown")

    def _report_held(self, name: str, found: Held) -> None:
        say(name, f"{found.arrived:,} readings arrived, {found.duplicates:,} came again; "
            f"lost {len(found.lost):,}, out of order {len(found.disordered):,}, "
            f"strange {len(found.strange):,}")  # fmt: skip
        self.wrong += found.wrong(name)

    def _report_catch_up(self, readings: int) -> None:
        """Tell how fast the dead one caught up, while devices went on if there was time."""
        found = self._outlets.caught_up(self._goal)
        if found is None or not found[1]:
            self.wrong.append("what was dead did not catch up, or had nothing to")
            return
        count, taken = found
        rate, devices = count / taken, self._plan.inverters + self._plan.batteries
        came = readings / self._lived
        times = [f"{rate * every / devices:.0f} × that of a reading each {every} s"
                 for every in _IN_LIFE]  # fmt: skip
        times.append(f"{rate / came:.1f} × the {came:.0f} a second that came")
        say("catching up", f"{count:,} readings in {taken:.1f} s, {rate:,.0f} a second: "
            + ", ".join(times))  # fmt: skip
        if rate < LEAST_CATCH_UP * devices / min(_IN_LIFE):
            self.wrong.append(f"catching up takes more than a {LEAST_CATCH_UP:g}th of the time")

    def _look_at_rows(self, rows: dict[str, dict[str, object]], entries: Sequence[Entry]) -> None:
        """Look whether the sinks themselves tell what is true."""
        untimed = sum(entry.reading.time is None for entry in entries)
        say("left out", ", ".join(f"{name} {row['left_out']}" for name, row in rows.items()))
        for name, row in rows.items():
            left_out = untimed if name in NEEDS_TIME else 0
            wanted = {"waiting": 0, "set_aside": 0, "left_out": left_out, "error": None}
            self.wrong += [
                f"sink {name}: {key} is {row[key]!r}, and should be {value!r}"
                for key, value in wanted.items()
                if row[key] != value
            ]


def _waiting(row: Mapping[str, object]) -> int:
    """Return how many records a sink has not had."""
    waiting = row["waiting"]
    assert isinstance(waiting, int)
    return waiting
