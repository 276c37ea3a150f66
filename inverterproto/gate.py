"""What of the cloud's bytes may pass to the device: a gate, without a socket.

Theory of operation
-------------------
A relay is a wire. Where its owner does not want the cloud to command the device, a `Gate` stands in
the way from the cloud, one a connection: `device_said` is shown what the device says, which always
passes; `cloud_said` returns what to do about what the cloud says. `Send` is what may pass: the
bytes as they came, or, of configurations, the approved one instead. `Held` is what may not. The
cloud is told nothing of it.

*An allow-list.* What passes is a whole, well-formed frame of a known type that the family's
`AllowList` knows to be harmless. What is not understood may do anything: other bytes, broken
frames, frames of another family, unknown types never pass. What passes is never rewritten, so the
device sees a stream of good frames only, cut nowhere: nothing can hide between two of them.

*Until the family is known*, which the first valid frame of the device tells, nothing passes. A
device that encrypts says no frame, so it gets nothing either.

*Rights.* `block` lets replies pass that answer an outstanding request of the device, each request
once. `read-only` also lets commands pass that only read. In `allow` there is no gate.

*Beside a watcher.* A relay shows the device's items to its watcher and to the gate, the cloud's to
the gate first, and to the watcher what passes. Of what the gate holds it makes records itself, and
a watcher that trusts the cloud would trust it.

*Bounds.* A family remembers so many outstanding requests; 64 KiB without a frame end the
connection, and nothing passes any more.
"""

from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple, Protocol

from inverterproto.masking import mask_text
from inverterproto.session import Action, Held, Record, Send, UnframedLimit, undatable
from inverterproto.stream import Framed, Item

PLAUSIBLE = 600.0
"""Seconds by which a time that sets a clock may be off."""


class Rights(StrEnum):
    """What the cloud may do."""

    ALLOW = "allow"
    READ_ONLY = "read-only"
    BLOCK = "block"


class Verdict(NamedTuple):
    """What becomes of a frame.

    Attributes:
        reason: why it is held; None if it passes.
        meaning: what it says, for people; needed of what is held only.
        more: what else is to be done: before the frame passes, or in its place.
    """

    reason: str | None
    meaning: str = ""
    more: tuple[Action, ...] = ()


PASSES = Verdict(None)


class AllowList(Protocol):
    """Judges the frames of one family on one connection."""

    @property
    def family(self) -> str:
        """The family's name."""
        ...

    def device_said(self, item: Framed, now: float) -> None:
        """Take notice of a frame of the device."""
        ...

    def judge(self, item: Framed, now: float) -> Verdict:
        """Return what becomes of a frame of the cloud."""
        ...

    def masked(self, raw: bytes) -> bytes:
        """Return a frame's bytes with its credentials masked."""
        ...

    def device(self) -> str | None:
        """Return the serial of the device that spoke last, if it is one that is wanted."""
        ...


class Gate:
    """Lets the cloud's bytes through to one device, or holds them.

    Args:
        allow_lists: of the families that may come, one each.
    """

    __slots__ = ("_allowed", "_by_family", "_limit")

    def __init__(self, *allow_lists: AllowList) -> None:
        self._by_family = {allowed.family: allowed for allowed in allow_lists}
        self._allowed: AllowList | None = None  # once the device has said what it is
        self._limit = UnframedLimit()

    def device_said(self, item: Item, now: float) -> None:
        """Take notice of what a `StreamDecoder` found in the device's bytes."""
        if not isinstance(item, Framed):
            return
        if self._allowed is None:
            self._allowed = self._by_family.get(item.family)
        if self._allowed is not None and self._allowed.family == item.family:
            self._allowed.device_said(item, now)

    def cloud_said(self, item: Item, now: float) -> list[Action]:
        """Take what a `StreamDecoder` found in the cloud's bytes; return what to do about it."""
        if self._limit.reached:
            return []
        allowed = self._allowed
        if allowed is None or not isinstance(item, Framed) or item.family != allowed.family:
            return [
                *self._hold(item, self._refuse(item), now),
                *self._limit.unframed(len(item.raw)),
            ]
        self._limit.framed()
        verdict = allowed.judge(item, now)
        if verdict.reason is None:
            return [*verdict.more, Send(item.raw)]
        return [*self._hold(item, verdict, now), *verdict.more]

    def _refuse(self, item: Item) -> Verdict:
        """Say why what is no frame of the device's family never passes."""
        size = len(item.raw)
        if not isinstance(item, Framed):
            return Verdict("no whole frame", f"{item.reason}, {size} bytes")
        spoken = "has said no frame yet" if self._allowed is None else "speaks another protocol"
        return Verdict(f"the device {spoken}", f"a frame of {item.family}, {size} bytes")

    def _hold(self, item: Item, verdict: Verdict, now: float) -> list[Action]:
        """Return that something is held, and the date of its record."""
        # Only who knows a frame's family can mask it and leave it a frame.
        judge = self._by_family.get(item.family) if isinstance(item, Framed) else None
        raw = mask_text(item.raw) if judge is None else judge.masked(item.raw)
        device = None if self._allowed is None else self._allowed.device()
        said = b"%b\0%b" % ((device or "").encode(), raw)
        record = Record(
            key=blake2b(said, digest_size=16, person=b"held").digest(),
            family=None if judge is None else judge.family,
            kind="held",
            device=device,
            via=None,
            historic=False,
            stamp=None,
            frame=raw,
            masked=raw != item.raw,
            known=False,  # of what a hostile cloud sends there may be no end
            sender="cloud",
        )
        return [
            Held(record, verdict.meaning, verdict.reason or ""),
            undatable(record.key, now),
        ]
