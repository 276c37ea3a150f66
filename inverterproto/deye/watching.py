"""What a logger says, made records, whoever answers it.

Theory of operation
-------------------
`Watcher.watch` takes the items of one connection and returns what is to be kept (`Record`), what is
dated by it (`Dated`), and what a person may want to know (`Note`). Kept is what a device says:
data, handshake, wifi, report, messages of unknown type, and bytes that are no frame; of the other
direction only what is not known. Heartbeats, commands and replies are not kept, but every stamp in
them teaches the logger's dating. What looks like a credential is masked first.

*The hot path* is a data frame of a known sensor type, one every few minutes from each of thousands
of loggers. Nothing is parsed for it: the head is unpacked from the frame's bytes, and the
inverter's serial is cut out where its layout declares it (`_form`). All else goes by `Message`.

*The key* of a data record is made of the logger's serial, the sensor type, total working time,
power-on time and the payload from 21 on: not of the frame type, the offset time and the packet
counter. So what was sent live and is sent again as a historic record is the same record. Of other
messages it is the control code, the serial and the whole payload; of unframed bytes, these.

*Bounds.* A connection may speak for a few loggers (sticks that share a gateway), and the program
may refuse one; a logger carries a few inverters. Frames of others are told in a `Note` and neither
kept nor answered: anybody can invent serials.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import Any, NamedTuple, Self

from inverterproto.deye import payloads
from inverterproto.deye.dating import LoggerDating, Stamp
from inverterproto.deye.frame import ENVELOPE, PAYLOAD_AT, Frame
from inverterproto.deye.layouts import layout_of
from inverterproto.deye.layouts.head import HEAD_ONLY
from inverterproto.deye.masking import mask_frame, password_spans
from inverterproto.deye.messages import (
    DATA,
    DEVICE,
    HANDSHAKE,
    HEARTBEAT,
    HISTORIC,
    REPLY_STEP,
    REPORT,
    WIFI,
    Message,
    device_of,
)
from inverterproto.masking import RunMasker, mask_text
from inverterproto.octets import decode_text
from inverterproto.reading import Dated
from inverterproto.session import Action, Note, Record, States, undatable
from inverterproto.stream import Framed, Item

FAMILY = "deye"
MOST_LOGGERS = 16
"""Loggers for which one connection may speak."""
MOST_INVERTERS = 32
"""Inverters behind one logger; ordinarily there is one."""
MOST_WAITING = 1024
"""Records of a logger that wait for their date: those of three days and a half."""

_KEPT = frozenset({"data", "handshake", "wifi", "report", "unknown"})
_UNTOLD = (HEAD_ONLY, payloads.WIFI, payloads.UNKNOWN)
"""The layouts of messages of which a layout tells no more than the head."""

_unpack_serial = Struct("<I").unpack_from
_unpack_head = Struct("<BHIII").unpack_from
_SHORTEST_DATA = ENVELOPE + HEAD_ONLY.size
_new = tuple.__new__  # past a named tuple's own constructor, which takes twice as long
_ACCEPTING = frozenset(code - REPLY_STEP for code in (HANDSHAKE, DATA, WIFI, HEARTBEAT, REPORT))
_REPLY_SIZE = ENVELOPE + payloads.CLOUD_REPLY.size
"""A cloud's replies, which are not kept: most of what a relay hears of it."""


