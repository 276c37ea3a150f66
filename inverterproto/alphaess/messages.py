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
from typing import TYPE_CHECKING, Any, NamedTuple

from inverterproto.alphaess import payloads
from inverterproto.alphaess.clock import parse_stamp
from inverterproto.alphaess.fields import (
    CLOUD_CONFIGURATION,
    CONFIGURATION,
    EVENT_LOG,
    PRIVATE,
    RECORD,
    STATUS,
    STORED,
)
from inverterproto.alphaess.frame import REPLY, REQUEST, VERSION, Frame, header_fields
from inverterproto.alphaess.measure import Measured, measure
from inverterproto.alphaess.payloads import Content, Form
from inverterproto.alphaess.table import COLUMNS, ROWS, row_fields
from inverterproto.errors import FieldError
from inverterproto.private import Private
from inverterproto.reading import Dated, Reading, Record, TimeSource

if TYPE_CHECKING:
    from inverterproto.layout import Row

DEVICE = "device"
CLOUD = "cloud"

KEEP_ALIVE, LOGIN, CONFIGURE, OWN_CONFIGURATION = 0, 2, 3, 4
FULL_RECORD, COMMAND, EVENTS, STORED_RECORDS, LIVE_STATUS = 5, 8, 9, 12, 16
"""The known commands, the third byte of a frame (sources: V, D)."""

MOST_PROBLEMS = 20
"""Of more problems in one message the number is told."""

_LONGEST_SERIAL = 64

Fields = dict[str, Any]


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

KINDS = {STATUS: "status", RECORD: "record", STORED: "stored", CONFIGURATION: "configuration"}
"""The messages that measure something, and the kind of their records."""


