"""Modbus RTU messages one behind another, without frames around them.

A message is told by function, length and CRC (`modbus.match_rtu`). Requests and replies may have
the same bytes, and a reply to a read does not say which registers it holds: the request before it
tells, where there is one.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from construct import Int8ub, Int16ub

from inverterproto.deye import modbus
from inverterproto.deye.modbus import (
    AnyMessage,
    ExceptionReply,
    Reply,
    Request,
    StickError,
    Unknown,
    match_rtu,
    parse_reply,
    parse_request,
)
from inverterproto.errors import ProtocolError
from inverterproto.layout import Field, Raw, Row
from inverterproto.reading import Reading, Record

_STRAY = 0xFF
_SECOND_CRC = b"\0\0"
_LONGEST = 258  # bytes of a message with both quirks
_QUIRKY = Reply | ExceptionReply
_SOURCE = "P, T"

_NAMES: dict[type, str] = {
    Request: "request",
    Reply: "reply",
    ExceptionReply: "exception",
    StickError: "stick_error",
    Unknown: "unknown",
}


class RtuMessage:
    """A Modbus RTU message, with what all messages have (see `inverterproto.families.Message`).

    Attributes:
        content: the message as `modbus` has it.
        asked: the request that a reply answers, where it was seen.
        both: whether a request and a reply have these bytes.
    """

    sender: str | None = None
    device: str | None = None

    def __init__(
        self, content: AnyMessage, asked: Request | None = None, *, both: bool = False
    ) -> None:
        self.content = content
        self.asked = asked
        self.both = both

    @property
    def name(self) -> str:
        """`request`, `reply`, `exception`, `stick_error` or `unknown`."""
        return _NAMES[type(self.content)]

    @property
    def fields(self) -> dict[str, Any]:
        """What it holds; of a reply the address too, where the request told it."""
        fields = modbus.to_fields(self.content)
        return fields if self.asked is None else {**fields, "address": self.asked.address}

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong or doubtful, though it could be read."""
        return self.find_problems()

    def find_problems(self, confidence: str = "B") -> tuple[str, ...]:
        """Return the problems; there are no readings, so that confidence does not matter."""
        del confidence
        content, found = self.content, list(modbus.problems(self.content))
        if self.both:
            found.append("a reply may have the same bytes")
        if isinstance(content, Reply) and content.address is None and self.asked is None:
            what = "coils" if content.coils else "registers"
            found.append(f"a reply alone does not tell which {what} these are")
        return tuple(found)

    def records(self, confidence: str = "B") -> list[Record]:
        """Return nothing: what registers mean is not known here."""
        del confidence
        return []

    def readings(self, confidence: str = "B") -> list[Reading]:
        """Return nothing: what registers mean is not known here."""
        del confidence
        return []

    def rows(self, raw: bytes) -> Iterator[Row]:
        """Yield every field of the message whose bytes are `raw`, in order."""
        content = self.content
        if isinstance(content, StickError):
            yield _row(raw, 0, len(raw), "stick_error", content.code)
            return
        start = int(getattr(content, "stray_ff", False))
        end = len(raw) - 2 * getattr(content, "doubled_crc", False)
        if start:
            yield _row(raw, 0, 1, "stray_ff", raw[:1])
        function = raw[start + 1]
        known = modbus.FUNCTIONS.get(function & 0x7F)
        meaning = known.name if known else "not known"
        yield _row(raw, start, start + 1, "slave", raw[start])
        yield _row(raw, start + 1, start + 2, "function", function, meaning=meaning)
        yield from self._body(raw, start + 2, end - 2)
        crc = int.from_bytes(raw[end - 2 : end], "little")
        yield _row(raw, end - 2, end, "crc", crc, hexadecimal=True)
        if end < len(raw):
            yield _row(raw, end, len(raw), "doubled_crc", raw[end:])

    def _body(self, raw: bytes, start: int, end: int) -> Iterator[Row]:
        content = self.content
        if isinstance(content, Reply) and content.address is None and content.registers:
            yield _row(raw, start, start + 1, "byte_count", raw[start])
            for number, register in enumerate(content.registers):
                at = start + 1 + 2 * number
                yield _row(raw, at, at + 2, self._register(number), register)
        elif start < end:
            left_out = ("slave", "function", "stray_ff", "doubled_crc")
            said = {name: value for name, value in self.fields.items() if name not in left_out}
            yield _row(raw, start, end, "data", said)

    def _register(self, number: int) -> str:
        return f"register_{number}" if self.asked is None else f"{self.asked.address + number:#06x}"


