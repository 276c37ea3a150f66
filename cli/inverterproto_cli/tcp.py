"""TCP segments as a capture shows them, put together: the bytes of each direction in their order.

Theory of operation
-------------------
A `Connection` takes the segments between two endpoints, as they were captured, and gives for each
side `Piece`s: bytes that follow on each other. Whoever captures sees what the wire sees, not what
the receiver made of it: segments twice, in the wrong order, cut short, or not at all.

*Places.* A sequence number has 32 bits and wraps; a `Direction` knows the place of each byte
counted from the first one it saw, as a plain number. A SYN and a FIN take a number of their own. A
capture may begin in the middle of a connection: then it begins with the first data it sees.

*Repeated bytes* are dropped: what has a place before the next one that is wanted. Of bytes that
come twice with different content, the ones that were given first stay. A keep-alive probe repeats
the last byte and is no retransmission.

*Bytes too early* are held until those before them have come. If these are not in the capture, they
never will: the hole is a *gap*. That is sure when the receiver acknowledged more than the hole and
some time has passed (a capture of several queues may show an acknowledgement before its data), when
the connection is reset, when the capture ends, and when more is held than `HELD` allows. The first
piece after a gap tells how many bytes are missing.

*The end.* After a FIN, a RST and a gap, nothing that comes goes on what came before: a piece of no
bytes says so where no other does. Yet an ended connection is still known: its last segments may be
repeated, and must not come twice.

*Ports used again.* A SYN with another first number, or data more than `FAR` from what is wanted,
is of another connection between the same endpoints: `Connection.is_left_by` tells.

*Bounds.* A direction holds `HELD` bytes, each segment counted with its own weight.
"""

from bisect import insort
from collections.abc import Iterator
from typing import NamedTuple

HELD = 1 << 18
"""Bytes that came too early, at most, in a direction."""
WEIGHT = 256
"""So many bytes a held segment takes besides its data."""
FAR = 1 << 24
"""No window of a device of ours is so wide, and no capture that misses so much is of use."""
PATIENCE = 1.0
"""Seconds for which data may be captured later than its acknowledgement."""
_NUMBERS = 1 << 32


