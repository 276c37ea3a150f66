"""Running a server: the loop, signals, the sweep, what it says at start and end.

All servers of this program are one asyncio process.
SIGTERM and Ctrl-C stop accepting, let what is in hand be answered and written, and end with 0;
SIGUSR1 prints the counters.
"""

import asyncio
import errno
import gc
import logging
import os
import resource
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from ipaddress import ip_address

import click

from inverterproto_cli import event_loop
from inverterproto_cli.address import Address
from inverterproto_cli.server.listener import Listener
from inverterproto_cli.server.options import Serving
from inverterproto_cli.server.requested import Requests
from inverterproto_cli.store import Store, StoreError

SWEEP = 1.0
SWITCH = 0.0001
"""Seconds after which a thread lets the other go on: the store's needs to, often, in a commit."""
GARBAGE = 5_000, 20, 100
"""When to look for garbage in cycles: records make none, but many wait for the store at a time, and
each look goes through all of them."""
NOTHING_CAME = 300.0
"""Seconds of silence since the start after which it says what to check."""
SPARE_DESCRIPTORS = 64
"""Descriptors for other things than connections: the store, the log, the loop."""
_HINTS = (
    "nothing has come for five minutes. Check: does the device's server address (or the DNS entry) "
    "name this machine? is the port the one listened on? does a firewall let it in? is the stick "
    "awake (most sleep without sun)? does its firmware encrypt (names with SSL, port 10443)?"
)


def run(main: Callable[[], Awaitable[None]], serving: Serving) -> None:
    """Run a server to its end, and see that all it said is written."""
    sys.setswitchinterval(SWITCH)
    gc.set_threshold(*GARBAGE)
    try:
        event_loop.run(main)
    finally:
        for outlet in serving.outlets:
            outlet.close()
    if serving.outward is not None and serving.outward.hangs:
        os._exit(0)  # all is written; Python would wait for a thread that hangs in somebody's sink


def find_descriptors(serving: Serving) -> None:
    """Take as many descriptors as the system gives, each connection needs one; say if few."""
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        soft = most
    access = serving.access
    if soft != resource.RLIM_INFINITY and soft < access.most + SPARE_DESCRIPTORS:
        access.most = max(1, soft - SPARE_DESCRIPTORS)
        text = f"this system allows {soft:,} open files (ulimit -n): {access.most:,} connections"
        serving.log.tell("few-descriptors", text, logging.WARNING)


async def listen(listener: Listener, ports: list[tuple[str, Address]]) -> list[Address]:
    """Listen at all addresses; return them with their ports.

    Raises:
        click.ClickException: one cannot be had; the message is one clear line.
    """
    bound: list[Address] = []
    for name, address in ports:
        try:
            bound += await listener.listen(address, name)
        except OSError as error:
            raise click.ClickException(why_not(address, error)) from error
    return bound


def why_not(address: Address, error: OSError, option: str = "--listen") -> str:
    """Return why an address cannot be listened on, in a line; `option` names another."""
    if error.errno == errno.EADDRINUSE:
        why = f"the port is in use (by another server?); name another ({option})"
        return f"cannot listen on {address}: {why}"
    if error.errno == errno.EACCES:
        return f"cannot listen on {address}: ports below 1024 need a right that you do not have"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"cannot listen on {address}: that is no address of this machine"
    return f"cannot listen on {address}: {error.strerror or error}"


def start_lines(bound: list[Address], told: Sequence[str]) -> list[str]:
    """Return what a server says when it is ready, a line for each thing.

    Args:
        bound: where it listens.
        told: what else there is to say.
    """
    lines = [f"listening on {', '.join(map(str, bound))}"]
    inward = [
        address for address in bound if ip_address(address.host.partition("%")[0]).is_loopback
    ]
    if inward:
        which = _those(inward) if inward == bound else ", ".join(map(str, inward))
        lines.append(f"nothing but this machine itself reaches {which}")
    return [*lines, *told]


