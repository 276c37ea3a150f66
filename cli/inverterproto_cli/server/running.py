"""Running a server: the loop, signals, the sweep, what it says at start and end.

All servers of this program are one asyncio process; uvloop, where it is installed, makes it faster.
SIGTERM and Ctrl-C stop accepting, let what is in hand be answered and written, and end with 0;
SIGUSR1 prints the counters.
"""

import asyncio
import errno
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from time import time

import click

from inverterproto_cli.address import Address
from inverterproto_cli.server.keeper import Keeper
from inverterproto_cli.server.listener import Listener
from inverterproto_cli.server.options import Serving
from inverterproto_cli.store import Store, StoreError

SWEEP = 1.0
NOTHING_CAME = 300.0
"""Seconds of silence since the start after which it says what to check."""
_HINTS = (
    "nothing has come for five minutes. Check: does the device's server address (or the DNS entry) "
    "name this machine? is the port the one listened on? does a firewall let it in? is the stick "
    "awake (most sleep without sun)? does its firmware encrypt (names with SSL, port 10443)?"
)


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run a server to its end."""
    factory = None
    try:
        import uvloop
    except ImportError:
        pass
    else:
        factory = uvloop.new_event_loop
    _raise_descriptors()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_awaited(main))


async def _awaited(main: Callable[[], Awaitable[None]]) -> None:
    await main()


def _raise_descriptors() -> None:
    """Take as many descriptors as the system gives: each connection needs one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def listen(listener: Listener, addresses: list[Address]) -> list[Address]:
    """Listen at all addresses; return them with their ports.

    Raises:
        click.ClickException: one cannot be had; the message is one clear line.
    """
    bound = []
    for address in addresses:
        try:
            port = await listener.listen(*address)
        except OSError as error:
            raise click.ClickException(_why_not(address, error)) from error
        bound.append(Address(address.host, port))
    return bound


def _why_not(address: Address, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"cannot listen on {address}: the port is in use (by another server?)"
    if error.errno == errno.EACCES:
        return f"cannot listen on {address}: ports below 1024 need a right that you do not have"
    return f"cannot listen on {address}: {error.strerror or error}"


async def serve(
    listener: Listener,
    serving: Serving,
    addresses: list[Address],
    begin: Callable[[], object] = lambda: None,
) -> None:
    """Open the store, listen, and serve until a signal says to stop.

    Args:
        listener: takes the connections.
        serving: what the options made.
        addresses: where to listen.
        begin: is called once the store is open.

    Raises:
        click.ClickException: the store or an address cannot be had.
    """
    keeper, log = serving.keeper, serving.log
    try:
        keeper.store.open()
    except StoreError as error:
        raise click.ClickException(str(error)) from error
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, lambda: show_counts(keeper, listener))
    try:
        keeper.open()
        begin()
        bound = await listen(listener, addresses)
        where = ", ".join(map(str, bound))
        log.tell("listening", f"listening on {where}; {serving.describe}")
        await _sweep_until(stop, listener, serving)
        log.tell("stopping", "stopping")
    finally:
        await listener.close()
        keeper.settle(time())
        await keeper.store.close()
        if serving.capture is not None:
            serving.capture.close()
        if listener.number:
            show_counts(keeper, listener)


async def _sweep_until(stop: asyncio.Event, listener: Listener, serving: Serving) -> None:
    """Look after everything once a second, until it is time to stop."""
    begin, hinted = time(), False
    while not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), SWEEP)
        except TimeoutError:
            now = time()
            listener.sweep(now)
            serving.keeper.settle(now)
            if serving.capture is not None:
                serving.capture.flush()
            if not listener.heard and not hinted and now - begin > NOTHING_CAME:
                hinted = True
                serving.log.tell("nothing-came", _HINTS)


def show_counts(keeper: Keeper, listener: Listener) -> None:
    """Print the counters on standard error."""
    store = keeper.store
    counts = dict(sorted(keeper.counts.items()))
    counts["connections now"] = len(listener.connections)
    if isinstance(store, Store):
        counts |= {"records committed": store.committed, "commits": store.commits}
        if store.dropped:
            counts["records dropped"] = store.dropped
    shown = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    print(f"counters: {shown}", file=sys.stderr, flush=True)  # noqa: T201 - what was asked for
