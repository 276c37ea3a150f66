"""What was sent and what came back, for people and as JSON."""

from collections.abc import Callable
from typing import Any, NamedTuple

from inverterproto.alphaess.clock import format_stamp
from inverterproto.alphaess.frame import Frame, header_fields
from inverterproto.alphaess.messages import Message
from inverterproto.quantity import lookup

_SHOWN = 160
"""Characters of a payload that people are shown."""
_SHOWN_VALUES = ("state_of_charge", "pv_power", "battery_power", "grid_power")
"""What is shown of what was sent, in a simulated day."""


class OutputError(Exception):
    """What is shown cannot be written; it is caused by an OSError, and must not pass for one."""


Code = tuple[int, int, int]
"""Version, direction, command."""


class Exchange(NamedTuple):
    """A frame that was sent or came, and what became of it.

    Attributes:
        type: `"exchange"`; `"command"` or `"late"` for a frame of the server that answers nothing,
            or nothing any more.
        connection: its number, from 1 on.
        name: the file that was sent.
        sent: the frame that was sent.
        reply: what came.
        seconds: how long that took.
        problem: what is wrong with it.
        lived: whether it is of a simulated day: what was measured is shown then.
    """

    type: str
    connection: int
    name: str | None = None
    sent: bytes | None = None
    reply: Frame | None = None
    seconds: float | None = None
    problem: str = ""
    lived: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "type": self.type,
            "connection": self.connection,
            "name": self.name,
            "sent": None if self.sent is None else header_fields(self.sent),
            "reply": None if self.reply is None else header_fields(self.reply.build()),
            "payload": None if self.reply is None else _text(self.reply),
            "seconds": self.seconds,
            "problem": self.problem,
        }

    def _measured(self) -> str:
        """Return when what was sent was measured, by the battery's clock, and what it tells."""
        if not self.lived or self.sent is None:
            return ""
        message = Message.parse(Frame.parse(self.sent))
        values = {key: one for each in message.records() for key, one in each.values.items()}
        if message.stamp is None or not values:
            return ""
        told = (f"{key} {values[key]} {lookup(key).unit}" for key in _SHOWN_VALUES if key in values)
        return "  ".join((f"[{format_stamp(message.stamp)[11:]}", *told)) + "]"

    def __str__(self) -> str:
        what = self.name or {"command": "the server commands"}.get(self.type, "late")
        came = f"{shown(code_of(self.reply))} {_text(self.reply, _SHOWN)}" if self.reply else ""
        wrong = f"WRONG: {self.problem}" if self.problem else ""
        told = [came.strip(), wrong, self._measured()]
        return f"{what}: {'  '.join(filter(None, told)) or 'sent, no reply is due'}"


Show = Callable[[Exchange], object]


def code_of(frame: Frame) -> Code:
    """Return the first three bytes of a frame."""
    return frame.version, frame.direction, frame.command


def shown(code: Code) -> str:
    """Return a code as people write it: `1,2,16`."""
    return ",".join(map(str, code))


def _text(frame: Frame, most: int | None = None) -> str:
    text = frame.payload.decode("utf-8", "replace")
    return text if most is None or len(text) <= most else f"{text[:most]}…"
