"""A host and a port, as options name them."""

import re
from ipaddress import ip_address
from typing import NamedTuple

import click

_is_name = re.compile(r"[\w-]+(\.[\w-]+)*\.?").fullmatch


class Address(NamedTuple):
    """Where to listen, or whom to call."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_address(text: str, hint: str) -> Address:
    """Return the host and port that a text names.

    Raises:
        click.BadParameter: it names none; the message says what to type.
    """
    host, colon, port = text.rpartition(":")
    host = host.strip("[]")
    if "," in text:
        wrong = f"give {hint} once for each address"
    elif "://" in text:
        wrong = f"give it without {text.partition('://')[0]}://"
    elif "=" in text:
        wrong = f"give it without {text.partition('=')[0]}="
    elif not colon:
        wrong = "the port is missing"
    elif not (is_address(host) or _is_name(host)):
        wrong = f"{host!r} is neither a name nor an address"
    elif not (port.isdecimal() and int(port) <= 65535):
        wrong = f"{port!r} is no port, they go up to 65535"
    else:
        return Address(host, int(port))
    raise click.BadParameter(f"{text!r} is not HOST:PORT: {wrong}.", param_hint=hint)


def is_address(host: str) -> bool:
    """Return whether a host is named by its address."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
