"""V5 payloads without an envelope: what a user may call them, and what they say.

Source: the tables of `messages.py` and `layouts`; nothing is known here that does not stand there.
"""

from inverterproto.deye.frame import Frame
from inverterproto.deye.layouts import MODULES, layout_of, sensor_types
from inverterproto.deye.messages import CONTROL_LOW, DATA, TYPES, Message
from inverterproto.errors import FieldError


def kinds() -> tuple[str, ...]:
    """Return what a payload may be called: a sensor type, a control code, a message's name."""
    return (
        *(f"{sensor_type:#06x}" for sensor_type in sorted(MODULES)),
        *(f"{code << 8 | CONTROL_LOW:#06x}" for code in sorted(TYPES)),
        *(entry.name for entry in TYPES.values()),
    )


def message_of(kind: str, payload: bytes) -> tuple[Message, tuple[str, ...], int]:
    """Return what a payload of some kind says, in a frame of nobody.

    Returns:
        The message; what speaks against its being of that kind; and how many bytes it should have.

    Raises:
        FieldError: there is no such kind.
    """
    number = _number(kind)
    for code, entry in TYPES.items():
        if kind == entry.name or number == code << 8 | CONTROL_LOW:
            message = Message.parse(Frame(code << 8 | CONTROL_LOW, (0, 0), 0, payload))
            return message, (), message.layout.size
    layout = None if number is None else layout_of(number)
    if number is None or layout is None:
        raise FieldError("payload", "no known kind", expected=", ".join(kinds()), found=kind)
    message = Message.parse(Frame(DATA << 8 | CONTROL_LOW, (0, 0), 0, payload))
    found = int.from_bytes(payload[1:3], "little") if len(payload) >= 3 else None
    doubts: tuple[str, ...] = ()
    if found != number:
        message.layout = layout
        said = "no sensor type" if found is None else f"sensor type {found:#06x}"
        doubts = (f"the payload says {said}, not {number:#06x}",)
    return message, doubts, layout.size


def _number(text: str) -> int | None:
    """Return the number that a text is; of a layout's name its sensor type."""
    try:
        return int(text, 0)
    except ValueError:
        layouts = map(layout_of, sensor_types())
        named = (layout.sensor_type for layout in layouts if layout and layout.name == text)
        return next(named, None)