def _those(addresses: list[Address]) -> str:
    return "this address" if len(addresses) == 1 else "these addresses"


async def serve(
    listener: Listener,
    serving: Serving,
    ports: list[tuple[str, Address]],
    begin: Callable[[], Awaitable[list[str]]] | None = None,
) -> None:
    """Open the store, listen, and serve until a signal says to stop.

    Args:
        listener: takes the connections.
        serving: what the options made.
        ports: where to listen, and for whom.
        begin: is called when all ports are there; returns what else is to be said of the start,
            a line for each thing.

    Raises:
        click.ClickException: the store or an address cannot be had.
        click.exceptions.Exit: records could not be written, which is told.
    """
    keeper, log = serving.keeper, serving.log
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, listener.stopping.set)
    loop.add_signal_handler(signal.SIGUSR1, lambda: log.counters(counters(listener)))
    find_descriptors(serving)
    try:
        keeper.store.open()
    except StoreError as error:
        raise click.ClickException(str(error)) from error
    try:
        keeper.open()
        bound = await listen(listener, ports)
        watch = Watch(listener, serving)
        if serving.outward is not None:
            serving.outward.bind(watch)
        told = [] if begin is None else await begin()
        first, *others = start_lines(bound, [*told, serving.describe])
        log.tell("listening", first)
        for line in others:
            log.tell("start", line)
        if serving.outward is not None:
            serving.outward.begin()
        await _look_after(listener.stopping, watch)
        log.tell("stopping", "stopping")
    finally:
        await listener.close()
        keeper.settle(listener.clock())
        if serving.outward is not None:
            await serving.outward.close()
        await keeper.store.close()
        if serving.capture is not None:
            serving.capture.close()
        if listener.accepted and not serving.quiet:
            log.counters(counters(listener))
    if listener.failure is not None:
        raise click.ClickException(listener.failure)
    if isinstance(keeper.store, Store) and keeper.store.unwritten:
        raise click.exceptions.Exit(1)


async def _look_after(stop: asyncio.Event, watch: "Watch") -> None:
    """Look after everything once a second, until it is time to stop."""
    while not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), SWEEP)
        except TimeoutError:
            watch.turn()


class Watch:
    """What is done once a second.

    Attributes:
        listener: what is looked after.
        turned: when it was done last, by the listener's ticks; anybody may look.
    """

    def __init__(self, listener: Listener, serving: Serving) -> None:
        self.listener = listener
        self._serving = serving
        self._begin = self.turned = listener.ticks()
        self._hinted = False
        self._requests = Requests(
            serving.keeper,
            serving.log,
            listener.end_of,
            filters=listener.filters,
            sinks=serving.outward.names if serving.outward is not None else (),
        )

    def turn(self) -> None:
        """Do it; a fault of ours is told, and the next turn comes all the same."""
        listener, serving = self.listener, self._serving
        now, self.turned = listener.clock(), listener.ticks()
        try:
            listener.sweep()
            serving.keeper.settle(now)
            self._requests.look(now)
            if serving.capture is not None:
                serving.capture.look()
            if serving.outward is not None:
                serving.outward.turn()
        except Exception:  # noqa: BLE001 - whatever it is, devices are still answered
            serving.log.fault("looking after connections", now)
        if self._hinted or listener.heard or listener.ticks() - self._begin < NOTHING_CAME:
            return
        self._hinted = True
        serving.log.tell("nothing-came", _HINTS, logging.WARNING)


def counters(listener: Listener) -> dict[str, int]:
    """Return how much there was of everything."""
    store = listener.keeper.store
    counts = dict(sorted((listener.keeper.counts + Counter(listener.counters())).items()))
    counts["connections now"] = len(listener.connections)
    if isinstance(store, Store):
        counts |= {"records committed": store.committed, "commits": store.commits}
        if store.dropped:
            counts["records dropped"] = store.dropped
        removed = store.removed.items()
        counts |= {f"records removed: {why}": count for why, count in removed if count}
    return counts
