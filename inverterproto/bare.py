"""What bytes without a frame around them say: a payload whose kind is told, Modbus RTU messages.

They take the place of `Decoded` frames wherever such are shown. A payload is put into a frame of
nobody, so that what frames say stands in one place; what that frame adds is left out again.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from inverterproto.decoding import Decoded, plain
from inverterproto.families import FAMILIES, Family, Message, modbus_parts
from inverterproto.reading import Reading, Record
from inverterproto.stream import Reason, Unframed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inverterproto.layout import Row

MODBUS = Family("modbus", "Modbus RTU", 502, 0)
"""What Modbus messages are of, where no other family's frames are around them."""


class PayloadMessage:
    """What a payload says, without what its frame of nobody adds.

    Args:
        family: its family.
        kind: what it is, by one of the family's `payload_kinds`.
        payload: the bytes.
    """

    device: str | None = None

    def __init__(self, family: Family, kind: str, payload: bytes) -> None:
        inner, frame, self.doubts, self.expected_size = family.message_of_payload(kind, payload)
        self.inner = inner
        self.kind = f"{family.name}:{kind}"
        self.framed: bytes = frame.build()
        self._start = len(self.framed) - len(payload) - 2
        self.name = inner.name
        self.sender = inner.sender
        self.fields = inner.fields

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, though it could be read."""
        return self.find_problems()

    def find_problems(self, confidence: str = "B") -> tuple[str, ...]:
        """Return the problems if fields of a lesser confidence are to be published too."""
        return (*self.doubts, *self.inner.find_problems(confidence))

    def unframed(self, framed: bytes) -> bytes:
        """Return the payload of a frame that is this one, edited."""
        return framed[self._start : -2]

    def rows(self, raw: bytes) -> "Iterator[Row]":
        """Yield every field of the payload `raw`, in order."""
        end = self._start + len(raw)
        for row in self.inner.rows(self.framed):
            if self._start <= row.offset < end:
                yield row._replace(offset=row.offset - self._start)

    def records(self, confidence: str = "B") -> list[Record]:
        """Return what was measured, undated; what only an envelope tells is None."""
        return [_nobodys(record) for record in self.inner.records(confidence)]

    def readings(self, confidence: str = "B") -> list[Reading]:
        """Return what was measured, dated by this payload alone."""
        readings = self.inner.readings(confidence)
        return [
            replace(reading, device=record.device, via=record.via)
            for reading, record in zip(readings, self.records(confidence), strict=True)
        ]


def _nobodys(record: Record) -> Record:
    """Return a record without the serial of the logger of nobody."""
    device = None if record.device == record.via else record.device
    return replace(record, device=device, via=None)


class DecodedBare(Decoded):
    """A payload or a Modbus message with all that it says.

    Args:
        what: `"payload"` or `"modbus"`.
        offset: of its first byte.
        raw: its bytes.
        family: of what it is.
        message: what it says.
        confidence: the least confidence of fields that become readings.
        origin: where it comes from.
    """

    __slots__ = ("what",)

    def __init__(
        self,
        what: str,
        offset: int,
        raw: bytes,
        family: Family,
        message: Message,
        *,
        confidence: str = "B",
        origin: object = None,
    ) -> None:
        super().__init__(Unframed(offset, raw, Reason.JUNK, ""), origin=origin)
        self.what = what
        self.family = family
        self.message = message
        self._confidence = confidence
        self.records = message.records(confidence)
        self._dates = [None] * len(self.records)
        self._waiting = len(self.records)

    def date(self, clock_offset: float | None, now: float | None) -> None:
        """Give its readings their times, as well as it can tell alone."""
        if not self.records:
            return
        assert isinstance(self.message, PayloadMessage)  # noqa: S101 - what measures something
        assert self.family is not None  # noqa: S101 - given
        inner = self.message.inner
        dating = self.family.dating(clock_offset, now)
        keys: list[object] = list(range(len(self.records)))
        dates = dating.see(inner, keys, self.records, None)
        for dated in [*dates, *dating.finish()]:
            self.set_date(cast("int", dated.key), dated)

    def to_json(self) -> dict[str, Any]:
        """Return the object that the JSON contract has for it (see `docs/json.md`)."""
        assert self.message is not None  # noqa: S101 - given
        assert self.family is not None  # noqa: S101 - given
        kind = {"kind": self.message.kind} if isinstance(self.message, PayloadMessage) else {}
        return {
            "type": self.what,
            "offset": self.item.offset,
            "length": len(self.item.raw),
            "family": self.family.name,
            **kind,
            "name": self.message.name,
            "fields": plain(self.message.fields),
            "readings": [reading.to_json() for reading in self.readings],
            "problems": list(self.problems),
            "raw": self.item.raw.hex(),
        }


def decode_payload(
    kind: str,
    payload: bytes,
    *,
    clock_offset: float | None = None,
    confidence: str = "B",
    now: float | None = None,
    origin: object = None,
) -> DecodedBare:
    """Decode a payload without an envelope.

    Args:
        kind: `"0x5408"` (a V5 sensor type), `"deye:0x4110"` (a control code), `"deye:wifi"`,
            `"alphaess:16"`, `"alphaess:status"`: see `Family.payload_kinds`.
        payload: the bytes.
        clock_offset: an AlphaESS battery's clock minus UTC in seconds, where it is known.
        confidence: the least confidence of fields that become readings.
        now: unix time in seconds, where it is known: nothing was measured after it.
        origin: where it comes from.

    Raises:
        FieldError: there is no such kind.
    """
    family, name = family_of_kind(kind)
    message = PayloadMessage(family, name, payload)
    decoded = DecodedBare(
        "payload", 0, payload, family, message, confidence=confidence, origin=origin
    )
    decoded.date(clock_offset, now)
    return decoded


def family_of_kind(kind: str) -> tuple[Family, str]:
    """Return the family that a kind of payload names, V5 where it names none, and the rest."""
    family, colon, name = kind.partition(":")
    if colon and family in FAMILIES:
        return FAMILIES[family], name
    return FAMILIES["deye"], kind


def decode_modbus(data: bytes, *, origin: object = None) -> list[Decoded]:
    """Decode Modbus RTU messages that stand one behind another; nothing is lost."""
    found: list[Decoded] = []
    at = 0
    for part in modbus_parts(data):
        if part.message is None:
            item = Unframed(at, part.raw, Reason.JUNK, part.reason)
            found.append(Decoded(item, origin=origin))
        else:
            found.append(DecodedBare("modbus", at, part.raw, MODBUS, part.message, origin=origin))
        at += len(part.raw)
    return found
