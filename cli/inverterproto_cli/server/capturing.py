"""Writes what passes to a capture (see `captures.py`), credentials masked.

A capture is a convenience: a disk without room for it, a file that has become as large as it may,
or one that is too slow for what comes (a pipe whose reader stops) ends the capture, which is said,
and nothing else. So a thread of its own writes it (`outlet.py`).
"""

import logging
import os

from inverterproto.families import FAMILIES, framings
from inverterproto.masking import RunMasker
from inverterproto.stream import Framed, Item, StreamDecoder
from inverterproto_cli.captures import capture_line
from inverterproto_cli.chunk import Chunk
from inverterproto_cli.server.logs import Log
from inverterproto_cli.server.outlet import Outlet

MOST = 1 << 30
"""Bytes that a capture has, unless told otherwise."""
MOST_WAITING = 100_000
"""Lines that wait to be written."""


class Capture:
    """A capture that is being written; only its owner may read it.

    Args:
        path: of the file; what is in it stays.
        log: is told when it ends.
        most: bytes that the file may have, with those that are in it.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: str, log: Log, most: int = MOST) -> None:
        self._path = path
        self._log = log
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._file = os.fdopen(descriptor, "w", encoding="ascii")
        self._outlet = Outlet(self._file, MOST_WAITING)
        self._most = most
        self._room = most - os.fstat(descriptor).st_size
        self._ended = False

    def side(self, connection: str, sender: str) -> "Side":
        """Return what writes one side of a connection."""
        return Side(self, connection, sender)

    def write(self, chunk: Chunk) -> None:
        """Write what a side said, its credentials masked already."""
        if self._ended:
            return
        line = capture_line(chunk)
        self._room -= len(line)
        if self._room < 0:
            self._end(f"{self._most >> 20:,} MiB are the most (--capture-size)")
            return
        self._outlet.write(line.decode("ascii"))
        if self._outlet.dropped:
            self._end("it is not written as fast as it grows")

    def _end(self, reason: str) -> None:
        if self._ended:
            return
        self._ended = True
        text = f"capture {self._path}: {reason}; it ends here"
        self._log.tell("capture-ended", text, logging.WARNING)

    def look(self) -> None:
        """Say so if it cannot be written."""
        if self._outlet.gone is not None:
            self._end(self._outlet.gone)

    def close(self) -> None:
        """Write all, and end; not for ever."""
        if not self._outlet.close():
            self._end("not all of it could be written")
            return  # the thread may still write to the descriptor
        self.look()
        self._file.close()


class Side:
    """Writes what one side of a connection says.

    Args:
        capture: to write to.
        connection: its name.
        sender: `"device"` or `"cloud"`.
    """

    __slots__ = ("_capture", "_connection", "_decoder", "_runs", "_sender")

    def __init__(self, capture: Capture, connection: str, sender: str) -> None:
        self._capture = capture
        self._connection = connection
        self._sender = sender
        self._runs = RunMasker()
        self._decoder: StreamDecoder | None = None

    def found(self, at: float, item: Item) -> None:
        """Write what a decoder found."""
        self._capture.write(self._chunk(at, item))

    def held(self, at: float, item: Item) -> None:
        """Write what a decoder found and a gate held."""
        self._capture.write(self._chunk(at, item)._replace(held=True))

    def sent(self, at: float, data: bytes) -> None:
        """Write whole frames of ours."""
        if self._decoder is None:
            self._decoder = StreamDecoder(*framings())
        for item in self._decoder.feed(data):
            self.found(at, item)

    def _chunk(self, at: float, item: Item) -> Chunk:
        return Chunk("", self._masked(item), at, self._connection, self._sender)

    def _masked(self, item: Item) -> bytes:
        """Return an item's bytes with its credentials masked; as many bytes."""
        if isinstance(item, Framed):
            return FAMILIES[item.framing.family].masked(item.raw)
        return self._runs.mask(item.offset, item.raw)
