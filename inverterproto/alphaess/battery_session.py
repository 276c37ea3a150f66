"""The battery's side of a connection: says what a battery says, in its order and at its times.

Theory of operation
-------------------
*The order* (source: V). Login, keep-alive, event log, configuration request, each when the one
before is answered; then a status every 10 s, a full record every 5 minutes, its own configuration
every hour (V: "now and then"). A battery that has logged in before streams at once. Told to Resume
it acknowledges, and sends what it stored before anything else that waits, three records a frame,
the next frame when the last is answered. Told SetConfig it acknowledges, asks for its
configuration, takes what it knows of it, and sends its own (source: D). Told SyncTime it asks too,
and sets its clock by CheckTime (a guess: C). Told what it does not know it acknowledges that it
failed (our guess, too).

*Unanswered.* Nothing shows that a battery keeps or repeats a status or record that was not
answered, so neither does this one. It was seen to send its own configuration again after the next
status (V). V's server answers no keep-alive, and the battery goes on: so after 10 s without an
answer this one goes on with whatever is next.

*Bounds.* Each command waits for one answer at the most; the queue holds a message of a kind once;
a Resume takes the place of the one before it.
"""

from collections import deque
from collections.abc import Mapping
from math import inf
from typing import Any, NamedTuple

from inverterproto.alphaess.battery import Battery
from inverterproto.alphaess.clock import parse_stamp
from inverterproto.alphaess.commands import (
    SUCCESS,
    acknowledge,
    keep_alive,
    request_configuration,
)
from inverterproto.alphaess.frame import REPLY, REQUEST, Frame
from inverterproto.alphaess.messages import (
    CONFIGURE,
    EVENTS,
    FULL_RECORD,
    KEEP_ALIVE,
    LIVE_STATUS,
    LOGIN,
    OWN_CONFIGURATION,
    STORED_RECORDS,
    TYPES,
    Message,
)
from inverterproto.alphaess.watching import FAMILY
from inverterproto.session import Action, Answer, Note, Send, UnframedLimit
from inverterproto.stream import Framed, Item

# In seconds.
STATUS_EVERY = 10.0
RECORD_EVERY = 300.0
CONFIGURATION_EVERY = 3600.0
REPLY_WAIT = 10.0

ROWS_A_FRAME = 3
FAILURE = "Fail"

_OPENING = (LOGIN, KEEP_ALIVE, EVENTS, CONFIGURE)


class _Request(NamedTuple):
    """Something that was sent and is not answered yet."""

    asked: float
    deadline: float


