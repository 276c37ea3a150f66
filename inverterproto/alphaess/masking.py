"""Frames with their credentials masked: before a frame is kept, in a store or in a capture.

Masked is what the table of keys declares a password, and what looks like a credential
(`mask_text`). Statuses, records and stored records are measurements: they are not looked through,
so what comes every few seconds pays nothing.
"""

from inverterproto.alphaess.frame import HEADER_SIZE, Frame
from inverterproto.alphaess.messages import Message
from inverterproto.masking import mask_text
from inverterproto.private import Private


def mask_frame(frame: Frame) -> Frame:
    """Return the frame with its credentials masked, of the same length; itself if it has none."""
    payload = bytearray(frame.payload)
    for row in Message.parse(frame).rows(frame.build()):
        if row.field.private is Private.PASSWORD:
            start = row.offset - HEADER_SIZE
            payload[start : start + len(row.raw)] = b"*" * len(row.raw)
    masked = mask_text(bytes(payload))
    if masked == frame.payload:
        return frame
    return Frame(frame.version, frame.direction, frame.command, masked)


def masked(raw: bytes) -> bytes:
    """Return a frame's bytes with its passwords masked."""
    frame = Frame.parse(raw, verify=False)
    other = mask_frame(frame)
    return raw if other is frame else other.build()
