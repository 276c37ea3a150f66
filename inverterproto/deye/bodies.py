"""The bodies of commands and of their replies.

They are no fixed layout; what a body is goes by message type and frame type (`BODIES`): Modbus RTU,
AT text, or the third kind, which sets the output power (source: T). A filter that knows only the
first two lets the third pass.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from inverterproto.deye import payloads
from inverterproto.errors import FieldError, ProtocolError, within
from inverterproto.field import Field
from inverterproto.octets import Raw, as_bytes
from inverterproto.private import Private

COMMAND, COMMAND_REPLY, INTERIM_REPLY = 0x45, 0x15, 0x05
"""The message types that have a body."""

MODBUS_KIND, AT_KIND, POWER_KIND = 0x02, 0x01, 0x05
"""The three kinds of command, by frame type (sources: P, T)."""
AT_INTERIM_KIND = 0x08


class Body(NamedTuple):
    """One kind of body of a command or of its reply.

    Attributes:
        key: its name in `fields`.
        parse: bytes → value, and lines about what is odd; raises ProtocolError for a misfit.
        build: value → bytes.
        private: the kind of secret that may stand in it, if any.
    """

    key: str
    parse: Callable[[bytes], tuple[Any, tuple[str, ...]]]
    build: Callable[[Any], bytes]
    private: Private | None = None


def _parse_text(body: bytes) -> tuple[str, tuple[str, ...]]:
    return body.decode("latin-1"), ()


def _build_text(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except (UnicodeEncodeError, AttributeError) as error:
        raise FieldError("at", "not text", expected="Latin-1 text", found=repr(text)) from error


# The one command of the third kind that is known: 01 01 06 01 00 01, then u16be in 0.1 W, and no
# CRC (source: T, for sensor type 0x3026; real bytes).
_POWER_PREFIX = bytes.fromhex("010106010001")


def _parse_power(body: bytes) -> tuple[Any, tuple[str, ...]]:
    if len(body) != len(_POWER_PREFIX) + 2 or not body.startswith(_POWER_PREFIX):
        raise ProtocolError(
            "not the known command of the third kind",
            offset=0,
            expected=f"{_POWER_PREFIX.hex(' ')} and 2 bytes",
            found=body.hex(" "),
        )
    return payloads.OUTPUT_POWER_LIMIT.to_value(int.from_bytes(body[-2:], "big")), ()


def _build_power(watts: float) -> bytes:
    return _POWER_PREFIX + payloads.OUTPUT_POWER_LIMIT.to_bytes(watts)


def _parse_modbus(name: str) -> Callable[[bytes], tuple[Any, tuple[str, ...]]]:
    """Return the function that reads a Modbus body by `modbus.parse_request` or `parse_reply`."""

    def parse(body: bytes) -> tuple[Any, tuple[str, ...]]:
        from inverterproto.deye import modbus

        message = getattr(modbus, name)(body)
        return modbus.to_fields(message), modbus.problems(message)

    return parse


def _build_modbus(name: str) -> Callable[[Any], bytes]:
    """Return the function that writes a Modbus body by one of modbus's `…_from_fields`."""

    def build(view: Any) -> bytes:  # noqa: ANN401 - what a user gives
        from inverterproto.deye import modbus

        if isinstance(view, Mapping):
            with within("modbus"):
                view = getattr(modbus, name)(view)
        elif not isinstance(view, modbus.AnyMessage):
            raise FieldError("modbus", "not an object", expected="an object", found=repr(view))
        body: bytes = view.build()
        return body

    return build


def _build_power_reply(value: object) -> bytes:
    try:
        return as_bytes(value)
    except (ValueError, TypeError) as error:
        raise FieldError(
            "output_power_reply", "not bytes", expected="hexadecimal text", found=repr(value)
        ) from error


_TEXT = Body("at", _parse_text, _build_text, Private.TEXT)  # names and keys of networks, too
_MODBUS_REQUEST = Body(
    "modbus", _parse_modbus("parse_request"), _build_modbus("request_from_fields")
)
_MODBUS_REPLY = Body("modbus", _parse_modbus("parse_reply"), _build_modbus("reply_from_fields"))
_POWER = Body("output_power_limit", _parse_power, _build_power)
# The answer to a command of the third kind; 01 01 01 is all that was seen of it (source: T).
_POWER_REPLY = Body("output_power_reply", lambda body: (body, ()), _build_power_reply)

BODIES: dict[int, dict[int, Body]] = {
    COMMAND: {MODBUS_KIND: _MODBUS_REQUEST, AT_KIND: _TEXT, POWER_KIND: _POWER},
    COMMAND_REPLY: {
        MODBUS_KIND: _MODBUS_REPLY,
        AT_KIND: _TEXT,
        AT_INTERIM_KIND: _TEXT,
        POWER_KIND: _POWER_REPLY,
    },
    INTERIM_REPLY: {MODBUS_KIND: _MODBUS_REPLY, AT_KIND: _TEXT, AT_INTERIM_KIND: _TEXT},
}
"""Message type → frame type → what its body is. What is not here stays bytes."""


def body_field(name: str, offset: int, size: int) -> Field:
    """Return the field that a body, by its name in `fields`, is for people."""
    private = _TEXT.private if name == _TEXT.key else None
    return Field(offset, name, Raw(size), private=private, meaning="body of the command")
