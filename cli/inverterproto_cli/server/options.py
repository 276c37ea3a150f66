"""The options that all servers have, and what they make of them."""

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from inverterproto_cli.address import Address, parse_address
from inverterproto_cli.number import Number
from inverterproto_cli.server.access import Access
from inverterproto_cli.server.keeper import Keeper
from inverterproto_cli.server.logs import Log, set_up
from inverterproto_cli.show import printable
from inverterproto_cli.sinks.settings import Configured, configured
from inverterproto_cli.sinks.stdout import STDOUT
from inverterproto_cli.store import NOTHING_ACKNOWLEDGED, PASSED_ON, NoStore, Store, default_path
from inverterproto_cli.store.retention import Keep
from inverterproto_cli.useless import refuse_given
from inverterproto_cli.web.options import http_of

if TYPE_CHECKING:
    from inverterproto_cli.server.capturing import Capture
    from inverterproto_cli.server.outlet import Outlet
    from inverterproto_cli.sinks.outward import Outward
    from inverterproto_cli.web.options import Http
    from inverterproto_cli.web.page import Page

_Command = TypeVar("_Command", bound=Callable[..., Any])
_MIB = 1 << 20


def serving_options(
    defaults: Mapping[str, str], address: str = "[FAMILY=]HOST:PORT"
) -> Callable[[_Command], _Command]:
    """Return a decorator that gives a command the options of a server.

    Args:
        defaults: where it listens by default, by family.
        address: what is to be typed for another place.
    """
    shown = ", ".join(f"{name}={address}" for name, address in defaults.items())
    options = (
        click.option(
            "--listen",
            multiple=True,
            metavar=address,
            envvar="INVERTERPROTO_LISTEN",
            help=f"Listen here instead; FAMILY=none: not at all.  [default: {shown}]",
        ),
        click.option(
            "--store",
            "store_path",
            metavar="FILE",
            envvar="INVERTERPROTO_STORE",
            help="Keep records in this file.  [default: inverterproto.db in your data folder]",
        ),
        click.option(
            "--no-store",
            is_flag=True,
            envvar="INVERTERPROTO_NO_STORE",
            help="Keep nothing: what is answered may be lost.",
        ),
        click.option(
            "--keep-days",
            type=Number(min=0.01),
            default=400,
            show_default=True,
            envvar="INVERTERPROTO_KEEP_DAYS",
            help="Keep records so long.",
        ),
        click.option(
            "--keep-size",
            type=click.IntRange(min=1),
            default=4096,
            show_default=True,
            metavar="MIB",
            envvar="INVERTERPROTO_KEEP_SIZE",
            help="Keep the store's file below this size.",
        ),
        click.option(
            "--trust-clock",
            is_flag=True,
            envvar="INVERTERPROTO_TRUST_CLOCK",
            help="This machine's clock is right, whatever the store says: it was ahead before.",
        ),
        click.option(
            "--keep-unknown",
            type=click.IntRange(min=1),
            default=64,
            show_default=True,
            metavar="MIB",
            envvar="INVERTERPROTO_KEEP_UNKNOWN",
            help="Of that, for what nobody understands.",
        ),
        click.option(
            "--max-waiting",
            type=click.IntRange(min=1),
            default=64,
            show_default=True,
            metavar="MIB",
            envvar="INVERTERPROTO_MAX_WAITING",
            help="Memory for what waits while the store cannot be written.",
        ),
        click.option(
            "--allow",
            multiple=True,
            metavar="NETWORK",
            envvar="INVERTERPROTO_ALLOW",
            help="Let this network in, too.  [default: loopback and private ones]",
        ),
        click.option(
            "--max-connections",
            type=click.IntRange(min=1),
            default=10_000,
            show_default=True,
            envvar="INVERTERPROTO_MAX_CONNECTIONS",
            help="Connections at once.",
        ),
        click.option(
            "--max-per-address",
            type=click.IntRange(min=1),
            default=64,
            show_default=True,
            envvar="INVERTERPROTO_MAX_PER_ADDRESS",
            help="Connections of one address.",
        ),
        click.option(
            "--idle-timeout",
            type=Number(min=1),
            default=900,
            show_default=True,
            metavar="SECONDS",
            envvar="INVERTERPROTO_IDLE_TIMEOUT",
            help="End a connection on which no frame came for so long.",
        ),
        click.option(
            "--max-unframed",
            type=click.IntRange(min=1024),
            default=64 << 10,
            show_default=True,
            metavar="BYTES",
            envvar="INVERTERPROTO_MAX_UNFRAMED",
            help="End a connection after so many bytes without a frame.",
        ),
        click.option(
            "--max-devices",
            type=click.IntRange(min=1),
            default=256,
            show_default=True,
            envvar="INVERTERPROTO_MAX_DEVICES",
            help="Devices that are kept and answered.",
        ),
        click.option(
            "--device",
            "devices",
            multiple=True,
            metavar="SERIAL",
            envvar="INVERTERPROTO_DEVICE",
            help="Only these loggers and batteries.  [default: any]",
        ),
        click.option(
            "--capture",
            metavar="FILE",
            envvar="INVERTERPROTO_CAPTURE",
            help="Write all that passes to this file, as JSON lines; passwords are masked.",
        ),
        click.option(
            "--capture-size",
            type=click.IntRange(min=1),
            default=1024,
            show_default=True,
            metavar="MIB",
            envvar="INVERTERPROTO_CAPTURE_SIZE",
            help="End the capture when its file has this size.",
        ),
        click.option(
            "--json", "as_json", is_flag=True, envvar="INVERTERPROTO_JSON", help="Readings as JSON."
        ),
        click.option(
            "--log-format",
            type=click.Choice(["text", "json"]),
            default="text",
            show_default=True,
            envvar="INVERTERPROTO_LOG_FORMAT",
            help="The form of the log on standard error.",
        ),
        click.option(
            "-v", "--verbose", count=True, envvar="INVERTERPROTO_VERBOSE", help="Log more."
        ),
        click.option(
            "-q",
            "--quiet",
            is_flag=True,
            envvar="INVERTERPROTO_QUIET",
            help="Show no readings, log only what is wrong.",
        ),
    )

    def decorate(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def ports_of(
    listen: tuple[str, ...], defaults: Mapping[str, str], *, apart: bool = False
) -> list[tuple[str, Address]]:
    """Return where to listen, and for whom, as `defaults` names them; "" for anybody.

    Args:
        listen: what the user wants.
        defaults: where it listens otherwise, by family.
        apart: whether each address must be for one family.

    Raises:
        click.BadParameter: something is no address, or for two families.
    """
    chosen: dict[str, list[Address]] = {}
    for text in listen:
        family, equals, address = text.partition("=") if "=" in text else ("", "", text)
        if apart and not equals:
            forms = " or ".join(f"{name}={text}" for name in defaults)
            raise click.BadParameter(f"say for which family: {forms}.", param_hint="--listen")
        if equals and family not in defaults:
            raise click.BadParameter(
                f"{text!r}: there is no family {family!r}, only {', '.join(defaults)}.",
                param_hint="--listen",
            )
        chosen.setdefault(family, [])
        if address.lower() != "none":
            chosen[family].append(parse_address(address, "--listen"))
    if "" not in chosen:
        for family, address in defaults.items():
            chosen.setdefault(family, [parse_address(address, "--listen")])
    ports: list[tuple[str, Address]] = []
    taken: set[Address] = set()
    for family, some in chosen.items():
        for place in some:
            if place.port and place in taken:  # port 0 is another one each time
                if apart:
                    text = f"{place} is given twice: each family needs its own port."
                    raise click.BadParameter(text, param_hint="--listen")
                continue
            taken.add(place)
            ports.append((family, place))
    if not ports:
        raise click.BadParameter("nothing is left to listen on.", param_hint="--listen")
    return ports


@dataclass(frozen=True, slots=True)
class Serving:
    """What the options make.

    Attributes:
        outlets: what is written by threads of their own, to be closed at the end.
        describe: where records are kept, for people.
        quiet: whether only what is wrong is told.
        capture: of all that passes, if it is wanted.
        outward: has the sinks, and what is shown over HTTP, if there is any of it.
    """

    keeper: Keeper
    access: Access
    log: Log
    outlets: "tuple[Outlet, ...]"
    describe: str
    quiet: bool = False
    capture: "Capture | None" = None
    outward: "Outward | None" = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Serving":
        """Return what a server needs, made by its options.

        Raises:
            click.BadParameter: a network is none.
            click.ClickException: the capture cannot be written.
        """
        access = _access(options)
        quiet = options["quiet"]
        log = Log()
        capture = _capture(options["capture"], options["capture_size"] * _MIB, log)
        outlets = [set_up(options["log_format"], verbose=options["verbose"], quiet=quiet)]
        store, describe = _store(options, log)
        wanted = configured(click.get_current_context())
        outward = _outward(wanted, store, log, options)
        show = None
        # Standard output is one thing: lines for people, or a sink.
        if not quiet and all(one.type is not STDOUT for one in wanted):
            from inverterproto_cli.server.live import Live
            from inverterproto_cli.server.outlet import Outlet

            outlets.append(Outlet(sys.stdout))
            show = Live(outlets[-1], log, as_json=options["as_json"])
        keeper = Keeper(
            store,
            log,
            show,
            most_devices=options["max_devices"],
            only=options["devices"],
            trust_clock=options["trust_clock"],
        )
        return cls(keeper, access, log, tuple(outlets), describe, quiet, capture, outward)


def _access(options: Mapping[str, Any]) -> Access:
    try:
        return Access(
            options["allow"],
            most=options["max_connections"],
            most_per_address=options["max_per_address"],
        )
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="--allow") from error


