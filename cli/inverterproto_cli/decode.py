"""`inverterproto decode`: what do these bytes say?

Bytes come from `sources.py` in chunks, go through one `Decoder` for each stream, and what comes
out goes to a writer (tree, JSON lines, CSV) and to the summary. Data goes to standard output, all
else to standard error.
"""

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from time import time
from typing import Protocol

import click

from inverterproto.decoding import MOST_CLOCK_OFFSET, Dates, Decoded, Decoder
from inverterproto.families import FAMILIES, framings
from inverterproto_cli.chunk import Chunk, SourceError, Stream
from inverterproto_cli.confidence import confidence_option
from inverterproto_cli.layout_files import takes_layouts
from inverterproto_cli.number import Number
from inverterproto_cli.sources import PORTS, Listener, Source, find_sources, read
from inverterproto_cli.stop import STOP
from inverterproto_cli.summary import Summary

MOST_STREAMS = 4096
"""Streams of a capture that are followed at once; beyond that the one longest silent is ended."""
_PROGRESS_FROM = 4 << 20

Take = Callable[[Source, Listener], Iterator[Chunk]]
"""How the chunks of a source are read: as they are, or redacted."""


class Writer(Protocol):
    """Puts out what was decoded."""

    def write(self, decoded: Decoded) -> None:
        """Put out one item."""

    def close(self) -> None:
        """Put out what is left."""


class Decoders(Protocol):
    """Decodes chunks."""

    def feed(self, chunk: Chunk) -> Iterator[Decoded]:
        """Decode a chunk."""
        ...

    def end(self) -> Iterator[Decoded]:
        """End all streams: their source has no more."""
        ...

    def finish(self) -> Iterator[Decoded]:
        """Give all that still waits for its time."""
        ...


class _Streams:
    """A decoder for each stream, all on one `Dates`."""

    def __init__(self, family: str | None, clock_offset: float | None, confidence: str) -> None:
        self.families = list(FAMILIES.values()) if family is None else [FAMILIES[family]]
        self.dates = Dates(clock_offset, now=time())
        self.confidence = confidence
        self._decoders: OrderedDict[Stream, Decoder] = OrderedDict()

    def feed(self, chunk: Chunk) -> Iterator[Decoded]:
        """Decode a chunk."""
        decoder = self._decoders.get(chunk.stream)
        if decoder is None:
            origin = chunk._replace(data=b"", at=None, masked=(), gap=None)
            decoder = Decoder(
                self.families, dates=self.dates, confidence=self.confidence, origin=origin
            )
            self._decoders[chunk.stream] = decoder
            if len(self._decoders) > MOST_STREAMS:
                _, oldest = self._decoders.popitem(last=False)
                yield from oldest.flush()
        self._decoders.move_to_end(chunk.stream)
        if chunk.gap is not None:
            yield from decoder.flush()
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
        from inverterproto_cli.json_lines import JsonWriter

        return JsonWriter(sys.stdout, name_sources=name_sources)
    if form == "csv":
        from inverterproto_cli.csv_table import CsvWriter

        return CsvWriter(sys.stdout)
    from inverterproto_cli.show import writer_for

    return writer_for(byte_map=byte_map, name_sources=name_sources)


def _check_unredacted() -> None:
    """Complain of options that say how to redact, where nothing is: unless the environment does."""
    context = click.get_current_context()
    for name in ("keep_unknown", "key_file"):
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            option = "--" + name.replace("_", "-")
            raise click.UsageError(f"{option} is for --redact, which was not given.")


