"""`inverterproto mqtt`: what the MQTT sink has left at a broker."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inverterproto_cli.looking import path_of, reading, store_option
from inverterproto_cli.sinks.mqtt import MQTT
from inverterproto_cli.sinks.settings import SinkCommand, configured, of_use, sink_options

if TYPE_CHECKING:
    from inverterproto_cli.sinks.mqtt_options import Options


@click.group("mqtt")
def command() -> None:
    """Look after what the MQTT sink has published."""


@command.command("stale", cls=SinkCommand)
@click.option("--clear", is_flag=True, help="Empty them at the broker.")
@click.option(
    "--sink",
    "name",
    default=MQTT.name,
    show_default=True,
    metavar="NAME",
    help="Ask the broker of this sink of the configuration file.",
)
@sink_options
@store_option
@click.pass_context
def stale_command(
    ctx: click.Context,
    /,
    name: str,
    store_path: str | None,
    clear: bool,  # noqa: FBT001 - of click
    **_options: Any,  # noqa: ANN401 - those of the sinks
) -> None:
    """List what the broker retains of devices that the store does not know.

    Those were forgotten, or are gone for longer than records are kept. Their entities stay in Home
    Assistant until this is emptied.
    """
    import asyncio

    from inverterproto_cli.show import printable
    from inverterproto_cli.sinks.mqtt_stale import stale_topics
    from inverterproto_cli.sinks.sink import TroubleError
    from inverterproto_cli.summary import count_of

    options = _options_of(ctx, name)
    path = path_of(store_path)
    known = _known(path)
    if clear and not known:
        raise click.ClickException(
            printable(f"the store {path} knows no device at all: nothing is emptied")
        )
    try:
        topics = asyncio.run(stale_topics(options, known, clear=clear))
    except TroubleError as error:
        raise click.ClickException(printable(str(error))) from error
    for topic in topics:
        click.echo(printable(topic))
    done = "emptied " if clear else ""
    click.echo(f"{done}{count_of(len(topics), 'topic')} of no device that is known", err=True)


def _options_of(ctx: click.Context, name: str) -> "Options":
    """Return what is configured of a sink.

    Raises:
        click.UsageError: there is none of that name, or it is of no use.
        MissingExtra: a library is missing.
    """
    from inverterproto_cli.sinks.mqtt import options_for

    found = next((one for one in configured(ctx) if one.name == name and one.type is MQTT), None)
    if found is None:
        raise click.UsageError(
            f"which broker is it? There is no [sink.{name}] of type mqtt, and no --mqtt URL."
        )
    with of_use(found):
        return options_for(found.values)


def _known(path: Path) -> set[tuple[str, str]]:
    """Return family and spelled serial of all devices in the store."""
    from inverterproto_cli.sinks.topics import spelled

    with reading(path) as reader:
        return {(family, spelled(serial)) for family, serial in reader.known()}
