"""Let many devices live on a server, and see that it loses nothing and leaves nothing behind."""

import argparse
import asyncio
import resource
import sys
import tempfile
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from random import Random
from signal import SIGINT, SIGTERM
from time import monotonic
from typing import Any, NamedTuple

from inverterproto_cli import event_loop
from inverterproto_cli.fakes.exchange import Tally
from inverterproto_cli.store import StoreError
from soaking.checks import growth
from soaking.devices import WAIT, Fleet, Plan
from soaking.ledger import Comparison, Ledger, Loss
from soaking.proxied import Proxied
from soaking.report import counted, held, say
from soaking.server import FakeServer, Figures, ServerError, figures_of
from soaking.sinking import SinkSoak

_WARM_UP, _LONGEST_WARM_UP = 0.25, 60.0
"""The part of the time, and the most seconds, of the first life."""
_HISTORIC = 20
_BETWEEN_KILLS = (1.5, 8.0)
"""Seconds, from and to."""
_MOST_NOTED = 30
_USUAL = {"inverters": 1000, "batteries": 200, "interval": 4.0}
_OF_SINKS = {"inverters": 150, "batteries": 50, "interval": 2.0}


class Held(NamedTuple):
    """What is there while no device is connected.

    Attributes:
        server: of the server's process.
        own: of this process.
        tasks: asyncio's, of this process.
    """

    server: Figures
    own: Figures
    tasks: int


class Soak:
    """A soak of a server.

    Args:
        server: what is soaked.
        plan: the devices.
        seconds: how long they live, in both lives together.
        kill: whether to kill the server now and then.
        lossy: whether a kill may cost what was accepted just before it.
    """

    def __init__(
        self,
        server: FakeServer,
        plan: Plan,
        seconds: float,
        *,
        kill: bool,
        lossy: bool = False,
    ) -> None:
        self.wrong: list[str] = []
        self._server = server
        self._plan = plan
        self._seconds = seconds
        self._chance = Random(f"{plan.seed} kills") if kill else None
        self._lossy = lossy
        self._kills: list[float] = []  # when
        self._ledger = Ledger()
        self._tally = Tally()

    async def run(self) -> None:
        """Do it, and print what came of it."""
        server = self._server
        try:
            await server.start()
            await self._soak()
            say("counters of the server", counted(await server.counters()))
            await server.stop()
        except* ServerError as errors:
            self.wrong += [str(error) for error in errors.exceptions]
        finally:
            await server.abandon()
        self.wrong += server.wrong
        self.wrong += [f"{count:,} × {what}" for what, count in self._tally.wrong.items()]
        try:
            compared = self._ledger.compare(server.store, self._kills if self._lossy else ())
        except StoreError as error:
            self.wrong.append(str(error))
            return
        self._report(compared)
        self.wrong += compared.wrong
        if not self._ledger.accepted:
            self.wrong.append("nothing was accepted: nothing is shown")

    async def _soak(self) -> None:
        """Let the devices live twice, and count what is held after each life."""
        fleet = Fleet(self._plan, self._server.addresses, self._ledger, self._tally)
        first = min(self._seconds * _WARM_UP, _LONGEST_WARM_UP)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._server.disturb(first))
            group.create_task(fleet.live(first, historic=_HISTORIC))
        before = await self._count("before")
        await asyncio.sleep(self._plan.interval + 1)  # so that no second is measured twice
        begin, accepted = monotonic(), self._ledger.accepted
        async with asyncio.TaskGroup() as group:
            group.create_task(self._kill_now_and_then(self._seconds - first))
            group.create_task(self._server.disturb(self._seconds - first))
            group.create_task(fleet.live(self._seconds - first))
        taken = monotonic() - begin
        say("pace", f"{(self._ledger.accepted - accepted) / taken:.0f} records accepted a second")
        after = await self._count("after")
        self.wrong += growth("the server", before.server, after.server)
        self.wrong += growth("the soak itself", _without_memory(before.own), after.own)
        if after.tasks > before.tasks:
            self.wrong.append(f"the soak itself has {after.tasks} tasks, before {before.tasks}")

    async def _count(self, when: str) -> Held:
        server = await self._server.at_rest()
        found = Held(server, figures_of("self"), len(asyncio.all_tasks()))
        say(f"server {when}", held(found.server))
        say(f"devices {when}", f"{held(found.own)}, {found.tasks} tasks")
        return found

    async def _kill_now_and_then(self, seconds: float) -> None:
        """Kill the server and start it again, until shortly before the devices end."""
        if self._chance is None:
            return
        end = monotonic() + seconds - WAIT / 2
        while (pause := self._chance.uniform(*_BETWEEN_KILLS)) < end - monotonic():
            await asyncio.sleep(pause)
            self._kills.append(monotonic())
            await self._server.kill()
            await self._server.start()

    def _report(self, compared: Comparison) -> None:
        plan, ledger, tally = self._plan, self._ledger, self._tally
        say("plan", f"{plan.inverters:,} inverters, {plan.batteries:,} batteries, each a frame "
             f"every {plan.interval:g} s; {self._seconds:g} s; seed {plan.seed}")  # fmt: skip
        again = ledger.accepted - ledger.distinct
        say("accepted", f"{ledger.distinct:,} records, {again:,} times one of them again")
        say("in the store", f"{compared.kept:,} records, and nobody was told of "
             f"{compared.unaccepted:,} of them; repeated {compared.repeated:,} times; "
             f"{compared.unframed:,} runs of no frame")  # fmt: skip
        told = [f"by {whom} {count:,}" for whom, count in sorted(compared.answered.items())]
        say("answered", ", ".join(told))
        if self._lossy and self._kills:
            say("lost by kills", _cost(compared.lost))
        for what, text in self._server.report().items():
            say(what, text)
        say("log", f"killed {len(self._kills)} times; lines {counted(self._server.events)}")
        times = [f"{name} {time * 1000:.1f}" for name, time in tally.latencies().items()]
        say("answers", f"{tally.answered:,}; ms: {', '.join(times)}")
        for what, count in tally.noted.most_common(_MOST_NOTED):
            say("noted", f"{what}: {count:,}")


