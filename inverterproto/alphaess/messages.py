"""What AlphaESS frames say: every message typed, in both directions, and built from values.

How data passes through
-----------------------
`Message.parse(frame)` looks direction and command up in `TYPES`, which names the message and tells
who sends it. Nothing else happens until it is asked for: `fields` reads the payload (see
`payloads.py`: JSON, a table, or what is neither), `records` turns its keys into the vocabulary's
quantities (`measure.py`), `typed` is a status's fast way (`typed.py`), `rows` puts each value in
its place in the frame, for people (`rows.py`).

`build_payload` and `Message.replace` go the other way; ready-made replies and commands are in
`commands.py`.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache, cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from inverterproto.alphaess import payloads
from inverterproto.alphaess.clock import parse_stamp
from inverterproto.alphaess.fields import (
    CLOUD_CONFIGURATION,
    CONFIGURATION,
    EVENT_LOG,
    RECORD,
    STATUS,
    STORED,
)
from inverterproto.alphaess.frame import REPLY, REQUEST, VERSION, Frame, header_fields
from inverterproto.alphaess.measure import Measured, measure
from inverterproto.alphaess.payloads import Content, Form
from inverterproto.alphaess.table import COLUMNS, ROWS, row_fields
from inverterproto.errors import FieldError
from inverterproto.reading import Dated, Reading, Record, TimeSource

if TYPE_CHECKING:
    from types import ModuleType

    from inverterproto.layout import Row

DEVICE = "device"
CLOUD = "cloud"

KEEP_ALIVE, LOGIN, CONFIGURE, OWN_CONFIGURATION = 0, 2, 3, 4
FULL_RECORD, COMMAND, EVENTS, STORED_RECORDS, LIVE_STATUS = 5, 8, 9, 12, 16
"""The known commands, the third byte of a frame (sources: V, D)."""

_new = object.__new__

MOST_PROBLEMS = 20
"""Of more problems in one message the number is told."""

_LONGEST_SERIAL = 64


class MessageType(NamedTuple):
    """What is known of a kind of message.

    Attributes:
        name: the message's name.
        sender: `"device"`, `"cloud"`, or None where that is not known.
    """

    name: str
    sender: str | None


_FROM_DEVICE = {
    KEEP_ALIVE: "keep_alive",
    LOGIN: "login",
    CONFIGURE: "configuration_request",
    OWN_CONFIGURATION: CONFIGURATION,
    FULL_RECORD: RECORD,
    EVENTS: EVENT_LOG,
    STORED_RECORDS: STORED,
    LIVE_STATUS: STATUS,
}

TYPES: dict[tuple[int, int], MessageType] = {
    **{(REQUEST, code): MessageType(name, DEVICE) for code, name in _FROM_DEVICE.items()},
    **{(REPLY, code): MessageType(f"{name}_reply", CLOUD) for code, name in _FROM_DEVICE.items()},
    (REPLY, CONFIGURE): MessageType(CLOUD_CONFIGURATION, CLOUD),
    (REQUEST, COMMAND): MessageType("command", CLOUD),
    (REPLY, COMMAND): MessageType("command_reply", DEVICE),
}
"""Every known kind of message by direction and command."""

_UNKNOWN = MessageType("unknown", None)

_KINDS = {STATUS: "status", RECORD: "record", STORED: "stored", CONFIGURATION: "configuration"}
"""The messages that measure something, and the kind of their records."""


@cache
def _typed_module() -> "ModuleType":
    """Return `typed.py`, imported when first needed: msgspec is dear to import."""
    return import_module("inverterproto.alphaess.typed")


def type_of(frame: Frame) -> MessageType:
    """Return what is known of a frame's kind.

    V wrote the head of a Resume command down as 1, 2, 9: such a frame is a command by its payload.
    """
    found = TYPES.get((frame.direction, frame.command), _UNKNOWN)
    if found.name == "event_log_reply" and b'"Command"' in frame.payload:
        return TYPES[REQUEST, COMMAND]
    return found


def code_of(name: str) -> tuple[int, int]:
    """Return direction and command of a message by its name.

    Raises:
        FieldError: there is no message of this name.
    """
    for code, entry in TYPES.items():
        if entry.name == name:
            return code
    known = ", ".join(entry.name for entry in TYPES.values())
    raise FieldError("name", "no known message", expected=known, found=name)


class Message:
    """What a frame says.

    Attributes:
        frame: the frame.
    """

    _typed: Any = ...  # not asked for yet

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    @classmethod
    def parse(cls, frame: Frame) -> "Message":
        """Return what `frame` says. Never fails: what is not understood is kept as it is."""
        message = _new(cls)
        message.frame = frame
        return message

    def __repr__(self) -> str:
        return f"Message({self.name}, {len(self.frame.payload)} bytes)"

    @cached_property
    def type(self) -> MessageType:
        """What is known of its kind."""
        return type_of(self.frame)

    @property
    def name(self) -> str:
        """The message's name: `status`, `record`, `status_reply`, …, or `unknown`."""
        return self.type.name

    @property
    def sender(self) -> str | None:
        """`"device"` or `"cloud"`, or None where the kind does not tell."""
        return self.type.sender

    @property
    def header(self) -> dict[str, Any]:
        """The envelope by field names."""
        return header_fields(self.frame.build())

    @property
    def device(self) -> str | None:
        """The battery's serial where the payload names it, else None."""
        if self._typed not in (None, ...):
            return _serial(self._typed.SN)
        if self._content.form is Form.TABLE:
            return next((row for row in map(_serial_of, self._table_rows) if row), None)
        return _serial_of(self.fields)

    @property
    def typed(self) -> Any:  # noqa: ANN401 - typed.Status, whose attributes the table declares
        """A status as a `typed.Status`; None for any other message, or one out of the ordinary."""
        typed = self._typed
        if typed is ...:
            typed = self._typed = _typed_module().decode(self.frame)
        return typed

    @property
    def fields(self) -> dict[str, Any]:
        """The payload by its keys, in its order; numbers and bools typed, signs the device's own.

        A repeated key is `Generator#2`, …. A table has `columns` and `rows`; a payload that is
        neither JSON nor a table is `text`, or `raw` in hexadecimal. An event log also has what
        its text says: `events`, `restart_reason`, `mac`.
        """
        return self._content.fields

    @cached_property
    def _content(self) -> Content:
        return payloads.read(self.name, self.frame.payload)

    @cached_property
    def _table_rows(self) -> list[dict[str, Any]]:
        """The rows of a table by their columns."""
        columns = self.fields[COLUMNS]
        return [row_fields(columns, row) for row in self.fields[ROWS]]

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """What is wrong or doubtful, though it could be read."""
        found = list(self._content.problems)
        for where, fields, measured in self._measured("C"):
            found += [f"{where}{problem}" for problem in measured.problems]
            if measured.values and self.name != CONFIGURATION and _stamp_of(fields) is None:
                found.append(f"{where}Time: no date that can be read")
        if len(found) > MOST_PROBLEMS:
            found[MOST_PROBLEMS:] = [f"and {len(found) - MOST_PROBLEMS} more problems"]
        return tuple(found)

    @property
    def stamp(self) -> float | None:
        """The time of a status or record by the battery's clock, as `clock.parse_stamp` has it."""
        return _stamp_of(self.fields) if self.name in (STATUS, RECORD) else None

    def records(self, confidence: str = "B") -> list[Record]:
        """Return what was measured: no record, one, or one for each row of stored records.

        Args:
            confidence: the least confidence of the keys to take, `"A"`, `"B"` or `"C"`.
        """
        kind = _KINDS.get(self.name, "")
        return [
            Record(
                family="alphaess",
                device=_serial_of(fields),
                stamp=None if kind == CONFIGURATION else _stamp_of(fields),
                historic=kind == "stored",
                values=measured.values,
                kind=kind,
            )
            for _, fields, measured in self._measured(confidence)
            if measured.values
        ]

    def _measured(self, confidence: str) -> Iterator[tuple[str, dict[str, Any], Measured]]:
        """Yield for each record where it stands, its fields, and what they measure."""
        if self.name not in _KINDS:
            return
        if self._content.form is Form.TABLE:
            for number, fields in enumerate(self._table_rows, 1):
                yield f"row {number}: ", fields, measure(fields, confidence)
        else:
            yield "", self.fields, measure(self.fields, confidence)

    def readings(self, confidence: str = "B") -> list[Reading]:
        """Return the records; their times are unknown.

        How far a battery's clock is off, one message does not tell: see `clock.BatteryClock`.
        """
        undated = Dated(None, None, TimeSource.UNKNOWN)
        return [record.dated(undated) for record in self.records(confidence)]

    def rows(self, raw: bytes) -> "Iterator[Row]":
        """Yield every value of the frame whose bytes are `raw`, envelope and all, in order.

        Between them stand the keys and the punctuation of JSON or CSV.
        """
        from inverterproto.alphaess.rows import rows

        return rows(raw, self._content)

    def replace(self, changes: Mapping[str, Any], remove: Iterable[str] = ()) -> Frame:
        """Return the frame with some fields changed; all other bytes stay as they are.

        Args:
            changes: values by name; a name that was not there is added.
            remove: names of the fields to leave out.

        Raises:
            FieldError: a value cannot be written.
        """
        content = self._content
        gone = {*remove, *content.derived}
        kept = {name: value for name, value in content.fields.items() if name not in gone}
        frame = self.frame
        payload = build_payload(
            frame.direction, frame.command, {**kept, **changes}, onto=frame.payload
        )
        return Frame(frame.version, frame.direction, frame.command, payload)


