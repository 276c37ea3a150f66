"""A host and a port, as options name them."""

from typing import NamedTuple

import click


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
        click.BadParameter: it names none.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter(f"{text!r} is not HOST:PORT.", param_hint=hint)
    return Address(host.strip("[]"), int(port))