class Part(NamedTuple):
    """A message, or bytes that are none.

    Attributes:
        raw: the bytes.
        message: what they say, or None.
        reason: why they are no message.
    """

    raw: bytes
    message: RtuMessage | None
    reason: str = ""


def split(data: bytes) -> list[Part]:
    """Return the messages in some bytes and what stands between them; nothing is lost."""
    parts: list[Part] = []
    asked: Request | None = None
    at = start = 0
    while at < len(data):
        size = _size(data, at)
        if not size:
            at += 1
            continue
        if start < at:
            parts.append(_no_message(data[start:at]))
        message = _read(data[at : at + size], asked)
        asked = message.content if isinstance(message.content, Request) else None
        parts.append(Part(data[at : at + size], message))
        start = at = at + size
    if start < len(data):
        parts.append(_no_message(data[start:]))
    return parts


def _size(data: bytes, at: int) -> int:
    """Return the length of the message that begins at some place, quirks included, or 0."""
    stray = int(data[at] == _STRAY)
    size = match_rtu(data, at + stray)
    if size:
        end = at + stray + size
        for stop in (end + 2, end) if data[end : end + 2] == _SECOND_CRC else (end,):
            # Only replies have quirks.
            if stop == at + size or isinstance(_parsed(parse_reply, data[at:stop]), _QUIRKY):
                return stop - at
    # What no function is known of ends where the bytes do.
    rest = data[at:] if len(data) - at <= _LONGEST else b""
    found = _parsed(parse_reply, rest)
    if (isinstance(found, Unknown) and not found.stray_ff) or (
        isinstance(found, StickError) and not at
    ):
        return len(rest)
    return 0


def _parsed(parse: Any, body: bytes) -> AnyMessage | None:  # noqa: ANN401 - one of the two
    try:
        message: AnyMessage = parse(body)
    except ProtocolError:
        return None
    return message


def _read(raw: bytes, asked: Request | None) -> RtuMessage:
    """Return what a message says, by the request before it where that decides."""
    reply, request = parse_reply(raw), _parsed(parse_request, raw)
    fits = asked is not None and isinstance(reply, Reply) and _answers(reply, asked)
    if isinstance(request, Request) and not fits:
        return RtuMessage(request, both=isinstance(reply, Reply))
    known = fits and isinstance(reply, Reply) and reply.address is None
    return RtuMessage(reply, asked if known else None)


def _answers(reply: Reply, asked: Request) -> bool:
    """Return whether a reply is of the length that was asked for."""
    if (reply.slave, reply.function) != (asked.slave, asked.function):
        return False
    if reply.registers and asked.quantity is not None:
        return len(reply.registers) == asked.quantity
    if reply.coils and asked.quantity is not None:
        return len(reply.coils) == (asked.quantity + 7) // 8 * 8
    return reply.address == asked.address


def _no_message(raw: bytes) -> Part:
    """Return bytes that are no message, with the reason."""
    reason = "no Modbus RTU message"
    if len(raw) > 1 and raw[1] & 0x7F in modbus.FUNCTIONS:
        try:
            parse_reply(raw)
        except ProtocolError as error:
            reason = str(error)
    return Part(raw, None, reason)


def _row(
    raw: bytes,
    start: int,
    end: int,
    name: str,
    value: object,
    **more: Any,  # noqa: ANN401 - the rest of Field
) -> Row:
    kind = {1: Int8ub, 2: Int16ub}.get(end - start, Raw(end - start))
    return Row(start, raw[start:end], Field(start, name, kind, source=_SOURCE, **more), value)
