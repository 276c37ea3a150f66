"""What a command decodes: files, standard input, hex on the command line; chunk by chunk.

A source's form is told by its first bytes: pcap and pcapng are captures from the network
(`pcap.py`); JSON lines with `data` or `raw` are a capture (`captures.py`); what holds bytes that
are no text is binary; all else is text with bytes in it, in whatever form: `inverterproto.hexdump`
finds out. UTF-16, as some shells of Windows write it, is turned into UTF-8 first, and gzip is
unpacked. Nothing is read whole, so that the size of a file does not matter.
"""

import codecs
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO, NamedTuple

from inverterproto.errors import ProtocolError
from inverterproto.families import FAMILIES, framings
from inverterproto.hexdump import DumpReader, Piece, is_hex
from inverterproto.stream import Framing
from inverterproto_cli.captures import is_capture, read_capture
from inverterproto_cli.chunk import BINARY, TEXT, Chunk, SourceError
from inverterproto_cli.stop import STOP

PORTS = frozenset((*(family.port for family in FAMILIES.values()), 7778))
"""Where clouds listen; 7778 is the one that AlphaESS batteries also know."""
CHUNK = 1 << 18
_TEXT = frozenset(b"\t\n\v\f\r" + bytes(range(0x20, 0x7F)))
_COLOUR = re.compile(rb"\x1b\[[0-9;]*+[A-Za-z]")
_LOOKED_AT = 4096
"""Bytes by which text is told from what is none."""
_GZIP = b"\x1f\x8b\x08"
_DATABASE = b"SQLite format 3"
_PCAP = tuple(map(bytes.fromhex, ("a1b2c3d4", "d4c3b2a1", "a1b23c4d", "4d3cb2a1", "0a0d0d0a")))
_UTF_16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


class Source(NamedTuple):
    """Something to decode.

    Attributes:
        name: for messages.
        open: opens it for reading.
        size: in bytes, or None where it is not known.
        refused: why it cannot be opened, where that is known before.
    """

    name: str
    open: Callable[[], BinaryIO]
    size: int | None = None
    refused: str = ""


def _nobody(_told: object) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told how the reading goes.

    Attributes:
        progress: is told how many bytes of the source have been read, chunk by chunk.
        complain: is told of each part that cannot be read while the rest can.
        note: is told how a text was read, and what of it was left out.
        left_out: is told what of a capture from the network is none of ours.
    """

    progress: Callable[[int], object] = _nobody
    complain: Callable[[str], object] = _nobody
    note: Callable[[str], object] = _nobody
    left_out: Callable[[str], object] = _nobody


def _holds_bytes(text: str) -> bool:
    """Return whether a text holds a frame, or is no file's name and holds what may be of one."""
    reader = DumpReader(framings())
    pieces = reader.feed(text)
    decodes = False
    with suppress(ProtocolError):
        for piece in reader.finish():
            pieces.append(piece)
        decodes = True
    return any(piece.data for piece in pieces) and (decodes or " " in text)


