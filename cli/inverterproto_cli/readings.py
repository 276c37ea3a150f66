"""`inverterproto readings`: what is in the store, decoded by today's layouts; or as it comes.

A table is written block by block (`readings_table.py`), so that it begins at once however much
there is. A CSV table that is followed has the columns of its first readings. Following, new records
are looked for once a second, by the number that each gets when it is dated: what comes late is
shown when it comes.
"""

import json
import select
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from time import time
from typing import TYPE_CHECKING

import click

from inverterproto_cli.confidence import confidence_option
from inverterproto_cli.looking import path_of, reading, selection_options, store_option

if TYPE_CHECKING:
    from inverterproto.reading import Reading
    from inverterproto_cli.csv_table import CsvWriter
    from inverterproto_cli.store.reader import Kept

LIMIT = 50
"""Readings in a table of which no end is told."""
LOOK_BACK = 10
"""Readings that are shown before one follows."""
MOST_LOOK_BACK = 10_000
EVERY = 1.0
"""Seconds between looks at what is new."""

Found = tuple["Kept", "Reading"]


def parse_columns(
    _ctx: click.Context, _option: click.Parameter, value: str | None
) -> tuple[str, ...]:
    """Return the quantities of a list.

    Raises:
        click.BadParameter: there is none of a name.
    """
    if value is None:
        return ()
    from inverterproto.quantity import lookup

    keys = tuple(dict.fromkeys(key.strip() for key in value.split(",") if key.strip()))
    for key in keys:
        try:
            lookup(key)
        except KeyError:
            raise click.BadParameter(f"there is no quantity {key!r}.") from None
    return keys


@click.command("readings")
@store_option
@selection_options
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
    "--oldest-first",
    is_flag=True,
    envvar="INVERTERPROTO_OLDEST_FIRST",
    help="Show the oldest of them first.",
)
@click.option(
    "--json", "as_json", is_flag=True, envvar="INVERTERPROTO_JSON", help="One JSON object a line."
)
@click.option("--csv", "as_csv", is_flag=True, envvar="INVERTERPROTO_CSV", help="A CSV table.")
@click.option(
    "--columns",
    callback=parse_columns,
    metavar="KEY,...",
    envvar="INVERTERPROTO_COLUMNS",
    help="The quantities that a table or CSV shows.  [default: what was measured; in a table, what "
    "fits]",
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    envvar="INVERTERPROTO_ALL",
    help="With --csv: also what only describes a device.",
)
@confidence_option("are shown")
def command(
    store_path: str | None,
    device: str | None,
    since: str | None,
    until: str | None,
    limit: int | None,
    follow: bool,  # noqa: FBT001 - click's way to hand over an option
    oldest_first: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
    as_csv: bool,  # noqa: FBT001
    columns: tuple[str, ...],
    everything: bool,  # noqa: FBT001
    confidence: str,
) -> None:
    """Show what was measured, the newest first, or as it comes.

    \b
    inverterproto readings
    inverterproto readings --since yesterday --until today --csv > readings.csv
    inverterproto readings --columns pv_power,battery_power,state_of_charge
    inverterproto readings --follow --json --device 2301234567
    """  # noqa: D301 - \b is meant: click keeps the lines below it as they are
    from inverterproto_cli.local_time import parse_since

    if as_json and as_csv:
        raise click.UsageError("Either --json or --csv.")
    if as_json and columns:
        raise click.UsageError("--columns has no effect with --json, which tells everything.")
    if everything and not as_csv:
        raise click.UsageError("--all has no effect without --csv.")
    if follow and (until is not None or oldest_first):
        raise click.UsageError("--follow has no --until, and shows what comes as it comes.")
    now = time()
    oldest = None if since is None else parse_since(since, now)
    end = None if until is None else parse_since(until, now, "--until")
    path = path_of(store_path)
    wanted = Wanted(confidence.upper(), columns, everything=everything or as_json)
    if follow:
        from inverterproto_cli.stop import STOP

        form = "json" if as_json else "csv" if as_csv else ""
        with STOP:
            _follow(path, device, oldest, limit, wanted, form)
        return
    as_table = not (as_json or as_csv)
    if limit is None and as_table and oldest is None:
        limit = LIMIT
    with reading(path) as reader:
        ascending = oldest_first and not limit
        records = reader.newest(device, oldest, end, oldest_first=ascending)
        found = wanted.found(records)
        shown: Iterable[Found] = islice(found, limit or None)
        if oldest_first and limit:
            shown = reversed(list(shown))
        _show(shown, columns, as_json=as_json, as_csv=as_csv)
        if limit and as_table and next(found, None) is not None:
            click.echo(f"the newest {limit:,} (--limit 0 shows all)", err=True)


