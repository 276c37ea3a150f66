"""`inverterproto export`: what the store holds, as a file for other programs.

Which records, and in which stretches, the store's index tells (`store/selection.py`); a form makes
of them what is asked for (`exporting/forms.py`). A file is put in its place when it is whole;
what was begun when the command is stopped goes. Standard output is written to as it comes, but a
CSV table only when its columns are known.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from time import time

import click

from inverterproto_cli.chunk import SourceError
from inverterproto_cli.confidence import confidence_option
from inverterproto_cli.layout_files import takes_layouts
from inverterproto_cli.looking import explained, path_of, selection_options, store_option
from inverterproto_cli.output import (
    check_place,
    force_option,
    output_option,
    placing,
    stoppable,
)
from inverterproto_cli.readings import parse_columns

FORMATS = ("csv", "jsonl", "parquet", "influx")
ENDINGS = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".parquet": "parquet",
    ".lp": "influx",
}
"""What the ending of a file's name says of its format."""

Put = Callable[[bytes], object]


@click.command("export")
@store_option
@output_option
@force_option
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    metavar="[csv|jsonl|parquet|influx]",
    envvar="INVERTERPROTO_FORMAT",
    help="Of what is written.  [default: by the ending of OUT, else csv]",
)
@click.option(
    "--frames",
    is_flag=True,
    envvar="INVERTERPROTO_FRAMES",
    help="Write the bytes that came, as a capture, instead of readings.",
)
@selection_options
@click.option(
    "--columns",
    callback=parse_columns,
    metavar="KEY,...",
    envvar="INVERTERPROTO_COLUMNS",
    help="Only these quantities.  [default: all that were measured]",
)
@confidence_option("are written")
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    metavar="N",
    envvar="INVERTERPROTO_PROCESSES",
    help="So many at work for csv and jsonl.  [default: one a core, 4 at most, 1 for little]",
)
@click.option("-q", "--quiet", is_flag=True, envvar="INVERTERPROTO_QUIET", help="No progress.")
@takes_layouts
def command(
    store_path: str | None,
    output: str,
    force: bool,  # noqa: FBT001 - click's way to hand over an option
    form: str | None,
    frames: bool,  # noqa: FBT001
    device: str | None,
    since: str | None,
    until: str | None,
    columns: tuple[str, ...],
    confidence: str,
    processes: int | None,
    quiet: bool,  # noqa: FBT001
) -> None:
    """Write what the store holds: readings for other programs, or the bytes.

    Readings are decoded by today's layouts. They come by the time of measuring, the oldest first;
    what has no time comes last.

    \b
    inverterproto export --since 2024-01-01 --until 2025-01-01 -o 2024.csv
    inverterproto export --device 2301234567 -o inverter.parquet
    inverterproto export --frames --since yesterday | inverterproto sanitize - -o shared.jsonl
    """  # noqa: D301 - \b is meant: click keeps the lines below it as they are
    from inverterproto_cli.exporting import page as pages
    from inverterproto_cli.exporting.forms import FORMS
    from inverterproto_cli.exporting.working import Job, default_processes
    from inverterproto_cli.local_time import parse_since
    from inverterproto_cli.show import printable
    from inverterproto_cli.store.schema import open_for_reading
    from inverterproto_cli.store.selection import EVERYTHING, Selection, total

    if frames and (form or columns):
        raise click.UsageError("--frames has no format and no columns: it is a capture.")
    ending = Path(output).suffix
    if not (frames or form) and ending and ending not in ENDINGS:
        known = ", ".join(ENDINGS)
        raise click.UsageError(
            f"{output}: {ending} is the ending of no format ({known}): say which one (--format)."
        )
    name = "frames" if frames else form or ENDINGS.get(ending, "csv")
    if name == "parquet":
        _see_to_parquet(output)
    now = time()
    asked_for = (
        device,
        None if since is None else parse_since(since, now),
        None if until is None else parse_since(until, now, "--until"),
    )
    path = path_of(store_path)
    check_place(output, (str(path),), force=force)
    job = Job(path, pages.Wanted(confidence.upper(), columns), name)
    with explained(path), closing(open_for_reading(path)) as connection:
        selection = Selection(connection, *asked_for)
        cut = selection.arrivals if frames else selection.stretches
        records = total(cut(EVERYTHING))
        if processes is None:
            processes = default_processes(records, layouts=_own_layouts())
        try:
            with stoppable(), _progress(records, quiet=quiet) as done, _writing(output) as put:
                for count in FORMS[name](job, cut(pages.SIZE), put, processes):
                    done(count)
        except SourceError as error:
            raise click.ClickException(printable(str(error))) from error


def _see_to_parquet(output: str) -> None:
    from inverterproto_cli.exporting.parquet_file import require

    require()
    if output == "-" and sys.stdout.isatty():
        raise click.UsageError("Parquet is nothing for a terminal: name a file (-o).")


def _own_layouts() -> bool:
    """Return whether layouts of the user's are in force, which other processes do not know."""
    return bool(click.get_current_context().params.get("layouts"))


def _writing(output: str) -> AbstractContextManager[Put]:
    return nullcontext(_put) if output == "-" else placing(output)


def _put(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


@contextmanager
def _progress(records: int, *, quiet: bool) -> Iterator[Callable[[int], object]]:
    """Show on a terminal how far it is; yield what is told of records that are done."""
    if quiet or not sys.stderr.isatty():
        yield lambda _count: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("export", total=records)
        yield lambda count: bar.advance(task, count)
