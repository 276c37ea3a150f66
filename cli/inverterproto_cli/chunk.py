"""A chunk: some bytes of one stream, with what is known of where and when they came."""

from typing import NamedTuple

BINARY, TEXT, CAPTURE, PCAP, PCAPNG = "binary", "text", "capture", "pcap", "pcapng"
"""How a source spells its bytes."""

Stream = tuple[str, str | None, str | None, bool]
"""What bytes belong to: source, connection, sender, and whether they were held."""


class SourceError(Exception):
    """A source that cannot be read; the message is for people."""


class Gap(NamedTuple):
    """A place in a stream at which what follows does not go on what came before.

    Attributes:
        offset: of the byte behind it, among the bytes that are there.
        missing: how many bytes are missing; 0 where a connection ended or broke off.
    """

    offset: int
    missing: int


class Chunk(NamedTuple):
    """Some bytes of one stream.

    Attributes:
        source: the name of the file, `-`, or `hex`.
        data: the bytes.
        at: their arrival in unix seconds, where a capture tells it.
        connection: the connection, where a capture tells it.
        sender: `"device"` or `"cloud"`, where a capture tells it.
        form: how the source spells its bytes: `BINARY`, `TEXT`, `CAPTURE`, `PCAP` or `PCAPNG`.
        masked: offsets of bytes that the text does not tell: then this is one would-be frame.
        gap: None where the bytes follow on those of the same stream before; else what was
            incomplete there stays so.
        held: whether the proxy held them: they did not reach the device.
    """

    source: str
    data: bytes
    at: float | None = None
    connection: str | None = None
    sender: str | None = None
    form: str = BINARY
    masked: tuple[int, ...] = ()
    gap: Gap | None = None
    held: bool = False

    @property
    def stream(self) -> Stream:
        """What the bytes belong to: offsets count in each stream of its own."""
        return self.source, self.connection, self.sender, self.held

    def place(self, *, name_source: bool) -> str:
        """Say where the bytes come from, as far as there is a choice: ` (dump.bin)`, or nothing."""
        parts = [self.source] if name_source else []
        if self.connection is not None:
            parts.append(f"connection {self.connection}")
        if self.sender is not None:
            parts.append(f"from {self.sender}")
        if self.held:
            parts.append("held")
        return f" ({', '.join(parts)})" if parts else ""
