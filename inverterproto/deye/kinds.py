"""Which V5 payloads are alike, for who compares them, and which layouts an unknown one may have."""

from inverterproto.deye.bodies import BODIES
from inverterproto.deye.layouts import layout_of, sensor_types
from inverterproto.deye.layouts.head import HEAD_ONLY
from inverterproto.deye.messages import DATA, TYPES, WIFI, Message
from inverterproto.layout import Layout

_SUB_ID_AT = 13


def detail(message: Message) -> str:
    """Return what else than its name tells how a message's payload is laid out."""
    frame = message.frame
    payload, message_type = frame.payload, frame.message_type
    if message_type == DATA and len(payload) >= 3:
        return f"0x{payload[1] | payload[2] << 8:04X}"
    if message_type == WIFI and len(payload) > _SUB_ID_AT:
        return f"sub-id 0x{payload[_SUB_ID_AT]:02X}"
    if message_type in BODIES and payload:
        return f"frame type 0x{payload[0]:02X}"
    return "" if message_type in TYPES else f"control code 0x{frame.control_code:04X}"


def is_guessable(message: Message) -> bool:
    """Return whether it is data of a sensor type that is not known."""
    whole = message.frame.message_type == DATA and len(message.frame.payload) >= 3
    return whole and message.layout is HEAD_ONLY


def layouts() -> dict[str, Layout]:
    """Return every layout of data by its sensor type."""
    found = {f"0x{sensor_type:04X}": layout_of(sensor_type) for sensor_type in sensor_types()}
    return {name: layout for name, layout in found.items() if layout is not None}
