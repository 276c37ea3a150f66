"""What somebody changed in the JSON of `decode`, back to a V5 frame (see `inverterproto.encoding`).

The fields of a payload stand one behind the other, so none can be left out but the last ones: then
the payload ends before them. Where the message type, the sensor type or the sub-id makes another
layout of it, the payload is built anew, and every field must be one of that layout.
"""

from collections.abc import Mapping
from typing import Any

from inverterproto.deye.frame import Frame
from inverterproto.deye.measure import sources
from inverterproto.deye.messages import CONTROL_LOW, TYPES, Message, build_payload, layout_for
from inverterproto.deye.payloads import HEADER
from inverterproto.errors import FieldError, within
from inverterproto.layout import Layout
from inverterproto.octets import Octets

PARTS = ("control_code", "sequence", "logger_serial")
"""What of the header may be changed; all else in it is computed."""

DEFAULTS = {"sequence": (0, 0)}
"""What of the header need not be said."""

_ORIGINS = {
    "name": ("header.control_code",),
    "from": ("header.control_code",),
    "device": ("header.logger_serial",),
    "reading.via": ("header.logger_serial",),
    "reading.kind": ("header.control_code",),
    "reading.historic": ("fields.frame_type",),
    "reading.time": ("fields.total_working_time", "fields.offset_time"),
}


def header_of(name: str) -> dict[str, int]:
    """Return what a message's name says of the header: nothing if it is not known."""
    for code, entry in TYPES.items():
        if entry.name == name:
            return {"control_code": code << 8 | CONTROL_LOW}
    return {}


def build(header: Mapping[str, Any], fields: Mapping[str, Any], onto: Message | None) -> Frame:
    """Return the frame that says `header` and `fields`, as the JSON of `decode` has them.

    Args:
        header: `PARTS`, and the length that the payload had, if it had one.
        fields: all fields of the payload.
        onto: the message to change instead of beginning with nothing.

    Raises:
        FieldError: a field is out of place, or a value cannot be carried.
    """
    with within("header"):
        code = HEADER.by_name["control_code"].to_raw(header["control_code"])
        serial = HEADER.by_name["logger_serial"].to_raw(header["logger_serial"])
        sequence = _sequence(header["sequence"])
    with within("fields"):
        layout = layout_for(code >> 8, fields)
        length = header.get("payload_length")
        values = {name: _value(layout, name, value, length) for name, value in fields.items()}
        base = None
        if onto is not None and layout is onto.layout:
            base = onto.frame.payload[: _kept(onto, fields)]
        payload = build_payload(code >> 8, values, base)
    return Frame(code, sequence, serial, payload)


def derived(_message: Message) -> frozenset[str]:
    """Return the names of fields that are read out of others: there are none."""
    return frozenset()


def origins(message: Message, key: str, _record: int, confidence: str) -> tuple[str, ...]:
    """Return what of header and fields makes something that `decode` shows.

    Args:
        message: the message.
        key: `name`, `from`, `device`; `reading.device` and so on; or a quantity.
        confidence: the least confidence of fields that measure.
    """
    if key == "reading.device":
        own = message.name == "data" and "inverter_serial" in message.fields
        return ("fields.inverter_serial",) if own else _ORIGINS["device"]
    if key in _ORIGINS:
        return _ORIGINS[key]
    layout = message.layout
    names = sources(layout, message.fields, key, confidence)
    turned = {field.name for field in layout.fields if field.turned}
    notes = dict.fromkeys(turned, " (which counts the other way round)")
    return tuple(f"fields.{name}{notes.get(name, '')}" for name in names)


def _sequence(pair: object) -> tuple[int, int]:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise FieldError("sequence", "not a pair", expected="two counters", found=repr(pair))
    first, second = (
        HEADER.by_name[f"sequence_{which}"]._replace(name=f"sequence[{at}]").to_raw(pair[at])
        for at, which in enumerate(("first", "second"))
    )
    return first, second


def _value(layout: Layout, name: str, value: Any, length: object) -> Any:  # noqa: ANN401 - JSON in
    """Return a field's value: of unknown bytes what their hexadecimal text says.

    Any field may have been cut short by the payload's end, and then is such bytes. A text of
    unknown meaning is told from them by the payload's `length` only.
    """
    if not name.startswith("unknown_") or not isinstance(value, str):
        return value
    field = layout.by_name.get(name)
    cut = isinstance(length, int) and field is not None and length < field.end
    if field is not None and _is_text(field.type) and not cut:
        return value
    try:
        return bytes.fromhex(value)
    except ValueError as error:
        raise FieldError(name, "not bytes", expected="hexadecimal text", found=value) from error


def _is_text(kind: object) -> bool:
    return isinstance(kind, Octets) and kind.decode is not bytes


def _kept(message: Message, fields: Mapping[str, Any]) -> int | None:
    """Return where the payload ends if it is to hold no more than these fields; None: nowhere."""
    names = list(message.fields)
    missing = next((at for at, name in enumerate(names) if name not in fields), None)
    if missing is None:
        return None
    behind = next((name for name in names[missing:] if name in fields), None)
    if behind is not None:
        raise FieldError(
            names[missing], f"cannot be left out before {behind}", expected="a value", found="none"
        )
    return message.layout.by_name[names[missing - 1]].end if missing else 0
