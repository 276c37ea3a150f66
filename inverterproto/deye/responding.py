"""What a logger stick answers to commands: Modbus RTU, AT text, the output power.

Behind it stand a map of registers and a table of AT commands. Whoever wants a bench that cannot be
changed leaves `writable` off: writes, settings and the output power are refused, each in its own
kind's words. A stick without registers cannot reach its inverter.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from inverterproto.deye import modbus
from inverterproto.deye.bodies import AT_KIND, MODBUS_KIND, POWER_KIND
from inverterproto.deye.frame import Frame
from inverterproto.deye.messages import Message
from inverterproto.errors import ProtocolError

_FINE, _REFUSED = 1, 0
_U16 = 0xFFFF
_ILLEGAL_FUNCTION, _ILLEGAL_ADDRESS = 1, 2
_NO_INVERTER = modbus.StickError(5)  # seen from real sticks; what it means is our reading
_POWER_DONE = bytes.fromhex("010101")  # source: T
_READ_HOLDING, _READ_INPUT, _WRITE_ONE, _WRITE_MANY, _WRITE_MASKED = 3, 4, 6, 16, 22
# The modem's own words for: no such command; not allowed.
_NO_COMMAND, _NOT_ALLOWED = "+ERR=-2", "+ERR=-5"


class Response(NamedTuple):
    """An answer: its status, and its body as fields of the message."""

    status: int
    body: dict[str, Any]


class CommandResponder:
    """Carries out commands.

    Args:
        registers: address → value, 0 to 65535; None for an inverter that does not answer.
        at: AT command without its value (`"AT+VER"`) → what `+ok=` tells.
        slave: the inverter's number on the serial line.
        writable: whether writes and settings are carried out.

    Attributes:
        registers: as they are now.
        at: as it is now.
        output_power_limit: what was set last, in watts; None if nothing was.
    """

    def __init__(
        self,
        registers: Mapping[int, int] | None = None,
        at: Mapping[str, str] | None = None,
        *,
        slave: int = 1,
        writable: bool = False,
    ) -> None:
        for address, value in (registers or {}).items():
            if not 0 <= value <= _U16:
                raise ValueError(f"register {address}: {value} is not 0 to {_U16}")
        self.registers = None if registers is None else dict(registers)
        self.at = dict(at or {})
        self.output_power_limit: float | None = None
        self._slave = slave
        self._writable = writable

    def respond(self, command: Frame) -> Response | None:
        """Carry a command out; None for one of no known kind."""
        fields = Message.parse(command).fields
        kind = fields.get("frame_type")
        if kind == MODBUS_KIND:
            body = command.payload[15:]
            return Response(_FINE, {"modbus": self._modbus(body)})
        if kind == AT_KIND:
            return Response(_FINE, {"at": self._text(fields.get("at", ""))})
        if kind == POWER_KIND and "output_power_limit" in fields:
            return self._power(fields["output_power_limit"])
        return None

    def _power(self, watts: float) -> Response:
        if not self._writable:
            return Response(_REFUSED, {})
        self.output_power_limit = watts
        return Response(_FINE, {"output_power_reply": _POWER_DONE})

    def _text(self, text: str) -> str:
        name, setting, value = text.strip("\r\n\0 ").partition("=")
        if name not in self.at:
            return _NO_COMMAND
        if not setting:
            return f"+ok={self.at[name]}"
        if not self._writable:
            return _NOT_ALLOWED
        self.at[name] = value
        return "+ok"

    def _modbus(self, body: bytes) -> modbus.AnyMessage:
        try:
            request = modbus.parse_request(body)
        except ProtocolError:
            return _NO_INVERTER
        if self.registers is None or request.slave != self._slave:
            return _NO_INVERTER
        if isinstance(request, modbus.Request):
            if request.function in (_READ_HOLDING, _READ_INPUT):
                return self._read(request, self.registers)
            if self._writable and request.function in (_WRITE_ONE, _WRITE_MANY, _WRITE_MASKED):
                return self._write(request, self.registers)
        return modbus.ExceptionReply(self._slave, request.function & 0x7F, _ILLEGAL_FUNCTION)

    def _read(self, request: modbus.Request, registers: dict[int, int]) -> modbus.AnyMessage:
        first, count = request.address, request.quantity or 0
        found = [registers[at] for at in range(first, first + count) if at in registers]
        if len(found) < count:
            return modbus.ExceptionReply(self._slave, request.function, _ILLEGAL_ADDRESS)
        return modbus.Reply(self._slave, request.function, registers=tuple(found))

    def _write(self, request: modbus.Request, registers: dict[int, int]) -> modbus.AnyMessage:
        first, values = request.address, request.registers
        if request.function == _WRITE_MASKED:
            keep, put = values
            values = (registers.get(first, 0) & keep | put & ~keep,)
        if any(first + place not in registers for place in range(len(values))):
            return modbus.ExceptionReply(self._slave, request.function, _ILLEGAL_ADDRESS)
        registers.update(enumerate(values, first))
        if request.function == _WRITE_MANY:
            return modbus.Reply(self._slave, _WRITE_MANY, first, len(values))
        return modbus.Reply(self._slave, request.function, first, registers=request.registers)
