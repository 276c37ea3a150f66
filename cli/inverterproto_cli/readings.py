"""`inverterproto readings`: what is in the store, decoded by today's layouts; or as it comes.

A table is written block by block, so that it begins at once however much there is; each block has
the columns that occur in it and fit. Following, new records are looked for once a second, by the
number that each gets when it is dated: what comes late is shown when it comes.
"""

import json
import select
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from time import time
from typing import TYPE_CHECKING

import click

from inverterproto_cli.looking import path_of, reading, store_option

if TYPE_CHECKING:
    from inverterproto.reading import Reading
    from inverterproto_cli.store.reader import Kept

LIMIT = 50
"""Readings in a table of which no end is told."""
LOOK_BACK = 10
"""Readings that are shown before one follows."""
MOST_LOOK_BACK = 10_000
EVERY = 1.0
"""Seconds between looks at what is new."""
_BLOCK = 200

Found = tuple["Kept", "Reading"]


@click.command("readings")
@store_option
@click.option(
    "--device",
    metavar="SERIAL",
    envvar="INVERTERPROTO_SHOW_DEVICE",
    help="Only of this one; of a logger, all that it carries.",
)
@click.option(
    "--since",
    metavar="TIME",
    envvar="INVERTERPROTO_SINCE",
    help="Only what was measured since: 2h, 3d, 2024-04-08T17:14.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    envvar="INVERTERPROTO_LIMIT",
    metavar="N",
    help=f"At most so many, 0: all.  [default: {LIMIT} in a table without --since, else all]",
)
@click.option(
    "-f",
    "--follow",
    is_flag=True,
    envvar="INVERTERPROTO_FOLLOW",
    help="Show the last ones, and then what comes, as it comes.",
)
@click.option(
    "--json",
    "form",
    flag_value="json",
    envvar="INVERTERPROTO_FORM",
    help="One JSON object a line.",
)
@click.option(
    "--csv",
    "form",
    flag_value="csv",
    envvar="INVERTERPROTO_FORM",
    help="A CSV table.",
)
@click.option(
    "--confidence",
    type=click.Choice(["A", "B", "C"], case_sensitive=False),
    default="B",
    metavar="[A|B|C]",
    show_default=True,
    envvar="INVERTERPROTO_CONFIDENCE",
    help="Least confidence of fields that are shown: A sure, B one source, C a guess.",
)
def command(
    store_path: str | None,
    device: str | None,
    since: str | None,
    limit: int | None,
    follow: bool,  # noqa: FBT001 - click's way to hand over an option
    form: str | None,
    confidence: str,
) -> None:
    """Show what was measured, the newest first, or as it comes.

    \b
    inverterproto readings
    inverterproto readings --since 2d --csv > readings.csv
    inverterproto readings --follow --json --device 2301234567
    """  # noqa: D301 - \b is meant: click keeps the lines below it as they are
    from inverterproto_cli.local_time import parse_since

    if follow and form == "csv":
        raise click.UsageError("--follow shows readings as they come, a CSV table has an end.")
    oldest = None if since is None else parse_since(since, time())
    path = path_of(store_path)
    confidence = confidence.upper()
    if follow:
        from inverterproto_cli.stop import STOP

        with STOP:
            _follow(path, device, oldest, limit, confidence, as_json=form == "json")
        return
    if limit is None and form is None and oldest is None:
        limit = LIMIT
    with reading(path) as reader:
        found = _found(reader.newest(device, oldest), confidence)
        if form is None:
            found = filter(_is_measured, found)
        _show(islice(found, limit or None), form)
        if next(found, None) is not None and form is None:
            click.echo(f"the newest {limit:,} (--limit 0 shows all)", err=True)


def _found(records: Iterable["Kept"], confidence: str) -> Iterator[Found]:
    for kept in records:
        for one in kept.readings(confidence):
            yield kept, one


def _is_measured(found: Found) -> bool:
    """Return whether a table has something to show: it has no room for what describes a device."""
    from inverterproto.quantity import lookup

    return any(not lookup(key).diagnostic for key in found[1].values)


def to_json(kept: "Kept", one: "Reading") -> dict[str, object]:
    """Return a reading as `decode --json` has it, with what the store knows beside it."""
    from inverterproto.reading import utc_text

    return {
        "family": one.family,
        **one.to_json(),
        "arrival": utc_text(kept.arrival),
        "answered": kept.answered,
    }


def _show(found: Iterable[Found], form: str | None) -> None:
    if form == "json":
        for kept, one in found:
            sys.stdout.write(json.dumps(to_json(kept, one)) + "\n")
    elif form == "csv":
        from inverterproto_cli.csv_table import IDENTITY, CsvWriter

        table = CsvWriter(sys.stdout, ("family", *IDENTITY, "arrival", "answered"))
        for kept, one in found:
            table.add(to_json(kept, one), one.values)
        table.close()
    else:
        _show_table(found)


