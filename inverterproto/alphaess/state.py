"""What is remembered of a battery from one connection to the next.

Theory of operation
-------------------
A battery that connects again streams on without a login, so what is known of it goes by its serial:
its clock, its trusted configuration, the last command's index, and what is missing.

*What is missing.* A battery stores a record a minute and gives them on Resume (source: V). Live, it
says enough by itself: a status every 10 s. So nothing is missed until it was silent for longer than
`SILENCE`, two minutes, in which at least one stored record was surely made; a shorter silence is
mere reconnecting. Then a `Gap` opens, from the last live record to the one that ended the silence,
both by the battery's own clock, for that is how Resume asks. It closes as the stored records come:
up to where they got, nothing is missing. It outlives connections, so that a dump that breaks off is
asked for again, and only what is left of it.

*A clock that was set* during the silence: what was stored before and after it is stamped
differently. So the gap reaches from the earlier to the later of what the old and the new clock
show at its ends. What was set by more than time zones can differ was not set from a time that
meant anything: then the new clock alone counts. A live record whose own stamp is as far from what
its clock is known to show ends no silence: it is nonsense, or the clock's step is not proved yet.

*At most a week* is missing: a week of minutes is 10,081 records, 3,360 frames, some 6 MB. How many
a battery holds is not known; of longer absences the last week is asked for.

*What may be sent to it.* `configuration` is the trusted one. Where the owner lets the cloud change
nothing by itself, `candidate` is the last one that a gate held back: `approve` makes it the trusted
one. Until `approving_until` a gate takes what the cloud sends as approved; a restart ends that.

*What it tells of itself* (logins, configurations) is kept once for each change. A change back to
what was before is a change, too, but would have the key of what was before; so the key takes in
that of the record before it (`key_of_change`).

*What is told of the clock.* A clock that seems to have jumped makes the records wait. That is told
once, and so is what came of it: a step, named as what it looks like, or nothing.

*What is to be saved.* When something changes that cannot be known again (the configuration, a gap,
an index), `revision` grows and `save` is called at once. Else it grows once a minute: that a
battery was heard 50 s later than is saved does no harm, as the gap then begins a little early, and
what comes twice has the same key.
"""

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple, Self

from inverterproto.alphaess.clock import ZONE_GREATEST, BatteryClock, Step
from inverterproto.alphaess.configuration import check_configuration
from inverterproto.alphaess.frame import REPLY, VERSION, Frame
from inverterproto.alphaess.masking import mask_frame
from inverterproto.alphaess.messages import CONFIGURE
from inverterproto.reading import Dated, span_text
from inverterproto.session import Action, Note, Record

# All in seconds.
MINUTE = 60.0
SILENCE = 120.0  # a longer one leaves a gap
LONGEST_GAP = 7 * 24 * 3600.0
_LONGEST_INDEX = 9  # digits


