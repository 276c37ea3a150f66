"""Records of what a battery says, whoever answers it.

Theory of operation
-------------------
`Watcher.watch` takes the items of one connection, of both its sides, and returns the actions that
keep what is worth keeping (see `inverterproto.session`). It answers nothing: a relay watches, and
`cloud.CloudSession` is a watcher that also answers.

*Whose it is.* Statuses, records and logins name the battery's serial; event logs and keep-alives
do not, stored records not in all firmware, and a battery that connects again sends no login
(source: V). So what names nobody is of the serial that the connection named last. As long as none
was named, it is kept with what is not known, whose room is bounded: anybody can say it. Who wants
only batteries that are known by name keeps nothing of it (`nameless`).

*Kept* is what measures or tells something: status, record, stored records, configuration, event
log, login; and whatever is not understood, in whatever form. Keep-alives, requests,
acknowledgements and what the cloud says are not. Of a frame of stored records each row is a record
of its own, in a frame rebuilt of the header line and that row, so that the same row, sent again in
other company, has the same key. A header line of hundreds of bytes before thousands of one-byte
rows would grow out of all measure: a frame whose rows would take more than the longest frame is
kept whole.

*Cost.* Of a status only the serial and the time are read (`typed.decode_head`); what it measured
is decoded by whoever wants to know, from the bytes. All else is a hundred times as rare, and takes
the way of `Message`.

*Bounds.* A connection may name `MOST_SERIALS` batteries. Of further ones, and of those for which
the program has no state, nothing is kept, and `refused` tells that they must not be answered:
what is acknowledged is stored.
"""

from hashlib import blake2b

from inverterproto.alphaess.clock import parse_stamp
from inverterproto.alphaess.configuration import NoSettingsError, check_configuration, settings_of
from inverterproto.alphaess.dates import usable_stamp
from inverterproto.alphaess.fields import CLOUD_CONFIGURATION, CONFIGURATION
from inverterproto.alphaess.frame import ENVELOPE, LONGEST, REQUEST, VERSION, Frame
from inverterproto.alphaess.masking import is_suspect, mask_frame
from inverterproto.alphaess.messages import (
    CLOUD,
    COMMAND,
    CONFIGURE,
    DEVICE,
    EVENTS,
    FULL_RECORD,
    KEEP_ALIVE,
    KINDS,
    LIVE_STATUS,
    LOGIN,
    OWN_CONFIGURATION,
    STORED_RECORDS,
    TYPES,
    Message,
    serial_of,
    stamp_of,
    to_serial,
)
from inverterproto.alphaess.payloads import Form
from inverterproto.alphaess.state import BatteryState
from inverterproto.alphaess.table import COLUMNS, ROWS, Line, Table, row_fields, scan_table
from inverterproto.alphaess.typed import decode_head
from inverterproto.errors import ProtocolError
from inverterproto.masking import RunMasker, mask_text
from inverterproto.session import Action, Note, Record, States, undatable
from inverterproto.stream import Item, Unframed

FAMILY = "alphaess"
MOST_SERIALS = 16
"""Batteries behind one connection; ordinarily there is one."""
_KEY_SIZE = 16
_SHOWN = 64

_NAMES = {
    code: TYPES[REQUEST, code].name
    for code in (LIVE_STATUS, FULL_RECORD, STORED_RECORDS, OWN_CONFIGURATION, EVENTS, LOGIN)
}
_KEPT = {code: KINDS.get(name, name) for code, name in _NAMES.items()}
"""The commands of messages that are kept, and the kind of their records."""
_LIVE = {code: kind for code, kind in _KEPT.items() if code in (LIVE_STATUS, FULL_RECORD)}
_MEASURING = frozenset(KINDS.values())
_STORED, _LOGIN, _UNKNOWN = "stored", "login", "unknown"
_TELLING = frozenset({KINDS[CONFIGURATION], _LOGIN})
"""The kinds in which a battery tells of itself: the last is how it is now, each change counts."""


