"""`inverterproto fake-battery`: sends an AlphaESS battery's messages, and checks the replies.

With files it sends these, as they are; without, it is a battery that lives through a day
(`simulated.py`), by a `BatterySession`.
"""

import json
import re
import sys
from typing import TYPE_CHECKING

import click

from inverterproto_cli.fakes.options import for_option, quiet_option, server_option, wait_option
from inverterproto_cli.number import Number
from inverterproto_cli.useless import refuse_given

if TYPE_CHECKING:
    from collections.abc import Callable

    from inverterproto_cli.fakes.payload_files import Payload
    from inverterproto_cli.fakes.shown import Exchange

DEFAULT_SERVER = "127.0.0.1:7778"


_TIME = re.compile(r"now(?:([+-][0-9]{1,9}(?:\.[0-9]{1,6})?))?", re.ASCII)


def _parse_time(_ctx: click.Context, _option: click.Parameter, value: str) -> float | None:
    """Return by how many seconds times in files are to differ from now; None to leave them."""
    if value == "keep":
        return None
    found = _TIME.fullmatch(value)
    if found is None:
        raise click.BadParameter(f"{value!r} is not keep, now, now+SECONDS or now-SECONDS.")
    return float(found[1] or 0)


@click.command("fake-battery")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@server_option(DEFAULT_SERVER)
@click.option(
    "--compact",
    is_flag=True,
    envvar="INVERTERPROTO_COMPACT",
    help="Take insignificant white space out of JSON files.",
)
@click.option(
    "--interval",
    type=Number(min=0),
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
    "offset",
    default="keep",
    show_default=True,
    callback=_parse_time,
    metavar="keep|now|now+SECONDS|now-SECONDS",
    envvar="INVERTERPROTO_TIME",
    help="Keep the times in the files, or make them local time, or so far from it.",
)
@wait_option
@click.option(
    "--speed",
    type=Number(min=0.001),
    default=1.0,
    show_default=True,
    envvar="INVERTERPROTO_SPEED",
    metavar="FACTOR",
    help="Without files: let the battery's day, and its clock, pass so many times faster.",
)
@click.option(
    "--serial",
    metavar="SERIAL",
    envvar="INVERTERPROTO_SERIAL",
    help="Without files: the battery's serial; of several, the first, counted up from there.  "
    "[default: SIM000000000001]",
)
@for_option
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    envvar="INVERTERPROTO_JSON",
    help="Show replies and the summary as JSON, one object a line.",
)
@quiet_option
def command(
    files: tuple[str, ...],
    server: str,
    compact: bool,  # noqa: FBT001 - click's way to hand over an option
    interval: float,
    loops: int,
    connections: int,
    offset: float | None,
    wait: float,
    speed: float,
    serial: str | None,
    lasting: float | None,
    as_json: bool,  # noqa: FBT001
    quiet: bool,  # noqa: FBT001
) -> None:
    """Be an AlphaESS battery: send messages to a server, and check what it replies.

    A file's name begins with the message's three header bytes; its content is the payload, byte
    for byte. Without a file, a simulated battery lives through a whole day. The exit code is 1 if
    a reply was missing or wrong.

    \b
    inverterproto fake-battery 001-001-016.json
    inverterproto fake-battery --time now --loop 10 --interval 10 1-1-16.json 1-1-5.json
    inverterproto fake-battery --speed 600
    """  # noqa: D301 - \b is meant: click keeps the lines below it as they are
    from inverterproto_cli.address import parse_address
    from inverterproto_cli.fakes.exchange import Tally

    address = parse_address(server, "--server")
    ctx = click.get_current_context()
    tally = Tally()
    show = _shower(connections, as_json=as_json, quiet=quiet)
    if files:
        refuse_given(ctx, "with files", "speed", "serial")
        payloads = _load(files, compact=compact)
        from inverterproto_cli.fakes.sending import Plan, send_all

        plan = Plan(payloads, interval, loops, offset, wait)
        send_all(address, plan, connections, tally, show, lasting)
    else:
        from inverterproto_cli.fakes.driving import live_all
        from inverterproto_cli.fakes.serials import FIRST_BATTERY, battery_serial
        from inverterproto_cli.fakes.trouble import Trouble

        refuse_given(ctx, "without files", "compact", "interval", "loops", "offset")
        try:
            battery_serial(connections, serial or FIRST_BATTERY)
        except ValueError as error:
            raise click.BadParameter(f"{error}.", param_hint="--serial") from error
        live_all(
            address,
            connections,
            tally,
            show,
            speed=speed,
            wait=wait,
            lasting=lasting,
            trouble=Trouble(quiet=quiet, many=connections > 1),
            first_serial=serial or FIRST_BATTERY,
        )
    if as_json:
        click.echo(json.dumps(tally.to_json()))
    tally.say()
    if not tally.is_fine:
        sys.exit(1)


def _shower(connections: int, *, as_json: bool, quiet: bool) -> "Callable[[Exchange], object]":
    """Return what shows an exchange."""
    from inverterproto_cli.fakes.shown import OutputError
    from inverterproto_cli.show import printable

    def show(exchange: "Exchange") -> None:
        if quiet:
            return
        if as_json:
            text = json.dumps(exchange.to_json())
        else:
            number = f"{exchange.connection}: " if connections > 1 else ""
            text = number + printable(str(exchange))
        try:
            click.echo(text)
        except OSError as error:
            raise OutputError from error

    return show


def _load(files: tuple[str, ...], *, compact: bool) -> "list[Payload]":
    """Return all files' messages; nothing is sent if one cannot be."""
    from inverterproto_cli.fakes.payload_files import FileError, NoMessageError, header_of, load
    from inverterproto_cli.show import printable

    try:
        for path in files:
            header_of(path)
        payloads = [load(path, compact=compact) for path in files]
    except NoMessageError as error:
        raise click.UsageError(printable(str(error))) from error
    except FileError as error:
        raise click.ClickException(printable(str(error))) from error
    for payload in payloads:
        if payload.doubt:
            warning = f"Warning: {payload.name}: {payload.doubt}; sent all the same"
            click.echo(printable(warning), err=True)
    return payloads
