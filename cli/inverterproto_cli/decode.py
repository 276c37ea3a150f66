"""`inverterproto decode`: what do these bytes say?

Bytes come from `sources.py` in chunks, go through one `Decoder` for each stream, and what comes
out goes to a writer (tree, JSON lines, CSV) and to the summary. Data goes to standard output, all
else to standard error.
"""

import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

import click

from inverterproto.decoding import MOST_CLOCK_OFFSET, Dates, Decoded, Decoder
from inverterproto.families import FAMILIES, framings
from inverterproto_cli.sources import Chunk, Source, SourceError, find_sources, read

MOST_STREAMS = 4096
"""Streams of a capture that are followed at once; beyond that the one longest silent is ended."""
MOST_COMPLAINTS = 20
_PROGRESS_FROM = 4 << 20


class Writer(Protocol):
    """Puts out what was decoded."""

    def write(self, decoded: Decoded) -> None:
        """Put out one item."""

    def close(self) -> None:
        """Put out what is left."""


class JsonWriter:
    """Writes one JSON object a line: the contract of `docs/json.md`."""

    def __init__(self, out: TextIO, *, name_sources: bool) -> None:
        import json

        self.out = out
        self.name_sources = name_sources
        self._encode = json.JSONEncoder(separators=(",", ":")).encode

    def write(self, decoded: Decoded) -> None:
        """Write one item."""
        shown = decoded.to_json()
        chunk = decoded.origin
        if isinstance(chunk, Chunk):
            if self.name_sources:
                shown["input"] = chunk.source
            if chunk.connection is not None or decoded.at is not None:
                shown |= {"at": decoded.at, "connection": chunk.connection}
            if shown.get("from") is None and chunk.sender is not None:
                shown["from"] = chunk.sender
        self.out.write(self._encode(shown) + "\n")

    def close(self) -> None:
        """Write what is left."""
        self.out.flush()


class Summary:
    """Counts what was decoded, and complains of what could not be."""

    def __init__(
        self, *, quiet: bool, name_sources: bool, in_tree: bool, verbose: bool = False
    ) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self.name_sources = name_sources
        self.in_tree = in_tree  # the reader sees what is unframed there, and need not be told twice
        self.names: Counter[str] = Counter()
        self.problems = 0
        self.runs = 0
        self.run_bytes = 0
        self.complaints = 0

    def add(self, decoded: Decoded) -> None:
        """Count one item."""
        if decoded.message is not None:
            self.names[decoded.message.name] += 1
            self.problems += len(decoded.message.problems)
            return
        self.runs += 1
        self.run_bytes += len(decoded.item.raw)
        if not self.in_tree:
            self._complain_of(decoded)

    def complain(self, complaint: str) -> None:
        """Say what could not be read, though the rest could."""
        self.problems += 1
        self._say(complaint)

    def note(self, note: str) -> None:
        """Say how a text was read, where that is asked for."""
        from inverterproto_cli.show import printable

        if self.verbose:
            click.echo(printable(note), err=True)

    def _say(self, complaint: str) -> None:
        from inverterproto_cli.show import printable

        self.complaints += 1
        if self.complaints <= MOST_COMPLAINTS and not self.quiet:
            click.echo(printable(complaint), err=True)

    def _complain_of(self, decoded: Decoded) -> None:
        from inverterproto_cli.show import item_reason

        item = decoded.item
        chunk = decoded.origin
        where = chunk.place(name_source=self.name_sources) if isinstance(chunk, Chunk) else ""
        size = _count(len(item.raw), "byte")
        self._say(f"no frame in {size} at {item.offset}{where}: {item_reason(decoded)}")

    @property
    def frames(self) -> int:
        """How many frames there were."""
        return sum(self.names.values())

    def close(self) -> None:
        """Say it all on standard error."""
        if self.quiet:
            return
        if self.complaints > MOST_COMPLAINTS:
            click.echo(f"… and {self.complaints - MOST_COMPLAINTS:,} more complaints", err=True)
        kinds = ", ".join(f"{count} {name}" for name, count in self.names.most_common())
        parts = [f"{_count(self.frames, 'frame')}: {kinds}" if kinds else "no frame found"]
        if self.runs:
            runs = "" if self.runs == 1 else f" in {self.runs:,} runs"
            parts.append(f"{_count(self.run_bytes, 'byte')} unframed{runs}")
        if self.problems:
            parts.append(_count(self.problems, "problem"))
        if unknown := self.names["unknown"]:
            parts.append(f"{_count(unknown, 'message')} of unknown type")
        click.echo("; ".join(parts), err=True)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


class _Streams:
    """A decoder for each stream, all on one `Dates`."""

    def __init__(self, family: str | None, clock_offset: float | None, confidence: str) -> None:
        self.families = list(FAMILIES.values()) if family is None else [FAMILIES[family]]
        self.dates = Dates(clock_offset)
        self.confidence = confidence
        self._decoders: OrderedDict[tuple[str, str | None, str | None], Decoder] = OrderedDict()

    def feed(self, chunk: Chunk) -> Iterator[Decoded]:
        """Decode a chunk."""
        decoder = self._decoders.get(chunk.stream)
        if decoder is None:
            origin = chunk._replace(data=b"", at=None, masked=())
            decoder = Decoder(
                self.families, dates=self.dates, confidence=self.confidence, origin=origin
            )
            self._decoders[chunk.stream] = decoder
            if len(self._decoders) > MOST_STREAMS:
                _, oldest = self._decoders.popitem(last=False)
                yield from oldest.flush()
        self._decoders.move_to_end(chunk.stream)
        if chunk.masked:
            yield from decoder.feed_masked(chunk.data, chunk.masked, chunk.at)
        else:
            yield from decoder.feed(chunk.data, chunk.at)

    def end(self) -> Iterator[Decoded]:
        """End all streams: their source has no more."""
        for decoder in self._decoders.values():
            yield from decoder.flush()
        self._decoders.clear()

    def finish(self) -> Iterator[Decoded]:
        """Give all that still waits for its time."""
        yield from self.dates.finish()


