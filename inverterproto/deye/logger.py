"""The device's side of a V5 connection: what a logger stick does.

Theory of operation
-------------------
*Measuring* goes on whether or not there is a connection: every interval the source is asked, and
the payload gets its head with the stick's counters as they were then. What was measured while
connected is *live* until it is answered; all else is *kept*: marked as historic (0x81), with the
offset time that was known, 0 if none was. Of too many kept records the oldest are lost.

*Talking* is asking: one request at a time, each awaited. What is due is chosen in this order, which
gives the order of the series that real sticks send (sources: T, N): handshake, live data, kept data
(a burst, newest first), wifi three times, report. The series comes at connection and every three
hours; a heartbeat comes when its time is over.

*Learning.* An accepted reply sets the offset time to its time minus the total working time, and
restarts the heartbeat's time by what it says; sending data restarts it too (source: T). A 0 (real
clouds' stand-ins send it) leaves the stick's own.

*Counters.* Byte 6 is the stick's own: it counts every frame. Byte 5 is the last that came from the
server, in a reply or a command; both live on through connections. An answer to a command echoes its
byte 5 (sources: T, I).

*Unanswered* requests are sent again with the next counter, and after some attempts the stick hangs
up; then, or when the connection ends, data goes back to what is kept. How long real sticks wait no
source tells: 10 s and three attempts are our choice.

The program opens the connection and calls `connected`, closes it after a `Close`, and calls
`disconnected` when it has ended. `restarted` is a loss of power.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from inverterproto.deye.bodies import COMMAND, COMMAND_REPLY
from inverterproto.deye.dating import Stamp
from inverterproto.deye.frame import Frame
from inverterproto.deye.messages import (
    CONTROL_LOW,
    DATA,
    HANDSHAKE,
    HEARTBEAT,
    HISTORIC,
    REPLY_STEP,
    REPORT,
    TYPES,
    WIFI,
    Message,
    build_payload,
)
from inverterproto.deye.payloads import CLOUD_REPLY
from inverterproto.deye.responding import CommandResponder
from inverterproto.deye.stick import Measured, Stick, as_historic, heartbeat, with_offset
from inverterproto.deye.watching import FAMILY
from inverterproto.session import Action, Answer, Close, Note, Send, UnframedLimit
from inverterproto.stream import Framed, Item

Source = Callable[[float], Measured | None]
"""Tells what is measured at a time; None for nothing (a micro-inverter sleeps at night)."""

SYNC_EVERY = 3 * 3600
"""Seconds from one series to the next (sources: T, N)."""
BURST = 11
"""Kept records that are sent at once: so many stand in one second of a public log."""
_U32 = 0xFFFF_FFFF


class _Request(NamedTuple):
    """A request that awaits its answer."""

    type: int
    payload: bytes
    sequence: tuple[int, int]
    asked: float  # for the first time
    sent: float  # the last time
    attempts: int


class LoggerSession:
    """A logger stick's side, without a socket, through all of its connections.

    Args:
        stick: what it is.
        source: tells what is measured.
        powered_on: when the stick got power, in unix seconds.
        working_time: its total working time then.
        interval: seconds from one measurement to the next; None for the stick's own.
        responder: answers commands; None for a stick that cannot reach its inverter.
        most_kept: so many records are kept.
        answer_within: seconds after which an unanswered request is sent again.
        attempts: so many times a request is sent before the stick hangs up.
        pause: seconds between one request and the next.

    Attributes:
        dropped: kept records that were lost because there were too many.
        offset_time: what the stick knows of the time; 0 until it is told.
    """

    def __init__(
        self,
        stick: Stick,
        source: Source,
        *,
        powered_on: float,
        working_time: int = 0,
        interval: float | None = None,
        responder: CommandResponder | None = None,
        most_kept: int = 576,
        answer_within: float = 10.0,
        attempts: int = 3,
        pause: float = 1.0,
    ) -> None:
        self.stick = stick
        self.dropped = 0
        self.offset_time = 0
        self._source = source
        self._powered_on = powered_on
        self._working_time = working_time
        self._interval = 60.0 * stick.upload_minutes if interval is None else interval
        self._responder = responder or CommandResponder()
        self._most_kept = most_kept
        self._answer_within = answer_within
        self._attempts = attempts
        self._pause = pause

        self._connected = False
        self._limit = UnframedLimit()
        self._first = self._second = 0
        self._packets = 0
        self._live: bytes | None = None
        self._kept: deque[bytes] = deque()  # the newest last
        self._asked: dict[int, _Request] = {}  # by the second counter
        self._series: deque[tuple[int, Callable[[Stamp], bytes]]] = deque()
        self._heartbeat = stick.heartbeat_seconds
        self._measure_at = powered_on
        self._sync_at = self._heartbeat_at = self._quiet_until = powered_on

    @property
    def kept(self) -> int:
        """How many records wait to be sent as historic ones."""
        return len(self._kept)

    @property
    def waiting(self) -> int:
        """How many records and other requests are not answered yet, sent or not."""
        return len(self._asked) + len(self._kept) + (self._live is not None)

    @property
    def due(self) -> float:
        """When to poll next, in unix seconds."""
        if not self._connected:
            return self._measure_at
        if self._asked:
            talk = min(each.sent for each in self._asked.values()) + self._answer_within
        elif self._series or self._live or self._kept:
            talk = self._quiet_until
        else:
            talk = max(self._quiet_until, min(self._sync_at, self._heartbeat_at))
        return min(self._measure_at, talk)

    def times(self, now: float) -> Stamp:
        """Return the stick's three times."""
        on = int(now - self._powered_on)
        return Stamp((self._working_time + on) & _U32, on & _U32, self.offset_time)

    def connected(self, now: float) -> list[Action]:
        """Take notice that a connection is open; return what is to be sent."""
        self._connected = True
        self._limit = UnframedLimit()
        self._sync_at = self._quiet_until = now
        self._heartbeat_at = now + self._heartbeat
        return self.poll(now)

    def disconnected(self, now: float) -> list[Action]:
        """Take notice that the connection has ended; what was not answered is kept."""
        self._measure(now)
        self._hang_up()
        return []

    def restarted(self, now: float, working_time: int | None = None) -> None:
        """Take notice that the stick was without power until now.

        Args:
            now: unix time in seconds.
            working_time: the total working time; None where it ran on.
        """
        if working_time is None:
            working_time = self.times(now).total_working_time
        self._hang_up()
        self._powered_on, self._working_time = now, working_time
        self._measure_at = now
        self.offset_time = 0

    def poll(self, now: float) -> list[Action]:
        """Measure, and send what is due."""
        self._measure(now)
        if not self._connected:
            return []
        return [*self._repeat(now), *self._talk(now)]

    def receive(self, item: Item, now: float) -> list[Action]:
        """Take what the other side sent; return what to do about it."""
        if not self._connected or self._limit.reached:
            return []
        if not isinstance(item, Framed) or item.framing.family != FAMILY:
            return self._limit.unframed(len(item.raw))
        self._limit.framed()
        frame: Frame = item.frame
        if frame.logger_serial != self.stick.serial:
            text = f"a frame for logger {frame.logger_serial}, which this is not"
            return [Note("other-serial", text, str(self.stick.serial))]
        if frame.message_type == COMMAND:
            return self._respond(frame, now)
        request = self._asked.get(frame.sequence[1])
        if request is None or frame.message_type != request.type - REPLY_STEP:
            text = f"a message of type {frame.message_type:#04x} that answers nothing"
            return [Note("unasked", text, str(self.stick.serial))]
        return self._answered(request, frame, now)

    # Measuring

    def _measure(self, now: float) -> None:
        """Take what was measured until now."""
        missed = (now - self._measure_at) // self._interval
        if missed > self._most_kept:
            self._measure_at += (missed - self._most_kept) * self._interval
        while self._measure_at <= now:
            at = self._measure_at
            self._measure_at += self._interval
            measured = self._source(at)
            if measured is None:
                continue
            self._keep_live()
            self._packets += 1
            self._live = self.stick.data(measured, self.times(at), self._packets)
            if not self._connected:
                self._keep_live()

    def _keep_live(self) -> None:
        """Keep what was live, to be sent as a historic record."""
        if self._live is not None:
            self._keep(as_historic(self._live, self.offset_time))
            self._live = None

    def _keep(self, payload: bytes) -> None:
        self._kept.append(payload)
        if len(self._kept) > self._most_kept:
            self._kept.popleft()
            self.dropped += 1

    # Talking

    def _talk(self, now: float) -> list[Action]:
        """Send what is due, if nothing is awaited."""
        if not self._connected or self._asked or now < self._quiet_until:
            return []
        if not self._series and now >= self._sync_at:
            self._begin_series(now)
        if self._series and self._series[0][0] == HANDSHAKE:
            return self._send_next_of_series(now)
        if self._live is not None:
            payload, self._live = self._live, None
            return [self._ask(DATA, with_offset(payload, self.offset_time), now)]
        if self._kept:
            burst = [self._kept.pop() for _ in range(min(BURST, len(self._kept)))]
            return [self._ask(DATA, payload, now) for payload in burst]
        if self._series:
            return self._send_next_of_series(now)
        if now >= self._heartbeat_at:
            return [self._ask(HEARTBEAT, heartbeat(self.times(now)), now)]
        return []

    def _begin_series(self, now: float) -> None:
        stick = self.stick
        self._sync_at = now + SYNC_EVERY
        self._series.extend(
            (
                (HANDSHAKE, stick.handshake),
                (WIFI, lambda times: stick.network(times, HISTORIC | 1)),
                (WIFI, stick.inverter),
                (WIFI, stick.network),
                (REPORT, stick.report),
            )
        )

    def _send_next_of_series(self, now: float) -> list[Action]:
        message_type, payload = self._series.popleft()
        return [self._ask(message_type, payload(self.times(now)), now)]

    def _ask(
        self, message_type: int, payload: bytes, now: float, before: _Request | None = None
    ) -> Send:
        """Send a request, for the first time or again."""
        self._second = (self._second + 1) & 0xFF
        sequence = self._first, self._second
        asked, attempts = (now, 1) if before is None else (before.asked, before.attempts + 1)
        self._asked[self._second] = _Request(message_type, payload, sequence, asked, now, attempts)
        self._quiet_until = now + self._pause
        if message_type in (DATA, HEARTBEAT):
            self._heartbeat_at = now + self._heartbeat
        return self._send(message_type, sequence, payload)

    def _send(self, message_type: int, sequence: tuple[int, int], payload: bytes) -> Send:
        code = message_type << 8 | CONTROL_LOW
        return Send(Frame(code, sequence, self.stick.serial, payload).build())

    def _repeat(self, now: float) -> list[Action]:
        """Send again what was not answered in time, or hang up."""
        late = [each for each in self._asked.values() if now >= each.sent + self._answer_within]
        actions: list[Action] = []
        if any(each.attempts >= self._attempts for each in late):
            actions += [_unanswered(each, now) for each in late]
            self._hang_up()
            return [*actions, Close("the other side does not answer")]
        for each in late:
            del self._asked[each.sequence[1]]
        return [self._ask(each.type, each.payload, now, each) for each in late]

    def _hang_up(self) -> None:
        """End the connection: what was not answered is kept again."""
        self._connected = False
        self._series.clear()
        asked = [each.payload for each in self._asked.values() if each.type == DATA]
        self._asked.clear()
        for payload in reversed(asked):  # a burst is sent newest first
            historic = payload[0] & HISTORIC
            self._keep(payload if historic else as_historic(payload, self.offset_time))
        self._keep_live()

    # Being answered

    def _answered(self, request: _Request, frame: Frame, now: float) -> list[Action]:
        """Take a reply."""
        message = Message.parse(frame)
        problem = _problem(request, frame, message)
        accepted = message.fields.get("status") == 1 and "next_heartbeat" in message.fields
        name = TYPES[request.type].name
        answer = Answer(name, message, now - request.asked, final=accepted, problem=problem)
        if not accepted:
            return [answer]  # as if there were none
        del self._asked[request.sequence[1]]
        self._first = frame.sequence[0]
        working = self.times(now).total_working_time
        self.offset_time = (message.fields["time"] - working) & _U32
        self._heartbeat = message.fields["next_heartbeat"] or self.stick.heartbeat_seconds
        self._heartbeat_at = now + self._heartbeat
        return [answer, *self._talk(now)]

    def _respond(self, command: Frame, now: float) -> list[Action]:
        """Answer a command."""
        self._first = command.sequence[0]
        response = self._responder.respond(command)
        if response is None:
            text = "a command of no known kind: not answered"
            return [Note("unknown-command", text, str(self.stick.serial))]
        self._second = (self._second + 1) & 0xFF
        fields = {
            "frame_type": command.payload[0],
            "status": response.status,
            **self.times(now)._asdict(),
            **response.body,
        }
        payload = build_payload(COMMAND_REPLY, fields)
        return [self._send(COMMAND_REPLY, (self._first, self._second), payload)]


def _problem(request: _Request, reply: Frame, message: Message) -> str:
    """Say what is wrong with a reply."""
    problems = []
    if len(reply.payload) != CLOUD_REPLY.size:
        problems.append(f"a payload of {len(reply.payload)} bytes, expected {CLOUD_REPLY.size}")
    if message.fields.get("status", 1) != 1:
        problems.append(f"status {message.fields['status']}, expected 1")
    expected = (request.sequence[0] + 1) & 0xFF
    if reply.sequence[0] != expected:
        problems.append(f"first counter {reply.sequence[0]}, expected {expected}")
    if reply.payload[:1] not in (b"", request.payload[:1]):
        problems.append(f"frame type {reply.payload[0]:#04x}, expected {request.payload[0]:#04x}")
    return "; ".join(problems)


def _unanswered(request: _Request, now: float) -> Answer:
    problem = f"not answered, {request.attempts} times"
    return Answer(TYPES[request.type].name, None, now - request.asked, problem=problem)
