"""`inverterproto approve`: lets a battery have the settings that were held for it.

What a filter held is in the battery's state in the store (see `inverterproto.alphaess.state`). It
is shown from there, key by key, and approved by who has the store (`server/requested.py`): the
proxy, or this command where none runs. Nothing is sent to the battery, which gets what is approved
when it asks.
"""

import json
from time import localtime, strftime
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from inverterproto_cli.devices import at_a_terminal
from inverterproto_cli.looking import explained, path_of, reading, store_option
from inverterproto_cli.show import printable

if TYPE_CHECKING:
    from pathlib import Path

_FAMILY = "alphaess"


class _Held(NamedTuple):
    """A configuration that was held."""

    serial: str
    fingerprint: str
    changes: list[str]


@click.command("approve")
@click.argument("serial", required=False)
@click.option(
    "--for",
    "span",
    metavar="DURATION",
    help="Approve what the cloud sends within this time (10m), too; a proxy must be running.",
)
@store_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--json", "as_json", is_flag=True, envvar="INVERTERPROTO_JSON", help="One JSON object a line."
)
def command(
    serial: str | None,
    span: str | None,
    store_path: str | None,
    yes: bool,  # noqa: FBT001 - of the command line
    as_json: bool,  # noqa: FBT001 - of the command line
) -> None:
    """Let a battery have the settings that were held for it.

    Without a serial it shows what is held. A battery gets what is approved when it next asks for
    its settings; nothing is sent to it before.

    \b
    inverterproto approve
    inverterproto approve AL2002000001234
    inverterproto approve AL2002000001234 --for 10m
    """  # noqa: D301 - \b is meant: click keeps the lines below it as they are
    if span is not None and serial is None:
        raise click.UsageError("--for wants the SERIAL of a battery.")
    seconds = None if span is None else _seconds(span)
    path = path_of(store_path)
    if seconds is not None:
        answer = _ask(path, serial or "", {"seconds": seconds})
        _say(answer, f"until {strftime('%H:%M:%S', localtime(answer['until']))} what the cloud "
             f"sends {serial} is taken as approved", as_json=as_json)  # fmt: skip
        return
    found = _held(path)
    if serial is None:
        _list(found, as_json=as_json)
        return
    _approve(path, serial, found, yes=yes, as_json=as_json)


def _seconds(span: str) -> float:
    """Return how long a duration is.

    Raises:
        click.BadParameter: it is none, or too long.
    """
    from inverterproto_cli.local_time import parse_duration
    from inverterproto_cli.server.requested import LONGEST_APPROVING

    seconds = parse_duration(span, "--for")
    if not 0 < seconds <= LONGEST_APPROVING:
        raise click.BadParameter("a minute or ten are meant, at most a day.", param_hint="--for")
    return seconds


def _held(path: "Path") -> dict[str, _Held]:
    """Return what is held, by serial.

    Raises:
        click.ClickException: there is no store, or it cannot be read.
    """
    from inverterproto.alphaess.approval import NOTHING, differences, fingerprint
    from inverterproto.alphaess.state import BatteryState

    found = {}
    with reading(path) as reader:
        devices = [one for one in reader.devices() if one.family == _FAMILY and one.state]
    for device in devices:
        state = BatteryState.from_state(device.state)
        if state.candidate is not None:
            changes = differences(state.configuration or NOTHING, state.candidate, most=None)
            found[device.serial] = _Held(device.serial, fingerprint(state.candidate), changes)
    return found


def _list(found: dict[str, _Held], *, as_json: bool) -> None:
    """Show what is held."""
    if not found and not as_json:
        click.echo("nothing is held", err=True)
    for held in found.values():
        if as_json:
            click.echo(json.dumps({"serial": held.serial, "changes": held.changes}))
            continue
        click.echo(printable(held.serial))
        for change in held.changes:
            click.echo(f"  {printable(change)}")


def _approve(
    path: "Path", serial: str, found: dict[str, _Held], *, yes: bool, as_json: bool
) -> None:
    """Show what is held for a battery, and approve just that, if it is meant."""
    held = found.get(serial)
    if held is None:
        raise click.ClickException(f"nothing is held for {printable(serial)}")
    for change in held.changes:
        click.echo(f"  {printable(change)}", err=True)
    if not yes:
        if not at_a_terminal():
            raise click.UsageError("There is no terminal to ask at: --yes says that it is meant.")
        click.confirm(f"Approve this for {printable(serial)}?", abort=True, err=True)
    answer = _ask(path, serial, {"fingerprint": held.fingerprint})
    _say(answer, f"approved: {serial} gets it when it next asks for its settings, which it does by "
         "itself now and then, and when it starts", as_json=as_json)  # fmt: skip


def _ask(path: "Path", serial: str, what: dict[str, Any]) -> dict[str, Any]:
    """Have it done; return the answer.

    Raises:
        click.ClickException: it cannot be done.
    """
    from inverterproto_cli.server.requested import alone
    from inverterproto_cli.store.requests import ask

    with explained(path):
        answer = dict(ask(path, {"do": "approve", "serial": serial, **what}, alone))
    if "error" in answer:
        raise click.ClickException(printable(f"{serial}: {answer['error']}"))
    return answer


def _say(answer: dict[str, Any], text: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(answer))
    else:
        click.echo(printable(text), err=True)