class Wanted:
    """Which readings somebody wants to see.

    Args:
        confidence: the least of their fields.
        columns: the quantities of which each shows one at least; any if there are none.
        everything: whether also what only describes a device.

    Attributes:
        columns: these.
    """

    def __init__(self, confidence: str, columns: Sequence[str], *, everything: bool) -> None:
        self._confidence = confidence
        self.columns = columns
        self._everything = everything

    def found(self, records: Iterable["Kept"]) -> Iterator[Found]:
        """Yield the wanted readings of records."""
        for kept in records:
            for one in kept.readings(self._confidence):
                if self._is_wanted(one.values):
                    yield kept, one

    def _is_wanted(self, values: Iterable[str]) -> bool:
        from inverterproto.quantity import lookup

        if self.columns:
            return not set(self.columns).isdisjoint(values)
        return self._everything or any(not lookup(key).diagnostic for key in values)


def to_json(kept: "Kept", one: "Reading") -> dict[str, object]:
    """Return a reading as `decode --json` has it, with what the store knows beside it."""
    from inverterproto.reading import utc_text

    return {
        "family": one.family,
        **one.to_json(),
        "arrival": utc_text(kept.arrival),
        "answered": kept.answered,
    }


def _show(found: Iterable[Found], columns: Sequence[str], *, as_json: bool, as_csv: bool) -> None:
    if as_json:
        for kept, one in found:
            sys.stdout.write(json.dumps(to_json(kept, one)) + "\n")
    elif as_csv:
        table = _csv_writer(columns)
        for kept, one in found:
            table.add(to_json(kept, one), one.values)
        table.close()
    else:
        from inverterproto_cli.readings_table import show_table

        if not show_table(found, columns):
            click.echo("no readings", err=True)


def _csv_writer(columns: Sequence[str]) -> "CsvWriter":
    from inverterproto_cli.csv_table import IDENTITY, CsvWriter

    return CsvWriter(sys.stdout, ("family", *IDENTITY, "arrival", "answered"), columns)


# As it comes


def _follow(
    path: Path,
    device: str | None,
    since: float | None,
    limit: int | None,
    wanted: Wanted,
    form: str,
) -> None:
    from inverterproto_cli.local_time import LocalTimes
    from inverterproto_cli.server.live import line

    times = LocalTimes(time())
    table = _csv_writer(wanted.columns) if form == "csv" else None

    def show(kept: "Kept") -> None:
        for found in wanted.found([kept]):
            if form == "json":
                sys.stdout.write(json.dumps(to_json(*found)) + "\n")
            elif table is not None:
                table.add(to_json(*found), found[1].values)
            else:
                sys.stdout.write(line(found[1], times, found[0].arrival, wanted.columns) + "\n")

    most = min(limit or MOST_LOOK_BACK, MOST_LOOK_BACK)
    with reading(path) as reader:
        number = reader.last_number()
        if limit is None and since is None:
            most = LOOK_BACK
        # What waits for its date is shown when it has got it.
        delivered = (one for one in reader.newest(device, since) if 0 < (one.number or 0) <= number)
        before = list(islice(delivered, most))
    if not form:
        click.echo(f"times are local, UTC{times.head('').strip(' ()')}", err=True)
    for kept in reversed(before):
        show(kept)
    if table is not None:
        table.begin()
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