class Gap(NamedTuple):
    """Stored records that are missing: from `since` to `until`, by the battery's clock."""

    since: float
    until: float

    @property
    def minutes(self) -> int:
        """As many records as may be missing, one a minute, those at both ends counted."""
        return int((self.until - self.since) // MINUTE) + 1


class BatteryState:
    """What is remembered of one battery (see `inverterproto.session.DeviceState`).

    Args:
        clock_offset: its clock minus UTC in seconds, where the user knows it.

    Attributes:
        clock: how far its clock is off; dates its records.
        configuration: the payload of the trusted configuration, None where there is none. One that
            holds a password is not saved: who gave it gives it again.
        candidate: the payload of the configuration that was held back last, until it is approved or
            the cloud sends the trusted one again; None where there is none. It is saved alike.
        approving_until: unix time until which what the cloud sends is taken as approved.
        gap: the stored records that are missing, None where none are.
        revision: grows when there is something new to save.
        save: called when it cannot wait.
    """

    timeless = frozenset(("index", "last", "configuration", "candidate"))
    """The keys of `to_state` that hold whatever the host's clock shows."""
    __slots__ = (
        "_doubted",
        "_heard",
        "_index",
        "_last",
        "_saved",
        "_stamp",
        "_steps_told",
        "approving_until",
        "candidate",
        "clock",
        "configuration",
        "gap",
        "revision",
        "save",
    )

    def __init__(self, clock_offset: float | None = None) -> None:
        self.clock = BatteryClock(clock_offset)
        self.configuration: bytes | None = None
        self.candidate: bytes | None = None
        self.approving_until = 0.0
        self.gap: Gap | None = None
        self.revision = 0
        self.save: Callable[[], object] = _nothing
        self._heard: float | None = None  # when the last live record came,
        self._stamp = 0.0  # and what the battery's clock showed then
        self._saved = 0.0  # about when the revision grew for what was heard
        self._index = 0  # of the last command that anybody gave
        self._last: dict[str, tuple[bytes, bytes]] = {}  # by kind: see `key_of_change`
        self._doubted = False  # whether it is told that the clock seems to have jumped,
        self._steps_told: tuple[Step, ...] = ()  # and the steps that were known then

    def observe(
        self, key: object, stamp: float | None, arrival: float, *, historic: bool = False
    ) -> list[Dated]:
        """Take a record that was measured; return all that are dated by it.

        Args:
            key: the record's.
            stamp: its own time as `clock.parse_stamp` has it, None if it has none that is usable.
            arrival: when it came.
            historic: whether the battery had stored it.
        """
        dated = self.clock.observe(key, stamp, arrival, historic=historic)
        if stamp is not None:
            if historic:
                self._fill(stamp)
            else:
                self._hear(stamp, arrival)
        return dated

    def recall(self, record: Record, arrival: float) -> list[Dated]:
        """Take in a record that was kept undated; return what is dated by it."""
        return self.clock.observe(record.key, record.stamp, arrival, historic=record.historic)

    def settle(self, now: float) -> list[Action]:
        """Return the records that are dated because their waiting is over."""
        return [*self.clock.settle(now), *self.clock_notes()]

    def clock_notes(self, serial: str | None = None) -> list[Note]:
        """Tell, once each, that the clock seems to have jumped, and what came of it.

        Args:
            serial: the battery's, where it is known.
        """
        jump = self.clock.jump
        if (jump is not None) is self._doubted:
            return []
        self._doubted = not self._doubted
        steps = self.clock.steps
        if jump is not None:
            self._steps_told = steps
            text = f"its clock seems to have jumped by {span_text(jump)}: its readings wait "
            return [Note("clock-jump", f"{text}until that is sure, 5 minutes at most", serial)]
        if steps == self._steps_told:
            text = "its clock did not jump: what waited is dated by it, or by when it came"
            return [Note("clock-as-before", text, serial)]
        change, reason = steps[-1].after - steps[-1].before, steps[-1].reason
        text = f"its clock was set by {span_text(change)} ({reason}): what waited is dated"
        return [Note("clock-set", text, serial)]

    def key_of_change(self, kind: str, said: bytes) -> bytes:
        """Return the key of a record in which the battery tells of itself.

        Args:
            kind: of the record.
            said: the fingerprint of what it tells. The same again, with nothing else between, has
                the same key.
        """
        before = self._last.get(kind)
        if before is not None and before[0] == said:
            return before[1]
        key = said
        if before is not None:
            key = blake2b(before[1] + said, digest_size=len(said)).digest()
        self._last[kind] = said, key
        self._changed()
        return key

    def _hear(self, stamp: float, now: float) -> None:
        """Note a live record; after a silence, note what is missing."""
        offset = self.clock.offset
        if offset is None or abs(stamp - now - offset) > ZONE_GREATEST:
            return
        heard = self._heard
        if heard is not None and now - heard > SILENCE:
            self._open_gap(stamp, now - heard)
        self._heard, self._stamp = now, stamp
        if not 0 <= now - self._saved < MINUTE:
            self._saved = now
            self.revision += 1

    def _open_gap(self, stamp: float, silence: float) -> None:
        silence = min(silence, LONGEST_GAP)
        begun, last = stamp - silence, self._stamp
        if abs(begun - last) > ZONE_GREATEST:
            last = begun
        since, until = min(begun, last), max(stamp, last + silence)
        if self.gap is not None and self.gap.since <= until:
            since = min(since, self.gap.since)
        self.gap = Gap(max(since, until - LONGEST_GAP), until)
        self._changed()

    def _fill(self, stamp: float) -> None:
        """Note that the stored records have come up to `stamp`."""
        gap = self.gap
        if gap is None or not gap.since <= stamp <= gap.until:
            return
        self.gap = None if stamp > gap.until - MINUTE else gap._replace(since=stamp)
        self._changed()

    def close_gap(self) -> None:
        """Give up what is still missing: the battery does not have it."""
        self.gap = None
        self._changed()

    def _changed(self) -> None:
        """Let be saved what cannot be known again."""
        self.revision += 1
        self.save()

    def trust(self, configuration: bytes, serial: str) -> None:
        """Take a configuration as the one that the battery, whose serial is given, may be sent.

        Raises:
            ProtocolError: it is no configuration of this battery.
        """
        check_configuration(configuration, serial)
        self.hold(None)
        if configuration != self.configuration:
            self.configuration = configuration
            self._changed()

    def hold(self, candidate: bytes | None) -> None:
        """Remember the configuration that was held back last, or that there is none."""
        if candidate != self.candidate:
            self.candidate = candidate
            self._changed()

    def approve(self) -> bytes | None:
        """Trust the configuration that was held back last; return it, None where there is none."""
        approved = self.candidate
        if approved is not None:
            self.configuration = approved
            self.hold(None)
        return approved

    def approve_for(self, until: float) -> None:
        """Let what the cloud sends be taken as approved until some unix time."""
        self.approving_until = until

    def next_index(self) -> int:
        """Return the index of the next command."""
        self._index += 1
        self._changed()
        return self._index

    def see_index(self, index: object) -> None:
        """Note the index of another's command: ours go on from there (source: D)."""
        text = str(index)
        if text.isascii() and text.isdecimal() and len(text) <= _LONGEST_INDEX:
            self._index = int(text)
            self._changed()

    def to_state(self) -> dict[str, Any]:
        """Return what is to be remembered as plain JSON; waiting records are not in it."""
        return {
            "clock": self.clock.to_state(),
            "heard": self._heard,
            "stamp": self._stamp,
            "gap": None if self.gap is None else list(self.gap),
            "index": self._index,
            "last": {kind: [key.hex() for key in keys] for kind, keys in self._last.items()},
            "configuration": _saved(self.configuration),
            "candidate": _saved(self.candidate),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return the state whose `to_state` this was."""
        self = cls()
        self.clock = BatteryClock.from_state(state["clock"])
        self._heard, self._stamp = state["heard"], state["stamp"]
        self.gap = None if state["gap"] is None else Gap(*state["gap"])
        self._index = state["index"]
        for kind, (said, key) in state.get("last", {}).items():
            self._last[kind] = bytes.fromhex(said), bytes.fromhex(key)
        self.configuration = _bytes(state["configuration"])
        self.candidate = _bytes(state.get("candidate"))
        return self


def _nothing() -> None:
    """Save nothing."""


def _saved(configuration: bytes | None) -> str | None:
    """Return what is saved of a configuration: a character for each byte, or nothing.

    It is sent again as it came, so one that holds a password is not saved at all.
    """
    if configuration is None:
        return None
    frame = Frame(VERSION, REPLY, CONFIGURE, configuration)
    return configuration.decode("latin-1") if mask_frame(frame) is frame else None


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode("latin-1")
