"""What of the cloud's V5 frames may pass to a logger (see `inverterproto.gate`).

Theory of operation
-------------------
*Replies*, in `read-only` and `block`: a frame of 10 bytes of payload passes that answers an
outstanding request: its type is the request's, it echoes serial, second counter and frame type,
and says status 1, the only one that is known. The first counter is the cloud's own, so all that
can be said of it is that it is ahead of what the logger saw last: by one in an ordinary exchange,
by more where several requests were under way, or where a command in between was held. All else in
it is the time and the seconds until the next heartbeat.

*Commands*, in `read-only`: to a logger that has spoken on the connection, with a head as all
commands have it, and one of

- Modbus functions 1 to 4, one whole request with the right CRC, to one inverter, of registers that
  there can be;
- an AT query of `AT_QUERIES`, the whole text to the letter. AT text can do anything: an `=` sets
  something, but also `AT+Z` without one restarts, and `AT+INVDATA` carries Modbus writes.

The third kind of command sets the output power.

*Bounds.* `MOST_OUTSTANDING` requests are remembered; the oldest is forgotten for a new one.
"""

from collections import deque
from typing import NamedTuple

from inverterproto.deye import modbus, payloads
from inverterproto.deye.bodies import AT_KIND, COMMAND, MODBUS_KIND
from inverterproto.deye.frame import Frame
from inverterproto.deye.masking import mask_frame
from inverterproto.deye.meaning import meaning
from inverterproto.deye.messages import CONTROL_LOW, DEVICE, REPLY_STEP, TYPES, is_request
from inverterproto.deye.watching import FAMILY, MOST_LOGGERS
from inverterproto.errors import ProtocolError
from inverterproto.gate import PASSES, Rights, Verdict
from inverterproto.session import States
from inverterproto.stream import Framed

MOST_OUTSTANDING = 256
"""Requests without an answer: as many as the logger's counter tells apart."""

AT_QUERIES = {
    "AT+VER\r": "tells the version of the modem's firmware; there is no form that sets it",
    "AT+WSLK\r": "tells whether the modem is connected to its network; it cannot be set",
    "AT+WSLQ\r": "tells how good that connection is; it cannot be set",
}
"""The AT commands that may pass, and why (source: the modem maker's manual).

Not among them, though without an `=` they change nothing: what tells keys and passwords
(`AT+WSKEY`, `AT+WEBU`, `AT+ASWD`), and what only the stick's firmware knows (`AT+TIME`,
`AT+YZCMPVER`, …).
"""

_REQUESTS = frozenset(
    code for code, entry in TYPES.items() if is_request(code) and entry.sender == DEVICE
)
_REPLIES = frozenset(code - REPLY_STEP for code in _REQUESTS)
_COMMAND_CODE = COMMAND << 8 | CONTROL_LOW
_ACCEPTED = 1
_HEAD = payloads.COMMAND.size
_NO_TIMES = bytes(12)
_AT_SENSOR_TYPE = b"\2\0"
_SLAVES = range(1, 248)
_ADDRESSES = 0x10000


class _Asked(NamedTuple):
    """What a reply to a request must have."""

    control_code: int
    serial: int
    second: int
    frame_type: int
    first: int  # of the request: the reply's is ahead of it

    def fits(self, reply: Frame) -> bool:
        first, second = reply.sequence
        return (
            reply.control_code == self.control_code
            and reply.logger_serial == self.serial
            and second == self.second
            and reply.payload[0] == self.frame_type
            and 0 < (first - self.first) & 0xFF <= 0x80
        )


class AllowList:
    """Judges the cloud's frames on one connection (see `inverterproto.gate.AllowList`).

    Args:
        rights: `read-only` or `block`.
        states: gives what is known of a logger; None for one that is not wanted.
    """

    family = FAMILY
    __slots__ = ("_asked", "_last", "_loggers", "_reads", "_states")

    def __init__(self, rights: Rights, states: States) -> None:
        self._reads = rights is Rights.READ_ONLY
        self._states = states
        self._asked: deque[_Asked] = deque(maxlen=MOST_OUTSTANDING)
        self._loggers: set[int] = set()
        self._last: int | None = None  # the logger that spoke last

    def device_said(self, item: Framed, now: float) -> None:
        """Take notice of a frame of a logger."""
        del now
        frame: Frame = item.frame
        self._last = serial = frame.logger_serial
        if len(self._loggers) < MOST_LOGGERS:
            self._loggers.add(serial)
        if frame.message_type in _REQUESTS:
            first, second = frame.sequence
            code = frame.control_code - (REPLY_STEP << 8)
            frame_type = frame.payload[0] if frame.payload else 0
            self._asked.append(_Asked(code, serial, second, frame_type, first))

    def judge(self, item: Framed, now: float) -> Verdict:
        """Return what becomes of a frame of the cloud."""
        del now
        frame: Frame = item.frame
        if frame.message_type in _REPLIES:
            reason = self._against_reply(frame)
        elif frame.control_code == _COMMAND_CODE:
            reason = self._against_command(frame)
        else:
            reason = "not of a type that a cloud sends"
        return PASSES if reason is None else Verdict(reason, meaning(frame))

    def masked(self, raw: bytes) -> bytes:
        """Return a frame's bytes with its credentials masked."""
        return mask_frame(raw)

    def device(self) -> str | None:
        """Return the serial of the logger that spoke last, if it is one that is wanted."""
        name = str(self._last)
        return None if self._last is None or self._states(name) is None else name

    def _against_reply(self, reply: Frame) -> str | None:
        """Return why a reply may not pass; one that may pass answers its request."""
        size = payloads.CLOUD_REPLY.size
        if len(reply.payload) != size:
            return f"a reply has {size} bytes"
        if reply.payload[1] != _ACCEPTED:
            return f"status {reply.payload[1]:#04x} is not known"
        for place, asked in enumerate(self._asked):
            if asked.fits(reply):
                del self._asked[place]
                return None
        return "it answers no request that is outstanding"

    def _against_command(self, command: Frame) -> str | None:
        """Return why a command may not pass."""
        if not self._reads:
            return "no command may pass"
        if command.logger_serial not in self._loggers:
            return "that logger has not spoken here"
        payload = command.payload
        head, body = payload[:_HEAD], payload[_HEAD:]
        if len(head) < _HEAD or head[3:] != _NO_TIMES:
            return "it does not begin as a command does"
        if head[0] == MODBUS_KIND:
            return _against_modbus(body)
        if head[0] == AT_KIND:
            query = head[1:3] == _AT_SENSOR_TYPE and body.decode("latin-1") in AT_QUERIES
            return None if query else "not an AT query that is known to change nothing"
        return "not a kind of command that may only read"


def _against_modbus(body: bytes) -> str | None:
    """Return why the body of a Modbus command may not pass."""
    try:
        request = modbus.parse_request(body)
    except ProtocolError as error:
        return f"not one whole Modbus request: {error.message}"
    if not isinstance(request, modbus.Request) or modbus.is_write(request.function):
        return "not a Modbus function that only reads"
    if request.slave not in _SLAVES:
        return f"slave {request.slave} is not one inverter"
    if request.address + (request.quantity or 0) > _ADDRESSES:
        return "there are no such registers"
    return None
