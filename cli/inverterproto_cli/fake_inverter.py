"""`inverterproto fake-inverter`: a Deye/Solarman logger stick, to try a server with.

With captures it sends the device's frames in them (`fakes/playing.py`); without, sticks live
through a made-up day (`fakes/day.py`, `fakes/loggers.py`).
"""

import re
import sys
from typing import TYPE_CHECKING, Any

import click

from inverterproto_cli.fakes.options import for_option, quiet_option, server_option, wait_option
from inverterproto_cli.number import Number
from inverterproto_cli.useless import refuse_given

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from inverterproto_cli.fakes.captured import Captured
    from inverterproto_cli.fakes.loggers import Bench

DEFAULT_SERVER = "127.0.0.1:10000"
MODELS = ("micro", "hybrid", "string", "battery")
_LAST_LOGGER = 0xFFFF_FFFF
_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", re.ASCII)


def _parse_clock(_ctx: click.Context, _option: click.Parameter, value: str | None) -> int | None:
    """Return the minute of the day."""
    if value is None:
        return None
    found = _CLOCK.fullmatch(value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no time of day, HH:MM.")
    return int(found[1]) * 60 + int(found[2])


@click.command("fake-inverter")
@click.argument("captures", nargs=-1, metavar="[CAPTURE|-|HEX]...")
@server_option(DEFAULT_SERVER)
@click.option(
    "--model",
    type=click.Choice(MODELS),
    default="micro",
    show_default=True,
    envvar="INVERTERPROTO_MODEL",
    help="Without captures: what kind of inverter.",
)
@click.option(
    "--begin",
    metavar="HH:MM",
    callback=_parse_clock,
    envvar="INVERTERPROTO_BEGIN",
    help="Without captures: the time with which the day begins.  [default: now]",
)
@click.option(
    "--speed",
    type=Number(min=0.001, max=100_000),
    metavar="FACTOR",
    envvar="INVERTERPROTO_SPEED",
    help="Let the day pass so many times faster; of captures, keep their own times, so much "
    "faster.  [default: 1; captures: as fast as the server replies]",
)
@click.option(
    "--interval",
    type=Number(min=0),
    metavar="SECONDS",
    envvar="INVERTERPROTO_INTERVAL",
    help="Seconds of the day from one record to the next, at least 1; of captures, from one frame "
    "to the next.  [default: 300; captures: none]",
)
@click.option(
    "--historic",
    type=click.IntRange(0, 100_000),
    default=0,
    show_default=True,
    metavar="N",
    envvar="INVERTERPROTO_HISTORIC",
    help="Without captures: so many records are kept from before the connection.",
)
@click.option(
    "--connections",
    type=click.IntRange(1, 10_000),
    default=1,
    show_default=True,
    envvar="INVERTERPROTO_CONNECTIONS",
    help="So many loggers at once, each with its own serial.",
)
@wait_option
@click.option(
    "--fragment",
    is_flag=True,
    envvar="INVERTERPROTO_FRAGMENT",
    help="Cut and coalesce what is sent, at random.",
)
@click.option(
    "--faults",
    is_flag=True,
    envvar="INVERTERPROTO_FAULTS",
    help="Now and then: junk, a bad checksum, a reset, a half-close, silence.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    envvar="INVERTERPROTO_SEED",
    help="Of all chances: weather, cuts, faults.",
)
@click.option(
    "--serial",
    type=click.IntRange(1, 0xFFFF_FFFF),
    metavar="SERIAL",
    envvar="INVERTERPROTO_SERIAL",
    help="Without captures: the logger's serial; of several, the first, counted up from there.  "
    "[default: a simulated one of the model, from 4290000000 on]",
)
@for_option
@quiet_option
def command(
    captures: tuple[str, ...],
    server: str,
    connections: int,
    *,
    speed: float | None,
    interval: float | None,
    quiet: bool,
    lasting: float | None,
    **options: Any,  # noqa: ANN401 - those of the benches
) -> None:
    """Be a logger stick: send an inverter's records to a server, and check what it replies.

    With captures (all that decode takes) it sends the device's frames in them, in order. Without,
    it is a stick at a made-up inverter and lives through a whole day: Ctrl-C ends it. Of several
    connections only the summary is shown. Exits with 1 if a reply is missing or wrong.

    \b
    inverterproto fake-inverter --begin 12:00
    inverterproto fake-inverter --model hybrid --speed 600
    inverterproto fake-inverter --connections 50 --fragment --faults --for 60
    inverterproto fake-inverter capture.jsonl
    """  # noqa: D301 - \b is meant: click keeps the lines below it as they are
    from inverterproto_cli.address import parse_address

    address = parse_address(server, "--server")
    if captures and speed is not None and interval is not None:
        raise click.UsageError("Of captures either --speed or --interval tells when to send.")
    if not captures and interval is not None and interval < 1:
        raise click.BadParameter("a record a second is the most.", param_hint="--interval")
    if captures:
        ctx = click.get_current_context()
        refuse_given(ctx, "with captures", "model", "begin", "historic", "serial")
    serial = options["serial"]
    if serial is not None and serial + connections - 1 > _LAST_LOGGER:
        text = f"{connections:,} serials from {serial} on are more than there are."
        raise click.BadParameter(text, param_hint="--serial")
    frames = _frames(captures) if captures else []

    from math import inf
    from time import time

    from inverterproto_cli.event_loop import run
    from inverterproto_cli.fakes.exchange import Tally

    tally = Tally()
    begin = time()

    async def main() -> None:
        from inverterproto_cli.fakes.loggers import Bench
        from inverterproto_cli.fakes.trouble import Trouble

        bench = Bench(
            address,
            tally,
            inf if lasting is None else begin + lasting,
            wait=options["wait"],
            speed=speed or 1.0,
            fragment=options["fragment"],
            faults=options["faults"],
            seed=options["seed"],
            show=None if quiet or connections > 1 else _show,
            trouble=Trouble(quiet=quiet, many=connections > 1),
        )
        if captures:
            pace = None if speed is not None else interval or 0.0
            lives = _playing(frames, connections, bench, pace)
        else:
            lives = _living(connections, bench, begin, interval, options)
        await _all(lives, bench)

    run(main)
    tally.say()
    if not tally.is_fine:
        sys.exit(1)


def _frames(captures: tuple[str, ...]) -> "list[Captured]":
    """Return the device's frames in captures.

    Raises:
        click.ClickException: there are none, or a capture cannot be read.
    """
    from inverterproto_cli.chunk import SourceError
    from inverterproto_cli.fakes.captured import Captures
    from inverterproto_cli.show import printable
    from inverterproto_cli.sources import Listener, find_sources
    from inverterproto_cli.stop import STOP

    found = Captures()

    def complain(text: str) -> None:
        click.echo(printable(text), err=True)

    try:
        with STOP:
            for source in find_sources(captures):
                found.read(source, Listener(complain=complain))
    except SourceError as error:
        raise click.ClickException(printable(str(error))) from error
    for what, count in found.left_out.items():
        click.echo(f"left out: {what}: {count:,}", err=True)
    if not found.frames:
        raise click.ClickException("no frame of a logger is in this")
    return found.frames


def _playing(
    frames: "list[Captured]", count: int, bench: "Bench", interval: float | None
) -> "list[Coroutine[Any, Any, None]]":
    from inverterproto_cli.fakes.playing import play

    return [play(frames, number, bench, interval=interval) for number in range(count)]


def _living(
    count: int, bench: "Bench", begin: float, interval: float | None, options: dict[str, Any]
) -> "list[Coroutine[Any, Any, None]]":
    from inverterproto_cli.fakes.day import INTERVAL, day_from, sticks
    from inverterproto_cli.fakes.inverters import MODELS, sleeping
    from inverterproto_cli.fakes.loggers import live

    model = MODELS[options["model"]]
    day = day_from(begin, bench.speed, options["begin"])
    bench.until = min(bench.until, day.end)
    if sleeping(model, day.first, day.utc_offset):
        text = "the inverter sleeps for want of sun and measures nothing; --begin 12:00 begins at"
        click.echo(f"It is night: {text} noon", err=True)
    sessions = sticks(
        model,
        count,
        day,
        bench.until,
        wait=bench.wait,
        interval=interval or INTERVAL,
        historic=options["historic"],
        seed=bench.seed,
        first_serial=options["serial"],
    )
    return [live(session, bench) for session in sessions]


async def _all(lives: "list[Coroutine[Any, Any, None]]", bench: "Bench") -> None:
    """Do all at once, until they end or somebody says stop."""
    import asyncio
    from signal import SIGINT, SIGTERM

    loop = asyncio.get_running_loop()
    for number in (SIGINT, SIGTERM):
        loop.add_signal_handler(number, bench.stop.set)
    try:
        async with asyncio.TaskGroup() as group:
            for life in lives:
                group.create_task(life)
    except* OSError as errors:
        raise click.ClickException(f"{bench.address}: {_reason(errors)}") from None


def _reason(errors: BaseExceptionGroup[OSError]) -> str:
    first = errors.exceptions[0]
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first.strerror or str(first) or "no answer in time"


def _show(text: str) -> None:
    from inverterproto_cli.show import printable

    click.echo(printable(text))
