"""How sure fields must be to become readings: the option of all commands that decode."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


def confidence_option(become: str) -> Callable[[_Command], _Command]:
    """Return the option of a command.

    Args:
        become: what the fields do there, in words: `"are shown"`.
    """
    return click.option(
        "--confidence",
        type=click.Choice(["A", "B", "C"], case_sensitive=False),
        default="B",
        metavar="[A|B|C]",
        show_default=True,
        envvar="INVERTERPROTO_CONFIDENCE",
        help=f"Least confidence of fields that {become}: A sure, B one source, C a guess.",
    )
