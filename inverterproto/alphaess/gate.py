"""What of the cloud's frames may pass to a battery (see `inverterproto.gate`).

Theory of operation
-------------------
*Replies*, in `read-only` and `block`: a frame passes that answers an outstanding request of the
battery, each request once, and says `{"Status":"Success"}` and no more. No other status is known,
and what a battery makes of others, or of more keys, is not known either. The battery's answer to a
command is answered as a keep-alive is (source: D).

*A configuration* may be the answer to a configuration request, and to nothing else; or Success,
with or without the battery's serial, which is the answer of servers that have none. Only the
approved one passes (`approval.py`); what else comes as an answer is held, and the approved one is
sent in its place: the battery asked, and shall not go without because of what the cloud wants. The
first that the cloud sends for a serial is taken as approved, and said. Whom it answers, its serial
tells; if none of that serial asked, it answers who has waited longest. So a request that gets no
answer, or none that may pass, is in nobody's way.

*Commands*, in `read-only`: Resume with a time and a number of minutes that can be meant, and
SyncTime, which makes the battery take the time that a configuration tells (if it names one itself,
that must be right). While the owner lets what comes be approved (`BatteryState.approving_until`),
SetConfig, too, in both: it makes the battery fetch its settings, which is what the owner waits for.
Nothing else passes: what is not known may do anything.

*Bounds.* Of each command `MOST_OUTSTANDING` requests are remembered.
"""

import re
from collections import Counter, deque
from collections.abc import Callable, Mapping
from shlex import quote

from inverterproto.alphaess.approval import against_stamp, against_time, check_plain, differences
from inverterproto.alphaess.clock import ZONE_GREATEST, parse_stamp
from inverterproto.alphaess.commands import SUCCESS
from inverterproto.alphaess.configuration import answer_configuration, settings_of
from inverterproto.alphaess.frame import REPLY, REQUEST, VERSION, Frame
from inverterproto.alphaess.masking import masked
from inverterproto.alphaess.meaning import meaning
from inverterproto.alphaess.messages import (
    COMMAND,
    CONFIGURE,
    DEVICE,
    FULL_RECORD,
    KEEP_ALIVE,
    LIVE_STATUS,
    LOGIN,
    OWN_CONFIGURATION,
    TYPES,
    Message,
    type_of,
)
from inverterproto.alphaess.state import MINUTE, BatteryState
from inverterproto.alphaess.text import load
from inverterproto.alphaess.watching import FAMILY
from inverterproto.errors import ProtocolError
from inverterproto.gate import PASSES, Rights, Verdict
from inverterproto.session import Action, Note, Send, States
from inverterproto.stream import Framed

MOST_OUTSTANDING = 256
"""Requests of one command without an answer."""
MOST_MINUTES = 31 * 24 * 60
"""Of the longest Resume: a month of stored records."""
LONGEST_COMMAND = 256
"""Bytes of payload."""

_ANSWERED = frozenset(
    code for (direction, code), entry in TYPES.items()
    if direction == REQUEST and entry.sender == DEVICE
)  # fmt: skip
_NAMING = frozenset((LOGIN, CONFIGURE, OWN_CONFIGURATION, FULL_RECORD, LIVE_STATUS))
_ASK = Frame(VERSION, REQUEST, CONFIGURE, b"")
_says_success = re.compile(
    rb'[ \t\r\n]?\{ ?"Status" ?: ?"%b" ?\}[ \t\r\n]{0,2}' % SUCCESS.encode()
).fullmatch
_is_index = re.compile(r"[0-9]{1,10}", re.ASCII).fullmatch
_is_minutes = re.compile(r"[1-9][0-9]{0,5}", re.ASCII).fullmatch
_NAMES = {"Command", "CmdIndex"}


def _no_time(now: float) -> None:
    """Know no household's time."""