def build_payload(
    direction: int, command: int, fields: Mapping[str, Any], onto: bytes | None = None
) -> bytes:
    """Return the payload of a message that says `fields`.

    Args:
        direction: 1 or 2.
        command: the third byte of the frame.
        fields: all that it shall say, as `Message.fields` has it.
        onto: the payload to change instead of beginning with nothing: what it says already keeps
            its bytes, what `fields` lacks is left out of it.

    Raises:
        FieldError: a value cannot be written.
    """
    frame = Frame(VERSION, direction, command, onto or b"")
    found = type_of(frame)
    return payloads.build(found.name, fields, onto, from_cloud=found.sender == CLOUD)


def build(name: str, fields: Mapping[str, Any]) -> Frame:
    """Return the frame of the message of some name that says `fields`.

    Raises:
        FieldError: the name is not known, or a value cannot be written.
    """
    direction, command = code_of(name)
    return Frame(VERSION, direction, command, build_payload(direction, command, fields))


def _serial(value: object) -> str | None:
    """Return a serial that can be one, else None."""
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_SERIAL:
        return None
    return value if value.isascii() and value.isprintable() else None


def _serial_of(fields: Mapping[str, Any]) -> str | None:
    """Return the battery's serial; in a login it is the user's name."""
    return _serial(fields.get("SN", fields.get("UserName")))


def _stamp_of(fields: Mapping[str, Any]) -> float | None:
    """Return a record's time by the battery's clock; a table has the date apart."""
    date, time = fields.get("Date"), fields.get("Time")
    return parse_stamp(time if date is None else f"{date} {time}")