def _store(options: Mapping[str, Any], log: Log) -> tuple[Store | NoStore, str]:
    if options["no_store"]:
        names = ("store_path", "keep_days", "keep_size")
        refuse_given(click.get_current_context(), "with --no-store", *names)
        return NoStore(), "nothing is stored (--no-store): what is answered may be lost"
    path = default_path() if options["store_path"] is None else _named(options["store_path"])
    keep = Keep(
        days=options["keep_days"],
        size=options["keep_size"] * _MIB,
        unknown=options["keep_unknown"] * _MIB,
    )

    def say(event: str, text: str) -> None:
        log.tell(event, text, logging.INFO if event == "store-aged" else logging.WARNING)

    # Only a proxy has the option: what a fake server says always waits.
    price = NOTHING_ACKNOWLEDGED if options.get("durable", True) else PASSED_ON
    store = Store(path, say, keep=keep, most_pending=options["max_waiting"] * _MIB, price=price)
    return store, f"records are kept in {path}"


def _outward(
    wanted: list[Configured], store: Store | NoStore, log: Log, options: Mapping[str, Any]
) -> "Outward | None":
    """Return what has the sinks and shows something over HTTP, if the user wants either."""
    http = http_of(options)
    if not wanted and http is None:
        return None
    if wanted and isinstance(store, NoStore):
        names = ", ".join(one.name for one in wanted)
        raise click.UsageError(f"sinks ({names}) read from the store, and --no-store has none.")
    from inverterproto_cli.sinks.outward import Outward

    return Outward(wanted, store, log, None if http is None else _page(http, log))


def _page(http: "Http", log: Log) -> "Callable[[Outward], Page]":
    """Return what makes what is shown over HTTP.

    Raises:
        MissingExtra: a library is not there.
    """
    try:
        from inverterproto_cli.web.page import Page
    except ImportError as error:
        from inverterproto_cli.extra import MissingExtra

        text = "--http is served with the libraries aiohttp and prometheus-client"
        raise MissingExtra(text, "http") from error
    return partial(Page, http, log)


def _named(store: str) -> Path:
    """Return the file that the user names for the store; only the default one's folder is made.

    Raises:
        click.ClickException: its folder is not there.
    """
    path = Path(store)
    if not path.parent.is_dir():
        text = f"store {path}: there is no folder {path.parent}: make it, or name another (--store)"
        raise click.ClickException(printable(text))
    return path


def _capture(path: str | None, most: int, log: Log) -> "Capture | None":
    if path is None:
        return None
    from inverterproto_cli.server.capturing import Capture

    try:
        return Capture(path, log, most)
    except OSError as error:
        raise click.ClickException(f"capture {path}: {error.strerror}") from error