@contextmanager
def _progress(sources: list[Source]) -> Iterator[Callable[[int], object]]:
    """Show how far reading is, on a terminal, for input that takes long."""
    size = sum(source.size or 0 for source in sources)
    if size < _PROGRESS_FROM or not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda _read: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("decoding", total=size)
        yield lambda count: bar.advance(task, count)


def _writer(form: str, *, byte_map: bool, name_sources: bool) -> Writer:
    if form == "json":
        return JsonWriter(sys.stdout, name_sources=name_sources)
    if form == "csv":
        from inverterproto_cli.csv_table import CsvWriter

        return CsvWriter(sys.stdout)
    from inverterproto_cli.show import writer_for

    return writer_for(byte_map=byte_map, name_sources=name_sources)


def _check_offset(
    _ctx: click.Context, _option: click.Parameter, value: float | None
) -> float | None:
    # Not `abs(value) > …`: that would let NaN pass.
    if value is not None and not abs(value) <= MOST_CLOCK_OFFSET:
        raise click.BadParameter(f"{value:g} is not within ±{MOST_CLOCK_OFFSET:g} seconds.")
    return value


@click.command("decode")
@click.argument("inputs", nargs=-1, metavar="[FILE|-|HEX]...")
@click.option("--json", "form", flag_value="json", help="One JSON object a line.")
@click.option("--csv", "form", flag_value="csv", help="The readings as a CSV table.")
@click.option("--raw", is_flag=True, help="Show every byte with the field it belongs to.")
@click.option(
    "--family",
    type=click.Choice(["deye", "alphaess"]),
    envvar="INVERTERPROTO_FAMILY",
    help="Look for frames of this family only.  [default: both]",
)
@click.option(
    "--confidence",
    type=click.Choice(["A", "B", "C"], case_sensitive=False),
    default="B",
    metavar="[A|B|C]",
    show_default=True,
    envvar="INVERTERPROTO_CONFIDENCE",
    help="Least confidence of fields that become readings: A sure, B one source, C a guess.",
)
@click.option(
    "--clock-offset",
    type=float,
    callback=_check_offset,
    envvar="INVERTERPROTO_CLOCK_OFFSET",
    metavar="SECONDS",
    help="An AlphaESS battery's clock minus UTC: its readings then have a time.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 on any problem or unframed byte.")
@click.option(
    "-v", "--verbose", is_flag=True, help="Say how a text was read, and what of it was left out."
)
@click.option("-q", "--quiet", is_flag=True, help="No complaints and no summary.")
def command(
    inputs: tuple[str, ...],
    form: str | None,
    raw: bool,  # noqa: FBT001 - click's way to hand over an option
    family: str | None,
    confidence: str,
    clock_offset: float | None,
    strict: bool,  # noqa: FBT001
    verbose: bool,  # noqa: FBT001
    quiet: bool,  # noqa: FBT001
) -> None:
    """Show what bytes of an inverter, logger or battery say.

    Takes files or standard input (binary, a capture in JSON lines, or any text with bytes in it:
    dumps, logs, literals, base64, …) and hex on the command line. Several frames may follow one
    another, of either protocol, with anything between them.

    \b
    inverterproto decode dump.hex
    inverterproto decode a5 01 00 10 47 97 6d 4e 1c ab a1 00 12 15
    inverterproto decode --json capture.jsonl | jq .readings
    """  # noqa: D301 - \b is meant: click keeps the lines below it as they are
    if not inputs and sys.stdin is not None and sys.stdin.isatty():
        raise click.UsageError("Give a file, '-' for standard input, or hex (see --help).")
    try:
        sources = find_sources(inputs)
    except SourceError as error:
        raise click.ClickException(_message(error)) from error
    name_sources = len(sources) > 1
    writer = _writer(form or "tree", byte_map=raw, name_sources=name_sources)
    in_tree = form is None and sys.stdout.isatty() and sys.stderr.isatty()
    summary = Summary(quiet=quiet, name_sources=name_sources, in_tree=in_tree, verbose=verbose)
    failed = _run(sources, _Streams(family, clock_offset, confidence.upper()), writer, summary)
    summary.close()
    if failed or not summary.frames or (strict and (summary.problems or summary.runs)):
        sys.exit(1)


def _message(error: SourceError) -> str:
    """Return what an error says; the name of a file may hold anything, too."""
    from inverterproto_cli.show import printable

    return printable(str(error))


def _run(sources: list[Source], streams: _Streams, writer: Writer, summary: Summary) -> bool:
    """Decode all sources; return whether one of them could not be read."""

    def put(items: Iterator[Decoded]) -> None:
        for decoded in items:
            writer.write(decoded)
            summary.add(decoded)

    failed = False
    with _progress(sources) as advance:
        for source in sources:
            try:
                for chunk in read(
                    source, advance, summary.complain, summary.note, framings(streams.families)
                ):
                    put(streams.feed(chunk))
                    if source.size is None:
                        sys.stdout.flush()  # whoever reads a live stream wants to see it live
            except SourceError as error:
                click.echo(f"Error: {_message(error)}", err=True)
                failed = True
            put(streams.end())
        put(streams.finish())
    writer.close()
    return failed
