"""The configuration that a server may send to a battery: the trusted one, and nothing else.

A setting travels in the answer to a battery's configuration request (source: D), so whoever may
choose that answer commands the battery. What is sent is either the *trusted* configuration of that
serial, which the vendor's cloud itself sent or the user approved, or Success with the serial
alone, which batteries were content with for weeks (source: V). It is never made of what the
battery's own configuration says: its keys and types differ, and anybody on the network could say
it.

The trusted configuration is kept as it came, and sent with all its bytes but those of CheckTime,
which is made now, by the household's clock; or left out where nobody knows what time it is, for an
old one would put the battery's clock wrong.
"""

from inverterproto.alphaess.clock import format_stamp
from inverterproto.alphaess.commands import SUCCESS, reply
from inverterproto.alphaess.frame import REPLY, VERSION, Frame
from inverterproto.alphaess.messages import CONFIGURE, Message
from inverterproto.alphaess.payloads import Form
from inverterproto.alphaess.text import scan
from inverterproto.errors import ProtocolError

CHECK_TIME = "CheckTime"


class NoSettingsError(ProtocolError):
    """An answer without settings: that of a server that has none for the battery."""


def check_configuration(payload: bytes, serial: str) -> None:
    """See that a payload can be the configuration of the battery with a serial.

    Raises:
        NoSettingsError: it says Success, and no more.
        ProtocolError: it is none, or another battery's.
    """
    content = Message.parse(_framed(payload)).content
    fields = content.fields
    if content.form is not Form.JSON or content.problems:
        found = ", ".join(content.problems) or "none"
        raise ProtocolError("no configuration", expected="a JSON object", found=found)
    if fields.get("Status") == SUCCESS and fields.keys() <= {"Status", "SN", CHECK_TIME}:
        raise NoSettingsError("no configuration", expected="settings", found="none")
    for name, expected in (("Status", SUCCESS), ("SN", serial)):
        if fields.get(name) != expected or f"{name}#2" in fields:
            found = repr(fields.get(name))[:60]
            raise ProtocolError(
                f"no configuration of this battery: {name}", expected=expected, found=found
            )


def answer_configuration(
    request: Frame, serial: str | None, trusted: bytes | None, local_time: float | None
) -> Frame:
    """Return the answer to a battery's configuration request.

    Args:
        request: the request.
        serial: the battery's.
        trusted: its trusted configuration, if there is one.
        local_time: what a clock in the household shows, as `clock.parse_stamp` has it; None where
            that is not known.
    """
    if trusted is None:
        return reply(request) if serial is None else reply(request, SN=serial)
    message = Message.parse(_framed(trusted))
    times = [name for name in message.fields if name.partition("#")[0] == CHECK_TIME]
    if local_time is None:
        return message.replace({}, remove=times)
    now = format_stamp(local_time).replace("/", "-")
    return message.replace(dict.fromkeys(times or [CHECK_TIME], now))


def settings_of(payload: bytes) -> list[tuple[str, bytes]]:
    """Return the keys of a configuration and the bytes of their values, CheckTime left out.

    Raises:
        ProtocolError: it is no JSON object.
    """
    pairs = scan(payload).pairs
    return [(p.key, payload[p.value_start : p.end]) for p in pairs if p.key != CHECK_TIME]


def _framed(payload: bytes) -> Frame:
    return Frame(VERSION, REPLY, CONFIGURE, payload)