@click.command("decode")
@click.argument("inputs", nargs=-1, metavar="[FILE|-|HEX]...")
@click.option(
    "--json", "form", flag_value="json", envvar="INVERTERPROTO_FORM", help="One JSON object a line."
)
@click.option(
    "--csv",
    "form",
    flag_value="csv",
    envvar="INVERTERPROTO_FORM",
    help="The readings as a CSV table.",
)
@click.option(
    "--raw",
    is_flag=True,
    envvar="INVERTERPROTO_RAW",
    help="Show every byte with the field it belongs to.",
)
@click.option(
    "--family",
    type=click.Choice(["deye", "alphaess"]),
    envvar="INVERTERPROTO_FAMILY",
    help="Look for frames of this family only.  [default: both]",
)
@confidence_option("become readings")
@click.option(
    "--payload",
    "kind",
    metavar="KIND",
    envvar="INVERTERPROTO_PAYLOAD",
    help="Take a payload without a frame: 0x5408 (a sensor type), deye:wifi, alphaess:16, …",
)
@click.option(
    "--modbus",
    is_flag=True,
    envvar="INVERTERPROTO_MODBUS",
    help="Take bare Modbus RTU messages, one behind another.",
)
@click.option(
    "--clock-offset",
    type=Number(-int(MOST_CLOCK_OFFSET), int(MOST_CLOCK_OFFSET)),
    envvar="INVERTERPROTO_CLOCK_OFFSET",
    metavar="SECONDS",
    help="An AlphaESS battery's clock minus UTC: its readings then have a time.",
)
@click.option(
    "--port",
    "ports",
    type=click.IntRange(1, 65535),
    multiple=True,
    envvar="INVERTERPROTO_PORT",
    metavar="PORT",
    help="In a pcap, show what goes to this port even without a frame, as to 7777, 7778, 10000.",
)
@click.option(
    "--strict",
    is_flag=True,
    envvar="INVERTERPROTO_STRICT",
    help="Exit with 1 on any problem or unframed byte.",
)
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    envvar="INVERTERPROTO_VERBOSE",
    help="Say how a text was read, and what of it was left out.",
)
@click.option(
    "-q",
    "--quiet",
    is_flag=True,
    envvar="INVERTERPROTO_QUIET",
    help="No complaints and no summary.",
)
@click.option(
    "--redact",
    is_flag=True,
    envvar="INVERTERPROTO_REDACT",
    help="Hide what is private, as `inverterproto sanitize` does.",
)
@click.option(
    "--keep-unknown",
    is_flag=True,
    envvar="INVERTERPROTO_KEEP_UNKNOWN",
    help="With --redact: leave text of unknown meaning as it is.",
)
@click.option(
    "--key-file",
    metavar="FILE",
    envvar="INVERTERPROTO_KEY_FILE",
    help="With --redact: make the stand-ins by this key.  [default: a random key]",
)
@click.option(
    "--guess",
    is_flag=True,
    envvar="INVERTERPROTO_GUESS",
    help="Try the known layouts on data of an unknown sensor type; for the eye only.",
)
@click.option(
    "--diff",
    is_flag=True,
    envvar="INVERTERPROTO_DIFF",
    help="Compare frames of one kind: which bytes change, count up, look like numbers or clocks.",
)
@click.option(
    "--find",
    multiple=True,
    metavar="VALUE[,…]",
    envvar="INVERTERPROTO_FIND",
    help="Say where a value stands that is known: in all frames, or a list with one for each.",
)
@takes_layouts
def command(
    inputs: tuple[str, ...],
    form: str | None,
    raw: bool,  # noqa: FBT001 - click's way to hand over an option
    family: str | None,
    confidence: str,
    kind: str | None,
    modbus: bool,  # noqa: FBT001
    clock_offset: float | None,
    ports: tuple[int, ...],
    strict: bool,  # noqa: FBT001
    redact: bool,  # noqa: FBT001
    keep_unknown: bool,  # noqa: FBT001
    key_file: str | None,
    verbose: bool,  # noqa: FBT001
    quiet: bool,  # noqa: FBT001
    guess: bool,  # noqa: FBT001
    diff: bool,  # noqa: FBT001
    find: tuple[str, ...],
) -> None:
    """Show what bytes of an inverter, logger or battery say.

    Takes files or standard input (binary, a capture in JSON lines, pcap and pcapng, or any text
    with bytes in it: dumps, logs, literals, base64, …) and hex on the command line. Several frames
    may follow one another, of either protocol, with anything between them.

    \b
    inverterproto decode dump.hex
    inverterproto decode a5 01 00 10 47 97 6d 4e 1c ab a1 00 12 15
    inverterproto decode --json capture.jsonl | jq .readings
    """  # noqa: D301 - \b is meant: click keeps the lines below it as they are
    if not inputs and sys.stdin is not None and sys.stdin.isatty():
        raise click.UsageError("Give a file, '-' for standard input, or hex (see --help).")
    bare = None
    if kind is not None or modbus:
        from inverterproto_cli.bare import bare_of

        senseless = {
            "--family": family,
            "--redact": redact,
            "--keep-unknown": keep_unknown,
            "--key-file": key_file,
            "--modbus": modbus and kind is not None,
            "--csv": modbus and form == "csv",
            "--clock-offset": clock_offset if modbus else None,
            "--guess": guess,
            "--diff": diff,
            "--find": find or None,
        }
        bare = bare_of(kind, confidence.upper(), clock_offset, senseless)
    if not redact:
        _check_unredacted()
    try:
        sources = find_sources(inputs) if bare is None else find_sources(inputs, bare.holds)
    except SourceError as error:
        raise click.ClickException(_message(error)) from error
    name_sources = len(sources) > 1
    if guess or diff or find:
        from inverterproto_cli.exploring import explorer

        writer: Writer = explorer(
            form, guess=guess, diff=diff, find=find, byte_map=raw, redact=redact, quiet=quiet
        )
    else:
        writer = _writer(form or "tree", byte_map=raw, name_sources=name_sources)
    in_tree = form is None and sys.stdout.isatty() and sys.stderr.isatty()
    noun = "frame" if bare is None else bare.noun
    summary = Summary(
        quiet=quiet,
        name_sources=name_sources,
        in_tree=in_tree,
        verbose=verbose,
        hints=not guess and bare is None,
        noun=noun,
    )
    streams = _Streams(family, clock_offset, confidence.upper())
    with STOP:
        if bare is not None:
            failed = _run(sources, bare, writer, summary, bare.read)
        elif redact:
            from inverterproto_cli.redacting import Redacting

            redacting = Redacting(
                key_file, streams.families, keep_unknown=keep_unknown, ports=(*PORTS, *ports)
            )
            sources = redacting.nameless(sources)
            failed = _run(sources, streams, writer, summary, redacting.read)
        else:
            take = partial(read, looked_for=framings(streams.families), ports=(*PORTS, *ports))
            failed = _run(sources, streams, writer, summary, take)
    summary.close()
    if redact and not quiet:
        redacting.say()
    if failed or not summary.frames or (strict and (summary.problems or summary.runs)):
        sys.exit(1)


def _message(error: SourceError) -> str:
    """Return what an error says; the name of a file may hold anything, too."""
    from inverterproto_cli.show import printable

    return printable(str(error))


def _run(
    sources: list[Source], streams: Decoders, writer: Writer, summary: Summary, take: Take
) -> bool:
    """Decode all sources; return whether one of them could not be read."""

    def put(items: Iterator[Decoded]) -> None:
        for decoded in items:
            writer.write(decoded)
            summary.add(decoded)

    failed = False
    with _progress(sources) as advance:
        listener = Listener(
            advance, summary.complain, summary.note, lambda it: summary.note(f"left out: {it}")
        )
        for source in sources:
            if STOP.wanted:
                break
            try:
                for chunk in take(source, listener):
                    summary.complain_of_gap(chunk)
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
