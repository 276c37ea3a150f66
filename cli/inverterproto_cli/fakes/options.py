"""Options that the simulated devices share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from inverterproto_cli.number import Number

_F = TypeVar("_F", bound=Callable[..., Any])


def server_option(default: str) -> Callable[[_F], _F]:
    """Return the option that says which server they call."""
    return click.option(
        "--server",
        default=default,
        show_default=True,
        metavar="HOST:PORT",
        envvar="INVERTERPROTO_SERVER",
        help="Where to send to.",
    )


wait_option = click.option(
    "--wait",
    type=Number(min=0.001),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    envvar="INVERTERPROTO_WAIT",
    help="Wait so long for a reply.",
)

for_option = click.option(
    "--for",
    "lasting",
    type=Number(min=0.001),
    metavar="SECONDS",
    envvar="INVERTERPROTO_FOR",
    help="End after so long, if it has not ended before.",
)

quiet_option = click.option(
    "-q", "--quiet", is_flag=True, envvar="INVERTERPROTO_QUIET", help="No replies."
)
