"""Readings for people: a table in blocks, each with the columns that occur in it and fit."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from time import time
from typing import TYPE_CHECKING

from inverterproto.quantity import lookup
from inverterproto_cli.columns import WIDTH, print_columns, terminal_width
from inverterproto_cli.local_time import LocalTimes
from inverterproto_cli.server.live import FIRST
from inverterproto_cli.show import printable

if TYPE_CHECKING:
    from inverterproto.reading import Reading
    from inverterproto_cli.store.reader import Kept

_BLOCK = 200


def show_table(found: "Iterable[tuple[Kept, Reading]]", keys: Sequence[str] = ()) -> bool:
    """Write a table; return whether there was anything.

    Args:
        found: the readings.
        keys: the quantities that are shown, fit or not; if none, those that matter most.
    """
    times = LocalTimes(time())
    width = terminal_width() or WIDTH
    head = (times.head("time"), "device", "kind")
    found = iter(found)
    empty = True
    while block := list(islice(found, _BLOCK)):
        rows = [
            (_when(times, kept, one), printable(one.device or "unknown"), _kind(one))
            for kept, one in block
        ]
        used = sum(max(map(len, column)) + 2 for column in zip(head, *rows, strict=True))
        readings = [one for _, one in block]
        if keys:
            columns = [_column(key, readings) for key in keys]
        else:
            columns = list(_fitting(readings, width - used))
        cells = zip(*(values for _, values in columns), strict=True)
        more = list(cells) if columns else [()] * len(rows)
        print_columns(
            (*head, *(name for name, _ in columns)),
            ((*row, *values) for row, values in zip(rows, more, strict=True)),
        )
        empty = False
    return not empty


def _when(times: LocalTimes, kept: "Kept", one: "Reading") -> str:
    """Return when it was measured; where nobody knows, when it came, marked."""
    return f"~{times.text(kept.arrival)}" if one.time is None else times.text(one.time)


def _kind(one: "Reading") -> str:
    return f"{one.kind}, historic" if one.historic and one.kind != "stored" else one.kind


def _fitting(block: "list[Reading]", width: int) -> Iterator[tuple[str, list[str]]]:
    """Yield columns, one a quantity, what matters most first, as many as there is room for."""
    occur = dict.fromkeys(key for one in block for key in one.values)
    keys = [key for key in FIRST if key in occur]
    keys += [key for key in occur if key not in FIRST and not lookup(key).diagnostic]
    for key in keys:
        name, cells = _column(key, block)
        if len(name) + 2 <= width:
            width -= len(name) + 2
            yield name, cells


def _column(key: str, block: "list[Reading]") -> tuple[str, list[str]]:
    """Return the head and the cells of a column, all of one width."""
    unit = lookup(key).unit
    name = f"{key} {unit}" if unit else key
    cells = [printable(str(one.values.get(key, ""))) for one in block]
    longest = max(len(name), *map(len, cells))
    return f"{name:>{longest}}", [f"{cell:>{longest}}" for cell in cells]
