"""What a broker has taken: MQTT as it passes, split into packets.

A `Publisher` hears a connection to a broker. A PUBLISH has arrived when the broker's PUBACK for it
comes back: a broker that is killed may lose for its subscribers what it acknowledged, and that is
its own affair. MQTT 3.1.1 and 5, of both just what is needed; what is no MQTT is told.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from soaking.path import Ear

CONNECT, PUBLISH, PUBACK = 1, 3, 4
_LARGEST = 1 << 20
_FAILURE = 0x80
_LONGEST_LENGTH = 4


class PacketError(Exception):
    """It is no MQTT."""


class Packet(NamedTuple):
    """A packet.

    Attributes:
        kind: of it, from 1 to 15.
        flags: the lower half of its first byte.
        body: what follows its length.
    """

    kind: int
    flags: int
    body: bytes


class Packets:
    """Splits a stream into packets."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Yield the packets that are whole now.

        Raises:
            PacketError: there is something else.
        """
        self._held += data
        while self._held:
            first = self._held[0]
            found = _length(self._held, 1)
            if not first >> 4:
                raise PacketError("a packet of kind 0")
            if found is None:
                return
            size, begin = found
            if size > _LARGEST:
                raise PacketError(f"a packet of {size:,} bytes")
            if len(self._held) < begin + size:
                return
            body = bytes(self._held[begin : begin + size])
            del self._held[: begin + size]
            yield Packet(first >> 4, first & 0x0F, body)


class Publish(NamedTuple):
    """What a PUBLISH says.

    Attributes:
        topic: of it.
        number: that its answer names; None if it gets none.
        payload: of it.
    """

    topic: str
    number: int | None
    payload: bytes


def publish_of(packet: Packet, version: int) -> Publish:
    """Return what a PUBLISH says.

    Raises:
        PacketError: it cannot be read.
    """
    body = packet.body
    end = 2 + int.from_bytes(body[:2], "big")
    number = None
    try:
        topic = body[2:end].decode()
    except UnicodeDecodeError:
        raise PacketError("a topic that is no text") from None
    if (packet.flags >> 1) & 3:
        number = int.from_bytes(body[end : end + 2], "big")
        end += 2
    if version >= 5:  # properties follow
        found = _length(body, end)
        end = len(body) + 1 if found is None else sum(found)
    if end > len(body) or not topic or number == 0:
        raise PacketError("a PUBLISH that is cut off, or without topic or number")
    return Publish(topic, number, body[end:])


def _length(data: bytes | bytearray, at: int) -> tuple[int, int] | None:
    """Return a length and where it ends; None if it is not whole."""
    size = 0
    for place, byte in enumerate(data[at : at + _LONGEST_LENGTH]):
        size |= (byte & 0x7F) << 7 * place
        if not byte & 0x80:
            return size, at + place + 1
    if len(data) >= at + _LONGEST_LENGTH:
        raise PacketError("a length of more than four bytes")
    return None


class Publisher(Ear):
    """Hears who publishes, and the broker.

    Args:
        arrived: is told topic and payload of what the broker has taken.
        blame: is told what must not be.
    """

    def __init__(
        self, arrived: Callable[[str, bytes], object], blame: Callable[[str], object]
    ) -> None:
        self._arrived = arrived
        self._blame = blame
        self._out, self._back = Packets(), Packets()
        self._version = 0
        self._waiting: dict[int, Publish] = {}
        self._broken = False

    def said(self, data: bytes) -> None:
        """Hear the publisher."""
        self._hear(self._out, data, self._take)

    def answered(self, data: bytes) -> None:
        """Hear the broker."""
        self._hear(self._back, data, self._take_answer)

    def _hear(self, packets: Packets, data: bytes, take: Callable[[Packet], object]) -> None:
        if self._broken:
            return
        try:
            for packet in packets.feed(data):
                take(packet)
        except PacketError as error:
            self._broken = True
            self._blame(f"on the way to the broker is what is no MQTT: {error}")

    def _take(self, packet: Packet) -> None:
        if packet.kind == CONNECT:
            # The protocol's name, whose length is 4, stands before its version.
            self._version = packet.body[6] if len(packet.body) > 6 else 0
            if self._version not in (4, 5):
                raise PacketError(f"version {self._version}")
        elif not self._version:
            raise PacketError("no CONNECT")
        elif packet.kind == PUBLISH:
            found = publish_of(packet, self._version)
            if found.number is not None:
                self._waiting[found.number] = found

    def _take_answer(self, packet: Packet) -> None:
        if packet.kind != PUBACK:
            return
        found = self._waiting.pop(int.from_bytes(packet.body[:2], "big"), None)
        if found is None:
            raise PacketError("a PUBACK for nothing")
        if len(packet.body) > 2 and packet.body[2] >= _FAILURE:
            self._blame(f"the broker has refused {found.topic}: {packet.body[2]:#x}")
        else:
            self._arrived(found.topic, found.payload)