class LoggerState:
    """What outlives the connections of a logger: what is known of its clock, whom it carries.

    Attributes:
        dating: dates its records.
        save: called when a new inverter is known; all else can be learned again.
    """

    timeless = frozenset(("inverters",))
    """The keys of `to_state` that hold whatever the host's clock shows."""
    __slots__ = ("_carried", "dating", "save")

    def __init__(self, dating: LoggerDating | None = None, carried: Iterable[str] = ()) -> None:
        self.dating = LoggerDating(max_waiting=MOST_WAITING) if dating is None else dating
        self._carried = tuple(carried)  # nearly always one
        self.save: Callable[[], object] = _nothing

    @property
    def revision(self) -> int:
        """Grows whenever `to_state` has something new to tell."""
        return self.dating.revision + len(self._carried)

    def carries(self, inverter: str) -> bool:
        """Take notice of an inverter behind this logger; return False for one too many."""
        if inverter not in self._carried:
            if len(self._carried) >= MOST_INVERTERS:
                return False
            self._carried += (inverter,)
            self.save()
        return True

    def settle(self, now: float) -> list[Dated]:
        """Return the records that are dated because their waiting is over."""
        return self.dating.settle(now)

    def recall(self, record: Record, arrival: float) -> list[Dated]:
        """Take in a record that was kept undated; return what is dated by it."""
        stamp = None
        if record.kind != "unframed":
            stamp = Message.parse(Frame.parse(record.frame, verify=False)).stamp
        if stamp is None:
            return [undatable(record.key, arrival, historic=record.historic)]
        return self.dating.see(record.key, stamp, historic=record.historic, arrival=arrival)

    def to_state(self) -> dict[str, Any]:
        """Return what is to be remembered, fit for JSON."""
        return {**self.dating.to_state(), "inverters": sorted(self._carried)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return the state of which `to_state` told."""
        dating = LoggerDating.from_state(state, max_waiting=MOST_WAITING)
        return cls(dating, state.get("inverters", ()))


def _nothing() -> None:
    """Save nothing."""


class Logger:
    """A logger that spoke on a connection.

    Attributes:
        name: its serial as text.
        state: what outlives the connection.
        sequence: the two counters of the last frame, its own or one to it.
        inverter: that of its last data frame.
        inverter_bytes: its serial as it stood there.
    """

    __slots__ = ("_last_command", "inverter", "inverter_bytes", "name", "sequence", "state")

    def __init__(self, name: str, state: LoggerState) -> None:
        self.name = name
        self.state = state
        self.sequence = (0, 0)
        self.inverter: str | None = None
        self.inverter_bytes = b""
        self._last_command: int | None = None

    def next_command(self) -> tuple[int, int]:
        """Return the counters for a command to it.

        Who begins a command counts the first counter on (sources: T, I). A frame that crossed the
        last command tells an older counter: no number comes twice, for answers go by it.
        """
        first, second = self.sequence
        last = self._last_command
        if last is not None and (last - first - 1) & 0xFF < 0x80:
            first = last
        self._last_command = first = (first + 1) & 0xFF
        self.sequence = first, second
        return self.sequence


class _Form(NamedTuple):
    """What the hot path needs to know of a sensor type."""

    known: bool
    serial: slice
    secret: bool


@lru_cache(maxsize=256)  # because sensor types come from outside
def _form(sensor_type: int) -> _Form:
    layout = layout_of(sensor_type)
    if layout is None:
        return _Form(known=False, serial=slice(0), secret=True)
    field = layout.by_name.get("inverter_serial")
    place = slice(PAYLOAD_AT + field.offset, PAYLOAD_AT + field.end) if field else slice(0)
    return _Form(known=True, serial=place, secret=bool(password_spans(layout)))


class Watcher:
    """Makes records of what is said on one connection.

    Args:
        states: gives what is known of a logger.
        most_loggers: so many loggers may speak on the connection.

    Attributes:
        loggers: those that spoke, by their serials.
        logger: the one whose frame was kept last; None if that was refused or no frame of one.
    """

    __slots__ = ("_most_loggers", "_runs", "_states", "logger", "loggers")

    def __init__(self, states: States, *, most_loggers: int = MOST_LOGGERS) -> None:
        self.loggers: dict[int, Logger] = {}
        self.logger: Logger | None = None
        self._states = states
        self._most_loggers = most_loggers
        self._runs: dict[str, RunMasker] = {}  # by sender

    @property
    def serials(self) -> tuple[str, ...]:
        """The serials of the loggers that spoke."""
        return tuple(logger.name for logger in self.loggers.values())

    def watch(self, item: Item, now: float, sender: str = DEVICE) -> list[Action]:
        """Take what a `StreamDecoder` found; return what is to be kept of it.

        Args:
            item: a frame, or a run of unframed bytes.
            now: unix time in seconds.
            sender: `"device"` or `"cloud"`.
        """
        self.logger = None
        if not isinstance(item, Framed) or item.framing.family != FAMILY:
            return self._keep_run(item, now, sender)
        raw = item.raw
        if sender != DEVICE:
            if raw[4] in _ACCEPTING and len(raw) == _REPLY_SIZE:
                return []
            return self._keep_message(item, now, sender, None)
        (serial,) = _unpack_serial(raw, 7)
        self.logger = logger = self.loggers.get(serial) or self._meet(serial)
        if logger is None:
            most = self._most_loggers
            full = f": at most {most} on a connection" if len(self.loggers) >= most else ""
            return [Note("refused", f"logger {serial} is refused{full}", str(serial))]
        logger.sequence = raw[5], raw[6]
        if raw[4] == DATA and len(raw) >= _SHORTEST_DATA:
            return self._keep_data(raw, now, logger)
        if raw[4] == HEARTBEAT:
            return []
        return self._keep_message(item, now, sender, logger)

    def _meet(self, serial: int) -> Logger | None:
        """Return a logger that speaks for the first time, or None if it may not."""
        if len(self.loggers) >= self._most_loggers:
            return None
        name = str(serial)
        state = self._states(name)
        if state is None:
            return None
        logger = self.loggers[serial] = Logger(name, state)
        return logger

    def _keep_data(self, raw: bytes, now: float, logger: Logger) -> list[Action]:
        """Keep a data frame whose head is whole."""
        frame_type, sensor_type, working, power_on, offset = _unpack_head(raw, PAYLOAD_AT)
        form = _form(sensor_type)
        frame = mask_frame(raw) if form.secret else raw
        body = frame[:-2]
        key = blake2b(body[3:5] + body[7:11] + body[12:22] + body[32:], digest_size=16).digest()
        device = self._inverter(body[form.serial], logger)
        if device is None:
            self.logger = None  # not to be answered
            text = f"more than {MOST_INVERTERS} inverters behind a logger: not kept, not answered"
            return [Note("refused", text, logger.name)]
        historic = frame_type & HISTORIC != 0
        record = (
            key, FAMILY, "data", device, logger.name, historic, float(working), frame,
            frame is not raw, form.known, DEVICE,
        )  # fmt: skip
        stamp = _new(Stamp, (working, power_on, offset))
        actions: list[Action] = [_new(Record, record)]
        actions += logger.state.dating.see(key, stamp, historic=historic, arrival=now)
        if not form.known:
            actions.append(_unknown(f"data of sensor type {sensor_type:#06x}", raw, logger.name))
        return actions

    @staticmethod
    def _inverter(serial: bytes, logger: Logger) -> str | None:
        """Return the inverter with a serial behind a logger, or None of one too many."""
        if logger.inverter is not None and logger.inverter_bytes == serial:
            return logger.inverter
        device = device_of(decode_text(serial), logger.name)
        if not logger.state.carries(device):
            return None
        logger.inverter, logger.inverter_bytes = device, serial
        return device

    def _keep_message(
        self, item: Framed, now: float, sender: str, logger: Logger | None
    ) -> list[Action]:
        """Keep any other message, if it is of those that are kept."""
        raw, message = item.raw, Message.parse(item.frame)
        device = message.device
        if message.sender not in (None, sender):
            text = f"a message of type {raw[4]:#04x} ({message.name}) from the {sender}"
            return [Note("out-of-place", text, device)]
        stamp = message.stamp if logger else None
        if message.name not in _KEPT:
            if logger is None or stamp is None:
                return []
            dating = logger.state.dating
            return [*dating.see(None, stamp, record=False, historic=False, arrival=now)]
        frame = mask_frame(raw)
        payload = message.frame.payload
        record = Record(
            key=blake2b(frame[3:5] + frame[7:-2], digest_size=16).digest(),
            family=FAMILY,
            kind=message.name,
            device=device,
            via=device,
            historic=message.name == "data" and payload[:1] >= bytes((HISTORIC,)),
            stamp=None if stamp is None else float(stamp.total_working_time),
            frame=frame,
            masked=frame is not raw,
            known=message.layout not in _UNTOLD,
            sender=sender,
        )
        actions: list[Action] = [record]
        if logger is None or stamp is None:
            actions.append(undatable(record.key, now, historic=record.historic))
        else:
            dating = logger.state.dating
            actions += dating.see(record.key, stamp, historic=record.historic, arrival=now)
        if not record.known:
            what = f"a message of type {raw[4]:#04x} ({message.name})"
            actions.append(_unknown(what, raw, device))
        return actions

    def _keep_run(self, item: Item, now: float, sender: str) -> list[Action]:
        """Keep bytes that are no frame of this protocol."""
        if isinstance(item, Framed):
            frame = mask_text(item.raw)
        else:
            frame = self._runs.setdefault(sender, RunMasker()).mask(item.offset, item.raw)
        # Who else than the one that speaks here?
        names = self.serials
        device = names[0] if len(names) == 1 and sender == DEVICE else None
        record = Record(
            key=blake2b(frame, digest_size=16, person=b"unframed").digest(),
            family=item.framing.family if item.framing else None,
            kind="unframed",
            device=device,
            via=device,
            historic=False,
            stamp=None,
            frame=frame,
            masked=frame != item.raw,
            known=False,
            sender=sender,
        )
        reason = f"a frame of {item.family}" if isinstance(item, Framed) else item.reason
        note = Note("unframed", f"{len(frame)} bytes that are no frame here: {reason}", device)
        return [record, undatable(record.key, now, historic=False), note]


def _unknown(what: str, raw: bytes, device: str) -> Note:
    return Note("unknown-message", f"{what}, {len(raw)} bytes, is not understood; kept", device)
