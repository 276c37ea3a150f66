"""Passwords masked: in frames, and in runs of bytes that hold what may be a login.

A password is written over with `*`, as many as it had bytes, and the frame's CRC is made right:
what is kept still decodes, and says the same but for the password. Which keys hold one, `fields.py`
declares. A login does ordinarily; of other messages only those are looked through that name such a
key, which one search over the bytes tells.
"""

import re

from inverterproto.alphaess.fields import PRIVATE
from inverterproto.alphaess.frame import HEADER_SIZE, Frame
from inverterproto.alphaess.messages import LOGIN, Message
from inverterproto.private import Private

_KEYS = "|".join(re.escape(k) for k, kind in PRIVATE.items() if kind is Private.PASSWORD).encode()
find_key = re.compile(_KEYS).search
"""Finds the name of a key that holds a password."""

# Behind such a key: a string, perhaps cut off; or what stands there otherwise, as in `""secret"`.
_mask_values = re.compile(
    rb'((?:%s)"?+\s*+:\s*+)(?:(")((?:[^"\\]|\\.)++\\?+)|("*+)([^"\s,{}\[\]]++))' % _KEYS,
    re.DOTALL,
).sub


def mask_frame(frame: Frame) -> Frame:
    """Return the frame with its passwords masked; the same one if it holds none."""
    if frame.command != LOGIN and not find_key(frame.payload):
        return frame
    payload = bytearray(frame.payload)
    for row in Message.parse(frame).rows(frame.build()):
        if row.field.private is Private.PASSWORD:
            start = row.offset - HEADER_SIZE
            payload[start : start + len(row.raw)] = b"*" * len(row.raw)
    masked = mask_bytes(bytes(payload))
    if masked == frame.payload:
        return frame
    return Frame(frame.version, frame.direction, frame.command, masked)


def mask_bytes(raw: bytes) -> bytes:
    """Return bytes of whatever form, what stands behind a password's key masked."""
    return _mask_values(_masked, raw)


def _masked(found: re.Match[bytes]) -> bytes:
    key, quote, string, quotes, other = found.groups()
    return key + (quote or quotes) + b"*" * len(string or other)
