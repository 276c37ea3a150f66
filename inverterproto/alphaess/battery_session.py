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
from typing import Any

from inverterproto.alphaess.battery import Battery
from inverterproto.alphaess.clock import parse_stamp
from inverterproto.alphaess.commands import (
    SUCCESS,
    acknowledge,
    keep_alive,
    request_configuration,
)
from inverterproto.alphaess.frame import LONGEST, REPLY, Frame
from inverterproto.alphaess.messages import (
    CONFIGURE,
    EVENTS,
    FULL_RECORD,
    KEEP_ALIVE,
    LIVE_STATUS,
    LOGIN,
    OWN_CONFIGURATION,
    STORED_RECORDS,
    Message,
)
from inverterproto.session import Action, Close, Note, Send
from inverterproto.stream import Framed, Item

# In seconds.
STATUS_EVERY = 10.0
RECORD_EVERY = 300.0
CONFIGURATION_EVERY = 3600.0
REPLY_WAIT = 10.0

ROWS_A_FRAME = 3
FAILURE = "Fail"

_OPENING = (LOGIN, KEEP_ALIVE, EVENTS, CONFIGURE)


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
        self._unanswered: dict[int, float] = {}  # command, and until when its answer may come
        self._awaited: int | None = None  # the one of these for which queue and dump wait
        self._opening = not battery.logged_in
        self._setting_time = False
        self._unframed = 0
        self._closed = False

    def receive(self, item: Item, now: float) -> list[Action]:
        """Take what came from the cloud; return what to answer and to send next."""
        if self._closed:
            return []
        if not isinstance(item, Framed) or not isinstance(item.frame, Frame):
            return self._receive_foreign(item)
        self._unframed = 0
        message = Message.parse(item.frame)
        if message.name == "command":
            return [*self._obey(message, now), *self._go_on(now)]
        if item.frame.direction != REPLY or self._unanswered.pop(item.frame.command, None) is None:
            text = f"from the cloud: direction {item.frame.direction}, command {item.frame.command}"
            return [Note("unexpected", text, self._battery.serial)]
        self._take_reply(message, now)
        return self._go_on(now)

    def _receive_foreign(self, item: Item) -> list[Action]:
        """Take what is no frame of this family."""
        self._unframed += len(item.raw)
        if self._unframed < LONGEST:
            return [Note("unframed", f"from the cloud: {len(item.raw)} bytes")]
        self._closed = True
        return [Close(f"no frame in {self._unframed} bytes")]

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
        if self._closed:
            return inf
        if self._awaited is not None:
            times = [self._unanswered[self._awaited]]
        elif self._queue or self._dump:
            return -inf
        else:
            times = []
        if not self._opening:
            times += self._next.values()
        return min(times)

    def poll(self, now: float) -> list[Action]:
        """Return what is to be sent by now."""
        if self._closed:
            return []
        self._battery.store(now)
        actions: list[Action] = []
        for command, deadline in [*self._unanswered.items()]:
            if now >= deadline:
                actions += self._miss(command)
        return [*actions, *self._go_on(now), *self._stream(now)]

    def _miss(self, command: int) -> list[Action]:
        """Give up waiting for an answer."""
        if command == OWN_CONFIGURATION:
            self._unanswered[command] = inf  # it is sent again after the next status
        else:
            del self._unanswered[command]
        if command == self._awaited:
            self._awaited = None
        text = f"command {command}: no answer within {REPLY_WAIT:.0f} s"
        return [Note("unanswered", text, self._battery.serial)]

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
        if LIVE_STATUS in due and self._unanswered.get(OWN_CONFIGURATION) == inf:
            due = [*dict.fromkeys([*due, OWN_CONFIGURATION])]
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
        if self._unanswered.get(frame.command, inf) == inf:
            self._unanswered[frame.command] = now + REPLY_WAIT
        return Send(frame.build())
