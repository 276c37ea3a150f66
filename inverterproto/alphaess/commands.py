"""Ready-made frames: the replies that each side expects, and the known commands (sources: V, D).

A setting travels in the answer to the battery's configuration request, so a SetConfig command only
makes the battery ask (source: D).
"""

from typing import Any

from inverterproto.alphaess.clock import format_stamp
from inverterproto.alphaess.frame import REPLY, REQUEST, VERSION, Frame
from inverterproto.alphaess.messages import (
    COMMAND,
    KEEP_ALIVE,
    Message,
    build,
    build_payload,
)
from inverterproto.errors import ProtocolError

SUCCESS = "Success"


def reply(request: Frame, **more: Any) -> Frame:  # noqa: ANN401 - any field
    """Return the cloud's reply to a battery's frame: Success, and what else is given.

    Args:
        request: a frame of direction 1, of a known command or not; or a battery's answer to a
            command, which is answered as a keep-alive is (source: D).
        more: further fields; a configuration request is answered with the configuration.

    Raises:
        ProtocolError: the frame is none that the cloud replies to.
        FieldError: a value cannot be written.
    """
    command = request.command
    if (request.direction, command) == (REPLY, COMMAND):
        command = KEEP_ALIVE
    elif request.direction != REQUEST or command == COMMAND:
        expected = f"{REQUEST}, and no command"
        found = f"{request.direction}, command {command}"
        raise ProtocolError("no request of a battery", offset=1, expected=expected, found=found)
    fields = {"Status": SUCCESS, **more}
    return Frame(VERSION, REPLY, command, build_payload(REPLY, command, fields))


def acknowledge(command: Frame, status: str = SUCCESS) -> Frame:
    """Return the battery's answer to a command of the cloud.

    Raises:
        ProtocolError: the frame is no command.
    """
    message = Message.parse(command)
    if message.name != "command":
        raise ProtocolError("no command", offset=1, expected="a command", found=message.name)
    fields = {name: message.fields.get(name, "") for name in ("Command", "CmdIndex")}
    return build("command_reply", {**fields, "Status": status})


def resume(index: int | str, since: float | None = None, minutes: int = 0) -> Frame:
    """Return the command that makes the battery send its stored records.

    Args:
        index: tells the commands apart; the battery's answer bears it.
        since: by the battery's clock, as `clock.parse_stamp` has it; None for the form without
            parameters.
        minutes: so many records from there on, one a minute.
    """
    fields = {"CmdIndex": str(index), "Command": "Resume"}
    if since is not None:
        fields |= {"Parameter1": format_stamp(since), "Parameter2": str(minutes)}
    return build("command", fields)


def set_config(index: int | str) -> Frame:
    """Return the command that makes the battery ask for its configuration."""
    return build("command", {"Command": "SetConfig", "CmdIndex": str(index)})


def sync_time(index: int | str) -> Frame:
    """Return the command that makes the battery set its clock, probably by CheckTime."""
    return build("command", {"Command": "SyncTime", "CmdIndex": str(index)})


def login(serial: str, password: str, company: str = "AlphaESS") -> Frame:
    """Return a battery's login."""
    return build("login", {"UserName": serial, "Password": password, "CompanyName": company})


def keep_alive() -> Frame:
    """Return a battery's keep-alive."""
    return build("keep_alive", {})


def request_configuration(serial: str) -> Frame:
    """Return a battery's request for its configuration."""
    return build("configuration_request", {"SN": serial})