def find_sources(
    arguments: tuple[str, ...], holds: Callable[[str], bool] = _holds_bytes
) -> list[Source]:
    """Return what the arguments name: files, `-`, or hex (neighbours are one piece of hex).

    What is none of these becomes a source that cannot be opened, so that the others are read.

    Args:
        arguments: of the command line.
        holds: whether any other text is taken: by default if it holds bytes.

    Raises:
        SourceError: none of them can be read, or standard input is named twice.
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
        elif holds(argument):
            sources.append(_text_source(argument))
        else:
            name = argument if argument.strip() else repr(argument)
            sources.append(_no_source(name, "no such file, and no hex either"))
    if words:
        sources.append(_text_source(" ".join(words)))
    if all(source.refused for source in sources):
        raise SourceError("\n".join(source.refused for source in sources))
    return sources


def _standard_input() -> Source:
    if sys.stdin is None:
        raise SourceError("-: standard input is closed")
    return Source("-", lambda: sys.stdin.buffer)


def _no_source(name: str, why: str) -> Source:
    def refuse() -> BinaryIO:
        raise SourceError(refused)

    refused = f"{name}: {why}"
    return Source(name, refuse, refused=refused)


def _file_source(path: str) -> Source:
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        return _no_source(path, "is a folder; name the files in it")
    size = status.st_size if stat.S_ISREG(status.st_mode) else None
    return Source(path, lambda: open(path, "rb"), size)


def _text_source(text: str) -> Source:
    import io

    data = text.encode("utf-8", "replace")
    return Source("hex", lambda: io.BytesIO(data), len(data))


def read_whole(source: Source, most: int) -> tuple[bytes, str | None]:
    """Return all bytes of a source, and the same as text if they are text.

    Raises:
        SourceError: it cannot be read, is empty, or has more than `most` bytes.
    """
    data = bytearray()
    try:
        with source.open() as file:
            for chunk in chunks_of(file):
                data += chunk
                if len(data) > most:
                    raise SourceError(f"{source.name}: more than {most:,} bytes")
    except OSError as error:
        raise SourceError(f"{source.name}: {error.strerror or error}") from error
    if not data:
        raise SourceError(f"{source.name}: is empty")
    whole = bytes(data)
    if encoding := _utf_16(whole):
        whole = b"".join(_recoded([whole], encoding))
    text = whole.removeprefix(codecs.BOM_UTF8)
    return bytes(data), text.decode("utf-8", "surrogateescape") if is_text(text) else None


def read(
    source: Source,
    listener: Listener = Listener(),
    looked_for: Sequence[Framing] | None = None,
    ports: Iterable[int] = (),
) -> Iterator[Chunk]:
    """Yield the bytes of a source.

    Args:
        source: what to read.
        listener: who is told how it goes.
        looked_for: the frames by which bytes are told from other text; those of all families.
        ports: whose connections, in a capture from the network, are given even without a frame.

    Raises:
        SourceError: it cannot be read, or is not what its beginning promised.
    """
    try:
        with source.open() as file:
            chunks = _unpacked(source.name, chunks_of(file, listener.progress))
            first = _with_magic(next(chunks, b""), chunks)
            if first.startswith(_DATABASE):
                raise SourceError(
                    f"{source.name}: is a database; if it is a store, inverterproto readings "
                    "--store shows what is in it"
                )
            if first:
                yield from _read_form(source.name, first, chunks, listener, looked_for, ports)
            elif not STOP.wanted:
                raise SourceError(f"{source.name}: is empty")
    except OSError as error:
        raise SourceError(f"{source.name}: {error.strerror or error}") from error


def chunks_of(file: BinaryIO, progress: Callable[[int], object] = _nobody) -> Iterator[bytes]:
    """Yield what a file holds, until its end or until the reading is stopped."""
    # read1 gives what a pipe has now, so that a live stream is shown as it comes.
    take = getattr(file, "read1", file.read)
    while chunk := STOP.unless_stopped(lambda: take(CHUNK)):
        progress(len(chunk))
        yield chunk


def _read_form(
    name: str,
    first: bytes,
    chunks: Iterator[bytes],
    listener: Listener,
    looked_for: Sequence[Framing] | None,
    ports: Iterable[int],
) -> Iterator[Chunk]:
    if first[:4] in _PCAP:
        from inverterproto_cli.pcap import read_pcap

        return read_pcap(name, chain([first], chunks), listener, looked_for or framings(), ports)
    if encoding := _utf_16(first):
        chunks = _recoded(chain([first], chunks), encoding)
        first = next(chunks, b"")
    text = first.removeprefix(codecs.BOM_UTF8)
    if text.lstrip().startswith(b"{"):
        text = _with_whole_line(text, chunks)
    if is_capture(text):
        return read_capture(name, chain([text], chunks), listener.complain)
    if is_text(text):
        reader = DumpReader(looked_for or framings(), lambda it: listener.note(f"{name}: {it}"))
        return _read_text(name, chain([text], chunks), reader, listener)
    return (Chunk(name, chunk, form=BINARY) for chunk in chain([first], chunks))


def _with_magic(first: bytes, chunks: Iterator[bytes]) -> bytes:
    """Return the first bytes with so many more that they tell what they may be."""
    while 0 < len(first) < 4 and any(magic.startswith(first) for magic in (_GZIP, *_PCAP)):
        if not (chunk := next(chunks, b"")):
            break
        first += chunk
    return first


def _unpacked(name: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the chunks, unpacked if they are gzip."""
    first = _with_magic(next(chunks, b""), chunks)
    chunks = chain([first], chunks)
    if not first.startswith(_GZIP):
        yield from chunks
        return
    import gzip
    import zlib

    from inverterproto_cli.chunk_file import ChunkFile

    packed = ChunkFile(chunks)
    file = gzip.GzipFile(fileobj=packed.as_file())
    try:
        while chunk := file.read1(CHUNK):
            yield chunk
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        if packed.fault is None and not STOP.wanted:
            raise SourceError(f"{name}: damaged gzip: {error}") from error
    if packed.fault is not None:
        raise packed.fault


def _with_whole_line(text: bytes, chunks: Iterator[bytes]) -> bytes:
    """Return what begins so with more chunks, until it holds a line: a pipe gives any part."""
    while b"\n" not in text and len(text) < CHUNK and (chunk := next(chunks, b"")):
        text += chunk
    return text


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


def _read_text(
    name: str, chunks: Iterable[bytes], reader: DumpReader, listener: Listener
) -> Iterator[Chunk]:
    given = False
    try:
        for piece in _pieces(chunks, reader):
            given = True
            yield Chunk(name, piece.data, form=TEXT, masked=piece.masked)
    except ProtocolError as error:
        if not given:
            raise SourceError(f"{name}: {error}") from error
        listener.complain(f"{name}: {error}")


def _pieces(chunks: Iterable[bytes], reader: DumpReader) -> Iterator[Piece]:
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    for chunk in chain(chunks, [b""]):
        text = decoder.decode(chunk, final=not chunk)
        yield from (piece for piece in reader.feed(text) if piece.data)
    yield from (piece for piece in reader.finish() if piece.data)
