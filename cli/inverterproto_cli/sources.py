"""What a command decodes: files, standard input, hex on the command line; chunk by chunk.

A source's form is told by its first bytes: a `{"` at the beginning means JSON lines, a capture or
what `decode --json` writes (see `docs/json.md`); what holds bytes that are no text is binary; all
else is text with bytes in it, in whatever form: `inverterproto.hexdump` finds out. UTF-16, as some
shells of Windows write it, is turned into UTF-8 first. Nothing is read whole, so that the size of a
file does not matter.
"""

import codecs
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, BinaryIO, NamedTuple

from inverterproto.errors import ProtocolError
from inverterproto.families import framings
from inverterproto.hexdump import DumpReader, Piece, is_hex
from inverterproto.stream import Framing

CHUNK = 1 << 18
_CAPTURE = re.compile(rb'\s*\{\s*["}]')
_TEXT = frozenset(b"\t\n\v\f\r" + bytes(range(0x20, 0x7F)))
_COLOUR = re.compile(rb"\x1b\[[0-9;]*+[A-Za-z]")
_LOOKED_AT = 4096
"""Bytes by which text is told from what is none."""
_UTF_16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_LONGEST_LINE = 1 << 24
_LATEST_ARRIVAL = 1e11
"""In the year 5138: a greater one counts milliseconds, or nothing."""


Complain = Callable[[str], object]
Note = Callable[[str], object]


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
        masked: offsets of bytes that the text does not tell: then this is one would-be frame.
    """

    source: str
    data: bytes
    at: float | None = None
    connection: str | None = None
    sender: str | None = None
    masked: tuple[int, ...] = ()

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

    Any other text is taken, too, if it holds a frame.

    Raises:
        SourceError: an argument is none of these.
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
        elif _holds_frame(argument):
            sources.append(_hex_source(argument))
        else:
            raise SourceError(f"{argument or repr(argument)}: no such file, and no hex either")
    if words:
        sources.append(_hex_source(" ".join(words)))
    return sources


def _holds_frame(text: str) -> bool:
    reader = DumpReader(framings())
    try:
        return any(piece.data for piece in chain(reader.feed(text), reader.finish()))
    except ProtocolError:
        return False


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

    return Source("hex", lambda: io.BytesIO(text.encode("utf-8", "replace")), len(text))


def read(
    source: Source,
    progress: Callable[[int], object] = lambda _read: None,
    complain: Complain = lambda _complaint: None,
    note: Note = lambda _note: None,
    looked_for: Sequence[Framing] | None = None,
) -> Iterator[Chunk]:
    """Yield the bytes of a source.

    Args:
        source: what to read.
        progress: is told how many bytes of the source have been read, chunk by chunk.
        complain: is told of each part that cannot be read while the rest can.
        note: is told how a text was read, and what of it was left out.
        looked_for: the frames by which bytes are told from other text; those of all families.

    Raises:
        SourceError: it cannot be read, or is not what its beginning promised.
    """
    try:
        with source.open() as file:
            chunks = _chunks(file, progress)
            first = next(chunks, b"")
            if not first:
                raise SourceError(f"{source.name}: is empty")
            if encoding := _utf_16(first):
                first, chunks = b"", _recoded(chain([first], chunks), encoding)
                first = next(chunks, b"")
            text = first.removeprefix(codecs.BOM_UTF8)
            if _CAPTURE.match(text):
                yield from _read_capture(source.name, text, chunks, complain)
            elif is_text(text):
                reader = DumpReader(
                    looked_for or framings(), lambda it: note(f"{source.name}: {it}")
                )
                yield from _read_text(source.name, chain([text], chunks), reader)
            else:
                for chunk in chain([first], chunks):
                    yield Chunk(source.name, chunk)
    except OSError as error:
        raise SourceError(f"{source.name}: {error.strerror or error}") from error


def _chunks(file: BinaryIO, progress: Callable[[int], object]) -> Iterator[bytes]:
    # read1 gives what a pipe has now, so that a live stream is shown as it comes.
    take = getattr(file, "read1", file.read)
    while True:
        try:
            chunk = take(CHUNK)
        except KeyboardInterrupt:
            return  # who stops a live stream wants to see what came until then
        if not chunk:
            return
        progress(len(chunk))
        yield chunk


def is_text(data: bytes) -> bool:
    """Return whether a source that begins so is text: UTF-8 without control characters."""
    head = _COLOUR.sub(b"", data[:_LOOKED_AT])
    if not head:
        return False
    if head.isascii():
        return _TEXT.issuperset(head)
    try:
        # The last character may be cut.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return _TEXT.issuperset(byte for byte in head if byte < 0x80)


def _utf_16(data: bytes) -> str | None:
    """Return the encoding of what begins so, if it is UTF-16, with or without its mark."""
    if encoding := _UTF_16.get(data[:2]):
        return encoding
    head = data[: _LOOKED_AT & ~1]
    if len(head) >= 4:
        for encoding, high, low in (
            ("utf-16-le", head[1::2], head[::2]),
            ("utf-16-be", head[::2], head[1::2]),
        ):
            if not any(high) and _TEXT.issuperset(low):
                return encoding
    return None


def _recoded(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Yield UTF-16 as UTF-8."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for chunk in chunks:
        yield decoder.decode(chunk).encode("utf-8", "replace")
    yield decoder.decode(b"", final=True).encode("utf-8", "replace")


def _read_text(name: str, chunks: Iterable[bytes], reader: DumpReader) -> Iterator[Chunk]:
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    try:
        for chunk in chunks:
            yield from _given(name, reader.feed(decoder.decode(chunk)))
        yield from _given(name, reader.feed(decoder.decode(b"", final=True)))
        yield from _given(name, reader.finish())
    except ProtocolError as error:
        raise SourceError(f"{name}: {error}") from error


def _given(name: str, pieces: Iterable[Piece]) -> Iterator[Chunk]:
    return (Chunk(name, piece.data, masked=piece.masked) for piece in pieces if piece.data)


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
    import json

    where = f"{name}: line {number}"
    try:
        entry: Any = json.loads(line)
        own = "data" not in entry and "raw" in entry
        data = bytes.fromhex(entry["raw" if own else "data"])
        at = None if entry.get("at") is None else _arrival(entry["at"])
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise SourceError(f"{where}: no line of a capture: {reason}") from error
    connection, sender = entry.get("connection"), entry.get("from")
    if own and connection is None:
        sender = None  # told by the frame, not by a capture: all is one stream
    return Chunk(
        name,
        data,
        at,
        None if connection is None else str(connection),
        None if sender is None else str(sender),
    )


def _arrival(value: Any) -> float:  # noqa: ANN401 - any JSON value
    at = float(value)
    if not 0 <= at < _LATEST_ARRIVAL:
        raise ValueError(f"'at' is no unix time in seconds: {at:g}")
    return at
