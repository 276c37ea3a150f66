"""What somebody changed in the JSON of `decode`, back to an AlphaESS frame.

See `inverterproto.encoding`. A payload is changed key by key, or cell by cell; keys may be added
and left out.
"""

from collections.abc import Mapping
from typing import Any

from inverterproto.alphaess.frame import VERSION, Frame
from inverterproto.alphaess.measure import sources
from inverterproto.alphaess.messages import TYPES, Message, build_payload
from inverterproto.alphaess.payloads import Form
from inverterproto.alphaess.rows import HEADER
from inverterproto.errors import within

PARTS = ("version", "direction", "command")
"""What of the header may be changed; all else in it is computed."""

DEFAULTS = {"version": VERSION}
"""What of the header need not be said."""

_KIND = ("header.direction", "header.command")
_ORIGINS = {"name": _KIND, "from": _KIND, "reading.kind": _KIND, "reading.historic": _KIND}
_KEYS = {
    "device": ("SN", "UserName"),
    "reading.device": ("SN",),
    "reading.time": ("Date", "Time"),
    "reading.via": (),
}


def header_of(name: str) -> dict[str, int]:
    """Return what a message's name says of the header: nothing if it is not known."""
    for (direction, command), entry in TYPES.items():
        if entry.name == name:
            return {"direction": direction, "command": command}
    return {}


def build(header: Mapping[str, Any], fields: Mapping[str, Any], onto: Message | None) -> Frame:
    """Return the frame that says `header` and `fields`, as the JSON of `decode` has them.

    Args:
        header: `PARTS`.
        fields: all fields of the payload.
        onto: the message to change instead of beginning with nothing.

    Raises:
        FieldError: a value cannot be carried.
    """
    with within("header"):
        version, direction, command = (HEADER.by_name[name].to_raw(header[name]) for name in PARTS)
    with within("fields"):
        old = None if onto is None else onto.frame.payload
        payload = build_payload(direction, command, fields, old)
    return Frame(version, direction, command, payload)


def derived(message: Message) -> frozenset[str]:
    """Return the names of fields that are read out of others."""
    return message.content.derived


def origins(message: Message, key: str, record: int, confidence: str) -> tuple[str, ...]:
    """Return what of header and fields makes something that `decode` shows.

    Args:
        message: the message.
        key: `name`, `from`, `device`; `reading.device` and so on; or a quantity.
        record: which of the message's records it is about, counted from 0.
        confidence: the least confidence of keys that measure.
    """
    if key in _ORIGINS:
        return _ORIGINS[key]
    if message.content.form is not Form.TABLE:
        return tuple(f"fields.{name}" for name in _names(message.fields, key, confidence))
    rows = message.measuring(confidence)[record : record + 1]
    return tuple(
        f"fields.rows[{number}][{list(fields).index(name)}] ({name})"
        for number, fields in rows
        for name in _names(fields, key, confidence)
        if name in fields
    )


def _names(fields: Mapping[str, Any], key: str, confidence: str) -> tuple[str, ...]:
    if key in _KEYS:
        return tuple(name for name in _KEYS[key] if name in fields)
    return sources(fields, key, confidence)
