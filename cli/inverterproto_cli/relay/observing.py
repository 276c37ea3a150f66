"""What passes on a wire, decoded: records for the store, and what may go to the device.

Theory of operation
-------------------
An `Observer` is the ear of a wire. Each direction has a `StreamDecoder`, and each family that is
recognised a `Watcher`, which makes records of what both sides say; these go to the `Keeper`. What
the store cannot take is counted and lost: the wire does not wait.

*Held bytes.* Two wishes of the owner make the way to the device wait, and only they:

- *Rights* (`Gate`): of what the cloud sends only whole frames pass that are allowed; they are
  released as the gate says. The gate is shown what the device says before any answer to it is read,
  and hears the cloud before the watcher does, which hears only what passes.
- *Durable*: what the cloud says waits until every record that the device had completed before is on
  disk. Meanwhile nothing more is read from the cloud, so what waits is one reading. Its end waits,
  too. A reset does not: then what waits is lost, and the device was told nothing.

*Heavy chunks.* A chunk that cost much work (junk, hundreds of frames) makes its end wait for its
turn (`End.weigh`), so that floods wait for each other and all others for a piece of one of them. A
new connection is read in pieces until one has shown that it is not heavy.

*What is not ours.* A direction that gives no frame for `MOST_UNFRAMED` bytes is decoded no more. In
the gate's hands that ends the wire, as nothing could pass. After a TLS ClientHello, nothing is.

*Faults* of ours cost the item that met them. Where bytes wait for its record, they end the wire.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import thread_time, time
from typing import TYPE_CHECKING, Any, NamedTuple

from inverterproto.deye.layouts import maker_of
from inverterproto.deye.messages import DATA
from inverterproto.families import FAMILIES, HEAD, recognise
from inverterproto.session import MOST_UNFRAMED, Action, Close, Held, Send, States
from inverterproto.stream import Framed, Framing, Item, Reason, StreamDecoder
from inverterproto_cli.server.connection import HEAVY, HELD, LIGHT
from inverterproto_cli.server.logs import Where

if TYPE_CHECKING:
    from inverterproto.gate import Gate
    from inverterproto_cli.relay.cloud import Cloud
    from inverterproto_cli.relay.wire import Wire
    from inverterproto_cli.server.capturing import Capture, Side
    from inverterproto_cli.server.keeper import Keeper
    from inverterproto_cli.server.logs import Log

TLS = (
    "this device encrypts (TLS): it is passed on as it is, and nothing can be read. Its firmware "
    "is a newer one; see docs/proxy.md for what can be done"
)
TLS_HELD = (
    "this device encrypts (TLS): nothing of it can be read, so nothing of what its cloud says may "
    "pass (--cloud-commands); it works with --cloud-commands allow"
)
_SENSOR_TYPE = slice(12, 14)
"""Where a data frame tells its sensor type."""

_FIRST = next(iter(FAMILIES))
"""Whose watcher keeps the bytes of nobody."""
MakeGate = Callable[[], "Gate"]
"""Makes the gate of a connection."""


class Hearing(NamedTuple):
    """What all observers of a program share.

    Attributes:
        keeper: takes the records.
        log: is told what people should know.
        framings: of all families.
        states: gives what gives the states of a family's devices.
        watcher_options: of the watchers, by family.
        gate: makes what decides what may pass to the device; None lets all pass.
        durable: whether what the cloud says waits for the store.
        capture: is given every item, and of what a gate holds that it does not pass.
        clock: tells unix time in seconds.
    """

    keeper: "Keeper"
    log: "Log"
    framings: Sequence[Framing]
    states: Callable[[str], States]
    watcher_options: Mapping[str, Mapping[str, Any]]
    gate: MakeGate | None = None
    durable: bool = False
    capture: "Capture | None" = None
    clock: Callable[[], float] = time


class _Direction:
    """What one side says.

    Attributes:
        deaf: whether it is decoded no more.
        heard_at: when something came last, in seconds of a clock that nobody sets.
        quiet: bytes since the last frame, as long as they are decoded.
    """

    __slots__ = ("_capture", "_decoder", "_is_device", "deaf", "heard_at", "quiet")

    def __init__(self, sender: str, framings: Sequence[Framing], capture: "Side | None") -> None:
        self.deaf = False
        self.heard_at = 0.0
        self._is_device = sender == "device"
        self._decoder = StreamDecoder(*framings)
        self.quiet = 0
        self._capture = capture

    def items(self, chunk: bytes, now: float) -> list[Item]:
        """Return what a chunk completes; after too many bytes without a frame nothing any more."""
        if self.deaf:
            return []
        items = self._decoder.feed(chunk)
        if self._capture is not None:
            self._tell(self._capture, items, now)
        if not self.heard_at and self._is_device and recognise(chunk[:HEAD]) == "tls":
            return [*items, *self.rest(now)]
        for item in items:
            if isinstance(item, Framed):
                self.quiet = 0
                return items
        self.quiet += len(chunk)
        if self.quiet > MOST_UNFRAMED:
            items += self.rest(now)
        return items

    def waits(self, ticks: float) -> bool:
        """Return whether the decoder has waited for too long for what does not come."""
        return bool(self._decoder.held) and ticks - self.heard_at > HELD

    def give_up_waiting(self, now: float) -> list[Item]:
        """Return what the decoder held back."""
        items = self._decoder.flush()
        if self._capture is not None:
            self._tell(self._capture, items, now)
        return items

    def rest(self, now: float) -> list[Item]:
        """Return what is left; nothing is decoded any more."""
        items = [] if self.deaf else self.give_up_waiting(now)
        self.deaf = True
        self.quiet = 0
        return items

    @staticmethod
    def _tell(capture: "Side", items: list[Item], now: float) -> None:
        for item in items:
            capture.found(now, item)


class Observer:
    """Hears what passes on a wire.

    Args:
        wire: on which it passes.
        hearing: what all observers share.
        number: of the connection, for the log.
        cloud: whose wire it is.

    Attributes:
        family: of the device, once it has sent a frame.
        answered: whether the cloud has ever said a frame.
        is_cut_off: whether the cloud says no more, and said so before the device did.
        asked_at: since when the device waits for the cloud's first frame, by the wire's clock; None
            if it does not.
    """

    __slots__ = (
        "_clock", "_cloud", "_cloud_ended", "_device", "_framing", "_gate", "_hearing", "_keeper",
        "_known", "_number", "_passing", "_unsafe", "_upstream", "_waiting", "_watcher",
        "_watchers", "_wire", "answered", "asked_at", "family", "holds", "is_cut_off",
    )  # fmt: skip

    def __init__(self, wire: "Wire", hearing: Hearing, number: int, cloud: "Cloud") -> None:
        self.family: str | None = None
        self.asked_at: float | None = None
        self.holds = hearing.gate is not None or hearing.durable
        self._wire = wire
        wire.device.view = wire.cloud.view = wire.turns.piece
        self._hearing = hearing
        self._keeper = hearing.keeper
        self._clock = hearing.clock
        self._number = number
        self._gate = None if hearing.gate is None else hearing.gate()
        from_device, from_cloud = (
            None if hearing.capture is None else hearing.capture.side(f"{number}", sender)
            for sender in ("device", "cloud")
        )
        self._device = _Direction("device", hearing.framings, from_device)
        # What a gate decides about is captured once that is known.
        self._passing = None if self._gate is None else from_cloud
        self._cloud = _Direction(
            "cloud", hearing.framings, from_cloud if self._gate is None else None
        )
        self.answered = False
        self.is_cut_off = False
        self._upstream = cloud
        self._known = cloud.named  # whether it is known that the cloud is the right one
        self._cloud_ended = False
        self._watchers: dict[str, Any] = {}
        self._watcher: Any = None  # of the last frame
        self._framing: Framing | None = None  # of the last frame
        self._unsafe = False  # whether records of the device may be not on disk yet
        self._waiting = 0  # readings of the cloud that wait for the store

    @property
    def foreign(self) -> bool:
        """Whether nothing of ours was recognised."""
        return self.family is None

    @property
    def where(self) -> Where:
        """What there is to say of who speaks here."""
        serials = [serial for watcher in self._watchers.values() for serial in watcher.serials]
        device = serials[-1] if serials else None
        return {"connection": self._number, "family": self.family, "device": device}

    def device_said(self, chunk: bytes) -> None:
        """Make records of what went to the cloud."""
        begin = thread_time() if len(chunk) > LIGHT or self._device.quiet else None
        now = self._clock()
        for item in self._device.items(chunk, now):
            self._hear_device(item, now)
        self._device.heard_at = self._wire.heard_at
        if begin is not None:
            self._wire.device.weigh(heavy=thread_time() - begin > HEAVY)

    def _hear_device(self, item: Item, now: float) -> None:
        if isinstance(item, Framed):
            if not self.answered and self.asked_at is None:
                self.asked_at = self._wire.heard_at
            self.family = item.framing.family
            self._keep(item, now, "device")
            if not self._known:
                self._look_at_maker(item, now)
        else:
            if item.reason is Reason.TLS:
                self._meet_tls(now)
            self._keep(item, now, "device")
        if self._gate is not None:
            self._gate.device_said(item, now)

    def _meet_tls(self, now: float) -> None:
        """Say that nothing can be read."""
        text = TLS if self._gate is None else TLS_HELD
        if self._gate is None:
            self._cloud.deaf = True
        self._hearing.log.complain("tls", text, now, about="tls", **self.where)

    def _look_at_maker(self, item: Framed, now: float) -> None:
        """Say if the device is of another maker than the one whose cloud is the default."""
        if item.framing.family != "deye":
            self._known = True
        elif item.raw[4] == DATA:
            self._known = True
            sensor_type = int.from_bytes(item.raw[_SENSOR_TYPE], "little")
            maker = maker_of(sensor_type)
            if maker not in (None, "Deye"):
                where = self.where
                text = (
                    f"this is a device of {maker} (sensor type {sensor_type:#06x}): its cloud is "
                    f"probably another than {self._upstream.address}. If its app shows nothing "
                    "new, name its own (--upstream deye=HOST:PORT): what its server setting said "
                    "before"
                )
                about = where["device"]
                self._hearing.log.complain("other-maker", text, now, about=about, **where)

    def _keep(self, item: Item, now: float, sender: str) -> None:
        """Make records of an item, and give them to the store. A fault of ours costs the item."""
        try:
            watcher = self._watcher
            if watcher is None or item.framing is not self._framing:
                watcher = self._watcher_of(item)
            actions = watcher.watch(item, now, sender)
            if not actions:
                return
            if not self._keeper.carry_out(
                actions, now, "cloud", connection=self._number, family=self.family
            ):
                self._lack_room(now)
            if sender == "device" and self._hearing.durable:
                self._unsafe = True
        except Exception:
            if self.holds:
                raise
            self._keeper.counts["faults"] += 1
            self._hearing.log.fault("a message is passed on and not kept", now, **self.where)

    def _watcher_of(self, item: Item) -> Any:  # noqa: ANN401 - the family's own Watcher
        """Return what makes records of an item's family; of bytes of none, of the device's."""
        family = item.framing.family if isinstance(item, Framed) else self.family or _FIRST
        watcher = self._watchers.get(family) or self._watch(family)
        if isinstance(item, Framed):
            self._framing, self._watcher = item.framing, watcher
        return watcher

    def _watch(self, family: str) -> Any:  # noqa: ANN401 - the family's own Watcher
        """Return a new watcher of a family's messages."""
        hearing = self._hearing
        options = hearing.watcher_options.get(family, {})
        watcher = FAMILIES[family].watcher(hearing.states(family), **options)
        self._watchers[family] = watcher
        return watcher

    def _lack_room(self, now: float) -> None:
        """Say that records are lost; or end the wire, as what waits for them may never pass."""
        hearing = self._hearing
        if hearing.durable:
            self._wire.fail("the store takes no more")
        else:
            text = "the store takes no more for now: devices are passed on, and records are lost"
            hearing.log.complain("records-dropped", text, now)

    def cloud_said(self, chunk: bytes) -> None:
        """Make records of what the cloud says; release what may pass, where it is held."""
        begin = thread_time() if len(chunk) > LIGHT or self._cloud.quiet else None
        now = self._clock()
        items = self._cloud.items(chunk, now)
        self._cloud.heard_at = self._wire.heard_at
        self._take_cloud(items, now, chunk)
        if self._gate is not None and self._cloud.deaf:
            self._wire.fail(f"the cloud: {MOST_UNFRAMED:,} bytes without a frame")
        if begin is not None:
            self._wire.cloud.weigh(heavy=thread_time() - begin > HEAVY)

    def _take_cloud(self, items: list[Item], now: float, chunk: bytes = b"") -> None:
        """Make records of items of the cloud, and release what may pass, where it is held.

        Args:
            items: what it said.
            now: unix time in seconds.
            chunk: the bytes that came with it: they pass as they are, unless a gate decides.
        """
        gate = self._gate
        if gate is not None:
            self._release(b"".join(self._admit(gate, item, now) for item in items))
            return
        for item in items:
            if isinstance(item, Framed):
                self._take_notice()
            self._keep(item, now, "cloud")
        if self.holds and chunk:
            self._release(chunk)

    def _take_notice(self) -> None:
        """Take notice that the cloud speaks."""
        self._upstream.spoke_at = self._wire.heard_at
        if self.answered:
            return
        self.answered = True
        self.asked_at = None
        device = self.where["device"]
        if device is not None:
            self._upstream.answered(device)

    def _admit(self, gate: "Gate", item: Item, now: float) -> bytes:
        """Return what the gate lets pass of an item."""
        if isinstance(item, Framed):
            self._take_notice()
        actions = gate.cloud_said(item, now)
        if any(isinstance(action, Send) and action.data == item.raw for action in actions):
            self._keep(item, now, "cloud")
        self._keeper.carry_out(actions, now, answered="cloud", connection=self._number)
        if self._passing is not None:
            self._tell(self._passing, item, actions, now)
        for action in actions:
            if isinstance(action, Close):
                self._wire.fail(f"the cloud: {action.reason}")
        return b"".join(action.data for action in actions if isinstance(action, Send))

    @staticmethod
    def _tell(capture: "Side", item: Item, actions: Sequence[Action], now: float) -> None:
        """Capture an item as held or passing, and what is sent in its place."""
        for action in actions:
            if isinstance(action, Held):
                capture.held(now, item)
            elif isinstance(action, Send):
                capture.sent(now, action.data)

    def _release(self, data: bytes) -> None:
        """Send to the device what may pass, once what it said before is safe."""
        if not (self._unsafe or self._waiting):
            self._wire.release(data)
            return
        self._unsafe = False
        self._waiting += 1
        self._wire.cloud.hold(held=True)
        self._keeper.store.when_safe(partial(self._wire.hear, self._release_safe, data))

    def _release_safe(self, data: bytes) -> None:
        if self._wire.reason is not None:
            return  # over meanwhile
        self._waiting -= 1
        self._wire.release(data)
        if not self._waiting:
            self._wire.cloud.hold(held=False)
            self._pass_end()

    def look(self, ticks: float) -> None:
        """Give up what the decoders have held back for too long.

        Args:
            ticks: by the wire's clock.
        """
        if self._device.waits(ticks):
            now = self._clock()
            for item in self._device.give_up_waiting(now):
                self._hear_device(item, now)
        if self._cloud.waits(ticks):
            now = self._clock()
            self._take_cloud(self._cloud.give_up_waiting(now), now)

    def ended(self, sender: str) -> None:
        """Make records of what is left of a direction."""
        now = self._clock()
        if sender == "device":
            for item in self._device.rest(now):
                self._hear_device(item, now)
            return
        self.is_cut_off = not self._wire.device.ended
        self._take_cloud(self._cloud.rest(now), now)
        if self.holds:
            self._cloud_ended = True
            self._pass_end()

    def begin_anew(self) -> None:
        """Know nothing any more of the devices' states."""
        self._watchers.clear()
        self._watcher = None

    def heard(self, serial: str) -> bool:
        """Return whether a device spoke here."""
        return any(serial in watcher.serials for watcher in self._watchers.values())

    def _pass_end(self) -> None:
        """Pass the end of what the cloud says, once all before it has passed."""
        if self._cloud_ended and not self._waiting:
            self._wire.pass_end(self._wire.cloud)