def _decode_typed(frame: Frame) -> Any:  # noqa: ANN401 - typed.Status, or None
    """Import `typed.py` (msgspec is dear to import) and let its `decode` take this place."""
    global _decode_typed
    from inverterproto.alphaess.typed import decode as _decode_typed

    return _decode_typed(frame)


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

    # What is derived is kept in slots: functools.cached_property takes a lock, which would cost
    # more than the rest of a message.
    __slots__ = ("_by_confidence", "_content", "_problems", "_type", "_typed", "frame")

    frame: Frame
    _typed: Any
    _type: MessageType
    _content: Content
    _problems: tuple[str, ...]
    _by_confidence: dict[str, list[tuple[Fields, Measured]]]

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._typed = ...  # not asked for yet

    @staticmethod
    def parse(frame: Frame) -> "Message":
        """Return what `frame` says. Never fails: what is not understood is kept as it is."""
        return Message(frame)

    def __repr__(self) -> str:
        return f"Message({self.name}, {len(self.frame.payload)} bytes)"

    @property
    def type(self) -> MessageType:
        """What is known of its kind."""
        try:
            return self._type
        except AttributeError:
            self._type = type_of(self.frame)
            return self._type

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
            return to_serial(self._typed.SN)
        return next(filter(None, map(serial_of, self._records())), None)

    @property
    def typed(self) -> Any:  # noqa: ANN401 - typed.Status, whose attributes the table declares
        """A status as a `typed.Status`; None for any other message, or one out of the ordinary."""
        typed = self._typed
        if typed is ...:
            typed = self._typed = _decode_typed(self.frame)
        return typed

    @property
    def fields(self) -> Fields:
        """The payload by its keys, in its order; numbers and bools typed, signs the device's own.

        A repeated key is `Generator#2`, …. A table has `columns` and `rows`; a payload that is
        neither JSON nor a table is `text`, or `raw` in hexadecimal. An event log also has what
        its text says: `events`, `restart_reason`, `mac`.
        """
        return self.content.fields

    @property
    def content(self) -> Content:
        """The fields, and what is to know of the payload."""
        try:
            return self._content
        except AttributeError:
            self._content = payloads.read(self.name, self.frame.payload)
            return self._content

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong or doubtful, though it could be read."""
        try:
            return self._problems
        except AttributeError:
            self._problems = self.find_problems()
            return self._problems

    def find_problems(self, confidence: str = "B") -> tuple[str, ...]:
        """Return the problems if keys of a lesser confidence are to be published too."""
        found = list(self.content.problems)
        numbered = self.content.form is Form.TABLE
        for number, (fields, measured) in enumerate(self._measured(confidence), 1):
            where = f"row {number}: " if numbered else ""
            found += [f"{where}{problem}" for problem in measured.problems]
            if numbered and fields and not measured.values:
                found.append(f"{where}nothing measured")
            if measured.values and self.name != CONFIGURATION and stamp_of(fields) is None:
                found.append(f"{where}Time: no date that can be read")
        if len(found) > MOST_PROBLEMS:
            found[MOST_PROBLEMS:] = [f"and {len(found) - MOST_PROBLEMS} more problems"]
        return tuple(found)

    @property
    def stamp(self) -> float | None:
        """The time of a status or record by the battery's clock, as `clock.parse_stamp` has it."""
        return stamp_of(self.fields) if self.name in (STATUS, RECORD) else None

    def records(self, confidence: str = "B") -> list[Record]:
        """Return what was measured: no record, one, or one for each row of stored records.

        Args:
            confidence: the least confidence of the keys to take, `"A"`, `"B"` or `"C"`.
        """
        kind = KINDS.get(self.name, "")
        return [
            Record(
                family="alphaess",
                device=serial_of(fields),
                stamp=None if kind == CONFIGURATION else stamp_of(fields),
                historic=kind == "stored",
                values=measured.values,
                kind=kind,
            )
            for fields, measured in self._measured(confidence)
            if measured.values
        ]

    def measuring(self, confidence: str = "B") -> list[tuple[int, Fields]]:
        """Return for each of `records` its number among all rows (from 0) and its fields."""
        measured = enumerate(self._measured(confidence))
        return [(number, fields) for number, (fields, told) in measured if told.values]

    def _measured(self, confidence: str) -> list[tuple[Fields, Measured]]:
        """Return for each record its fields and what they measure."""
        if self.name not in KINDS:
            return []
        try:
            by_confidence = self._by_confidence
        except AttributeError:
            by_confidence = self._by_confidence = {}
        if confidence not in by_confidence:
            by_confidence[confidence] = [(f, measure(f, confidence)) for f in self._records()]
        return by_confidence[confidence]

    def _records(self) -> list[Fields]:
        """Return the fields of each record: all of them, or those of a table's rows."""
        fields = self.fields
        if self.content.form is not Form.TABLE:
            return [fields]
        return [row_fields(fields[COLUMNS], row) for row in fields[ROWS]]

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

        return rows(raw, self.content)

    def replace(self, changes: Mapping[str, Any], remove: Iterable[str] = ()) -> Frame:
        """Return the frame with some fields changed; all other bytes stay as they are.

        Args:
            changes: values by name; a name that was not there is added.
            remove: names of the fields to leave out.

        Raises:
            FieldError: a value cannot be written.
        """
        content = self.content
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


def to_serial(value: object) -> str | None:
    """Return a serial that can be one, else None."""
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_SERIAL:
        return None
    return value if value.isascii() and value.isprintable() else None


def serial_of(fields: Mapping[str, Any]) -> str | None:
    """Return the serial of the battery that fields name; in a login it is the user's name."""
    return to_serial(fields.get("SN", fields.get("UserName")))


def stamp_of(fields: Mapping[str, Any]) -> float | None:
    """Return a record's time by the battery's clock; a table has the date apart."""
    date, time = fields.get("Date"), fields.get("Time")
    return parse_stamp(time if date is None else f"{date} {time}")


def private_fields() -> dict[str, Private]:
    """Return every private key of every message, with the kind of secret it holds."""
    return dict(PRIVATE)
