"""Tables for people: columns of text, as wide as they need to be."""

import os
import shutil
import sys
from collections.abc import Iterable, Sequence

import click

_NARROWEST = 8
WIDTH = 120
"""Characters in a line of what is not a terminal."""


def print_columns(
    head: Sequence[str], rows: Iterable[Sequence[str]], width: int | None = None
) -> None:
    """Write a table to standard output.

    Args:
        head: the columns' names.
        rows: their cells.
        width: of a line; the widest columns are cut until it fits, as far as makes sense.
    """
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    while width is not None and sum(widths) + 2 * (len(widths) - 1) > width:
        widest = widths.index(max(widths))
        if widths[widest] <= _NARROWEST:
            break
        widths[widest] -= 1
    for line in lines:
        cells = (f"{_cut(cell, width):<{width}}" for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _cut(cell: str, width: int) -> str:
    return cell if len(cell) <= width else cell[: width - 1] + "…"


def terminal_width() -> int | None:
    """Return how wide the terminal is that standard output is, or what `COLUMNS` says; or None."""
    if not (sys.stdout.isatty() or os.environ.get("COLUMNS")):
        return None
    return shutil.get_terminal_size((WIDTH, 24)).columns
