"""The options of what is shown over HTTP, and what they make."""

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, TypeVar

import click

from inverterproto_cli.address import Address, parse_address
from inverterproto_cli.sinks.settings import read_secret
from inverterproto_cli.useless import refuse_given

_Command = TypeVar("_Command", bound=Callable[..., Any])
TOKEN = "INVERTERPROTO_HTTP_TOKEN"  # noqa: S105 - the name of a variable
"""The variable of the environment that may hold the token."""
_TOKEN_FILE = "--http-token-file"  # noqa: S105 - the name of an option


def web_options(command: _Command) -> _Command:
    """Give a command the options of what is shown over HTTP."""
    file = click.option(
        _TOKEN_FILE,
        metavar="FILE",
        envvar=f"{TOKEN}_FILE",
        help=f"Who looks must send the token in this file; or set {TOKEN}.",
    )
    http = click.option(
        "--http",
        metavar="HOST:PORT",
        envvar="INVERTERPROTO_HTTP",
        help="Show metrics, health and readings here (127.0.0.1:8099).  [default: nowhere]",
    )
    return http(file(command))


@dataclass(frozen=True, slots=True)
class Http:
    """What is wanted.

    Attributes:
        address: as the user gave it.
        places: the addresses that it stands for: each with its family, as sockets take it.
        token: that who looks must have; None for none.
        include_simulated: whether simulated devices are shown.
        most_devices: whose readings are shown at once.
    """

    address: Address
    places: tuple[tuple[int, tuple[Any, ...]], ...]
    token: str | None = field(default=None, repr=False)
    include_simulated: bool = False
    most_devices: int = 256

    @property
    def inward(self) -> bool:
        """Whether nothing but this machine itself reaches it."""
        return all(ip_address(place[0].partition("%")[0]).is_loopback for _, place in self.places)


def http_of(options: Mapping[str, Any]) -> Http | None:
    """Return what the options say, or None if nothing is to be shown.

    Raises:
        click.UsageError: that is of no use, or it is open to others and has no token.
    """
    if options["http"] is None:
        refuse_given(click.get_current_context(), "without --http", "http_token_file")
        return None
    address = parse_address(options["http"], "--http")
    http = Http(
        address,
        _places(address),
        _token(options["http_token_file"]),
        options["sink_include_simulated"],
        options["max_devices"],
    )
    if http.token is None and not http.inward:
        raise click.UsageError(
            f"--http {address} is open to other machines, so it needs a token. Make one with "
            "(umask 077; head -c 24 /dev/urandom | base64 > http-token) and say "
            f"{_TOKEN_FILE} http-token"
        )
    return http


def _places(address: Address) -> tuple[tuple[int, tuple[Any, ...]], ...]:
    try:
        found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        text = f"{address.host}: {error.strerror or error}."
        raise click.BadParameter(text, param_hint="--http") from error
    return tuple(dict.fromkeys((family, place) for family, _, _, _, place in found))


def _token(file: str | None) -> str | None:
    """Return the token.

    Raises:
        click.UsageError: it is none.
    """
    if file is not None:
        token, where = read_secret(file, _TOKEN_FILE), f"{_TOKEN_FILE} {file}"
    elif TOKEN in os.environ:
        token, where = os.environ[TOKEN], TOKEN
    else:
        return None
    if not token.isascii() or not token.isprintable() or not token or " " in token:
        raise click.UsageError(f"{where}: a token is one line of ASCII characters without spaces.")
    return token
