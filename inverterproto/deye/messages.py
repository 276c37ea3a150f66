"""What V5 frames say: every message typed, in both directions, and built from values.

How data passes through
-----------------------
`Message.parse(frame)` looks the message type (the high byte of the control code) up in `TYPES`;
that row names the message, tells who sends it, and chooses the layout for the payload at hand:
data by its sensor type, wifi by its sub-id. Fields are taken apart when first asked for. The
bodies of commands and of their replies are no fixed layout: see `bodies.py`.

What is not known is kept: an unknown type has its payload as `unknown_0`, an unknown sensor type
its head and the rest, a body that does not fit its kind stays bytes and is a problem.

`records` turns what was measured into the vocabulary's quantities (see `measure.py`); building
goes the other way: `build_payload` from fields, `reply` and the command functions from nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from inverterproto.deye import bodies, payloads
from inverterproto.deye.bodies import BODIES, COMMAND, COMMAND_REPLY, INTERIM_REPLY, Body
from inverterproto.deye.dating import LoggerDating, Stamp
from inverterproto.deye.frame import PAYLOAD_AT, Frame
from inverterproto.deye.layouts import layout_of, sensor_types
from inverterproto.deye.layouts.head import HEAD_ONLY
from inverterproto.errors import FieldError, ProtocolError
from inverterproto.layout import Layout, Row
from inverterproto.private import Private
from inverterproto.reading import Dated, Reading, Record

if TYPE_CHECKING:
    from inverterproto.deye.measure import Measured

DEVICE = "device"
CLOUD = "cloud"

HANDSHAKE, DATA, WIFI, HEARTBEAT, REPORT = 0x41, 0x42, 0x43, 0x47, 0x48
REPLY_STEP = 0x30
"""A reply's message type is its request's minus this (sources: H, P, T)."""
CONTROL_LOW = 0x10
"""The low byte of the control code in every known frame."""

HISTORIC = 0x80
"""This bit of a data message's frame type: the record was kept and sent later (source: H)."""

Fields = dict[str, Any]


class MessageType(NamedTuple):
    """What is known of a message type.

    Attributes:
        name: the message's name.
        sender: `"device"`, `"cloud"`, or None where that is not known.
        layout: chooses the layout for a payload.
    """

    name: str
    sender: str | None
    layout: Callable[[bytes], Layout]


def _data_layout(payload: bytes) -> Layout:
    if len(payload) < 3:
        return HEAD_ONLY
    return layout_of(payload[1] | payload[2] << 8) or HEAD_ONLY


def _wifi_layout(payload: bytes) -> Layout:
    sub_id = payload[13] if len(payload) > 13 else -1
    return payloads.WIFI_FORMS.get(sub_id, payloads.WIFI)


def _always(layout: Layout) -> Callable[[bytes], Layout]:
    return lambda _payload: layout


_REQUESTS = {
    HANDSHAKE: MessageType("handshake", DEVICE, _always(payloads.HANDSHAKE)),
    DATA: MessageType("data", DEVICE, _data_layout),
    WIFI: MessageType("wifi", DEVICE, _wifi_layout),
    HEARTBEAT: MessageType("heartbeat", DEVICE, _always(payloads.HEARTBEAT)),
    REPORT: MessageType("report", DEVICE, _always(payloads.REPORT)),
}

TYPES: dict[int, MessageType] = {
    **_REQUESTS,
    **{
        code - REPLY_STEP: MessageType(f"{entry.name}_reply", CLOUD, _always(payloads.CLOUD_REPLY))
        for code, entry in _REQUESTS.items()
    },
    COMMAND: MessageType("command", CLOUD, _always(payloads.COMMAND)),
    COMMAND_REPLY: MessageType("command_reply", DEVICE, _always(payloads.COMMAND_REPLY)),
    INTERIM_REPLY: MessageType("interim_reply", DEVICE, _always(payloads.INTERIM_REPLY)),
}
"""Every known message type by the high byte of the control code."""

_UNKNOWN = MessageType("unknown", None, _always(payloads.UNKNOWN))


def device_of(inverter_serial: object, logger: str) -> str:
    """Return the serial of what measured: the inverter's where it is one, else the logger's."""
    text = inverter_serial if isinstance(inverter_serial, str) else ""
    return text if text and text.isascii() and text.isprintable() else logger


def is_request(message_type: int) -> bool:
    """Return whether a device frame of this type, known or not, expects a reply (0x4x but 0x45)."""
    return message_type & 0xF0 == HANDSHAKE & 0xF0 and message_type != COMMAND


