"""Calling a server on many connections at once, until all is done or somebody stops it."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from signal import SIGINT, SIGTERM
from typing import Any

import click

from inverterproto_cli.address import Address
from inverterproto_cli.event_loop import run
from inverterproto_cli.fakes.exchange import Tally
from inverterproto_cli.fakes.shown import OutputError

CONNECT = 10.0
"""Seconds after which a server that does not answer a call is not there."""

_RAMP = 100
"""Connections that are made at once."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Call = Callable[[], Coroutine[Any, Any, Streams]]
"""Connects to the server, when it is its turn."""


class UnreachableError(OSError):
    """A server is not there; the message is one clear line."""


def calling(address: Address) -> Call:
    """Return what connects to a server; many calls at once have their turns."""
    ramp = asyncio.Semaphore(_RAMP)

    async def call() -> Streams:
        async with ramp:
            return await _connect(address)

    return call


async def _connect(address: Address) -> Streams:
    """Connect to a server.

    Raises:
        UnreachableError: it is not there.
    """
    try:
        async with asyncio.timeout(CONNECT):
            return await asyncio.open_connection(*address)
    except TimeoutError:
        raise UnreachableError(f"{address}: no answer within {CONNECT:g} s") from None
    except OSError as error:
        raise UnreachableError(f"{address}: {reason_of(error)}") from error


def reason_of(error: OSError) -> str:
    """Return in a few words why a connection failed or ended."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error) or type(error).__name__


def run_all(
    address: Address,
    count: int,
    one: Callable[[int, Call], Coroutine[Any, Any, None]],
    tally: Tally,
    lasting: float | None = None,
) -> None:
    """Do the same for many devices at once, to its end, or until Ctrl-C or SIGTERM.

    Args:
        address: of the server.
        count: of devices.
        one: does it for the device with a number, from 1 on; is given what connects.
        tally: is told of those that could not connect.
        lasting: seconds after which it ends, done or not.

    Raises:
        click.ClickException: none could.
        OSError: what is shown cannot be written.
    """
    unreachable: list[UnreachableError] = []

    async def all_of_them() -> None:
        call = calling(address)

        async def each(number: int) -> None:
            try:
                await one(number, call)
            except UnreachableError as error:
                unreachable.append(error)

        async with asyncio.TaskGroup() as group:
            for number in range(1, count + 1):
                group.create_task(each(number))

    try:
        run(lambda: _until_stopped(all_of_them(), lasting))
    except ExceptionGroup as errors:
        first = errors.exceptions[0]
        raise (first.__cause__ if isinstance(first, OutputError) else None) or first from None
    if len(unreachable) == count:
        raise click.ClickException(str(unreachable[0]))
    for error in unreachable:
        tally.blame(f"no connection to {error}")


async def _until_stopped(work: Coroutine[Any, Any, None], lasting: float | None) -> None:
    """Do some work to its end, or for so many seconds, or until Ctrl-C or SIGTERM."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (SIGINT, SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        await asyncio.wait((task,), timeout=lasting)
        task.cancel()
        await asyncio.wait((task,))
    finally:
        for number in (SIGINT, SIGTERM):
            loop.remove_signal_handler(number)
    if not task.cancelled():
        task.result()
