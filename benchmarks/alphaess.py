"""The battery's real status frame: bytes → CRC verified → typed numbers."""

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import peers
from benchmarks.frames import status
from benchmarks.measure import Effort, Line, at_least, at_most, compare, timer
from inverterproto.alphaess.frame import FRAMING, Frame
from inverterproto.alphaess.messages import Message
from inverterproto.alphaess.session import BatteryState, CloudSession
from inverterproto.stream import Framed

TITLE = "AlphaESS: the status frame (276 bytes) to typed numbers"

OURS = "ours: Message.parse(Frame.parse(raw)).typed"
CRCCHECK = "crccheck, json, float()"
MSGSPEC = "msgspec typed struct, fastcrc"
FIELDS = "ours: Message.parse(Frame.parse(raw)).fields"
FRAME = "ours: Frame.parse(raw)"
BUILD = "ours: Frame.build()"
SESSION = "ours: CloudSession.receive: kept, dated, answered"


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
            SESSION: timer(_session(raw)),
        },
        effort,
    )
    yield samples.line(OURS, OURS)
    yield samples.line(CRCCHECK, OURS, at_least(60))
    yield samples.line(MSGSPEC, OURS, at_most(2.5))
    for what in (FIELDS, FRAME, BUILD, SESSION):
        yield samples.line(what, what)


def _session(raw: bytes) -> Callable[[], object]:
    """Return what a server does with a status, on a connection that has sent one before."""
    state = BatteryState()
    session = CloudSession(lambda _serial: state)
    return lambda: session.receive(Framed(0, raw, FRAMING), 1616540512.5)


def _values(struct: Any) -> dict[str, Any]:  # noqa: ANN401 - a msgspec struct
    return {name: getattr(struct, name) for name in struct.__struct_fields__}
