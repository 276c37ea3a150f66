"""A status as a typed object: the hot path, many times as fast as the general one.

msgspec writes a status's keys straight into the slots of an object, numbers as int or float. This
works for what a battery ordinarily sends: all keys of a status, each with a number where the table
has one, within the bounds of `fields.GREATEST` (so NaN and infinity are none). For anything else
`decode` gives None, and `Message.fields` is the way, as it is for keys that the table does not
have. Of a key that stands more than once the last counts, as in readings.

This module is imported when first needed: msgspec costs as much to import as all the rest.
"""

from typing import Annotated, Any

import msgspec

from inverterproto.alphaess.fields import GREATEST, STATUS, Kind, fields_of
from inverterproto.alphaess.frame import REQUEST, Frame

STATUS_COMMAND = 16

# A NaN fails the comparison with either bound.
_INT = Annotated[int, msgspec.Meta(ge=-GREATEST, le=GREATEST)]
_FLOAT = Annotated[float, msgspec.Meta(ge=-float(GREATEST), le=float(GREATEST))]

Status: type[Any] = msgspec.defstruct(
    "Status",
    [
        (field.name, _INT | _FLOAT if field.kind is Kind.NUMBER else str)
        for field in fields_of(STATUS)
    ],
    frozen=True,
    gc=False,
    module=__name__,
    namespace={"__doc__": "A status: an attribute for each key (`Time`, `SN`, `Ppv1`, …)."},
)
"""A status: an attribute for each key (`Time`, `SN`, `Ppv1`, …)."""

_decode = msgspec.json.Decoder(Status, strict=False).decode


class Head(msgspec.Struct, frozen=True, gc=False):
    """What a server must know of a message that is kept as it came: whose it is, and its time."""

    SN: str | None = None
    Time: str | None = None


_decode_head = msgspec.json.Decoder(Head).decode


def decode_head(payload: bytes) -> Head | None:
    """Return serial and time of a payload, at a quarter of the price of all of it.

    None for what is no JSON object, or has them in another form than as texts.
    """
    try:
        return _decode_head(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def decode(frame: Frame) -> Any:  # noqa: ANN401 - Status, whose attributes the table declares
    """Return what a frame says as a `Status`; None if it is no status or not an ordinary one."""
    if frame.command != STATUS_COMMAND or frame.direction != REQUEST:
        return None
    try:
        return _decode(frame.payload)
    except (msgspec.DecodeError, RecursionError):
        return None