class Message:
    """What a frame says.

    Attributes:
        frame: the frame.
        type: what is known of its message type.
        layout: the layout of its payload (of commands and their replies: without the body).
    """

    # What is derived is kept in slots: functools.cached_property takes a lock, which would cost
    # more than the rest of a message.
    __slots__ = ("_by_confidence", "_fields", "_odd", "_problems", "frame", "layout", "type")

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.type = TYPES.get(frame.control_code >> 8, _UNKNOWN)
        self.layout = self.type.layout(frame.payload)
        self._fields: Fields | None = None
        self._odd: tuple[str, ...] = ()
        self._problems: tuple[str, ...] | None = None
        self._by_confidence: dict[str, Measured] | None = None

    @classmethod
    def parse(cls, frame: Frame) -> "Message":
        """Return what `frame` says. Never fails: what is not understood stays bytes."""
        return cls(frame)

    def __repr__(self) -> str:
        return f"Message({self.name}, logger {self.device}, {len(self.frame.payload)} bytes)"

    @property
    def name(self) -> str:
        """The message's name: `data`, `handshake`, `data_reply`, …, or `unknown`."""
        return self.type.name

    @property
    def sender(self) -> str | None:
        """`"device"` or `"cloud"`, or None where the type does not tell."""
        return self.type.sender

    @property
    def device(self) -> str:
        """The logger's serial: the device as the envelope tells it."""
        return str(self.frame.logger_serial)

    @property
    def fields(self) -> Fields:
        """The payload's fields by name, in engineering units and the device's own signs."""
        fields = self._fields
        if fields is None:
            frame = self.frame
            if frame.control_code >> 8 in BODIES:
                fields = self._take_apart()
            else:
                fields = self.layout.parse(frame.payload)
            self._fields = fields
        return fields

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong or doubtful, though it could be read."""
        if self._problems is None:
            self._problems = self.find_problems()
        return self._problems

    def find_problems(self, confidence: str = "B") -> tuple[str, ...]:
        """Return the problems if fields of a lesser confidence are to be published too."""
        measured = self.measured(confidence).problems
        problems = list(self._odd)
        status = self.fields.get("status", 1)
        if status != 1 and self.frame.message_type in (COMMAND_REPLY, INTERIM_REPLY):
            problems.append(f"status {status:#04x}: the logger did not carry the command out")
        if self.frame.message_type == DATA and len(self.frame.payload) >= 3:
            if self.layout is HEAD_ONLY:
                sensor_type = self.fields["sensor_type"]
                problems.append(f"sensor type {sensor_type:#06x} is not known")
            elif not self.layout.checked:
                problems.append(f"layout {self.layout.name} not checked on real bytes")
        return (*problems, *measured)

    def measured(self, confidence: str = "B") -> "Measured":
        """Return the quantities that the fields measure, and what was wrong with some."""
        from inverterproto.deye.measure import measure

        if self._by_confidence is None:
            self._by_confidence = {}
        measured = self._by_confidence.get(confidence)
        if measured is None:
            measured = measure(self.layout, self.fields, confidence)
            self._by_confidence[confidence] = measured
        return measured

    def _take_apart(self) -> Fields:
        """Return the fields, and note what is odd about the body."""
        payload = self.frame.payload
        bodies = BODIES.get(self.frame.control_code >> 8)
        if bodies is None or len(payload) <= self.layout.size:
            return self.layout.parse(payload)
        start = self.layout.size
        fields: Fields = self.layout.parse(payload[:start])
        body = bodies.get(payload[0])
        raw = payload[start:]
        if body is None:
            fields[f"unknown_{start}"] = raw
            self._odd = (f"frame type {payload[0]:#04x} is not known in a {self.name}",)
            return fields
        try:
            fields[body.key], self._odd = body.parse(raw)
        except ProtocolError as error:
            fields[f"unknown_{start}"] = raw
            self._odd = (f"body of the command: {error.moved(PAYLOAD_AT + start)}",)
        return fields

    def rows(self, raw: bytes) -> Iterator[Row]:
        """Yield every field of the frame whose bytes are `raw`, envelope and all, in order."""
        yield from payloads.HEADER.rows(raw[:PAYLOAD_AT])
        content, start = raw[PAYLOAD_AT:-2], self.layout.size
        if self.frame.message_type not in BODIES or len(content) <= start:
            yield from self.layout.rows(content, PAYLOAD_AT)
        else:
            yield from self.layout.rows(content[:start], PAYLOAD_AT)
            name, value = list(self.fields.items())[-1]
            body = bodies.body_field(name, start, len(content) - start)
            yield Row(PAYLOAD_AT + start, content[start:], body, value)
        yield from payloads.TRAILER.rows(raw[-2:], len(raw) - 2)

    @property
    def stamp(self) -> Stamp | None:
        """The logger's three times, where the message tells them whole and is the logger's."""
        fields = self.fields
        if self.sender != DEVICE or "offset_time" not in fields:
            return None
        return Stamp(fields["total_working_time"], fields["power_on_time"], fields["offset_time"])

    def records(self, confidence: str = "B") -> list[Record]:
        """Return what was measured: no record or one.

        The device is the inverter where the payload names it, else the logger. A handshake or wifi
        message tells the logger's signal strength, and so measures the logger.

        Args:
            confidence: the least confidence of the fields to take, `"A"`, `"B"` or `"C"`.
        """
        measured = self.measured(confidence)
        if not measured.values or self.sender != DEVICE:
            return []
        data = self.name == "data"
        serial = self.fields.get("inverter_serial") if data else None
        return [
            Record(
                family="deye",
                device=device_of(serial, self.device),
                stamp=self.stamp,
                historic=data and self.fields["frame_type"] & HISTORIC != 0,
                values=measured.values,
                kind=self.name,
                via=self.device,
            )
        ]

    def readings(self, confidence: str = "B") -> list[Reading]:
        """Return the records dated by what this frame alone tells.

        Who has more frames of the same logger dates better: see `deye.dating.LoggerDating`.
        """
        return [record.dated(self._own_date()) for record in self.records(confidence)]

    def _own_date(self) -> Dated:
        stamp = cast("Stamp", self.stamp)  # what measures something has one
        dating = LoggerDating()
        dated = dating.see(None, stamp, historic=False, arrival=None) or dating.finish()
        return dated[0]

    def replace(self, fields: Mapping[str, Any]) -> Frame:
        """Return the frame with some fields changed; all other bytes stay as they are.

        Raises:
            FieldError: a field is not in this message, or cannot carry its value.
        """
        payload = build_payload(self.frame.message_type, fields, self.frame.payload)
        return Frame(
            self.frame.control_code, self.frame.sequence, self.frame.logger_serial, payload
        )


def build_payload(message_type: int, fields: Mapping[str, Any], onto: bytes | None = None) -> bytes:
    """Return the payload of a message of some type from its fields.

    Args:
        message_type: the high byte of the control code.
        fields: values by name, as `Message.fields` has them. Fields that are not named are zero.
        onto: the payload to change instead of beginning with nothing.

    Raises:
        FieldError: a field is not in this message, or cannot carry its value.
    """
    if onto is None:
        layout = layout_for(message_type, fields)
    else:
        layout = TYPES.get(message_type, _UNKNOWN).layout(onto)
    bodies = BODIES.get(message_type)
    if bodies is None:
        return layout.build(fields, onto)
    start = layout.size
    keys = {body.key for body in bodies.values()}
    head = layout.build(
        {name: value for name, value in fields.items() if name not in keys},
        None if onto is None else onto[:start],
    )
    if f"unknown_{start}" in fields:
        return head
    kind = bodies.get(head[0]) if head else None
    for key in keys & fields.keys():
        if kind is None or kind.key != key:
            raise FieldError(
                key, "not in a command of this frame type", expected=kind and kind.key, found=key
            )
    old = b"" if onto is None else onto[start:]
    if kind is None or kind.key not in fields:
        return head + old
    return head.ljust(start, b"\0") + _build_body(kind, fields[kind.key], old)


def _build_body(kind: Body, value: object, old: bytes) -> bytes:
    """Return the body for a value; the old one if it says just that."""
    try:
        if old and kind.parse(old)[0] == value:
            return old
    except ProtocolError:
        pass  # the old body said nothing: it is replaced
    return kind.build(value)


def layout_for(message_type: int, fields: Mapping[str, Any]) -> Layout:
    """Return the layout of a message of some type that has these fields.

    Raises:
        FieldError: a field that chooses the layout cannot carry its value.
    """
    if message_type == DATA:
        names, head = ("sensor_type",), HEAD_ONLY
    else:
        names, head = ("sub_id",), payloads.WIFI
    chosen = head.build({name: fields[name] for name in names if name in fields})
    return TYPES.get(message_type, _UNKNOWN).layout(chosen)


def private_fields() -> dict[str, Private]:
    """Return every private field of every message by name, with the kind of secret it holds."""
    layouts = [*payloads.ALL, *(layout for layout in map(layout_of, sensor_types()) if layout)]
    return {
        field.name: field.private
        for layout in layouts
        for field in layout.fields
        if field.private is not None
    }