class AllowList:
    """Judges the cloud's frames on one connection (see `inverterproto.gate.AllowList`).

    Args:
        rights: `read-only` or `block`.
        states: gives the `BatteryState` of a serial; None for one that is not wanted.
        local_time: what a clock in the household shows (see `cloud.CloudSession`).
    """

    family = FAMILY
    __slots__ = ("_askers", "_local_time", "_outstanding", "_reads", "_serial", "_states")

    def __init__(
        self,
        rights: Rights,
        states: States,
        *,
        local_time: Callable[[float], float | None] = _no_time,
    ) -> None:
        self._reads = rights is Rights.READ_ONLY
        self._states = states
        self._local_time = local_time
        self._serial: str | None = None  # that was named last
        self._outstanding: Counter[int] = Counter()  # requests by command
        self._askers: deque[str | None] = deque(maxlen=MOST_OUTSTANDING)  # for a configuration

    def device_said(self, item: Framed, now: float) -> None:
        """Take notice of a frame of the battery."""
        del now
        frame: Frame = item.frame
        command = frame.command
        if frame.direction == REPLY and command == COMMAND:
            command = KEEP_ALIVE
        elif frame.direction == REPLY or command not in _ANSWERED:
            return
        elif command in _NAMING:
            self._serial = Message.parse(frame).device or self._serial
        if command == CONFIGURE:
            self._askers.append(self._serial)
        elif self._outstanding[command] < MOST_OUTSTANDING:
            self._outstanding[command] += 1

    def judge(self, item: Framed, now: float) -> Verdict:
        """Return what becomes of a frame of the cloud."""
        frame: Frame = item.frame
        if type_of(frame).name == "command":
            return self._judge_command(frame, now)
        if frame.direction == REPLY and frame.command == CONFIGURE:
            return self._judge_configuration(frame, now)
        if frame.direction != REPLY or frame.command not in _ANSWERED:
            return Verdict("not of a type that a cloud sends", meaning(frame))
        if not self._outstanding[frame.command]:
            return Verdict("it answers no request that is outstanding", meaning(frame))
        if not _says_success(frame.payload):
            return Verdict(f"not {SUCCESS} alone", meaning(frame))
        self._outstanding[frame.command] -= 1
        return PASSES

    def masked(self, raw: bytes) -> bytes:
        """Return a frame's bytes with its credentials masked."""
        return masked(raw)

    def device(self) -> str | None:
        """Return the serial that was named last, if it is one that is wanted."""
        return None if self._state(self._serial) is None else self._serial

    def _state(self, serial: str | None) -> BatteryState | None:
        state: BatteryState | None = None if serial is None else self._states(serial)
        return state

    # Configurations

    def _judge_configuration(self, reply: Frame, now: float) -> Verdict:
        if not self._askers:
            return Verdict("it answers no request that is outstanding", meaning(reply))
        named = Message.parse(reply).device
        asker = named if named in self._askers else self._askers[0]
        nothing = answer_configuration(_ASK, asker, None, None)
        if _says_success(reply.payload) or reply.payload == nothing.payload:
            self._askers.remove(asker)
            return PASSES
        state = self._state(asker)
        if state is None or asker is None:
            return Verdict("whose configuration it is, is not known here", meaning(reply))
        verdict = self._compare(reply, asker, state, now)
        if verdict.reason is None:
            self._askers.remove(asker)
            return verdict
        if state.configuration is None:
            return verdict
        self._askers.remove(asker)
        shown = self._local_time(now)
        instead = answer_configuration(_ASK, asker, state.configuration, shown)
        return verdict._replace(more=(*verdict.more, Send(instead.build())))

    def _compare(self, reply: Frame, serial: str, state: BatteryState, now: float) -> Verdict:
        """Return what becomes of an answer to a configuration request, by what is approved."""
        payload, approved = reply.payload, state.configuration
        try:
            check_plain(payload, serial)
        except ProtocolError as error:
            return Verdict(f"no configuration that may pass: {error.message}", meaning(reply))
        notes: tuple[Action, ...] = ()
        if approved is None or settings_of(approved) != settings_of(payload):
            if approved is not None and now >= state.approving_until:
                state.hold(payload)
                told = ", ".join(differences(approved, payload))
                todo = f"inverterproto approve {quote(serial)}"
                return Verdict(f"it is not approved: {todo}", f"configuration differs: {told}")
            notes = (_approved(approved, payload, serial),)
            state.trust(payload, serial)
        else:
            state.hold(None)
        reason = against_time(payload, self._local_time(now))
        return Verdict(reason, "the approved configuration" if reason else "", notes)

    # Commands

    def _judge_command(self, command: Frame, now: float) -> Verdict:
        state = self._state(self._serial)
        approving = state is not None and now < state.approving_until
        if not (self._reads or approving):
            return Verdict("no command may pass", meaning(command))
        pairs = load(command.payload) if len(command.payload) <= LONGEST_COMMAND else None
        said = dict(pairs or ())
        if not said or len(said) != len(pairs or ()) or not all(map(_is_text, said.values())):
            return Verdict("not a command in a form that is known", meaning(command))
        reason = self._against(said, now, approving=approving)
        return PASSES if reason is None else Verdict(reason, meaning(command))

    def _against(self, said: Mapping[str, str], now: float, *, approving: bool) -> str | None:
        """Return why a command may not pass."""
        if not said.keys() >= _NAMES or not _is_index(said["CmdIndex"]):
            return "not a command in a form that is known"
        given = said.keys() - _NAMES
        if said["Command"] == "SetConfig" and approving:
            return "not a SetConfig in a form that is known" if given else None
        if not self._reads:
            return "no command may pass"
        if said["Command"] == "Resume":
            return self._against_resume(said, given, now) if given else None
        if said["Command"] != "SyncTime":
            return "not a command that may only read"
        if given and given != {"Parameter1"}:
            return "not a SyncTime in a form that is known"
        if not given:
            return None
        return against_stamp("time", parse_stamp(said["Parameter1"]), self._local_time(now))

    def _against_resume(self, said: Mapping[str, str], given: set[str], now: float) -> str | None:
        """Return why a Resume with parameters may not pass."""
        if given != {"Parameter1", "Parameter2"} or not _is_minutes(said["Parameter2"]):
            return "not a Resume in a form that is known"
        since = parse_stamp(said["Parameter1"])
        if since is None:
            return "its beginning is no time"
        state = self._state(self._serial)
        offset = None if state is None else state.clock.offset
        back = now + (offset or 0.0) - since
        if int(said["Parameter2"]) > MOST_MINUTES or back > MOST_MINUTES * MINUTE + ZONE_GREATEST:
            return f"more than {MOST_MINUTES // 1440} days are asked for"
        return "it begins in the future" if back < -ZONE_GREATEST else None


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable()


def _approved(before: bytes | None, payload: bytes, serial: str) -> Note:
    """Say that a configuration is taken as approved."""
    if before is None:
        text = f"the first configuration of {serial} that the cloud sends is taken as approved"
    else:
        told = ", ".join(differences(before, payload))
        text = f"approved, as asked: the configuration of {serial} is now {told}"
    return Note("configuration-approved", text, serial)
