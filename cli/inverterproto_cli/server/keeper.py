"""What devices say, on its way into the store and before people's eyes.

A `Keeper` is what all connections of a server share: the states of devices, by family and serial;
the store; who sees the readings. It carries out what sessions ask for (`inverterproto.session`),
but for sending and closing, which is the connection's part.

*Devices* are bounded, as anybody on the network can invent serials: those in the store come first,
then the first that are heard. Of one too many there is no state, so its records are neither kept
nor acknowledged. How many inverters a logger may carry, its state bounds.

*States* change with almost every record. They are written within a second, and at the end: what a
crash loses of them (the last second of what was learned of a clock) the next records teach again.
What cannot be learned again, a state tells at once (`save`): it is on disk with the record that
changed it, before any answer to that. All are written again if the store had to begin a new file.

What a gate decided is told once it is on disk: so none that was told as approved is lost, and one
that was told as held can be approved.

*The host's clock* is behind if it shows less than the arrival of the newest record: a machine
without a battery-backed clock begins in the past. While it is, nobody knows what time it is, and
all that needs it stands still:

- No logger is answered, as each answer sets its clock, and no battery is told the time or asked.
- What comes is kept, as if the device had stored it: when it was measured is not when it came.
  Its arrival is that of the newest record before; so arrivals in the store never go back.
- Nothing is dated. What states learn by a wrong clock is given up; what needs no clock, as an
  approved configuration, is written and kept.

So at both turns, from right to behind and back, all sessions and states begin anew, from what was
remembered when the clock was last right (`begin_anew` tells the connections). Once it is right,
what has no date is shown to the dating again (`recall`), as at each start; what came meanwhile
came at that moment at the latest. The clock is looked at before each chunk of bytes is decoded, and
once a second. Both turns are said. A clock that was ahead once leaves arrivals behind that lie in
the future; who knows that it is right now says so at the start (`trust_clock`).
"""

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache, partial
from time import time
from typing import Any, Unpack

from inverterproto.families import FAMILIES
from inverterproto.reading import Dated, utc_text
from inverterproto.session import Action, Answer, DeviceState, Held, Note, Record, undatable
from inverterproto_cli.server.logs import Log, Where
from inverterproto_cli.server.unshown import Unshown
from inverterproto_cli.store import NoStore, Store
from inverterproto_cli.summary import count_of

CLOCK_SLACK = 5.0
"""Seconds by which the host's clock may have been set back."""

_VARYING = re.compile(r"\d+ bytes|by [+-][^:(]*")
"""What differs between two of the same events: they are one thing to complain of."""
_WORTH_A_WARNING = frozenset(
    {"unknown-message", "unframed", "other-family", "out-of-place", "refused", "not-resumed"}
)
"""The events that say that something is not as it should be."""
_APPROVED = "configuration-approved"
"""The event that is told when it is safe."""

Shown = Callable[[Record, Dated], object]


@cache  # the kinds are those of the families' messages
def _count_of(kind: str) -> str:
    """Return the name of the counter of records of a kind."""
    return f"record: {kind}"


