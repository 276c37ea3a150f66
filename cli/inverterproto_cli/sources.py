"""What a command decodes: files, standard input, hex on the command line; chunk by chunk.

A source's form is told by its first bytes: a `{"` at the beginning means a capture (JSON lines, see
`docs/json.md`); what holds bytes that are no text is binary; all else is hex text. Nothing is read
whole, so that the size of a file does not matter.
"""

import codecs
import itertools
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from signal import SIGINT, SIGTERM, signal
from typing import Any, BinaryIO, NamedTuple

from inverterproto.hexdump import HexReader, is_hex

CHUNK = 1 << 18
_CAPTURE = re.compile(rb'^\s*\{\s*["}]', re.MULTILINE)
_TEXT = frozenset(b"\t\n\r\f" + bytes(range(0x20, 0x7F)))
_LONGEST_LINE = 1 << 24
_LATEST_ARRIVAL = 1e11
"""In the year 5138: a greater one counts milliseconds, or nothing."""


HEX, BINARY, CAPTURE = "hex", "binary", "capture"
"""The forms of a source."""

Complain = Callable[[str], object]


class Stop:
    """Ctrl-C and SIGTERM: whoever stops a live stream wants to see what came until then.

    They end the reading, also one that waits; what has been read is decoded and shown in peace.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._reading = False

    def __enter__(self) -> None:
        self.wanted = False
        self._before = {number: signal(number, self._note) for number in (SIGINT, SIGTERM)}

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            signal(number, handler)

    def _note(self, _number: int, _frame: object) -> None:
        self.wanted = True
        if self._reading:
            raise KeyboardInterrupt

    def unless_stopped(self, take: Callable[[], bytes]) -> bytes:
        """Return what `take` reads, or nothing if that was stopped."""
        self._reading = True
        try:
            return b"" if self.wanted else take()
        except KeyboardInterrupt:
            return b""
        finally:
            self._reading = False


STOP = Stop()


class SourceError(Exception):
    """A source that cannot be read; the message is for people."""


class Chunk(NamedTuple):
    """Some bytes of one stream.

    Attributes:
        source: the name of the file, `-`, or `hex`.
        data: the bytes.
        at: their arrival in unix seconds, where a capture tells it.
        connection: the connection, where a capture tells it.
        sender: `"device"` or `"cloud"`, where a capture tells it.
        form: how the source spells its bytes: `HEX`, `BINARY` or `CAPTURE`.
    """

    source: str
    data: bytes
    at: float | None = None
    connection: str | None = None
    sender: str | None = None
    form: str = HEX

    @property
    def stream(self) -> tuple[str, str | None, str | None]:
        """What the bytes belong to: offsets count in each stream of its own."""
        return self.source, self.connection, self.sender

    def place(self, *, name_source: bool) -> str:
        """Say where the bytes come from, as far as there is a choice: ` (dump.bin)`, or nothing."""
        parts = [self.source] if name_source else []
        if self.connection is not None:
            parts.append(f"connection {self.connection}")
        if self.sender is not None:
            parts.append(f"from {self.sender}")
        return f" ({', '.join(parts)})" if parts else ""


class Source(NamedTuple):
    """Something to decode.

    Attributes:
        name: for messages.
        open: opens it for reading.
        size: in bytes, or None where it is not known.
    """

    name: str
    open: Callable[[], BinaryIO]
    size: int | None = None


def find_sources(arguments: tuple[str, ...]) -> list[Source]:
    """Return what the arguments name: files, `-`, or hex (neighbours are one piece of hex).

    Raises:
        SourceError: an argument is neither a file nor hex.
    """
    sources: list[Source] = []
    words: list[str] = []
    if arguments.count("-") > 1:
        raise SourceError("-: standard input can be read only once")
    for argument in arguments or ("-",):
        if argument == "-":
            sources.append(_standard_input())
        elif os.path.exists(argument):
            sources.append(_file_source(argument))
        elif is_hex(argument):
            words.append(argument)
        else:
            raise SourceError(f"{argument or repr(argument)}: no such file, and no hex either")
    if words:
        sources.append(_hex_source(" ".join(words)))
    return sources


def _standard_input() -> Source:
    if sys.stdin is None:
        raise SourceError("-: standard input is closed")
    return Source("-", lambda: sys.stdin.buffer)


def _file_source(path: str) -> Source:
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise SourceError(f"{path}: is a folder; name the files in it")
    size = status.st_size if stat.S_ISREG(status.st_mode) else None
    return Source(path, lambda: open(path, "rb"), size)


def _hex_source(text: str) -> Source:
    import io

    return Source("hex", lambda: io.BytesIO(text.encode()), len(text))


def read(
    source: Source,
    progress: Callable[[int], object] = lambda _read: None,
    complain: Complain = lambda _complaint: None,
) -> Iterator[Chunk]:
    """Yield the bytes of a source.

    Args:
        source: what to read.
        progress: is told how many bytes of the source have been read, chunk by chunk.
        complain: is told of each part that cannot be read while the rest can.

    Raises:
        SourceError: it cannot be read, or is not what its beginning promised.
    """
    try:
        with source.open() as file:
            yield from _read_form(source.name, _chunks(file, progress), complain)
    except OSError as error:
        raise SourceError(f"{source.name}: {error.strerror or error}") from error


def _chunks(file: BinaryIO, progress: Callable[[int], object]) -> Iterator[bytes]:
    # read1 gives what a pipe has now, so that a live stream is shown as it comes.
    take = getattr(file, "read1", file.read)
    while chunk := STOP.unless_stopped(lambda: take(CHUNK)):
        progress(len(chunk))
        yield chunk


def _read_form(name: str, chunks: Iterator[bytes], complain: Complain) -> Iterator[Chunk]:
    first = next(chunks, b"")
    if not first:
        if STOP.wanted:
            return
        raise SourceError(f"{name}: is empty")
    text = first.removeprefix(codecs.BOM_UTF8)
    if _CAPTURE.search(text[:4096]):
        yield from _read_capture(name, text, chunks, complain)
    elif not _TEXT.issuperset(text[:4096]):
        for chunk in itertools.chain([first], chunks):
            yield Chunk(name, chunk, form=BINARY)
    else:
        yield from _read_hex(name, text, chunks, complain)


def _read_hex(
    name: str, first: bytes, chunks: Iterator[bytes], complain: Complain
) -> Iterator[Chunk]:
    reader = HexReader(lambda error: complain(f"{name}: {error}"))
    yield Chunk(name, reader.feed(first.decode("latin-1")))
    for chunk in chunks:
        yield Chunk(name, reader.feed(chunk.decode("latin-1")))
    yield Chunk(name, reader.finish())


def _lines(name: str, first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    held = first
    while True:
        *lines, held = held.split(b"\n")
        yield from lines
        if len(held) > _LONGEST_LINE:
            raise SourceError(f"{name}: a line of more than {_LONGEST_LINE:,} bytes")
        chunk = next(chunks, b"")
        if not chunk:
            yield held
            return
        held += chunk


def _read_capture(
    name: str, first: bytes, chunks: Iterator[bytes], complain: Complain
) -> Iterator[Chunk]:
    for number, line in enumerate(_lines(name, first, chunks), 1):
        if line.strip():
            try:
                chunk = _capture_chunk(name, number, line)
            except SourceError as error:
                complain(str(error))  # what stands in the other lines is as good as before
            else:
                yield chunk


def _capture_chunk(name: str, number: int, line: bytes) -> Chunk:
    where = f"{name}: line {number}: no line of a capture"
    entry = _object(line)
    if entry is None:
        raise SourceError(f"{where}: not one whole JSON object")
    if "data" not in entry:
        raise SourceError(f"{where}: no 'data'")
    try:
        data = bytes.fromhex(entry["data"])
    except (ValueError, TypeError):
        raise SourceError(f"{where}: 'data' is no hex text") from None
    connection, sender = entry.get("connection"), entry.get("from")
    return Chunk(
        name,
        data,
        _arrival(where, entry.get("at")),
        None if connection is None else str(connection),
        None if sender is None else str(sender),
        CAPTURE,
    )


def _object(line: bytes) -> dict[str, Any] | None:
    """Return the JSON object that a line is, or None if it is none."""
    import json

    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _arrival(where: str, at: object) -> float | None:
    if at is None:
        return None
    if isinstance(at, bool) or not isinstance(at, int | float) or not 0 <= at < _LATEST_ARRIVAL:
        raise SourceError(f"{where}: 'at' is no unix time in seconds: {str(at)[:40]}")
    return float(at)
