"""The frames of captures that a device sent, to be sent again.

What a capture says of who spoke counts; where it says nothing the message type tells. What is no
frame, is the cloud's, or of another family, is left out and counted.
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from inverterproto.deye.bodies import COMMAND
from inverterproto.deye.frame import FRAMING, Frame
from inverterproto.deye.messages import DEVICE, Message, is_request
from inverterproto.families import framings
from inverterproto.stream import Framed, Item, StreamDecoder
from inverterproto_cli.chunk import Chunk, SourceError, Stream
from inverterproto_cli.fakes.serials import SHARE, first_logger
from inverterproto_cli.sources import Listener, Source, read

MOST_BYTES = 64 << 20
"""Of frames that are held to be sent."""
_FIRST_COPY = first_logger(4)  # behind those of the models
_COPIES = SHARE * 9 // 10
"""Serials of copies; of more the first come again: a serial has 32 bits."""


class Captured(NamedTuple):
    """A frame of a capture.

    Attributes:
        raw: its bytes.
        name: of the message.
        at: unix time of its arrival, if the capture tells.
    """

    raw: bytes
    name: str
    at: float | None

    @property
    def wants_reply(self) -> bool:
        """Whether a server answers it."""
        return is_request(self.raw[4])


class Captures:
    """Frames out of captures, in their order.

    Attributes:
        frames: of devices.
        left_out: what else there was, by what it is.
    """

    def __init__(self) -> None:
        self.frames: list[Captured] = []
        self.left_out: Counter[str] = Counter()
        self._size = 0

    def read(self, source: Source, listener: Listener) -> None:
        """Take the frames of a source.

        Raises:
            SourceError: it cannot be read, or holds too much.
        """
        decoders: dict[Stream, StreamDecoder] = {}
        for chunk in read(source, listener):
            if chunk.masked:
                self.left_out["incomplete frames"] += 1
                continue
            decoder = decoders.setdefault(chunk.stream, StreamDecoder(*framings()))
            if chunk.gap is not None:
                self._take(decoder.flush(), chunk)
            self._take(decoder.feed(chunk.data), chunk)
        for (name, connection, sender, _), decoder in decoders.items():
            last = Chunk(name, b"", connection=connection, sender=sender)
            self._take(decoder.flush(), last)

    def _take(self, items: Iterable[Item], chunk: Chunk) -> None:
        for item in items:
            if not isinstance(item, Framed):
                self.left_out["bytes that are no frame"] += len(item.raw)
            elif item.family != FRAMING.family:
                self.left_out[f"frames of {item.family}"] += 1
            elif not _is_of_device(item, chunk.sender):
                self.left_out["frames of the cloud"] += 1
            else:
                self._size += len(item.raw)
                if self._size > MOST_BYTES:
                    raise SourceError(f"{chunk.source}: more than {MOST_BYTES:,} bytes of frames")
                name = Message.parse(item.frame).name
                self.frames.append(Captured(item.raw, name, chunk.at))


def _is_of_device(item: Framed, sender: str | None) -> bool:
    message_type = item.raw[4]
    if sender is not None:
        return sender == DEVICE and message_type != COMMAND
    told = Message.parse(item.frame).sender
    return is_request(message_type) if told is None else told == DEVICE


def renumbered(frames: list[Captured], number: int) -> list[Captured]:
    """Return frames as loggers of other serials send them.

    Args:
        frames: of a capture, as they are.
        number: of the copy; 0 leaves all as it is.
    """
    if number == 0:
        return frames
    serials: dict[int, int] = {}
    copies = []
    for captured in frames:
        frame = Frame.parse(captured.raw)
        serials.setdefault(frame.logger_serial, len(serials))
    first = number * len(serials)
    for captured in frames:
        frame = Frame.parse(captured.raw)
        serial = _FIRST_COPY + (first + serials[frame.logger_serial]) % _COPIES
        copy = Frame(frame.control_code, frame.sequence, serial, frame.payload)
        copies.append(captured._replace(raw=copy.build()))
    return copies