class Endpoint(NamedTuple):
    """An address and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Segment(NamedTuple):
    """A TCP segment as it was captured.

    Attributes:
        source: who sent it.
        target: to whom.
        sequence: the number of its first byte (or of its SYN).
        data: its bytes, as many as were captured.
        acknowledged: the number of the byte that its sender wants next, if it says so.
        syn: whether it begins a connection.
        fin: whether it ends its direction.
        reset: whether it breaks the connection off.
        at: when it was captured, in unix seconds, where that is told.
        cut: whether the capture holds only a part of it.
    """

    source: Endpoint
    target: Endpoint
    sequence: int
    data: bytes = b""
    acknowledged: int | None = None
    syn: bool = False
    fin: bool = False
    reset: bool = False
    at: float | None = None
    cut: bool = False


class Piece(NamedTuple):
    """Bytes of a direction.

    Attributes:
        data: the bytes; none where only an end is told.
        at: when they were there to be read: with all that stands before them.
        missing: None where they follow on those before; else how many are missing between.
    """

    data: bytes
    at: float | None
    missing: int | None = None


class _Held(NamedTuple):
    place: int
    order: int
    data: bytes
    at: float | None


class Direction:
    """What one side of a connection sends."""

    __slots__ = (
        "_acknowledged",
        "_ended",
        "_fin",
        "_first",
        "_held",
        "_latest",
        "_order",
        "_wanted",
        "repeated",
        "weight",
    )

    def __init__(self) -> None:
        self.repeated = 0  # segments dropped, as all of their bytes had come before
        self.weight = 0  # of what is held
        self._first: int | None = None  # the sequence number of the byte at place 0
        self._wanted = 0  # the place of the next byte
        self._acknowledged = 0  # the place of the byte that the other side wants
        self._held: list[_Held] = []
        self._order = 0
        self._fin: int | None = None
        self._ended = False
        self._latest: float | None = None

    def _place(self, number: int) -> int:
        """Return the place of the byte with a sequence number: the one nearest to `_wanted`."""
        away = (number - (self._first or 0) - self._wanted) % _NUMBERS
        return self._wanted + (away - _NUMBERS if away >= _NUMBERS // 2 else away)

    def is_left_by(self, segment: Segment) -> bool:
        """Return whether a segment cannot be of this direction."""
        if self._first is None:
            return False
        if segment.syn:
            return (segment.sequence + 1) % _NUMBERS != self._first
        return bool(segment.data) and abs(self._place(segment.sequence) - self._wanted) > FAR

    def take(self, segment: Segment) -> Iterator[Piece]:
        """Take a segment of this direction; yield what can be read now."""
        number = (segment.sequence + segment.syn) % _NUMBERS
        if self._first is None:
            if not (segment.syn or segment.data):
                return  # the number of a keep-alive probe is one too low to begin with
            self._first = number
        place = self._place(number)
        end = place + len(segment.data)
        if segment.data and end > self._wanted:
            self._hold(_Held(place, self._order, segment.data, segment.at))
        elif segment.data and (len(segment.data) > 1 or end < self._wanted):
            self.repeated += 1
        if segment.fin and not self._ended and self._wanted <= end <= self._wanted + FAR:
            self._fin = end
        yield from self._drain()

    def _hold(self, held: _Held) -> None:
        insort(self._held, held)
        self._order += 1
        self.weight += len(held.data) + WEIGHT

    def _drain(self, missing: int | None = None) -> Iterator[Piece]:
        """Yield what is held and wanted."""
        while self._held and self._held[0].place <= self._wanted:
            held = self._held.pop(0)
            self.weight -= len(held.data) + WEIGHT
            data = held.data[self._wanted - held.place :]
            if not data:
                self.repeated += 1
                continue
            self._wanted += len(data)
            yield Piece(data, self._time(held.at), missing)
            missing = None
        if self._fin is not None and self._wanted >= self._fin:
            self._fin, self._ended = None, True
            yield Piece(b"", self._latest, 0)

    def _time(self, at: float | None) -> float | None:
        if at is None or self._latest is None or at > self._latest:
            self._latest = at
        return self._latest

    def acknowledge(self, number: int) -> None:
        """Note that the other side wants the byte with this number next."""
        if self._first is not None and abs(self._place(number) - self._wanted) <= FAR:
            self._acknowledged = max(self._acknowledged, self._place(number))

    def give_up_holes(self, now: float | None) -> Iterator[Piece]:
        """Yield what is behind holes that will not be filled any more."""
        while self._held and (self.weight > HELD or self._is_lost(self._held[0], now)):
            yield from self._skip()

    def _is_lost(self, held: _Held, now: float | None) -> bool:
        """Return whether what stands before something held was received, but not captured."""
        waited = now is None or held.at is None or now - held.at >= PATIENCE
        return waited and self._acknowledged >= held.place

    def _skip(self) -> Iterator[Piece]:
        missing = self._held[0].place - self._wanted
        self._wanted += missing
        yield from self._drain(missing)

    def finish(self) -> Iterator[Piece]:
        """Yield all that is held: the connection is over, or is followed no more."""
        while self._held:
            yield from self._skip()
        if self._first is not None and not self._ended:
            missing = 0 if self._fin is None else self._fin - self._wanted
            self._wanted += missing
            yield Piece(b"", self._latest, missing)


class Connection:
    """A connection between two endpoints.

    Attributes:
        ends: the two endpoints; side 0 is what the first one sends, side 1 the second.
        opener: the side that began it, where the capture shows that.
    """

    __slots__ = ("_directions", "ends", "opener")

    def __init__(self, first: Endpoint, second: Endpoint) -> None:
        self.ends = first, second
        self.opener: int | None = None
        self._directions = Direction(), Direction()

    @property
    def weight(self) -> int:
        """What is held of it, in bytes."""
        return sum(direction.weight for direction in self._directions)

    @property
    def repeated(self) -> int:
        """How many segments were dropped because they came again."""
        return sum(direction.repeated for direction in self._directions)

    def _side(self, segment: Segment) -> int:
        return int(segment.source != self.ends[0])

    def is_left_by(self, segment: Segment) -> bool:
        """Return whether a segment is of a later connection between the same endpoints."""
        return self._directions[self._side(segment)].is_left_by(segment)

    def take(self, segment: Segment) -> Iterator[tuple[int, Piece]]:
        """Take a segment; yield what can be read now, with the side that sent it."""
        side = self._side(segment)
        if segment.syn:
            self.opener = side if segment.acknowledged is None else 1 - side
        if segment.acknowledged is not None:
            self._directions[1 - side].acknowledge(segment.acknowledged)
        if segment.reset:
            yield from self.finish()
            return
        for piece in self._directions[side].take(segment):
            yield side, piece
        for each, direction in enumerate(self._directions):
            for piece in direction.give_up_holes(segment.at):
                yield each, piece

    def finish(self) -> Iterator[tuple[int, Piece]]:
        """Yield all that is held."""
        for side, direction in enumerate(self._directions):
            for piece in direction.finish():
                yield side, piece
