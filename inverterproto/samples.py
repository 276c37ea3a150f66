"""Frames of one kind put together, to be looked at side by side.

Who wants to understand a device holds several of its frames against each other. Of one *kind* are
frames whose payloads are laid out alike: of one family and message name, and of what the family
knows to matter besides (a sensor type, a sub-id, a command).

A frame is kept as its bytes, and taken apart again when it is asked for. What is kept is bounded:
of frames beyond the bound only the number is told.
"""

from collections.abc import Iterator
from typing import NamedTuple

from inverterproto.decoding import Decoded
from inverterproto.families import FAMILIES, Family, Message
from inverterproto.reading import utc_text
from inverterproto.stream import Framed

MOST_FRAMES = 10_000
MOST_BYTES = 16 << 20

_DAY = 86_400


def plausible_dates(now: float | None) -> tuple[str, str]:
    """Return the first and the last that a device's clock may show, as `octets.Clock` has dates.

    Args:
        now: unix time in seconds, where it is known; a clock may be a day ahead of it.
    """
    last = "2099-12-31" if now is None else utc_text(now + _DAY)[:10]
    return "2010-01-01 00:00:00", f"{last} 23:59:59"


class Kind(NamedTuple):
    """What frames are alike in.

    Attributes:
        family: the family's name.
        name: the message's name.
        detail: what else decides about the payload's layout: `0x5408`, `sub-id 0x0C`; or nothing.
    """

    family: str
    name: str
    detail: str = ""

    @property
    def title(self) -> str:
        """The kind in words: `data 0x5408`."""
        return f"{self.name} {self.detail}".rstrip()


class Samples:
    """The frames of one kind, in the order of coming.

    Attributes:
        kind: what they are alike in.
        raws: their bytes.
        start: the offset of the payload in each.
        guessable: whether they measure something by a layout that is not known.
    """

    def __init__(self, kind: Kind, start: int, *, guessable: bool) -> None:
        self.kind = kind
        self.raws: list[bytes] = []
        self.start = start
        self.guessable = guessable

    @property
    def family(self) -> Family:
        """Their family."""
        return FAMILIES[self.kind.family]

    @property
    def payloads(self) -> list[bytes]:
        """Their payloads."""
        return [raw[self.start : -2] for raw in self.raws]

    def message(self, raw: bytes) -> Message:
        """Return what one of the frames says."""
        family = self.family
        return family.message(family.framing.parse(raw, verify=False))

    def values(self, raw: bytes) -> Iterator[tuple[str, object]]:
        """Yield names and values of a payload that is text; of a table's rows one after another."""
        for row in self.message(raw).rows(raw):
            if self.start <= row.offset < len(raw) - 2:
                yield row.field.name, row.value


class Collection:
    """Frames, kind by kind.

    Attributes:
        kinds: the frames of each kind, kinds in the order of coming.
        left_out: how many frames came when there was no more room.
    """

    def __init__(self, most_frames: int = MOST_FRAMES, most_bytes: int = MOST_BYTES) -> None:
        self.kinds: dict[Kind, Samples] = {}
        self.left_out = 0
        self._frames = most_frames
        self._bytes = most_bytes

    def add(self, decoded: Decoded) -> None:
        """Take in an item, if it is a frame."""
        message, item = decoded.message, decoded.item
        if message is None or not isinstance(item, Framed):
            return
        raw, family = item.raw, FAMILIES[item.family]
        if not self._frames or len(raw) > self._bytes:
            self.left_out += 1
            return
        self._frames -= 1
        self._bytes -= len(raw)
        kind = Kind(family.name, message.name, family.detail(message))
        samples = self.kinds.get(kind)
        if samples is None:
            start = len(raw) - 2 - len(item.frame.payload)
            guessable = family.is_guessable(message)
            samples = self.kinds[kind] = Samples(kind, start, guessable=guessable)
        samples.raws.append(raw)
