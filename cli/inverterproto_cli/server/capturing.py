"""Writes what passes to a capture (see `captures.py`), credentials masked."""

import os

from inverterproto.families import FAMILIES
from inverterproto.masking import mask_text
from inverterproto.stream import Framed, Item
from inverterproto_cli.captures import capture_line
from inverterproto_cli.chunk import Chunk


class Capture:
    """A capture that is being written; only its owner may read it.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb")

    def __call__(self, at: float, connection: str, sender: str, item: Item | bytes) -> None:
        """Write what came, or an answer."""
        data = item if isinstance(item, bytes) else masked(item)
        self._file.write(capture_line(Chunk("", data, at, connection, sender)))

    def flush(self) -> None:
        """Let others see what was written."""
        self._file.flush()

    def close(self) -> None:
        """Write all, and end."""
        self._file.close()


def masked(item: Item) -> bytes:
    """Return an item's bytes with its credentials masked; as many bytes."""
    if isinstance(item, Framed):
        return FAMILIES[item.framing.family].masked(item.raw)
    return mask_text(item.raw)
