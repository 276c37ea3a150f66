"""`inverterproto sanitize`: a dump or capture made fit to be posted.

The output has the form of the input: binary, a capture with the same lines at the same times, a
pcap with the same segments at the same times, or of any text its bytes as plain hex (32 a line,
those that are masked as `**`), without the words around them. It is written beside its place and
put there when it is whole; until then, and when it is stopped or fails, there is nothing. It may be
read by its owner only, as nobody has looked at it yet.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import click

from inverterproto_cli.captures import capture_line
from inverterproto_cli.chunk import BINARY, CAPTURE, PCAP, PCAPNG, TEXT, Chunk, SourceError
from inverterproto_cli.layout_files import takes_layouts
from inverterproto_cli.output import check_place, force_option, placing, stoppable
from inverterproto_cli.sources import Listener, Source, find_sources

if TYPE_CHECKING:
    from inverterproto_cli.pcap_writing import PcapSpelling
    from inverterproto_cli.redacting import Redacting

_LINE = 32
"""Bytes in a line of hex."""


@click.command("sanitize")
@click.argument("inputs", nargs=-1, metavar="FILE|-|HEX...")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="OUT",
    envvar="INVERTERPROTO_OUTPUT",
    help="Where to; - is standard output.",
)
@force_option
@click.option(
    "--keep-unknown",
    is_flag=True,
    envvar="INVERTERPROTO_KEEP_UNKNOWN",
    help="Leave text of unknown meaning as it is.",
)
@click.option(
    "--key-file",
    metavar="FILE",
    envvar="INVERTERPROTO_KEY_FILE",
    help="Make the stand-ins by this key: the same ones every time.  [default: a random key]",
)
@click.option("-q", "--quiet", is_flag=True, envvar="INVERTERPROTO_QUIET", help="No summary.")
@takes_layouts
def command(
    inputs: tuple[str, ...],
    output: str,
    force: bool,  # noqa: FBT001 - click's way to hand over an option
    keep_unknown: bool,  # noqa: FBT001
    key_file: str | None,
    quiet: bool,  # noqa: FBT001
) -> None:
    """Make a dump or capture fit to be posted.

    Serials, addresses and network names become stand-ins, the same ones all through; passwords,
    licences, postal addresses, phones and text of unknown meaning are blanked. Lengths stay and
    checksums are made right, so that it decodes as before.

    \b
    inverterproto sanitize capture.jsonl -o shared.jsonl
    """  # noqa: D301 - \b is meant: click keeps the lines below it as they are
    from inverterproto_cli.redacting import Redacting

    check_place(output, inputs or ("-",), force=force)
    redacting = Redacting(key_file, keep_unknown=keep_unknown)
    try:
        sources = find_sources(inputs)
        if len(sources) != 1:
            raise click.UsageError("Give one input: each goes to a file of its own.")
        nameless = sources[0]._replace(name="input")  # a path may tell a serial, too
        with stoppable(), _reread(nameless) as source, placing(output) as put:
            form = _sanitize(source, redacting, put)
    except SourceError as error:
        from inverterproto_cli.show import printable

        raise click.ClickException(printable(str(error))) from error
    if not quiet:
        if form == TEXT:
            click.echo("of the text only its bytes were kept, as plain hex", err=True)
        redacting.say()


def _sanitize(source: Source, redacting: "Redacting", put: Callable[[bytes], object]) -> str:
    """Sanitize a source; return its form."""
    redacting.learn(source)

    def leave_out(complaint: str) -> None:
        from inverterproto_cli.show import printable

        click.echo(f"left out: {printable(complaint)}", err=True)

    spell, form = None, ""
    for chunk in redacting.read(source, Listener(complain=leave_out, left_out=leave_out)):
        form = chunk.form
        spell = spell or _spelling(form)
        put(spell.feed(chunk))
    if spell is None or not (redacting.frames or redacting.masked):
        raise SourceError(f"{source.name}: no frame found, so nothing was written")
    put(spell.finish())
    return form


def _spelling(form: str) -> "_Spelling | PcapSpelling":
    if form not in (PCAP, PCAPNG):
        return _Spelling(form)
    from inverterproto_cli.pcap_writing import PcapSpelling

    return PcapSpelling(form)


class _Spelling:
    """Spells chunks as their source did."""

    def __init__(self, form: str) -> None:
        self.form = form
        self._held: list[str] = []

    def feed(self, chunk: Chunk) -> bytes:
        """Return what can be written once a chunk is there."""
        if self.form == BINARY:
            return chunk.data
        if self.form == CAPTURE:
            return capture_line(chunk)
        digits = [f"{byte:02x}" for byte in chunk.data]
        for at in chunk.masked:
            digits[at] = "**"
        self._held += digits
        whole = len(self._held) - len(self._held) % _LINE
        lines = _hex_lines(self._held[:whole])
        del self._held[:whole]
        return lines

    def finish(self) -> bytes:
        """Return what is left."""
        return _hex_lines(self._held)


def _hex_lines(digits: list[str]) -> bytes:
    lines = ("".join(digits[at : at + _LINE]) + "\n" for at in range(0, len(digits), _LINE))
    return "".join(lines).encode()


@contextmanager
def _reread(source: Source) -> Iterator[Source]:
    """Yield a source that can be read twice: what cannot, is kept meanwhile in a nameless file."""
    if source.size is not None:
        yield source
        return
    with tempfile.TemporaryFile() as kept:
        with source.open() as file:
            while chunk := file.read(1 << 18):
                kept.write(chunk)

        def reopen() -> IO[bytes]:
            copy = os.fdopen(os.dup(kept.fileno()), "rb")
            copy.seek(0)
            return copy

        kept.flush()
        yield Source(source.name, reopen, kept.tell())  # type: ignore[arg-type]
