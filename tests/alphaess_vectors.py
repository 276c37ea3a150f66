"""Frames of a battery and of its cloud, real ones and such as are made for a test."""

from typing import Any

from inverterproto.alphaess.clock import format_stamp
from inverterproto.alphaess.frame import FRAMING, Frame
from inverterproto.alphaess.messages import Message
from inverterproto.alphaess.state import BatteryState
from inverterproto.stream import Framed, Item, StreamDecoder
from tests.vectors import fixtures

RAW = fixtures("alphaess")
SN = "AL2002000001234"
"""The battery of the fixtures."""
START = 1_616_540_400.0
"""Unix time; the battery of the fixtures is 11 hours ahead, and shows 2021/03/24 10:00:00."""
OFFSET = 39_600.0
CONFIGURATION = RAW["config-from-cloud"][7:-2]


def framed(raw: bytes) -> Framed:
    """Return the item of a frame."""
    return Framed(0, raw, FRAMING)


def items(data: bytes) -> list[Item]:
    """Return what a decoder finds in some bytes."""
    decoder = StreamDecoder(FRAMING)
    return [*decoder.feed(data), *decoder.flush()]


def raw_frame(direction: int, command: int, payload: bytes = b"") -> bytes:
    return Frame(1, direction, command, payload).build()


def changed(name: str, **changes: Any) -> bytes:  # noqa: ANN401 - any field
    """Return a fixture's frame with some fields changed."""
    return Message.parse(Frame.parse(RAW[name])).replace(changes).build()


def status(shown: float, serial: str = SN) -> bytes:
    """Return a status that shows a time by the battery's clock."""
    return changed("status-1", Time=format_stamp(shown), SN=serial)


class Memory(dict[str, BatteryState]):
    """The states of all batteries, as a program keeps them."""

    def __call__(self, serial: str) -> BatteryState:
        return self.setdefault(serial, BatteryState())