# The table


def _show_table(found: Iterable[Found]) -> None:
    from inverterproto_cli.columns import WIDTH, print_columns, terminal_width
    from inverterproto_cli.local_time import LocalTimes
    from inverterproto_cli.show import printable

    times = LocalTimes(time())
    width = terminal_width() or WIDTH
    head = (times.head("time"), "device", "kind")
    found = iter(found)
    empty = True
    while block := [one for _, one in islice(found, _BLOCK)]:
        rows = [
            (times.text(one.time), printable(one.device or "unknown"), _kind(one)) for one in block
        ]
        used = sum(max(map(len, column)) + 2 for column in zip(head, *rows, strict=True))
        columns = list(_fitting(block, width - used))
        heads = [name for name, _ in columns]
        cells = (
            zip(*(values for _, values in columns), strict=True) if columns else [()] * len(rows)
        )
        print_columns(
            (*head, *heads), ((*row, *more) for row, more in zip(rows, cells, strict=True))
        )
        empty = False
    if empty:
        click.echo("no readings", err=True)


def _kind(one: "Reading") -> str:
    return f"{one.kind}, historic" if one.historic and one.kind != "stored" else one.kind


def _fitting(block: list["Reading"], width: int) -> Iterator[tuple[str, list[str]]]:
    """Yield columns, one a quantity, what matters most first, while there is room."""
    from inverterproto.quantity import lookup
    from inverterproto_cli.server.live import FIRST
    from inverterproto_cli.show import printable

    occur = dict.fromkeys(key for one in block for key in one.values)
    keys = [key for key in FIRST if key in occur]
    keys += [key for key in occur if key not in FIRST and not lookup(key).diagnostic]
    for key in keys:
        unit = lookup(key).unit
        name = f"{key} {unit}" if unit else key
        cells = [printable(str(one.values.get(key, ""))) for one in block]
        longest = max(len(name), *map(len, cells))
        width -= longest + 2
        if width < 0:
            return
        yield f"{name:>{longest}}", [f"{cell:>{longest}}" for cell in cells]


# As it comes


def _follow(
    path: Path,
    device: str | None,
    since: float | None,
    limit: int | None,
    confidence: str,
    *,
    as_json: bool,
) -> None:
    from inverterproto_cli.local_time import LocalTimes
    from inverterproto_cli.server.live import line

    times = LocalTimes(time())

    def show(kept: "Kept") -> None:
        for found in _found([kept], confidence):
            if as_json:
                sys.stdout.write(json.dumps(to_json(*found)) + "\n")
            elif _is_measured(found):
                sys.stdout.write(line(found[1], times) + "\n")

    most = min(limit or MOST_LOOK_BACK, MOST_LOOK_BACK)
    with reading(path) as reader:
        number = reader.last_number()
        if limit is None and since is None:
            most = LOOK_BACK
        last = islice(reader.newest(device, since), most)
        before = [kept for kept in last if (kept.number or 0) <= number]
    if not as_json:
        click.echo(f"times are local, UTC{times.head('').strip(' ()')}", err=True)
    for kept in reversed(before):
        show(kept)
    sys.stdout.flush()
    for kept in new_records(path, number, wait):
        asked_for = device is None or device in (kept.device, kept.via)
        if asked_for and (since is None or kept.time is None or kept.time >= since):
            show(kept)
        sys.stdout.flush()


def new_records(path: Path, number: int, wait: Callable[[], bool]) -> Iterator["Kept"]:
    """Yield the records that are dated from now on.

    The file is opened for each look: a damaged one may have been set aside, and another begun.

    Args:
        path: of the store.
        number: of the last record that is not wanted any more.
        wait: lets time pass until the next look; false ends it.
    """
    file = path.stat().st_ino
    while wait():
        with reading(path) as reader:
            known, file = file, path.stat().st_ino
            # The last ones may have been removed, with the device that is forgotten.
            number = min(number, reader.last_number()) if file == known else 0
            while records := reader.delivered_after(number):
                yield from records
                number = records[-1].number or number


def wait() -> bool:
    """Wait until it is time to look again; return whether somebody still wants to see it."""
    from inverterproto_cli.stop import STOP

    def pause() -> bytes:
        gone = False
        try:
            poll = select.poll()
            poll.register(sys.stdout.fileno(), 0)  # it tells only that nobody reads any more
            gone = bool(poll.poll(EVERY * 1000))
        except (OSError, ValueError):
            gone = True
        return b"" if gone else b"on"

    return bool(STOP.unless_stopped(pause))
