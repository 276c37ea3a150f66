"""`inverterproto fake-battery`: sends an AlphaESS battery's messages, and checks the replies.

With files it sends these, as they are; without, it is a battery that lives through a day
(`simulated.py`), by a `BatterySession`.
"""

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from inverterproto_cli.address import Address
    from inverterproto_cli.fakes.exchange import Tally

DEFAULT_SERVER = "127.0.0.1:7778"


def _parse_time(_ctx: click.Context, _option: click.Parameter, value: str) -> tuple[bool, float]:
    """Return whether times are rewritten, and by how many seconds they are off then."""
    if value == "keep":
        return False, 0.0
    if value == "now":
        return True, 0.0
    try:
        if value.startswith(("now+", "now-")):
            return True, float(value[3:])
    except ValueError:
        pass
    raise click.BadParameter(f"{value!r} is not keep, now, now+SECONDS or now-SECONDS.")


@click.command("fake-battery")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option(
    "--server",
    default=DEFAULT_SERVER,
    show_default=True,
    metavar="HOST:PORT",
    envvar="INVERTERPROTO_SERVER",
    help="Where to send to.",
)
@click.option(
    "--compact",
    is_flag=True,
    envvar="INVERTERPROTO_COMPACT",
    help="Take insignificant white space out of JSON files.",
)
@click.option(
    "--interval",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    metavar="SECONDS",
    envvar="INVERTERPROTO_INTERVAL",
    help="Wait so long between frames.",
)
@click.option(
    "--loop",
    "loops",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    envvar="INVERTERPROTO_LOOP",
    help="Send all files so often.",
)
@click.option(
    "--connections",
    type=click.IntRange(1, 10_000),
    default=1,
    show_default=True,
    envvar="INVERTERPROTO_CONNECTIONS",
    help="Do it on so many connections at once; without files, as so many batteries.",
)
@click.option(
    "--time",
    "time_rule",
    default="keep",
    show_default=True,
    callback=_parse_time,
    metavar="keep|now|now±SECONDS",
    envvar="INVERTERPROTO_TIME",
    help="What becomes of the times in the files.",
)
@click.option(
    "--wait",
    type=click.FloatRange(min=0.001),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    envvar="INVERTERPROTO_WAIT",
    help="Wait so long for a reply.",
)
@click.option(
    "--speed",
    type=click.FloatRange(min=0.001),
    default=1.0,
    show_default=True,
    envvar="INVERTERPROTO_SPEED",
    help="Without files: let the battery's day pass so many times faster.",
)
@click.option("-q", "--quiet", is_flag=True, envvar="INVERTERPROTO_QUIET", help="No replies.")
def command(
    files: tuple[str, ...],
    server: str,
    compact: bool,  # noqa: FBT001 - click's way to hand over an option
    interval: float,
    loops: int,
    connections: int,
    time_rule: tuple[bool, float],
    wait: float,
    speed: float,
    quiet: bool,  # noqa: FBT001
) -> None:
    """Be an AlphaESS battery: send messages to a server, and check what it replies.

    A file's name begins with the message's three header bytes; its content is the payload, byte
    for byte. Without a file, a battery lives through a whole day.

    \b
    inverterproto fake-battery 001-001-016.json
    inverterproto fake-battery --time now --loop 10 --interval 10 1-1-16.json 1-1-5.json
    inverterproto fake-battery --speed 600
    """  # noqa: D301 - \b is meant: click keeps the lines below it as they are
    from inverterproto_cli.address import parse_address
    from inverterproto_cli.fakes.exchange import Tally

    address = parse_address(server, "--server")
    tally = Tally()
    if files:
        payloads = _load(files, compact=compact)
        from inverterproto_cli.fakes.sending import send_all

        rewrite, off = time_rule
        send_all(
            address,
            payloads,
            tally,
            interval=interval,
            loops=loops,
            connections=connections,
            offset=off if rewrite else None,
            wait=wait,
            show=None if quiet else _show,
        )
    else:
        _live(address, connections, speed, tally)
    tally.say()
    if not tally.is_fine:
        sys.exit(1)


def _live(address: "Address", count: int, speed: float, tally: "Tally") -> None:
    """Let batteries live through a day."""
    import asyncio

    from inverterproto.alphaess.frame import FRAMING
    from inverterproto.alphaess.session import Battery, BatterySession
    from inverterproto_cli.fakes.driving import Clock, drive
    from inverterproto_cli.fakes.household import DAY, Household
    from inverterproto_cli.fakes.simulated import battery_measures, battery_serial

    clock = Clock(speed)
    begin = clock.now()

    async def one(number: int) -> None:
        battery = Battery(battery_serial(number), battery_measures(Household(number)), begin)
        session = BatterySession(battery, begin)
        try:
            await drive(session, address, FRAMING, clock, begin + DAY, tally)
        except OSError as error:
            tally.wrong[error.strerror or str(error)] += 1

    async def all_of_them() -> None:
        await asyncio.gather(*map(one, range(1, count + 1)))

    with suppress(KeyboardInterrupt):
        asyncio.run(all_of_them())


def _load(files: tuple[str, ...], *, compact: bool) -> list[Any]:
    """Return all files' messages; nothing is sent if one cannot be."""
    from inverterproto_cli.fakes.payload_files import FileError, NoMessageError, header_of, load

    try:
        for path in files:
            header_of(path)
        payloads = [load(path, compact=compact) for path in files]
    except NoMessageError as error:
        raise click.UsageError(str(error)) from error
    except FileError as error:
        raise click.ClickException(str(error)) from error
    for payload in payloads:
        if payload.doubt:
            click.echo(f"Warning: {payload.name}: {payload.doubt}; sent all the same", err=True)
    return payloads


def _show(text: str) -> None:
    from inverterproto_cli.show import printable

    click.echo(printable(text))
