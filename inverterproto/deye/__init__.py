"""Deye and every other maker on a Solarman/IGEN logger stick: the V5 protocol.

    frame = Frame.parse(data)            # the envelope, checksum verified
    message = Message.parse(frame)       # what it says: name, fields, readings, problems
    answer = reply(frame, time).build()  # what the cloud would answer

`StreamDecoder(FRAMING)` (from `inverterproto`) finds frames in a stream; `LoggerDating` dates the
records of a logger that was not told the time; `modbus` has the Modbus RTU messages in commands.
`CloudSession`, `LoggerSession` and `Watcher` hold conversations (see `inverterproto.session`).
"""

from typing import TYPE_CHECKING

from inverterproto.lazy import exports

if TYPE_CHECKING:
    from inverterproto.deye.bodies import (
        AT_KIND,
        COMMAND,
        COMMAND_REPLY,
        INTERIM_REPLY,
        MODBUS_KIND,
        POWER_KIND,
    )
    from inverterproto.deye.commands import command, reply
    from inverterproto.deye.dating import LoggerDating, Stamp
    from inverterproto.deye.frame import FRAMING, Frame, V5Framing
    from inverterproto.deye.layouts import (
        add_layout,
        layout_from_toml,
        layout_of,
        layout_to_toml,
        remove_layout,
    )
    from inverterproto.deye.masking import mask_frame
    from inverterproto.deye.messages import (
        DATA,
        HANDSHAKE,
        HEARTBEAT,
        REPORT,
        WIFI,
        Message,
        build_payload,
        is_request,
    )
    from inverterproto.deye.session import (
        CloudSession,
        CommandResponder,
        LoggerSession,
        LoggerState,
        Stick,
        Watcher,
    )

_HOMES = {
    "AT_KIND": "bodies",
    "COMMAND": "bodies",
    "COMMAND_REPLY": "bodies",
    "CloudSession": "session",
    "CommandResponder": "session",
    "DATA": "messages",
    "FRAMING": "frame",
    "Frame": "frame",
    "HANDSHAKE": "messages",
    "HEARTBEAT": "messages",
    "INTERIM_REPLY": "bodies",
    "LoggerDating": "dating",
    "LoggerSession": "session",
    "LoggerState": "session",
    "MODBUS_KIND": "bodies",
    "Message": "messages",
    "POWER_KIND": "bodies",
    "REPORT": "messages",
    "Stamp": "dating",
    "Stick": "session",
    "V5Framing": "frame",
    "WIFI": "messages",
    "Watcher": "session",
    "add_layout": "layouts",
    "build_payload": "messages",
    "command": "commands",
    "is_request": "messages",
    "layout_from_toml": "layouts",
    "layout_of": "layouts",
    "layout_to_toml": "layouts",
    "remove_layout": "layouts",
    "mask_frame": "masking",
    "reply": "commands",
}

__all__ = [
    "AT_KIND",
    "COMMAND",
    "COMMAND_REPLY",
    "DATA",
    "FRAMING",
    "HANDSHAKE",
    "HEARTBEAT",
    "INTERIM_REPLY",
    "MODBUS_KIND",
    "POWER_KIND",
    "REPORT",
    "WIFI",
    "CloudSession",
    "CommandResponder",
    "Frame",
    "LoggerDating",
    "LoggerSession",
    "LoggerState",
    "Message",
    "Stamp",
    "Stick",
    "V5Framing",
    "Watcher",
    "add_layout",
    "build_payload",
    "command",
    "is_request",
    "layout_from_toml",
    "layout_of",
    "layout_to_toml",
    "mask_frame",
    "remove_layout",
    "reply",
]

__getattr__, __dir__ = exports(__name__, _HOMES)
