"""`inverterproto sanitize`: a dump or capture made fit to be posted.

The output has the form of the input: binary, hex (32 bytes a line), a capture with the same lines
at the same times, or a pcap with the same segments at the same times. It is written beside its
place and put there when it is whole.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import click

from inverterproto_cli.captures import capture_line
from inverterproto_cli.chunk import BINARY, CAPTURE, PCAP, PCAPNG, Chunk, SourceError
from inverterproto_cli.sources import Listener, Source, find_sources

if TYPE_CHECKING:
    from inverterproto_cli.pcap_writing import PcapSpelling
    from inverterproto_cli.redacting import Redacting

_SPOOLED = 8 << 20
_LINE = 32
"""Bytes in a line of hex."""


@click.command("sanitize")
@click.argument("inputs", nargs=-1, metavar="FILE|-|HEX...")
@click.option(
    "-o", "--output", required=True, metavar="OUT", help="Where to; - is standard output."
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option("--keep-unknown", is_flag=True, help="Leave text of unknown meaning as it is.")
@click.option(
    "--key-file",
    metavar="FILE",
    envvar="INVERTERPROTO_KEY_FILE",
    help="Make the stand-ins by this key: the same ones every time.  [default: a random key]",
)
@click.option("-q", "--quiet", is_flag=True, help="No summary.")
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

    if output != "-" and not force and os.path.lexists(output):
        raise click.UsageError(f"{output} is there already (--force writes over it)")
    redacting = Redacting(key_file, keep_unknown=keep_unknown)
    try:
        sources = find_sources(inputs)
        if len(sources) != 1:
            raise click.UsageError("Give one input: each goes to a file of its own.")
        with _reread(sources[0]) as source, _writing(output) as put:
            _sanitize(source, redacting, put)
    except SourceError as error:
        from inverterproto_cli.show import printable

        raise click.ClickException(printable(str(error))) from error
    if not quiet:
        redacting.say()


def _sanitize(source: Source, redacting: "Redacting", put: Callable[[bytes], object]) -> None:
    redacting.learn(source)

    def leave_out(complaint: str) -> None:
        from inverterproto_cli.show import printable

        click.echo(f"left out: {printable(complaint)}", err=True)

    spell = None
    for chunk in redacting.read(source, Listener(complain=leave_out, left_out=leave_out)):
        spell = spell or _spelling(chunk.form)
        put(spell.feed(chunk))
    if not redacting.frames:
        raise SourceError(f"{source.name}: no frame found, so nothing was written")
    if spell is not None:
        put(spell.finish())


def _spelling(form: str) -> "_Spelling | PcapSpelling":
    if form not in (PCAP, PCAPNG):
        return _Spelling(form)
    from inverterproto_cli.pcap_writing import PcapSpelling

    return PcapSpelling(form)


class _Spelling:
    """Spells chunks as their source did."""

    def __init__(self, form: str) -> None:
        self.form = form
        self._held = b""

    def feed(self, chunk: Chunk) -> bytes:
        if self.form == BINARY:
            return chunk.data
        if self.form == CAPTURE:
            return capture_line(chunk)
        data = self._held + chunk.data
        whole = len(data) - len(data) % _LINE
        self._held = data[whole:]
        return _hex_lines(data[:whole])

    def finish(self) -> bytes:
        return _hex_lines(self._held)


def _hex_lines(data: bytes) -> bytes:
    lines = (data[at : at + _LINE].hex() + "\n" for at in range(0, len(data), _LINE))
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


@contextmanager
def _writing(output: str) -> Iterator[Callable[[bytes], object]]:
    """Yield what writes to the output, which is there only when all went well."""
    if output == "-":
        with tempfile.SpooledTemporaryFile(_SPOOLED) as held:
            yield held.write
            held.seek(0)
            while chunk := held.read(1 << 18):
                sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
        return
    try:
        descriptor, path = tempfile.mkstemp(
            prefix=".sanitize-", dir=os.path.dirname(os.path.abspath(output))
        )
    except OSError as error:
        raise SourceError(f"{output}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file.write
            file.flush()
            os.fsync(file.fileno())
        os.replace(path, output)
    except BaseException:
        os.unlink(path)
        raise
