"""A chunk: some bytes of one stream, with what is known of where and when they came."""

from typing import NamedTuple

BINARY, TEXT, CAPTURE = "binary", "text", "capture"
"""How a source spells its bytes."""


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
        form: how the source spells its bytes: `BINARY`, `TEXT` or `CAPTURE`.
        masked: offsets of bytes that the text does not tell: then this is one would-be frame.
    """

    source: str
    data: bytes
    at: float | None = None
    connection: str | None = None
    sender: str | None = None
    form: str = BINARY
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
