"""The battery's real status frame: bytes → CRC verified → typed numbers."""

from collections.abc import Iterator
from typing import Any

from benchmarks import peers
from benchmarks.frames import status
from benchmarks.measure import Effort, Line, at_least, at_most, compare, timer
from inverterproto.alphaess.frame import Frame
from inverterproto.alphaess.messages import Message

TITLE = "AlphaESS: the status frame (276 bytes) to typed numbers"

OURS = "ours: Message.parse(Frame.parse(raw)).typed"
CRCCHECK = "crccheck, json, float()"
MSGSPEC = "msgspec typed struct, fastcrc"
FIELDS = "ours: Message.parse(Frame.parse(raw)).fields"
FRAME = "ours: Frame.parse(raw)"
BUILD = "ours: Frame.build()"


def run(effort: Effort) -> Iterator[Line]:
    """Yield the lines of this group."""
    raw = status()
    frame = Frame.parse(raw)
    message = Message.parse(frame)
    expected = peers.crccheck_status(raw)
    for found in (message.fields, _values(message.typed), _values(peers.msgspec_status(raw))):
        if found != expected:
            raise AssertionError(f"not the same values: {found}, not {expected}")

    samples = compare(
        {
            OURS: timer(lambda: Message.parse(Frame.parse(raw)).typed),
            CRCCHECK: timer(lambda: peers.crccheck_status(raw)),
            MSGSPEC: timer(lambda: peers.msgspec_status(raw)),
            FIELDS: timer(lambda: Message.parse(Frame.parse(raw)).fields),
            FRAME: timer(lambda: Frame.parse(raw)),
            BUILD: timer(frame.build),
        },
        effort,
    )
    yield samples.line(OURS, OURS)
    yield samples.line(CRCCHECK, OURS, at_least(60))
    yield samples.line(MSGSPEC, OURS, at_most(2.5))
    for what in (FIELDS, FRAME, BUILD):
        yield samples.line(what, what)


def _values(struct: Any) -> dict[str, Any]:  # noqa: ANN401 - a msgspec struct
    return {name: getattr(struct, name) for name in struct.__struct_fields__}
