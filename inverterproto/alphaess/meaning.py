"""What a frame of the cloud's says, in a few words for a log; no secret is in them."""

import re

from inverterproto.alphaess.frame import Frame
from inverterproto.alphaess.messages import Message

_EFFECTS = {"SetConfig": "the battery would fetch a configuration"}
_is_name = re.compile(r"[A-Za-z0-9_]{1,32}").fullmatch
_is_parameter = re.compile(r"[0-9/: -]{1,19}").fullmatch


def meaning(frame: Frame) -> str:
    """Return what a frame that the cloud sent says."""
    message = Message.parse(frame)
    size = f"{len(frame.payload)} bytes"
    if message.name == "command":
        return _of_command(message, size)
    if message.name == "unknown":
        return f"a message of direction {frame.direction}, command {frame.command}, {size}"
    return f"{message.name.replace('_', ' ')}, {size}"


def _of_command(message: Message, size: str) -> str:
    fields = message.fields
    name = str(fields.get("Command", ""))
    if not _is_name(name):
        return f"a command without a plain name, {size}"
    parts = [str(fields[key]) for key in ("Parameter1", "Parameter2") if key in fields]
    told = ", ".join(part if _is_parameter(part) else "…" for part in parts)
    effect = _EFFECTS.get(name)
    return name + (f" {told}" if told else "") + (f" ({effect})" if effect else "")