class BatterySession:
    """One connection of a battery (see `inverterproto.session.Session`).

    Args:
        battery: whose connection it is.
        now: unix time at which it begins.
        status_every: seconds from one status to the next.
        record_every: seconds from one full record to the next.
        configuration_every: seconds from one own configuration to the next.
    """

    def __init__(
        self,
        battery: Battery,
        now: float,
        *,
        status_every: float = STATUS_EVERY,
        record_every: float = RECORD_EVERY,
        configuration_every: float = CONFIGURATION_EVERY,
    ) -> None:
        self._battery = battery
        self._every = {
            LIVE_STATUS: status_every,
            FULL_RECORD: record_every,
            OWN_CONFIGURATION: configuration_every,
        }
        self._next = dict.fromkeys(self._every, now)
        # What is sent one after the other, each when the one before is answered.
        self._queue: deque[int] = deque(() if battery.logged_in else _OPENING)
        self._dump: deque[tuple[float, float]] = deque()  # minutes to send; before the queue
        self._unanswered: dict[int, _Request] = {}  # by command
        self._awaited: int | None = None  # the one of these for which queue and dump wait
        self._again = False  # whether the own configuration is sent again after the next status
        self._opening = not battery.logged_in
        self._setting_time = False
        self._limit = UnframedLimit()

    def receive(self, item: Item, now: float) -> list[Action]:
        """Take what came from the cloud; return what to answer and to send next."""
        if self._limit.reached:
            return []
        if not isinstance(item, Framed) or item.family != FAMILY:
            note = Note("unframed", f"from the cloud: {len(item.raw)} bytes", self._battery.serial)
            return [note, *self._limit.unframed(len(item.raw))]
        self._limit.framed()
        message = Message.parse(item.frame)
        if message.name == "command":
            return [*self._obey(message, now), *self._go_on(now)]
        command = item.frame.command
        request = None if item.frame.direction != REPLY else self._unanswered.pop(command, None)
        if request is None:
            text = f"from the cloud: direction {item.frame.direction}, command {command}"
            return [Note("unexpected", text, self._battery.serial)]
        self._take_reply(message, now)
        success = message.fields.get("Status") == SUCCESS
        problem = "" if success else f"the cloud does not say {SUCCESS}"
        answer = Answer(_name(command), message, now - request.asked, problem=problem)
        return [answer, *self._go_on(now)]

    def _take_reply(self, message: Message, now: float) -> None:
        """Take an answer that was waited for."""
        command = message.frame.command
        if command == self._awaited:
            self._awaited = None
        if command == LOGIN:
            self._battery.logged_in = True
        elif command == CONFIGURE:
            fields = message.fields
            self._battery.configure(fields)
            text = str(fields.get("CheckTime")).replace("-", "/")
            if self._setting_time and (shown := parse_stamp(text)) is not None:
                self._battery.set_clock(now, shown)
            self._setting_time = False

    def _obey(self, message: Message, now: float) -> list[Action]:
        """Acknowledge a command, and see to it that it is done."""
        fields = message.fields
        name, status = fields.get("Command"), SUCCESS
        if name == "Resume":
            status = self._resume(fields, now)
        elif name == "SetConfig":
            self._ask(CONFIGURE)
            self._ask(OWN_CONFIGURATION)
        elif name == "SyncTime":
            self._setting_time = True
            self._ask(CONFIGURE)
        else:
            status = FAILURE
        return [Send(acknowledge(message.frame, status).build())]

    def _resume(self, fields: Mapping[str, Any], now: float) -> str:
        """Get what was stored since then ready to be sent."""
        since, minutes = parse_stamp(fields.get("Parameter1")), fields.get("Parameter2")
        everything = "Parameter1" not in fields and "Parameter2" not in fields
        if not everything and (since is None or not isinstance(minutes, int) or minutes < 0):
            return FAILURE
        self._battery.store(now)
        self._dump = deque(self._battery.held(since, None if everything else minutes))
        return SUCCESS

    def _ask(self, command: int) -> None:
        """Put a message at the end of the queue, if it is not in it."""
        if command not in self._queue:
            self._queue.append(command)

    # What is due

    @property
    def due(self) -> float:
        """When to poll next."""
        if self._limit.reached:
            return inf
        if self._awaited is not None:
            times = [self._unanswered[self._awaited].deadline]
        elif self._queue or self._dump:
            return -inf
        else:
            times = []
        if not self._opening:
            times += self._next.values()
        return min(times)

    def poll(self, now: float) -> list[Action]:
        """Return what is to be sent by now."""
        if self._limit.reached:
            return []
        self._battery.store(now)
        late = [c for c, request in self._unanswered.items() if now >= request.deadline]
        missed: list[Action] = [self._miss(command, now) for command in late]
        return [*missed, *self._go_on(now), *self._stream(now)]

    def end(self, now: float) -> list[Action]:
        """Take notice that the connection has ended; return what will have no answer."""
        return [self._miss(command, now) for command in [*self._unanswered]]

    def _miss(self, command: int, now: float) -> Answer:
        """Give up waiting for an answer."""
        request = self._unanswered.pop(command)
        self._again = self._again or command == OWN_CONFIGURATION
        if command == self._awaited:
            self._awaited = None
        return Answer(_name(command), None, now - request.asked, problem="not answered")

    def _go_on(self, now: float) -> list[Action]:
        """Send the next of what is sent one after the other."""
        if self._awaited is not None:
            return []
        if self._dump:
            rows = [self._dump.popleft() for _ in range(min(ROWS_A_FRAME, len(self._dump)))]
            self._awaited = STORED_RECORDS
            return [self._send(self._battery.stored(rows), now)]
        if self._queue:
            self._awaited = self._queue.popleft()
            return [self._send(self._make(self._awaited, now), now)]
        if self._opening:
            self._opening = False
            self._next = dict.fromkeys(self._every, now)
            return self._stream(now)
        return []

    def _stream(self, now: float) -> list[Action]:
        """Send what is sent by the clock."""
        if self._opening:
            return []
        due = [command for command, time in self._next.items() if now >= time]
        if self._again and LIVE_STATUS in due:
            due = [*dict.fromkeys([*due, OWN_CONFIGURATION])]
            self._again = False
        for command in due:
            every = self._every[command]
            late = now - self._next[command]
            self._next[command] += every * (late // every + 1)
        return [self._send(self._make(command, now), now) for command in due]

    def _make(self, command: int, now: float) -> Frame:
        battery = self._battery
        if command == LOGIN:
            return battery.login()
        if command == KEEP_ALIVE:
            return keep_alive()
        if command == EVENTS:
            return battery.event_log(now)
        if command == CONFIGURE:
            return request_configuration(battery.serial)
        if command == OWN_CONFIGURATION:
            return battery.own_configuration()
        return battery.status(now) if command == LIVE_STATUS else battery.record(now)

    def _send(self, frame: Frame, now: float) -> Send:
        self._unanswered.setdefault(frame.command, _Request(now, now + REPLY_WAIT))
        return Send(frame.build())


def _name(command: int) -> str:
    return TYPES[REQUEST, command].name
