"""`inverterproto devices`: who was seen, and what is known of each; and how to forget one."""

import json
import sys
from time import time
from typing import TYPE_CHECKING

import click

from inverterproto_cli.columns import print_columns, terminal_width
from inverterproto_cli.looking import explained, path_of, reading, store_option

if TYPE_CHECKING:
    from inverterproto_cli.store.about import About
    from inverterproto_cli.store.reader import Device, Reader

_WITH_LOGGERS = "deye"
"""The family whose inverters are carried by loggers."""


@click.group("devices", invoke_without_command=True)
@store_option
@click.option(
    "--json", "as_json", is_flag=True, envvar="INVERTERPROTO_JSON", help="One JSON object a line."
)
@click.pass_context
def command(ctx: click.Context, store_path: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Show the devices that were seen, or forget one.

    What a device is called, its model and its firmware are what it said itself.
    """
    ctx.obj = store_path
    if ctx.invoked_subcommand is not None:
        return
    path = path_of(store_path)
    with reading(path) as reader:
        found = listed(reader)
    if as_json:
        for device, known in found:
            click.echo(json.dumps(to_json(device, known)))
    elif found:
        _show(found)
    else:
        click.echo("no devices yet", err=True)


def listed(reader: "Reader") -> "list[tuple[Device, About]]":
    """Return all devices, in the order in which they are shown, and what is known of each."""
    from inverterproto_cli.store.about import about

    return [(device, about(reader, device)) for device in _in_order(reader.devices())]


def _in_order(devices: "list[Device]") -> "list[Device]":
    """Return each logger with the inverters that it carries below it, then all others.

    Of each kind the one last heard comes first, as they are given.
    """
    by_logger: dict[str, list[Device]] = {}
    for device in devices:
        if device.family == _WITH_LOGGERS:
            by_logger.setdefault(device.via or device.serial, []).append(device)
    ordered = [
        device
        for logger, some in by_logger.items()
        for device in sorted(some, key=lambda one: one.serial != logger)
    ]
    return ordered + [device for device in devices if device.family != _WITH_LOGGERS]


def to_json(device: "Device", known: "About") -> dict[str, object]:
    """Return a device as `devices --json` has it."""
    from inverterproto.reading import utc_text

    return {
        "family": device.family,
        "serial": device.serial,
        "via": device.via,
        "model": known.model,
        "firmware": known.firmware,
        "sensor_type": known.sensor_type,
        "first": utc_text(device.first),
        "last": utc_text(device.last),
        "clock_offset": known.clock_offset,
        "answered": device.answered,
    }


def _show(found: "list[tuple[Device, About]]") -> None:
    from inverterproto.reading import span_text
    from inverterproto_cli.local_time import LocalTimes
    from inverterproto_cli.show import printable

    times = LocalTimes(time())
    head = (
        "serial", "family", "via", "model", "firmware", times.head("first"), "last", "clock",
        "answered by",
    )  # fmt: skip
    rows = (
        tuple(
            printable(cell) if cell else "–"
            for cell in (
                device.serial,
                device.family,
                device.via if device.via != device.serial else None,
                known.model or known.kind or known.sensor_type,
                known.firmware,
                times.text(device.first, "minutes"),
                times.text(device.last, "minutes"),
                None if known.clock_offset is None else span_text(known.clock_offset),
                device.answered,
            )
        )
        for device, known in found
    )
    print_columns(head, rows, terminal_width())


@command.command("forget")
@click.argument("serial")
@store_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def forget_command(ctx: click.Context, serial: str, store_path: str | None, yes: bool) -> None:  # noqa: FBT001
    """Remove a device and all that it sent from the store.

    A logger goes with the inverters that it carries. If it is heard again, it is a new device.
    """
    from inverterproto_cli.server.requested import alone
    from inverterproto_cli.show import printable
    from inverterproto_cli.store.requests import ask
    from inverterproto_cli.summary import count_of

    path = path_of(store_path or ctx.obj)
    with reading(path) as reader:
        carried = _carried(reader, serial)
    if not yes:
        if not at_a_terminal():
            raise click.UsageError("There is no terminal to ask at: --yes says that it is meant.")
        others = f" with {', '.join(map(printable, carried))}" if carried else ""
        click.confirm(
            f"Remove {printable(serial)}{others} and all records from {printable(str(path))}?",
            abort=True,
            err=True,
        )
    with explained(path):
        answer = ask(path, {"do": "forget", "serial": serial}, alone)
    if "error" in answer:
        raise click.ClickException(printable(f"{serial}: {answer['error']}"))
    inverters = answer["inverters"]
    others = f" with {count_of(inverters, 'inverter')}" if inverters else ""
    and_ = " and " if inverters else " with "
    records = count_of(answer["records"], "record")
    click.echo(f"forgot {answer['kind']} {printable(serial)}{others}{and_}{records}", err=True)


def _carried(reader: "Reader", serial: str) -> list[str]:
    """Return the inverters that a device carries.

    Raises:
        click.ClickException: there is no such device.
    """
    from inverterproto_cli.show import printable

    devices = reader.devices()
    if not any(device.serial == serial for device in devices):
        raise click.ClickException(f"there is no device {printable(serial)} in the store")
    return [one.serial for one in devices if one.via == serial != one.serial]


def at_a_terminal() -> bool:
    """Return whether there is somebody to ask."""
    return sys.stdin is not None and sys.stdin.isatty()
