"""Frames with their credentials masked: before a frame is kept, in a store or in a capture.

Masked is what the layouts declare a password, and what looks like a credential (`mask_text`) in
all that is rare or not understood. Data of a known sensor type are measurements: they are not
looked through, so what comes every few minutes pays nothing.
"""

from dataclasses import replace
from functools import lru_cache

from inverterproto.deye.frame import Frame
from inverterproto.deye.layouts.head import HEAD_ONLY
from inverterproto.deye.messages import DATA, Message
from inverterproto.layout import Layout
from inverterproto.masking import mask_text
from inverterproto.private import Private


@lru_cache(maxsize=64)
def password_spans(layout: Layout) -> tuple[tuple[int, int], ...]:
    """Return where a layout has passwords: offsets of their first bytes, and behind their last."""
    return tuple(
        (field.offset, field.end) for field in layout.fields if field.private is Private.PASSWORD
    )


def mask_payload(layout: Layout, payload: bytes, *, search: bool) -> bytes:
    """Return a payload with its credentials masked.

    Args:
        layout: tells where passwords are.
        payload: the bytes.
        search: whether to look for credentials that are not declared, too.
    """
    for start, end in password_spans(layout):
        secret = payload[start:end].rstrip(b"\0")
        payload = payload[:start] + b"*" * len(secret) + payload[start + len(secret) :]
    return mask_text(payload) if search else payload


def mask_frame(raw: bytes) -> bytes:
    """Return a frame's bytes with credentials masked and the checksum right; as many bytes.

    Without a credential, `raw` itself comes back.
    """
    frame = Frame.parse(raw, verify=False)
    layout = Message.parse(frame).layout
    search = frame.message_type != DATA or layout is HEAD_ONLY
    payload = mask_payload(layout, frame.payload, search=search)
    return raw if payload == frame.payload else replace(frame, payload=payload).build()
