"""Frames with their credentials masked: before a frame is kept, in a store or in a capture.

Masked is what the table of keys declares a password, and what looks like a credential
(`mask_text`).

*Cost.* A status comes every few seconds, and a frame is looked through at the price of many
statuses. So it is asked first for what every name of a credential has: some letters that hardly
any key of a status has, and which are found ten times as fast as words.
"""

from inverterproto.alphaess.fields import FIELDS
from inverterproto.alphaess.frame import HEADER_SIZE, Frame
from inverterproto.alphaess.messages import Message
from inverterproto.masking import has_name, mask_text
from inverterproto.private import Private

_DECLARED = tuple(
    field.name.lower().encode() for field in FIELDS if field.private is Private.PASSWORD
)


def is_suspect(payload: bytes) -> bool:
    """Return whether a key of a JSON object may be the name of a credential."""
    lower = payload.lower()
    may_be = (
        b"k" in lower  # key, psk, token, cookie
        or b"w" in lower  # pwd
        or b"h" in lower  # authorization
        or b"\\" in lower  # any letter, escaped
        or b"pass" in lower
        or b"cre" in lower  # secret, credential
    )
    return may_be and (b"\\" in lower or has_name(lower))


def mask_frame(frame: Frame) -> Frame:
    """Return the frame with its credentials masked, of the same length; itself if it has none."""
    payload = frame.payload
    lower = payload.lower()
    if b"\\" in payload or any(name in lower for name in _DECLARED):
        payload = _mask_declared(frame)
    masked = mask_text(payload)
    if masked == frame.payload:
        return frame
    return Frame(frame.version, frame.direction, frame.command, masked)


def _mask_declared(frame: Frame) -> bytes:
    payload = bytearray(frame.payload)
    for row in Message.parse(frame).rows(frame.build()):
        if row.field.private is Private.PASSWORD:
            start = row.offset - HEADER_SIZE
            payload[start : start + len(row.raw)] = b"*" * len(row.raw)
    return bytes(payload)


def masked(raw: bytes) -> bytes:
    """Return a frame's bytes with its passwords masked."""
    frame = Frame.parse(raw, verify=False)
    other = mask_frame(frame)
    return raw if other is frame else other.build()
