"""`inverterproto mqtt`: what the MQTT sink has left at a broker."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inverterproto_cli.configuration import File
from inverterproto_cli.looking import path_of, reading, store_option
from inverterproto_cli.sinks.mqtt import BROKER_SETTINGS, MQTT
from inverterproto_cli.sinks.sink import Setting

if TYPE_CHECKING:
    from inverterproto_cli.sinks.mqtt_options import Options

_LONGEST_SECRET = 10_000


@click.group("mqtt")
def command() -> None:
    """Look after what the MQTT sink has published."""


def _flag(setting: Setting) -> str:
    """Return the flag of a setting, as the servers have it."""
    if setting.flag:
        return setting.flag
    return "--mqtt" if setting is BROKER_SETTINGS[0] else f"--mqtt-{setting.key}"


def _variable(setting: Setting) -> str:
    return "INVERTERPROTO_" + _flag(setting).lstrip("-").replace("-", "_").upper()


def _broker_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the flags that say which broker it is, those of the sink."""
    for setting in reversed(BROKER_SETTINGS):
        flag, help_ = _flag(setting), setting.help
        if setting.secret:
            help_ = f"{help_[:-1]}, in this file; or set {_variable(setting)}."
            option = click.option(f"{flag}-file", setting.key, metavar="FILE", help=help_)
        else:
            option = click.option(
                flag, setting.key, metavar=setting.metavar, envvar=_variable(setting), help=help_
            )
        function = option(function)
    return function


@command.command("stale")
@click.option("--clear", is_flag=True, help="Empty them at the broker.")
@click.option(
    "--sink",
    "sink_name",
    default=MQTT.name,
    show_default=True,
    metavar="NAME",
    help="Take the broker from this sink of the configuration file.",
)
@_broker_options
@store_option
@click.pass_context
def stale_command(
    ctx: click.Context, sink_name: str, store_path: str | None, *, clear: bool, **given: str | None
) -> None:
    """List what the broker retains of devices that the store does not know.

    Those are devices that were forgotten, or are gone for longer than records are kept. Their
    entities stay in Home Assistant until this is emptied.
    """
    import asyncio

    from inverterproto_cli.show import printable
    from inverterproto_cli.sinks.mqtt_stale import stale_topics
    from inverterproto_cli.sinks.sink import TroubleError
    from inverterproto_cli.summary import count_of

    options = _options(ctx, sink_name, given)
    path = path_of(store_path)
    known = _known(path)
    if clear and not known:
        raise click.ClickException(
            f"the store {printable(str(path))} knows no device at all: nothing is emptied"
        )
    try:
        topics = asyncio.run(stale_topics(options, known, clear=clear))
    except TroubleError as error:
        raise click.ClickException(printable(str(error))) from error
    for topic in topics:
        click.echo(printable(topic))
    done = "emptied " if clear else ""
    click.echo(f"{done}{count_of(len(topics), 'topic')} of no device that is known", err=True)


def _known(path: Path) -> set[tuple[str, str]]:
    """Return family and spelled serial of all devices in the store."""
    from inverterproto_cli.sinks.topics import spelled

    with reading(path) as reader:
        devices = reader.devices()
    serials = [(one.family or "", one.serial) for one in devices]
    serials += [(one.family or "", one.via) for one in devices if one.via]
    return {(family, spelled(serial)) for family, serial in serials}


def _options(ctx: click.Context, name: str, given: Mapping[str, str | None]) -> "Options":
    """Return what flags, the environment and the file say, in this order.

    Raises:
        click.UsageError: it is of no use.
        MissingExtra: a library is missing.
    """
    from inverterproto_cli.sinks.mqtt import options_for

    table = _table(ctx, name)
    values: dict[str, Any] = {one.key: one.default for one in MQTT.settings}
    values |= {key: table[key] for key in values if key in table}
    # click knows a parameter by its own name: dashes are underscores there.
    flags = {key.replace("_", "-"): value for key, value in given.items() if value is not None}
    secret = flags.pop("password", None) or table.get("password-file")
    values |= flags
    variable = os.environ.get(
        _variable(next(one for one in BROKER_SETTINGS if one.key == "password"))
    )
    if secret is not None:
        values["password"] = _read(str(secret))
    elif variable:
        values["password"] = variable
    if not values["broker"]:
        raise click.UsageError("which broker is it? --mqtt URL, or broker in [sink.mqtt]")
    try:
        return options_for(values)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.UsageError(f"{error.filename}: {error.strerror}") from error


def _table(ctx: click.Context, name: str) -> Mapping[str, Any]:
    """Return the table of a sink in the configuration file, its keys with dashes."""
    file = ctx.find_root().obj
    table = file.tables.get("sink", {}).get(name, {}) if isinstance(file, File) else {}
    if not isinstance(table, dict):
        raise click.UsageError(f"[sink.{name}] of the configuration is no table")
    return {key.replace("_", "-"): value for key, value in table.items()}


def _read(path: str) -> str:
    with Path(path).expanduser().open(encoding="utf-8", errors="replace") as file:
        return file.read(_LONGEST_SECRET).rstrip("\r\n")
