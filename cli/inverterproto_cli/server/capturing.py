"""Writes what passes to a capture (see `captures.py`), credentials masked.

A capture is a convenience: a disk without room for it ends the capture, which is said, and nothing
else.
"""

import logging
import os
from contextlib import suppress

from inverterproto.families import FAMILIES, framings
from inverterproto.masking import mask_text
from inverterproto.stream import Framed, Item, StreamDecoder
from inverterproto_cli.captures import capture_line
from inverterproto_cli.chunk import Chunk
from inverterproto_cli.server.logs import Log


class Capture:
    """A capture that is being written; only its owner may read it.

    Args:
        path: of the file; what is in it stays.
        log: is told if it cannot be written.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: str, log: Log) -> None:
        self._path = path
        self._log = log
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        self._broken = False

    def came(self, at: float, connection: str, item: Item) -> None:
        """Write what came from a device."""
        self._write(Chunk("", masked(item), at, connection, "device"))

    def went(self, at: float, connection: str, data: bytes) -> None:
        """Write what was sent to it."""
        decoder = StreamDecoder(*framings())
        data = b"".join(map(masked, [*decoder.feed(data), *decoder.flush()]))
        self._write(Chunk("", data, at, connection, "cloud"))

    def _write(self, chunk: Chunk) -> None:
        if self._broken:
            return
        try:
            self._file.write(capture_line(chunk))
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        self._broken = True
        text = f"capture {self._path}: {error.strerror}; it ends here"
        self._log.tell("capture-ended", text, logging.WARNING)

    def flush(self) -> None:
        """Let others see what was written."""
        if not self._broken:
            try:
                self._file.flush()
            except OSError as error:
                self._fail(error)

    def close(self) -> None:
        """Write all, and end."""
        self.flush()
        with suppress(OSError):  # told when it broke; the descriptor is closed all the same
            self._file.close()


def masked(item: Item) -> bytes:
    """Return an item's bytes with its credentials masked; as many bytes."""
    if isinstance(item, Framed):
        return FAMILIES[item.framing.family].masked(item.raw)
    return mask_text(item.raw)
