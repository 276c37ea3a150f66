"""AlphaESS batteries: the clear-text protocol of port 7777.

    frame = Frame.parse(data)            # the envelope, CRC verified
    message = Message.parse(frame)       # what it says: name, fields, readings, problems
    answer = reply(frame).build()        # what the cloud would answer

`StreamDecoder(FRAMING)` (from `inverterproto`) finds frames in a stream; `BatteryClock` dates the
records of a battery, whose clock is wrong; `FIELDS` is the table of all known keys.
`CloudSession`, `BatterySession` and `Watcher` hold conversations (see `inverterproto.session`).
"""

from typing import TYPE_CHECKING

from inverterproto.lazy import exports

if TYPE_CHECKING:
    from inverterproto.alphaess.clock import BatteryClock, format_stamp, parse_stamp
    from inverterproto.alphaess.commands import (
        acknowledge,
        keep_alive,
        login,
        reply,
        request_configuration,
        resume,
        set_config,
        sync_time,
    )
    from inverterproto.alphaess.fields import FIELDS, Field
    from inverterproto.alphaess.frame import FRAMING, AlphaFraming, Frame
    from inverterproto.alphaess.messages import Message, build, build_payload
    from inverterproto.alphaess.session import (
        Battery,
        BatterySession,
        BatteryState,
        CloudSession,
        Watcher,
    )

_HOMES = {
    "AlphaFraming": "frame",
    "Battery": "session",
    "BatteryClock": "clock",
    "BatterySession": "session",
    "BatteryState": "session",
    "CloudSession": "session",
    "FIELDS": "fields",
    "FRAMING": "frame",
    "Field": "fields",
    "Frame": "frame",
    "Message": "messages",
    "Watcher": "session",
    "acknowledge": "commands",
    "build": "messages",
    "build_payload": "messages",
    "format_stamp": "clock",
    "keep_alive": "commands",
    "login": "commands",
    "parse_stamp": "clock",
    "reply": "commands",
    "request_configuration": "commands",
    "resume": "commands",
    "set_config": "commands",
    "sync_time": "commands",
}

__all__ = [
    "FIELDS",
    "FRAMING",
    "AlphaFraming",
    "Battery",
    "BatteryClock",
    "BatterySession",
    "BatteryState",
    "CloudSession",
    "Field",
    "Frame",
    "Message",
    "Watcher",
    "acknowledge",
    "build",
    "build_payload",
    "format_stamp",
    "keep_alive",
    "login",
    "parse_stamp",
    "reply",
    "request_configuration",
    "resume",
    "set_config",
    "sync_time",
]

__getattr__, __dir__ = exports(__name__, _HOMES)
