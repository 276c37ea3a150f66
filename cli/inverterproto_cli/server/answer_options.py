"""The options of servers that answer devices, and what they make of them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from datetime import tzinfo

_Command = TypeVar("_Command", bound=Callable[..., Any])


def answering_options(command: _Command) -> _Command:
    """Give a command the options of a server that answers."""
    options = (
        click.option(
            "--heartbeat",
            type=click.IntRange(1, 3600),
            default=60,
            show_default=True,
            envvar="INVERTERPROTO_HEARTBEAT",
            metavar="SECONDS",
            help="Tell loggers to send a heartbeat so often.",
        ),
        click.option(
            "--resume/--no-resume",
            default=True,
            show_default=True,
            envvar="INVERTERPROTO_RESUME",
            help="Ask batteries for the records that were missed.",
        ),
        click.option(
            "--sync-time",
            is_flag=True,
            envvar="INVERTERPROTO_SYNC_TIME",
            help="Tell batteries whose clock is wrong to set it.",
        ),
        click.option(
            "--timezone",
            metavar="NAME",
            envvar="INVERTERPROTO_TIMEZONE",
            help="What batteries' clocks are set by, e.g. Europe/Berlin.  "
            "[default: this machine's]",
        ),
        click.option(
            "--config-file",
            "config_files",
            multiple=True,
            metavar="SERIAL=FILE",
            envvar="INVERTERPROTO_CONFIG_FILE",
            help="Serve this configuration (JSON) to the battery with this serial.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def answering(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the options say, as `Answers` takes it.

    Raises:
        click.BadParameter: an option says nothing that can be meant.
        click.ClickException: a file is no configuration.
    """
    configurations: dict[str, bytes] = {}
    for text in options["config_files"]:
        serial, payload = _configuration(text)
        if serial in configurations:
            raise click.BadParameter(f"{serial} is given twice.", param_hint="--config-file")
        configurations[serial] = payload
    return {
        "heartbeat": options["heartbeat"],
        "resume": options["resume"],
        "synchronise": options["sync_time"],
        "zone": None if options["timezone"] is None else _zone(options["timezone"]),
        "configurations": configurations,
        "most_unframed": options["max_unframed"],
    }


def _zone(name: str) -> "tzinfo":
    """Return a time zone by its name.

    Raises:
        click.BadParameter: there is none of that name.
    """
    from zoneinfo import ZoneInfo, available_timezones

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        city = f"/{name.lower().replace(' ', '_')}"
        like = sorted(each for each in available_timezones() if each.lower().endswith(city))
        meant = f": {' or '.join(like)}?" if like else ", but Europe/Berlin, for example."
        raise click.BadParameter(f"there is no {name!r}{meant}", param_hint="--timezone") from error


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
