"""What is private in bytes that hold only pieces of AlphaESS frames."""

from collections.abc import Iterator

from inverterproto.alphaess.frame import salvage
from inverterproto.alphaess.messages import Message
from inverterproto.alphaess.rows import find_private
from inverterproto.layout import Row


def private_rows(raw: bytes) -> Iterator[Row]:
    """Yield the values of private keys, and the private cells of a table that breaks off."""
    frame = salvage(raw)
    if frame is not None and frame.payload:
        whole = frame.build()
        for row in Message.parse(frame).rows(whole):
            if row.field.private and row.offset + len(row.raw) <= len(raw):
                yield row
    yield from find_private(raw)
