"""What a session asks of the program that runs it, and what it remembers of a device.

Theory of operation
-------------------
A *session* is one side of a conversation, without a socket: `receive(item, now)` takes what a
`StreamDecoder` found, `poll(now)` does what is due, and both return *actions*. The program carries
them out in the order given:

- `Record`: keep this.
- `Dated` (of `reading.py`): the record with this key was measured then. It may come long after its
  record, and for a record of another connection.
- `Send`: send these bytes, once every record before it, in this list or an earlier one of this
  connection, is safe on disk. That is how what is acknowledged is stored.
- `Answer`: this came of what the session asked of its peer, or nothing did.
- `Note`: something that a person may want to know.
- `Held`: this came from the cloud and does not pass; keep its record. Gates say so (`gate.py`).
- `Close`: end the connection, once all before it is sent.

A record that tells its own time, or none, is dated in the same list; every record is dated once its
waiting is over, be it as `unknown`.

*Time* is unix seconds, a float, and comes in as an argument; `due` says when to poll next.

*What outlives a connection* is a `DeviceState`, one a serial. The session asks for it by the first
frame that names a serial (`States`), and changes it; the program keeps it with the record that
changed it. Of two connections with one serial the newer has the state.

*Watching* is the part of a session that makes records of what a device says, whoever answers: the
families' `Watcher`. A cloud session is a watcher that also answers; a relay only watches.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias

from inverterproto.reading import Dated, TimeSource
from inverterproto.stream import Item

MOST_UNFRAMED = 64 * 1024
"""Whoever sends so many bytes without a frame speaks something else."""


class Record(NamedTuple):
    """Something that a device said, to be kept.

    Attributes:
        key: 16 bytes, a hash of what was measured: what is sent again has the same. Of masked
            frames it is taken after masking, so that nobody can try passwords against it.
        family: the family's name, None for bytes of no family.
        kind: the message's name (`"data"`, `"status"`, …), `"unknown"` or `"unframed"`.
        device: the serial of what measured it, else of who sent it, else None.
        via: the serial of the logger that carried it, where there is one.
        historic: whether the device had kept it and sent it later.
        stamp: the device's own time, in seconds of its own clock (Deye: its counter, the total
            working time), None where it tells none.
        frame: the bytes of the frame, or of the run; credentials are masked.
        masked: whether some were.
        known: whether a layout tells what it says; what is not known has a budget of its own.
        sender: `"device"` or `"cloud"`.
    """

    key: bytes
    family: str | None
    kind: str
    device: str | None
    via: str | None
    historic: bool
    stamp: float | None
    frame: bytes
    masked: bool = False
    known: bool = True
    sender: str = "device"


class Send(NamedTuple):
    """Send these bytes, once all records before it are safe."""

    data: bytes


class Note(NamedTuple):
    """Something that a person may want to know.

    Attributes:
        event: a short name, e.g. `"login"`, `"unknown-message"`, `"unanswered"`.
        text: for people; it holds no secret.
        device: the serial it is about, if that is known.
    """

    event: str
    text: str
    device: str | None = None


class Held(NamedTuple):
    """Something that the cloud sent and that may not reach the device.

    Attributes:
        record: to be kept; its sender is `"cloud"`, credentials are masked.
        meaning: what it would have said, for people; it holds no secret.
        reason: why it may not pass.
    """

    record: Record
    meaning: str
    reason: str


class Answer(NamedTuple):
    """What came of something that the session asked of its peer.

    Who asked gets it: a program that polls, a page that shows. It is not for the store, and not
    masked.

    Attributes:
        key: the asker's own name for the question (of what a session asks by itself, the
            message's name).
        message: the family's message that answers; None if none came.
        seconds: from the first time of asking until now.
        final: whether nothing more will come.
        problem: what is wrong: with the answer, or why there is none.
    """

    key: object
    message: Any
    seconds: float
    final: bool = True
    problem: str = ""


class Close(NamedTuple):
    """End the connection, once all before it is sent."""

    reason: str


Action: TypeAlias = Record | Dated | Send | Answer | Note | Held | Close


class DeviceState(Protocol):
    """What outlives a connection.

    The program writes it now and then when `revision` has grown. What cannot be learned again it is
    told at once, by `save`: so it can be kept with the record that changed it.

    Of the records that wait for a date the state holds nothing: after a restart the program shows
    them again (`recall`).
    """

    timeless: ClassVar[frozenset[str]]
    """The keys of `to_state` that hold whatever the host's clock shows."""
    save: Callable[[], object]
    """Called when what `to_state` tells cannot wait; the program sets it."""

    @property
    def revision(self) -> int:
        """Grows whenever `to_state` has something new to tell."""
        ...

    def settle(self, now: float) -> Sequence[Action]:
        """Return the dates of records whose waiting is over, and what there is to tell of it."""
        ...

    def recall(self, record: Record, arrival: float) -> list[Dated]:
        """Take in a record that was kept undated; return what is dated by it."""
        ...

    def to_state(self) -> dict[str, Any]:
        """Return what is to be remembered, fit for JSON."""
        ...


States: TypeAlias = Callable[[str], Any]
"""Gives the state of the device with a serial: the family's own, a new one where there is none.

None means that the program wants nothing of that device: it is neither kept nor answered.
"""


class Session(Protocol):
    """One side of a conversation."""

    def receive(self, item: Item, now: float) -> list[Action]:
        """Take a frame or a run of unframed bytes; return what to do about it."""
        ...

    def poll(self, now: float) -> list[Action]:
        """Return what is to be done by now."""
        ...

    @property
    def due(self) -> float:
        """When to poll next, in unix seconds; infinity if there is nothing to wait for."""
        ...


def undatable(key: bytes, now: float, *, historic: bool = False) -> Dated:
    """Date a record that tells no time of its own: what the device had kept is not of now."""
    if historic:
        return Dated(key, None, TimeSource.UNKNOWN)
    return Dated(key, now, TimeSource.ARRIVAL)


class CloudSession(Session, Protocol):
    """The cloud's side of one connection."""

    @property
    def serials(self) -> tuple[str, ...]:
        """The serials of the devices that spoke and are not refused for their number."""
        ...


class UnframedLimit:
    """Tells when a peer has sent too many bytes without a frame.

    Args:
        most: so many are too many.

    Attributes:
        reached: whether it has: the connection is over.
    """

    __slots__ = ("_count", "_most", "reached")

    def __init__(self, most: int = MOST_UNFRAMED) -> None:
        self._count = 0
        self._most = most
        self.reached = False

    def framed(self) -> None:
        """Take notice of a frame."""
        self._count = 0

    def unframed(self, size: int) -> list[Action]:
        """Take notice of so many other bytes; return a `Close` when they are too many."""
        self._count += size
        if self._count < self._most or self.reached:
            return []
        self.reached = True
        return [Close(f"{MOST_UNFRAMED:,} bytes without a frame")]
