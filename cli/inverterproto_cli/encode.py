"""`inverterproto encode`: what `decode --json` shows, edited or not, back to bytes.

Object by object: read (`json_objects.py`), encoded (`inverterproto.encoding`), written. What cannot
be encoded is told with its line, and the rest goes on; but a file is only put in its place when
nothing was wrong.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import click

from inverterproto_cli.captures import arrival, capture_line
from inverterproto_cli.chunk import Chunk, SourceError
from inverterproto_cli.layout_files import takes_layouts
from inverterproto_cli.output import check_place, force_option, output_option, placing
from inverterproto_cli.sources import Source, chunks_of, find_sources
from inverterproto_cli.stop import STOP

_MOST_COMPLAINTS = 20
"""So many lines are looked at for a first object."""
_LONGEST_COMPLAINT = 1000

Put = Callable[[bytes], object]
Spell = Callable[[str, dict[str, Any], bytes], bytes]
"""Source, object and its bytes → what is written."""


@click.command("encode")
@click.argument("inputs", nargs=-1, metavar="[FILE|-]...")
@output_option
@force_option
@click.option(
    "--hex",
    "as_hex",
    is_flag=True,
    envvar="INVERTERPROTO_HEX",
    help="Write hexadecimal, a line for each object, as on a terminal.",
)
@click.option(
    "--capture",
    "as_capture",
    is_flag=True,
    envvar="INVERTERPROTO_AS_CAPTURE",
    help="Write a capture: JSON lines with at, connection, from and the bytes.",
)
@takes_layouts
def command(
    inputs: tuple[str, ...],
    output: str,
    force: bool,  # noqa: FBT001 - click's way to hand over an option
    as_hex: bool,  # noqa: FBT001
    as_capture: bool,  # noqa: FBT001
) -> None:
    """Make frames of what decode --json shows, edited or not.

    Takes JSON objects, one a line or each over several lines. What was not edited gives the same
    bytes again; what differs in `header` and `fields` is written, and length and checksum are made
    right. Without `raw`, a frame is built from `header` and `fields` alone. Writes the bytes.

    \b
    inverterproto decode --json dump.hex | jq -c '.fields.frame_type = 1' | inverterproto encode
    """  # noqa: D301 - \b is meant: click keeps the lines below it as they are
    if not inputs and sys.stdin is not None and sys.stdin.isatty():
        raise click.UsageError("Give a file, or '-' for standard input (see --help).")
    if as_hex and as_capture:
        raise click.UsageError("--hex or --capture, not both.")
    check_place(output, force=force)
    if as_capture:
        spell: Spell = _capture_line
    elif as_hex or (output == "-" and sys.stdout.isatty()):
        spell = _hex_line
    else:
        spell = _binary
    try:
        sources = _find(inputs)
        with STOP, _writing(output) as put:
            failed = sum([_encode(source, spell, put) for source in sources])
            if failed and output != "-":
                raise SourceError(f"{output}: not written, as something could not be encoded")
    except SourceError as error:
        raise click.ClickException(_fit(error)) from error
    if failed:
        sys.exit(1)


def _find(inputs: tuple[str, ...]) -> list[Source]:
    for name in inputs:
        if name != "-" and not os.path.exists(name):
            raise SourceError(f"{name}: no such file")
    return find_sources(inputs)


def _writing(output: str) -> AbstractContextManager[Put]:
    return nullcontext(_put) if output == "-" else placing(output)


def _put(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()  # whoever reads a live stream wants to see it live


def _binary(_source: str, _shown: dict[str, Any], data: bytes) -> bytes:
    return data


def _hex_line(_source: str, _shown: dict[str, Any], data: bytes) -> bytes:
    return data.hex().encode() + b"\n"


def _capture_line(source: str, shown: dict[str, Any], data: bytes) -> bytes:
    connection, sender = shown.get("connection"), shown.get("from")
    return capture_line(
        Chunk(
            source,
            data,
            arrival("capture", shown.get("at")),
            None if connection is None else str(connection),
            sender if sender in ("device", "cloud") else None,
            held=shown.get("held") is True,
        )
    )


def _encode(source: Source, spell: Spell, put: Put) -> bool:
    """Write all objects of a source; return whether something was wrong.

    Raises:
        SourceError: it cannot be read, or is no JSON at all.
    """
    from inverterproto.encoding import encode
    from inverterproto.errors import ProtocolError
    from inverterproto_cli.json_objects import read_objects

    complaints: list[str] = []
    failed = found = 0

    def complain(complaint: object) -> None:
        nonlocal failed
        failed += 1
        if found:
            click.echo(_fit(complaint), err=True)
            return
        complaints.append(_fit(complaint))
        if failed == _MOST_COMPLAINTS:
            raise SourceError(_no_object(complaints))

    for line, shown in read_objects(source.name, _chunks(source), complain):
        found += 1
        while complaints:
            click.echo(complaints.pop(0), err=True)
        try:
            put(spell(source.name, shown, encode(shown)))
        except (ProtocolError, SourceError) as error:
            complain(f"{source.name}: line {line}: {error}")
    if complaints:
        raise SourceError(_no_object(complaints))
    if not found and not STOP.wanted:
        raise SourceError(f"{source.name}: is empty")
    return failed > 0


def _no_object(complaints: list[str]) -> str:
    """Return what is wrong with a text without any object."""
    return f"{complaints[0]}; this is no output of decode --json"


def _chunks(source: Source) -> Iterator[bytes]:
    try:
        with source.open() as file:
            yield from chunks_of(file)
    except OSError as error:
        raise SourceError(f"{source.name}: {error.strerror or error}") from error


def _fit(complaint: object) -> str:
    """Return a complaint fit for a terminal: values in it may hold anything, and be of any size."""
    from inverterproto_cli.show import printable

    text = printable(str(complaint))
    return text if len(text) <= _LONGEST_COMPLAINT else f"{text[:_LONGEST_COMPLAINT]}…"