def _without_memory(figures: Figures) -> Figures:
    """Return figures of which the memory may become anything: the ledger grows."""
    return figures._replace(memory=float("inf"))


def _cost(lost: Loss | None) -> str:
    if lost is None:
        return "nothing"
    return (
        f"{lost.records:,} records, accepted {lost.newest * 1000:.0f} ms to "
        f"{lost.oldest * 1000:.0f} ms from a kill"
    )


def _raise_limit() -> None:
    """Take as many descriptors as the system gives: each device needs one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("minutes", nargs="?", type=float, default=15.0, help="how long (15)")
    parser.add_argument("--inverters", type=int, help="how many (1000; with --sinks 150)")
    parser.add_argument("--batteries", type=int, help="how many (200; with --sinks 50)")
    parser.add_argument(
        "--interval", type=float, help="seconds between frames of a device (4; with --sinks 2)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of all chances (1)")
    parser.add_argument("--kill", action="store_true", help="kill the server now and then")
    parser.add_argument(
        "--proxy", action="store_true", help="soak the proxy, with a bad way to a cloud behind it"
    )
    parser.add_argument("--durable", action="store_true", help="of the proxy: it is told so")
    parser.add_argument(
        "--sinks", action="store_true", help="soak the sinks, with bad lines and a broker that dies"
    )
    options = parser.parse_args()
    for name, usual in (_OF_SINKS if options.sinks else _USUAL).items():
        if getattr(options, name) is None:
            setattr(options, name, usual)
    if options.sinks and (options.proxy or options.kill):
        parser.error("--sinks goes without --proxy and --kill: the server is killed in any case")
    if options.durable and not options.proxy:
        parser.error("--durable is for --proxy")
    if options.minutes <= 0 or options.inverters < 0 or options.batteries < 0:
        parser.error("what is below zero cannot be")
    if options.interval < 1:
        parser.error("--interval: one second at least, for devices' clocks count seconds")
    return options


async def _until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Do some work, or until Ctrl-C or SIGTERM: no server outlives the soak."""
    task = asyncio.ensure_future(work)
    for number in (SIGINT, SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await task


def _soak_of(options: argparse.Namespace, plan: Plan, folder: Path) -> Soak | SinkSoak:
    """Return the soak that is wanted.

    Raises:
        ServerError: it cannot be made here.
    """
    seconds = options.minutes * 60
    if options.sinks:
        return SinkSoak(folder, plan, seconds)
    store, devices = folder / "soak.db", plan.inverters + plan.batteries
    server = (
        Proxied(store, devices, seed=plan.seed, durable=options.durable)
        if options.proxy
        else FakeServer(store, devices)
    )
    lossy = options.proxy and not options.durable
    return Soak(server, plan, seconds, kill=options.kill, lossy=lossy)


def main() -> int:
    """Run the soak as the command line says."""
    options = _options()
    if not Path("/proc/self/status").exists():
        sys.stderr.write("what a process holds is told by Linux's /proc, which is not here\n")
        return 1
    _raise_limit()
    plan = Plan(options.inverters, options.batteries, options.interval, options.seed)
    with tempfile.TemporaryDirectory() as folder:
        try:
            soak = _soak_of(options, plan, Path(folder))
            event_loop.run(lambda: _until_stopped(soak.run()))
        except asyncio.CancelledError:
            sys.stderr.write("stopped\n")
            return 1
        except ServerError as error:
            sys.stderr.write(f"{error}\n")
            return 1
    for text in soak.wrong:
        sys.stderr.write(f"wrong: {text}\n")
    if not soak.wrong:
        sys.stdout.write("nothing wrong\n")
    return 1 if soak.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
