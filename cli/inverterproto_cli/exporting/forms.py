"""What can be made of a store: each form takes stretches and writes; the command knows no more."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

from inverterproto_cli.captures import capture_line
from inverterproto_cli.chunk import Chunk
from inverterproto_cli.exporting.csv_file import CsvFile
from inverterproto_cli.exporting.working import Job, Worker, lines_of
from inverterproto_cli.sinks.sink import Entry
from inverterproto_cli.store.schema import open_for_reading
from inverterproto_cli.store.selection import Stretch, frame_rows

MEASUREMENT = "inverter"
"""What points of InfluxDB are called, as those of the sink."""

Put = Callable[[bytes], object]
Form = Callable[[Job, Iterable[Stretch], Put, int], Iterator[int]]
"""Job, stretches, where to, processes → how many records were done, again and again."""


def csv(job: Job, stretches: Iterable[Stretch], put: Put, processes: int) -> Iterator[int]:
    """Write a table."""
    with closing(CsvFile(put, tuple(job.wanted.columns))) as table, closing(Worker(job)) as own:
        for stretch, lines in lines_of(job, stretches, lambda: table.columns, processes):
            if not table.write(lines.text, lines.columns):
                again = own.lines(stretch, table.columns)
                table.write(again.text, again.columns)
            yield lines.records
        table.finish()


def jsonl(job: Job, stretches: Iterable[Stretch], put: Put, processes: int) -> Iterator[int]:
    """Write a JSON object a line, as `inverterproto readings --json` does."""
    for _, lines in lines_of(job, stretches, tuple, processes):
        put(lines.text)
        yield lines.records


def parquet(job: Job, stretches: Iterable[Stretch], put: Put, _processes: int) -> Iterator[int]:
    """Write a Parquet table."""
    from inverterproto_cli.exporting.parquet_file import ParquetFile

    with closing(ParquetFile(put, tuple(job.wanted.columns))) as table, closing(Worker(job)) as own:
        for stretch in stretches:
            page = own.page(stretch)
            table.write(page)
            yield page.records
        table.finish()


def influx(job: Job, stretches: Iterable[Stretch], put: Put, _processes: int) -> Iterator[int]:
    """Write InfluxDB's line protocol, times in milliseconds; what has no time is left out."""
    from inverterproto_cli.sinks.line_protocol import line

    with closing(Worker(job)) as own:
        for stretch in stretches:
            for row, reading in own.readings(stretch):
                point = line(Entry(0, reading, row.arrival, row.answered), MEASUREMENT, {})
                if point and reading.time is not None:
                    put(point + b"\n")
            yield stretch.size


def frames(job: Job, stretches: Iterable[Stretch], put: Put, _processes: int) -> Iterator[int]:
    """Write a capture: the bytes of each record as they were kept."""
    with closing(open_for_reading(job.path)) as connection:
        for stretch in stretches:
            for row in frame_rows(connection, stretch):
                connection_name = row.via or row.device or "unknown"
                chunk = Chunk("", row.frame, row.arrival, connection_name, row.sender)
                put(capture_line(chunk))
            yield stretch.size


FORMS: dict[str, Form] = {
    "csv": csv,
    "jsonl": jsonl,
    "parquet": parquet,
    "influx": influx,
    "frames": frames,
}
"""By what the command calls them."""
