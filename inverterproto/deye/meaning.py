"""What a frame of the cloud's says, in a few words for a log; no secret is in them.

Of AT text only the names of commands are told: what they set may be the key of a network.
"""

import re

from inverterproto.deye import modbus, payloads
from inverterproto.deye.bodies import AT_KIND, COMMAND, MODBUS_KIND, POWER_KIND
from inverterproto.deye.frame import Frame
from inverterproto.deye.messages import CLOUD, Message
from inverterproto.errors import ProtocolError
from inverterproto.reading import utc_text

_AT_EFFECTS = {
    "AT+Z": "restart",
    "AT+RELD": "factory settings",
    "AT+UPURL": "firmware download",
    "AT+SUPDATE": "firmware update",
    "AT+INVDATA": "Modbus in AT text",
}
"""What some AT commands do (sources: T; the modem's manual; I for the last)."""
_find_at = re.compile(r"AT\+[A-Z0-9]{1,16}=?", re.IGNORECASE | re.ASCII).findall
_MOST = 4
"""Names or values that are told of one frame."""
_OF_COILS = frozenset((1, 2, 5, 15))
_MANY = frozenset((15, 16))
_MASKED = 22


def meaning(frame: Frame) -> str:
    """Return what a frame that the cloud sent says."""
    message = Message.parse(frame)
    if frame.message_type == COMMAND:
        return _of_command(message)
    if message.sender == CLOUD:
        return _of_reply(message)
    return f"a message of type {frame.message_type:#04x} ({message.name}){_size(frame.payload)}"


def _of_reply(message: Message) -> str:
    what = message.name.replace("_", " ")
    if len(message.frame.payload) != payloads.CLOUD_REPLY.size:
        return what + _size(message.frame.payload)
    fields = message.fields
    return f"{what}: time {utc_text(fields['time'])}, heartbeat in {fields['next_heartbeat']} s"


def _of_command(message: Message) -> str:
    fields, payload = message.fields, message.frame.payload
    kind, body = payload[:1], payload[payloads.COMMAND.size :]
    if kind == bytes((MODBUS_KIND,)):
        return _of_modbus(body)
    if kind == bytes((AT_KIND,)):
        return _of_text(body)
    if kind == bytes((POWER_KIND,)) and "output_power_limit" in fields:
        return f"output power limit {fields['output_power_limit']:g} W"
    return f"a command of kind 0x{kind.hex() or '?'}{_size(body)}"


def _of_text(body: bytes) -> str:
    names = [name.upper() for name in _find_at(body.decode("latin-1"))]
    told = [name if name.endswith("=") else _with_effect(name) for name in names[:_MOST]]
    if not told:
        return "AT text" + _size(body)
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(told) + more


def _with_effect(name: str) -> str:
    effect = _AT_EFFECTS.get(name)
    return name if effect is None else f"{name} ({effect})"


def _of_modbus(body: bytes) -> str:
    try:
        request = modbus.parse_request(body)
    except ProtocolError:
        return "Modbus that cannot be read" + _size(body)
    if not isinstance(request, modbus.Request):
        return f"Modbus function 0x{request.function:02X}{_size(body)}"
    verb = "write" if modbus.is_write(request.function) else "read"
    return f"Modbus {verb} 0x{request.function:02X} {_place(request)}{_values(request)}"


def _place(request: modbus.Request) -> str:
    what = "coil" if request.function in _OF_COILS else "register"
    count = request.quantity or 1
    if request.function in _MANY:
        count = len(request.coils) or len(request.registers)
    first, last = f"0x{request.address:04X}", f"0x{request.address + count - 1:04X}"
    return f"{what} {first}" if count == 1 else f"{what}s {first} to {last}"


def _values(request: modbus.Request) -> str:
    """Return what is written."""
    values = [*map(int, request.coils), *request.registers]
    if not values:
        return ""
    if request.function == _MASKED:
        return f": and 0x{values[0]:04X}, or 0x{values[1]:04X}"
    more = ", …" if len(values) > _MOST else ""
    return " = " + ", ".join(map(str, values[:_MOST])) + more


def _size(data: bytes) -> str:
    return f", {len(data)} bytes"
