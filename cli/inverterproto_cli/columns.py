"""Tables for people: columns of text, as wide as they need to be."""

from collections.abc import Iterable, Sequence

import click


def print_columns(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table to standard output."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