class Keeper:
    """Keeps records, and knows the devices.

    Args:
        store: where records go.
        log: is told what people should know.
        show: is called for each record that has got its date.
        most_devices: that are known at once.
        only: the serials of the only devices that are let in; any if there are none.
        trust_clock: whether the clock is right at the start, whatever the store says.
        clock: tells unix time in seconds, where nobody hands it over.

    Attributes:
        counts: how many records and events of each kind there were.
        clock_right: whether the host's clock was right when it was last looked at.
        begin_anew: called when that has changed: no session may go on with the states it has.
        only: the serials of the only devices that are let in; any if there are none.
        refused: what becomes of devices that are not.
    """

    refused = "neither kept nor answered"

    def __init__(
        self,
        store: Store | NoStore,
        log: Log,
        show: Shown | None = None,
        *,
        most_devices: int = 256,
        only: Iterable[str] = (),
        trust_clock: bool = False,
        clock: Callable[[], float] = time,
    ) -> None:
        self.store = store
        self.counts: Counter[str] = Counter()
        self._log = log
        self._show = show
        self._most_devices = most_devices
        self.only = frozenset(only)
        self._trust_clock = trust_clock
        self._states: dict[tuple[str, str], DeviceState] = {}
        self._written: dict[tuple[str, str], int] = {}
        self._remembered: dict[tuple[str, str], dict[str, Any]] = {}
        self._unshown = Unshown()
        self._newest = 0.0
        self._set_aside: dict[tuple[str, str], dict[str, Any]] = {}  # while the clock is behind
        self._clock = clock
        self.clock_right = True
        self.begin_anew: Callable[[], object] = lambda: None

    def open(self) -> None:
        """Take up what the store remembers."""
        if isinstance(self.store, NoStore):
            return
        self.recollect(self.store)
        now = self._clock()
        if self._trust_clock and now < self.store.newest:
            self.store.trust_clock(now)
        self._newest = self.store.newest
        self.look_at_clock(now)
        if self.clock_right:
            self._recall(now)

    def recollect(self, store: Store) -> None:
        """Take up what a store remembers of devices."""
        for family in FAMILIES:
            for serial, known in store.states(family).items():
                self._remembered[family, serial] = known

    def knows(self, family: str, serial: str) -> bool:
        """Return whether a device was heard, now or in an earlier run."""
        return (family, serial) in self._states or (family, serial) in self._remembered

    def look_at_clock(self, now: float) -> None:
        """Find out whether the host's clock is behind what it has shown already."""
        if (now >= self._newest - CLOCK_SLACK) is not self.clock_right:
            self._turn(now)

    def _turn(self, now: float) -> None:
        """Begin anew: the clock is behind, or right again."""
        if self.clock_right:
            for key, state in self._states.items():
                self._write(key, state, self._newest)
                self._remembered[key] = state.to_state()
        else:
            self._remembered |= self._set_aside
            self._set_aside = {}
        self._states.clear()
        self._written.clear()
        self.clock_right = not self.clock_right
        self.begin_anew()
        if self.clock_right:
            self._recall(now)
            text = (
                f"the clock of this machine is right again ({utc_text(now)}): loggers are answered"
            )
        else:
            text = (
                f"the clock of this machine is behind: it shows {utc_text(now)}, and a record came "
                f"at {utc_text(self._newest)}. What devices send is kept, but no logger is "
                "answered and no battery is told the time until the clock is right. If it is "
                "right, it was wrong before: start the server once with --trust-clock"
            )
        self._log.tell("clock", text, logging.WARNING)

    def _recall(self, now: float) -> None:
        """Show what has no date to the dating again."""
        if isinstance(self.store, Store):
            self.store.recall(self._newest, now, self._recalled)

    def _recalled(self, records: list[tuple[Record, float]]) -> None:
        now = self._clock()
        self.look_at_clock(now)
        if not self.clock_right:
            return  # they are recalled when it is right again
        for record, arrival in records:
            try:
                dates = self._dates_of(record, arrival)
            except Exception:  # noqa: BLE001 - whatever happened to the file, the others are dated
                text = "a record that waited for its time cannot be read: it stays without one"
                self._log.complain("store-unreadable", text, now)
            else:
                self.carry_out(dates, now)

    def _dates_of(self, record: Record, arrival: float) -> list[Dated]:
        """Return what is dated by a record that was kept undated."""
        serial = record.via or record.device
        if record.family is None or serial is None:
            return [undatable(record.key, arrival, historic=record.historic)]
        state: DeviceState | None = self.state(record.family, serial)
        return [] if state is None else state.recall(record, arrival)

    def state(self, family: str, serial: str) -> Any:  # noqa: ANN401 - the family's own state
        """Return the state of a device, or None of one that is not let in."""
        key = family, serial
        state = self._states.get(key)
        if state is not None:
            return state
        refusal = self._refusal(key)
        if refusal is not None:
            self.counts["devices refused"] += 1
            self._log.complain(
                "device-refused", refusal, self._clock(), about=family, family=family, device=serial
            )
            return None
        remembered = self._remembered.pop(key, None)
        if remembered is not None and not self.clock_right:
            self._set_aside[key] = remembered
        try:
            state = FAMILIES[family].state(remembered)
        except Exception:  # noqa: BLE001 - whatever happened to the file, the device is served
            self._log.complain(
                "store-unreadable",
                "what was known of this device cannot be read, and is learned anew",
                self._clock(), about=key, family=family, device=serial,
            )  # fmt: skip
            remembered, state = None, FAMILIES[family].state()
        self._states[key] = state
        state.save = partial(self._save, key, state)
        # A new one is written as it is: it takes its place after a restart, too.
        self._written[key] = -1 if remembered is None else state.revision
        return state

    def _refusal(self, key: tuple[str, str]) -> str | None:
        if self.only and key[1] not in self.only:
            return f"{self.refused}: it is not among those named by --device"
        if key in self._remembered:
            return None
        if len(self._states) + len(self._remembered) < self._most_devices:
            return None
        return f"{self.refused}: at most {count_of(self._most_devices, 'device')} (--max-devices)"

    def _has_refused(self, device: str | None, family: str | None) -> bool:
        """Return whether a device has no state here, which was told then."""
        key = family or "", device or ""
        return key not in self._states and self._refusal(key) is not None

    def forget(self, serial: str) -> None:
        """Know nothing of a device any more; the store is another matter."""
        for key in [(family, serial) for family in FAMILIES]:
            self._states.pop(key, None)
            self._written.pop(key, None)
            self._remembered.pop(key, None)
            self._set_aside.pop(key, None)
        self._unshown.forget(serial)

    def carry_out(
        self,
        actions: Iterable[Action],
        now: float,
        answered: str = "us",
        **where: Unpack[Where],
    ) -> bool:
        """Do what is to be done but for sending and closing.

        Args:
            actions: to be done, in order.
            now: unix time in seconds.
            answered: who answers the device: `"us"` or `"cloud"`.
            where: what they are of.

        Returns:
            Whether all records found room in the store.
        """
        room = True
        for action in actions:
            if type(action) is Record:
                room = self.keep(action, now, answered) and room
            elif type(action) is Dated:
                self.date(action, now)
            elif type(action) is Held:
                room = self._held(action, now, where) and room
            else:
                self.tell(action, now, where)
        return room

    def keep(self, record: Record, now: float, answered: str = "us") -> bool:
        """Keep a record; return whether it found room in the store.

        Args:
            record: to be kept.
            now: unix time in seconds.
            answered: who answers the device: `"us"` or `"cloud"`.
        """
        self.counts[_count_of(record.kind)] += 1
        if now > self._newest:
            self._newest = now
        elif not self.clock_right:
            record, now = record._replace(historic=True), self._newest
        if not self.store.keep(record, now, answered):
            return False
        if self._show is not None and record.known:
            self._unshown.put(record)
        return True

    def date(self, dated: Dated, now: float) -> None:
        """Write when a record was measured, and show it."""
        if not self.clock_right:
            return
        self.store.date(dated)
        if self._show is not None:
            self._shown(dated, now)

    def tell(self, action: Action, now: float, where: Where) -> None:
        """Say what there is to say of an action that is neither a record nor a date."""
        if type(action) is Note:
            self._note(action, now, where)
        elif type(action) is Answer and action.final:
            self._answer(action, where)

    def _shown(self, dated: Dated, now: float) -> None:
        if self._show is None:
            return
        record = self._unshown.take(dated.key)
        if record is None:
            return
        try:
            self._show(record, dated)
        except Exception:  # noqa: BLE001 - what cannot be shown is kept and answered all the same
            what = f"a record of kind {record.kind} cannot be shown"
            self._log.fault(what, now, family=record.family, device=record.device)

    def _note(self, note: Note, now: float, where: Where) -> None:
        self.counts[f"event: {note.event}"] += 1
        if note.event == "refused" and self._has_refused(note.device, where.get("family")):
            return
        if note.device is not None:
            where = {**where, "device": note.device}
        if note.event == _APPROVED:
            # Each is told, also the same again: up to as many as are told of one kind.
            count = self.counts[f"event: {_APPROVED}"]
            self._complain_safe(_APPROVED, note.text, now, count, where)
            return
        about = (note.device, _VARYING.sub("", note.text))
        level = logging.WARNING if note.event in _WORTH_A_WARNING else logging.INFO
        self._log.complain(note.event, note.text, now, about=about, level=level, **where)

    def _held(self, held: Held, now: float, where: Where) -> bool:
        """Keep and tell what the cloud wanted and did not get."""
        self.counts["held from the cloud"] += 1
        device = held.record.device
        if device is not None:
            where = {**where, "device": device}
        text = f"held, the cloud may not do that: {held.meaning} ({held.reason})"
        room = self.keep(held.record, now, "cloud")
        self._complain_safe("held", text, now, (device, _VARYING.sub("", text)), where)
        return room

    def _complain_safe(
        self, event: str, text: str, now: float, about: object, where: Where
    ) -> None:
        """Complain of something, once all that was kept until now is on disk."""
        if not self.store.full:
            tell = partial(self._log.complain, event, text, now, about=about, **where)
            self.store.when_safe(tell)

    def _answer(self, answer: Answer, where: Where) -> None:
        """Say what came of what was asked of a device."""
        if answer.problem:
            self.counts[f"failed: {answer.key}"] += 1
            self._log.tell("not-done", f"{answer.key}: {answer.problem}", **where)
        else:
            self._log.detail("done", f"{answer.key}: done", **where)

    def settle(self, now: float) -> None:
        """Date what has waited long enough, and write the states that changed."""
        self.look_at_clock(now)
        if not self.clock_right:
            return
        for key, state in self._states.items():
            family, serial = key
            try:
                self.carry_out(state.settle(now), now, family=family, device=serial)
                self._write(key, state, now)
            except Exception:  # noqa: BLE001 - one device's trouble is not the others'
                self._log.fault("records cannot be dated", now, family=family, device=serial)

    def _save(self, key: tuple[str, str], state: DeviceState) -> None:
        """Write a state at once, unless it is given up already."""
        if self._states.get(key) is state:
            self._write(key, state, max(self._clock(), self._newest))

    def _write(self, key: tuple[str, str], state: DeviceState, now: float) -> None:
        """Write a state if it has changed."""
        if state.revision != self._written[key]:
            self._written[key] = state.revision
            self.store.remember(*key, self._lasting(key, state), now)

    def _lasting(self, key: tuple[str, str], state: DeviceState) -> dict[str, Any]:
        """Return what is to be remembered of a state: by a wrong clock, only what needs none."""
        learned = state.to_state()
        if not self.clock_right:
            before = self._set_aside.get(key) or FAMILIES[key[0]].state().to_state()
            learned = before | {name: learned[name] for name in state.timeless}
            self._set_aside[key] = learned
        return learned
