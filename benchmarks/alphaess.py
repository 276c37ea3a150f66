"""The battery's real status frame: bytes → CRC verified → typed numbers."""

from collections.abc import Iterator

from benchmarks import peers
from benchmarks.frames import status
from benchmarks.measure import Effort, Line, at_least, at_most, compare, timer
from inverterproto.alphaess.frame import Frame
from inverterproto.alphaess.messages import Message

TITLE = "AlphaESS: the status frame (276 bytes) to typed numbers"

OURS = "ours: Message.parse(Frame.parse(raw)).fields"
CRCCHECK = "crccheck, json, float()"
MSGSPEC = "msgspec typed struct, fastcrc"
FRAME = "ours: Frame.parse(raw)"
BUILD = "ours: Frame.build()"


def run(effort: Effort) -> Iterator[Line]:
    """Yield the lines of this group."""
    raw = status()
    frame = Frame.parse(raw)
    fields = Message.parse(frame).fields
    struct = peers.msgspec_status(raw)
    typed = {name: getattr(struct, name) for name in struct.__struct_fields__}
    if not fields == peers.crccheck_status(raw) == typed:
        raise AssertionError(f"not the same values: {fields}, {typed}")

    samples = compare(
        {
            OURS: timer(lambda: Message.parse(Frame.parse(raw)).fields),
            CRCCHECK: timer(lambda: peers.crccheck_status(raw)),
            MSGSPEC: timer(lambda: peers.msgspec_status(raw)),
            FRAME: timer(lambda: Frame.parse(raw)),
            BUILD: timer(frame.build),
        },
        effort,
    )
    yield samples.line(OURS, OURS)
    yield samples.line(CRCCHECK, OURS, at_least(60))
    yield samples.line(MSGSPEC, OURS, at_most(2.5))
    yield samples.line(FRAME, FRAME)
    yield samples.line(BUILD, BUILD)