def key_of(kind: str, serial: str | None, payload: bytes) -> bytes:
    """Return the fingerprint of what was said: what is sent again has the same."""
    said = b"%b\0%b\0%b" % (kind.encode(), (serial or "").encode(), payload)
    return blake2b(said, digest_size=_KEY_SIZE).digest()


class Watcher:
    """Makes records of what the batteries of one connection say.

    Args:
        states: gives the `BatteryState` of a serial; None for one that is not wanted.
        trust_cloud: whether a configuration that the cloud sends is trusted from then on.
        nameless: whether anything is kept before a battery is named.

    Attributes:
        serial: the serial that was named last, if one was.
        state: what is remembered of it, None if it is refused.
        refused: whether nothing was kept of the last item, because of whom it was.
    """

    __slots__ = (
        "_known",
        "_nameless",
        "_runs",
        "_states",
        "_told",
        "_trust_cloud",
        "refused",
        "serial",
        "state",
    )

    def __init__(self, states: States, *, trust_cloud: bool = False, nameless: bool = True) -> None:
        self.serial: str | None = None
        self.state: BatteryState | None = None
        self.refused = False
        self._states = states
        self._trust_cloud = trust_cloud
        self._known: dict[str, BatteryState] = {}
        self._runs: dict[str, RunMasker] = {}  # by sender
        self._nameless = nameless
        self._told: str | None = ""  # the serial of which was said last that it is refused

    @property
    def serials(self) -> tuple[str, ...]:
        """The serials that were named and are not refused."""
        return tuple(self._known)

    def watch(self, item: Item, now: float, sender: str = DEVICE) -> list[Action]:
        """Take an item; return what there is to keep of it, and to tell.

        Args:
            item: what a `StreamDecoder` found.
            now: unix time in seconds.
            sender: `"device"` or `"cloud"`.
        """
        self.refused = False
        if isinstance(item, Unframed) or item.family != FAMILY:
            return self._keep_foreign(item, now, sender)
        frame: Frame = item.frame
        if sender == CLOUD:
            return self._watch_cloud(frame, item.raw, now)
        if frame.direction != REQUEST:
            return self._watch_reply(frame, item.raw, now)
        kind = _LIVE.get(frame.command)
        if kind is not None:
            head = decode_head(frame.payload)
            if head is not None:
                self._name(head.SN)
                stamp = usable_stamp(parse_stamp(head.Time))
                if not is_suspect(frame.payload):
                    return self._keep(kind, frame, item.raw, now, stamp=stamp)
                kept, raw = _masked(frame, item.raw)
                return self._keep(kind, kept, raw, now, stamp=stamp, masked=kept is not frame)
        return self._watch_request(frame, item.raw, now)

    def _look_up(self, serial: str) -> BatteryState | None:
        """Return the state of a serial; None if it is refused, for now."""
        state = self._known.get(serial)
        if state is None and len(self._known) < MOST_SERIALS:
            state = self._states(serial)
            if state is not None:
                self._known[serial] = state
        return state

    def _name(self, serial: str | None) -> None:
        """Take the serial that a message names, if it names one."""
        if (
            serial is not None
            and (serial != self.serial or self.state is None)
            and to_serial(serial) is not None
        ):
            self.serial = serial
            self.state = self._look_up(serial)
        if self.state is None and not self._wanted:
            self.refused = True

    @property
    def _wanted(self) -> bool:
        """Whether anything is kept of one without a state."""
        return self.serial is None and self._nameless

    def _watch_request(self, frame: Frame, raw: bytes, now: float) -> list[Action]:
        """Take what a battery says or asks, the slow way."""
        kind = _KEPT.get(frame.command)
        if kind == _STORED:
            return self._watch_stored(frame, raw, now)
        self._name(Message.parse(frame).device)
        if kind is None:
            if frame.command == CONFIGURE or (frame.command == KEEP_ALIVE and not frame.payload):
                return []
            return self._keep_unknown(frame, raw, now, DEVICE)
        kept, raw = _masked(frame, raw)
        message = Message.parse(kept)
        actions = self._keep(
            kind,
            kept,
            raw,
            now,
            stamp=usable_stamp(message.stamp),
            masked=kept is not frame,
            known=message.content.form is Form.JSON,
        )
        if message.content.form is not Form.JSON and not self.refused:
            what = f"{message.name}, {len(raw)} bytes, is no JSON"
            actions.append(Note("unknown-message", f"from the {DEVICE}: {what}; kept", self.serial))
        elif kind == _LOGIN and not self.refused:
            actions.append(Note("login", "a battery logs in", self.serial))
        return actions

    def _watch_stored(self, frame: Frame, raw: bytes, now: float) -> list[Action]:
        """Take stored records: each row by itself, if that can be."""
        kept, raw = _masked(frame, raw)
        masked = kept is not frame
        message = Message.parse(kept)
        content, fields = message.content, message.fields
        table = scan_table(kept.payload) if content.form is Form.TABLE else None
        if table is None or not _is_divisible(table):
            self._name(message.device)
            stamp, known = usable_stamp(stamp_of(fields)), content.form is Form.JSON
            return self._keep(_STORED, kept, raw, now, stamp=stamp, masked=masked, known=known)
        actions: list[Action] = []
        for line, row in zip(table.lines, fields[ROWS], strict=True):
            cells = row_fields(fields[COLUMNS], row)
            self._name(serial_of(cells))
            part = Frame(VERSION, REQUEST, frame.command, _row_payload(table, line))
            stamp, known = usable_stamp(stamp_of(cells)), len(row) == len(fields[COLUMNS])
            raw = part.build()
            actions += self._keep(_STORED, part, raw, now, stamp=stamp, masked=masked, known=known)
        return actions

    def _watch_reply(self, frame: Frame, raw: bytes, now: float) -> list[Action]:
        """Take what a battery answers."""
        self._name(None)
        return [] if frame.command == COMMAND else self._keep_unknown(frame, raw, now, DEVICE)

    def _watch_cloud(self, frame: Frame, raw: bytes, now: float) -> list[Action]:
        """Take what the cloud says: what it commands, and the configuration that it sends."""
        self._name(None)
        message = Message.parse(frame)
        if message.sender != CLOUD:
            return self._keep_unknown(frame, raw, now, CLOUD)
        if message.name == "command":
            return self._watch_command(message)
        return self._watch_configuration(frame) if message.name == CLOUD_CONFIGURATION else []

    def _watch_command(self, message: Message) -> list[Action]:
        fields = message.fields
        if self.state is not None:
            self.state.see_index(fields.get("CmdIndex"))
        names = ("Command", "Parameter1", "Parameter2")
        told = ", ".join(str(fields[name])[:_SHOWN] for name in names if name in fields)
        return [Note("cloud-command", f"the cloud commands: {told}", self.serial)]

    def _watch_configuration(self, frame: Frame) -> list[Action]:
        """Take the configuration that the cloud sends, if it is one for who asked."""
        state, serial, payload = self.state, self.serial, frame.payload
        if state is None or serial is None:
            return []
        try:
            check_configuration(payload, serial)
        except NoSettingsError:
            return []
        except ProtocolError as error:
            text = f"what the cloud sends as a configuration is not remembered: {error}"
            return [Note("cloud-configuration", text, self.serial)]
        before = state.configuration
        if self._trust_cloud:
            state.trust(payload, serial)
        if before is not None and settings_of(before) == settings_of(payload):
            return []
        what = "the first" if before is None else "another"
        trusted = "trusted" if self._trust_cloud else "not trusted"
        text = f"the cloud sends {what} configuration: {trusted}"
        return [Note("cloud-configuration", text, self.serial)]

    # What is kept

    def _keep(
        self,
        kind: str,
        frame: Frame,
        raw: bytes,
        now: float,
        *,
        stamp: float | None,
        masked: bool = False,
        known: bool = True,
    ) -> list[Action]:
        """Return the record of a message, and all that is dated by it."""
        serial, state = self.serial, self.state
        if state is None and not self._wanted:
            return self._refuse()
        known = known and state is not None
        key = key_of(kind, serial, frame.payload)
        if kind in _TELLING and state is not None:
            key = state.key_of_change(kind, key)
        historic = kind == _STORED
        record = Record(key, FAMILY, kind, serial, None, historic, stamp, raw, masked, known)
        if kind in _MEASURING and state is not None:
            dates = state.observe(key, stamp, now, historic=historic)
            return [record, *dates, *state.clock_notes(serial)]
        return [record, undatable(key, now, historic=historic)]

    def _keep_unknown(self, frame: Frame, raw: bytes, now: float, sender: str) -> list[Action]:
        """Return the record of a message that nobody understands."""
        if self.refused:
            return self._refuse()
        kept, raw = _masked(frame, raw)
        serial, masked = self.serial, kept is not frame
        key = key_of(_UNKNOWN, serial, raw)
        record = _unknown(key, FAMILY, _UNKNOWN, serial, raw, masked=masked, sender=sender)
        what = f"direction {frame.direction}, command {frame.command}, {len(raw)} bytes"
        note = Note("unknown-message", f"from the {sender}: {what}", serial)
        return [record, undatable(key, now), note]

    def _keep_foreign(self, item: Item, now: float, sender: str) -> list[Action]:
        """Return the record of bytes that are no frame, or another family's."""
        self._name(None)
        if self.refused:
            return self._refuse()
        if isinstance(item, Unframed):
            raw = self._runs.setdefault(sender, RunMasker()).mask(item.offset, item.raw)
        else:
            raw = mask_text(item.raw)
        family = None if item.framing is None else item.framing.family
        if isinstance(item, Unframed):
            kind = event = "unframed"
            what = str(item.reason)
        else:
            kind, event, what = _UNKNOWN, "other-family", f"a frame of {family}"
        key = key_of(kind, None, raw)
        record = _unknown(
            key, family, kind, self.serial, raw, masked=raw != item.raw, sender=sender
        )
        note = Note(event, f"from the {sender}: {what}, {len(raw)} bytes", self.serial)
        return [record, undatable(key, now), note]

    def _refuse(self) -> list[Action]:
        """Tell, once for each change of serials, that nothing is kept of this one."""
        told, self._told = self._told, self.serial
        if told == self.serial:
            return []
        return [Note("refused", "not wanted: neither kept nor answered", self.serial)]


def _unknown(
    key: bytes,
    family: str | None,
    kind: str,
    serial: str | None,
    raw: bytes,
    *,
    masked: bool,
    sender: str,
) -> Record:
    """Return the record of what nobody understands."""
    return Record(
        key,
        family,
        kind,
        device=serial,
        via=None,
        historic=False,
        stamp=None,
        frame=raw,
        masked=masked,
        known=False,
        sender=sender,
    )


def _masked(frame: Frame, raw: bytes) -> tuple[Frame, bytes]:
    """Return a frame with its credentials masked, and its bytes; the same if it has none."""
    masked = mask_frame(frame)
    return (frame, raw) if masked is frame else (masked, masked.build())


def _is_divisible(table: Table) -> bool:
    """Return whether each row can be a record of its own."""
    if table.header is None or not table.lines:
        return False
    header = table.header.end - table.header.start + ENVELOPE
    return len(table.payload) + len(table.lines) * header <= LONGEST


def _row_payload(table: Table, line: Line) -> bytes:
    """Return a table of the header line and one other."""
    lines = (table.header, line)
    return b"".join(table.payload[each.start : each.end] + b"\n" for each in lines if each)
