"""`inverterproto fake-server`: takes the cloud's place, for devices of both families.

Every message is answered as the cloud would; what is acknowledged is on disk before the answer
leaves. Each port recognises both families.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inverterproto_cli.server.options import addresses_of, serving_options

if TYPE_CHECKING:
    from datetime import tzinfo

# Devices are to reach the first two; `fake-battery` looks for the third.
DEFAULTS = {"deye": "0.0.0.0:10000", "alphaess": "0.0.0.0:7777", "test": "127.0.0.1:7778"}


@click.command("fake-server")
@serving_options(DEFAULTS)
@click.option(
    "--heartbeat",
    type=click.IntRange(1, 3600),
    default=60,
    show_default=True,
    envvar="INVERTERPROTO_HEARTBEAT",
    metavar="SECONDS",
    help="Tell loggers to send a heartbeat so often.",
)
@click.option(
    "--resume/--no-resume",
    default=True,
    show_default=True,
    envvar="INVERTERPROTO_RESUME",
    help="Ask batteries for the records that were missed.",
)
@click.option(
    "--sync-time",
    is_flag=True,
    envvar="INVERTERPROTO_SYNC_TIME",
    help="Tell batteries whose clock is wrong to set it.",
)
@click.option(
    "--timezone",
    metavar="NAME",
    envvar="INVERTERPROTO_TIMEZONE",
    help="What batteries' clocks are set by, e.g. Europe/Berlin.  [default: this machine's]",
)
@click.option(
    "--config-file",
    "config_files",
    multiple=True,
    metavar="SERIAL=FILE",
    envvar="INVERTERPROTO_CONFIG_FILE",
    help="Serve this configuration (JSON) to the battery with this serial.",
)
def command(
    heartbeat: int,
    resume: bool,  # noqa: FBT001 - click's way to hand over an option
    sync_time: bool,  # noqa: FBT001
    timezone: str | None,
    config_files: tuple[str, ...],
    **options: Any,  # noqa: ANN401 - those of serving_options
) -> None:
    """Be the cloud for loggers and batteries, on your own machine.

    Listens for both families, answers every message, keeps every record in the store, and shows
    each reading in a line. Point the device's server address, or a DNS entry, at this machine.

    \b
    inverterproto fake-server
    inverterproto fake-server --listen deye=0.0.0.0:10001 --json
    """  # noqa: D301 - \b is meant: click keeps the lines below it as they are
    addresses = addresses_of(options["listen"], DEFAULTS)
    zone = None if timezone is None else _zone(timezone)
    configurations: dict[str, bytes] = {}
    for text in config_files:
        serial, payload = _configuration(text)
        if serial in configurations:
            raise click.BadParameter(f"{serial} is given twice.", param_hint="--config-file")
        configurations[serial] = payload

    from inverterproto_cli.server.answering import opener
    from inverterproto_cli.server.listener import Listener
    from inverterproto_cli.server.options import Serving
    from inverterproto_cli.server.running import run, serve

    serving = Serving.of(options, answered="us")
    open_session = opener(
        serving.keeper,
        heartbeat=heartbeat,
        resume=resume,
        synchronise=sync_time,
        zone=zone,
        configurations=configurations,
        most_unframed=options["max_unframed"],
    )

    async def main() -> None:
        listener = Listener(
            serving.keeper,
            serving.access,
            serving.log,
            open_session,
            serving.capture,
            idle=options["idle_timeout"],
        )
        await serve(listener, serving, addresses)

    run(main, serving)


def _zone(name: str) -> "tzinfo":
    """Return a time zone by its name.

    Raises:
        click.BadParameter: there is none of that name.
    """
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise click.BadParameter(f"there is no {name!r}.", param_hint="--timezone") from error


def _configuration(text: str) -> tuple[str, bytes]:
    """Return a battery's serial and the configuration for it.

    Raises:
        click.BadParameter: it is not SERIAL=FILE.
        click.ClickException: the file is no configuration of that battery.
    """
    serial, equals, path = text.partition("=")
    if not (serial and equals and path):
        raise click.BadParameter(f"{text!r} is not SERIAL=FILE.", param_hint="--config-file")
    from inverterproto.alphaess.configuration import check_configuration
    from inverterproto.errors import ProtocolError

    try:
        payload = Path(path).read_bytes()
        check_configuration(payload, serial)
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from error
    except ProtocolError as error:
        raise click.ClickException(f"{path}: {error}") from error
    return serial, payload
