"""The cloud's side of a connection: answers a battery, and asks it for what is missing.

Theory of operation
-------------------
`CloudSession.receive` lets the `Watcher` make its records, then answers; the answer stands behind
the records, so that it is sent when they are safe.

*Answered* is everything that has a payload, known or not, and the empty keep-alive: with Success,
in the direction of replies and of the same command; a battery's acknowledgement of a command as a
keep-alive (source: D). Replies to nothing are not answered, and nothing of whom the program
refuses: what is acknowledged is stored. A configuration request gets the trusted configuration, if
there is one (see `configuration.py`).

*Resume.* After a live record that ended a silence (see `state.py`) the missing records are asked
for, once a connection: not at the login, because only a live record tells what the battery's clock
shows now, and because a battery that connects again sends no login. What does not come within
`PATIENCE` after the last that came, the battery does not have.

*SetConfig* is an exchange (source: D): the battery acknowledges the command, asks for its
configuration, gets the trusted one, sends its own, and is answered. All answers are the ordinary
ones; the session only follows the exchange, to tell whether it came to its end.

*Time.* `local_time` tells what a clock in the household shows, and None while the host's own clock
is not to be trusted. Then no CheckTime is sent, and no SyncTime.

*Bounds.* Besides what the watcher holds: a deadline for each command that was given and not yet
acknowledged, `MOST_COMMANDS` at the most. 64 KiB without a frame end the connection.
"""

from collections.abc import Callable
from functools import cache
from math import inf
from typing import NamedTuple

from inverterproto.alphaess.clock import NEAR
from inverterproto.alphaess.commands import SUCCESS, reply, resume, set_config, sync_time
from inverterproto.alphaess.configuration import answer_configuration
from inverterproto.alphaess.frame import LONGEST, REPLY, REQUEST, VERSION, Frame
from inverterproto.alphaess.messages import (
    COMMAND,
    CONFIGURE,
    FULL_RECORD,
    KEEP_ALIVE,
    LIVE_STATUS,
    OWN_CONFIGURATION,
    STORED_RECORDS,
    Message,
)
from inverterproto.alphaess.state import BatteryState
from inverterproto.alphaess.watching import FAMILY, Watcher
from inverterproto.session import Action, Close, Note, Send, States
from inverterproto.stream import Framed, Item

# In seconds.
ANSWER_WAIT = 60.0  # a command is acknowledged, and each step of an exchange follows, by then
PATIENCE = 300.0  # the next stored record comes by then, or none does

MOST_COMMANDS = 16
"""Commands that wait for their acknowledgement; of more the oldest is forgotten."""

_STEPS = ((REPLY, COMMAND), (REQUEST, CONFIGURE), (REQUEST, OWN_CONFIGURATION))
"""What a battery sends, one after the other, when it is told SetConfig (source: D)."""


class _Command(NamedTuple):
    """A command that waits for its acknowledgement."""

    name: str
    serial: str | None
    deadline: float


class _Exchange(NamedTuple):
    """A SetConfig under way: how many of its steps are done, and by when the next should be."""

    serial: str | None
    command_index: str
    done: int
    deadline: float


class _Waiting(NamedTuple):
    """Stored records that were asked for: those up to `until`, the next of them by `deadline`."""

    until: float
    deadline: float


def _no_time(now: float) -> None:
    """Know no household's time."""


class CloudSession:
    """The cloud's side of one battery's connection (see `inverterproto.session.Session`).

    Args:
        states: gives the `BatteryState` of a serial; None for one that is not wanted.
        local_time: tells, for unix seconds, what a clock in the battery's household shows, in
            seconds as `clock.parse_stamp` has it: `now` and the zone's offset from UTC. None
            while nobody knows what time it is.
        resume: whether to ask for missing records.
        synchronise: whether to tell a battery whose clock is more than 30 s off to set it.
    """

    def __init__(
        self,
        states: States,
        *,
        local_time: Callable[[float], float | None] = _no_time,
        resume: bool = True,
        synchronise: bool = False,
    ) -> None:
        self._watcher = Watcher(states)
        self._local_time = local_time
        self._resume = resume
        self._synchronise = synchronise
        self._commands: dict[str, _Command] = {}
        self._exchange: _Exchange | None = None
        self._asked: set[str | None] = set()  # serials that were told to resume on this connection,
        self._waiting: dict[str | None, _Waiting] = {}  # and what of theirs may still come
        self._synchronised: set[str | None] = set()
        self._unframed = 0  # bytes since the last frame
        self._closed = False

    @property
    def serial(self) -> str | None:
        """The serial that the connection named last."""
        return self._watcher.serial

    def receive(self, item: Item, now: float) -> list[Action]:
        """Take what came from the battery; return what to keep, and the answer."""
        if self._closed:
            return []
        actions = self._watcher.watch(item, now)
        if not isinstance(item, Framed) or item.family != FAMILY:
            self._unframed += len(item.raw)
            if self._unframed >= LONGEST:
                self._closed = True
                actions.append(Close(f"no frame in {self._unframed} bytes"))
            return actions
        self._unframed = 0
        if self._watcher.refused:
            return actions
        frame: Frame = item.frame
        direction, command = frame.direction, frame.command
        if direction == REQUEST and command in (LIVE_STATUS, FULL_RECORD) and frame.payload:
            actions.append(_success(command))
            state = self._watcher.state
            if state is not None and (state.gap is not None or self._synchronise):
                actions += self._ask(state, now)
            return actions
        return actions + self._answer(frame, now)

    def _answer(self, frame: Frame, now: float) -> list[Action]:
        """Return the answer to what is no status and no record, and what follows from it."""
        direction, command = frame.direction, frame.command
        if not frame.payload and (direction, command) != (REQUEST, KEEP_ALIVE):
            return []
        if direction == REPLY:
            if command != COMMAND:
                return []
            return [_success(KEEP_ALIVE), *self._acknowledged(frame, now)]
        if command == COMMAND:
            return []
        if command == CONFIGURE:
            answer: Action = Send(self._configuration(frame, now).build())
        else:
            answer = _success(command)
        if command == STORED_RECORDS:
            self._wait_on(now)
        return [answer, *self._step(REQUEST, command, now)]

    def _configuration(self, request: Frame, now: float) -> Frame:
        state = self._watcher.state
        trusted = None if state is None else state.configuration
        return answer_configuration(request, self.serial, trusted, self._local_time(now))

    def _acknowledged(self, frame: Frame, now: float) -> list[Action]:
        """Take a battery's answer to a command of ours."""
        fields = Message.parse(frame).fields
        index = str(fields.get("CmdIndex"))
        command = self._commands.pop(index, None)
        if command is None:
            return []
        if fields.get("Status") != SUCCESS:
            text = f"{command.name}: the battery does not say {SUCCESS}"
            return [Note("command-failed", text, command.serial)]
        if self._exchange is not None and self._exchange.command_index == index:
            return self._step(REPLY, COMMAND, now)
        return []

    def _step(self, direction: int, command: int, now: float) -> list[Action]:
        """Follow the exchange if this message is its next step."""
        exchange = self._exchange
        if exchange is None or exchange.serial != self.serial:
            return []
        if _STEPS[exchange.done] != (direction, command):
            return []
        done = exchange.done + 1
        if done < len(_STEPS):
            self._exchange = exchange._replace(done=done, deadline=now + ANSWER_WAIT)
            return []
        self._exchange = None
        text = "the battery has fetched its configuration and sent its own"
        return [Note("configuration-set", text, exchange.serial)]

    # What is asked of the battery

    def set_config(self, now: float, configuration: bytes | None = None) -> list[Action]:
        """Make the battery fetch its trusted configuration.

        Args:
            now: unix time in seconds.
            configuration: the payload of the one to trust from now on.

        Raises:
            ProtocolError: `configuration` is none of this battery.
        """
        serial, state = self.serial, self._watcher.state
        if serial is not None and state is not None and configuration is not None:
            state.trust(configuration, serial)
        if state is None or state.configuration is None:
            text = "SetConfig not sent: no battery here of which a configuration is trusted"
            return [Note("not-sent", text, serial)]
        index = self._next_index(state, "SetConfig", now)
        self._exchange = _Exchange(serial, index, 0, now + ANSWER_WAIT)
        return [Send(set_config(index).build())]

    def sync_time(self, now: float) -> list[Action]:
        """Make the battery set its clock, if the household's time is known."""
        state = self._watcher.state
        if state is None or self._local_time(now) is None:
            text = "SyncTime not sent: no battery here, or nobody knows what time it is"
            return [Note("not-sent", text, self.serial)]
        return [Send(sync_time(self._next_index(state, "SyncTime", now)).build())]

    def _ask(self, state: BatteryState, now: float) -> list[Action]:
        """Ask for what is missing, and for the clock to be set; each once a connection."""
        actions: list[Action] = []
        gap, serial = state.gap, self.serial
        if gap is not None and self._resume and serial not in self._asked:
            self._asked.add(serial)
            self._waiting[serial] = _Waiting(gap.until, now + PATIENCE)
            index = self._next_index(state, "Resume", now)
            actions.append(Send(resume(index, gap.since, gap.minutes).build()))
            text = f"{gap.minutes} minutes are missing: asked for"
            actions.append(Note("resume", text, serial))
        if self._synchronise and serial not in self._synchronised:
            offset, shown = state.clock.offset, self._local_time(now)
            if offset is not None and shown is not None and abs(now + offset - shown) > NEAR:
                self._synchronised.add(serial)
                actions += self.sync_time(now)
        return actions

    def _next_index(self, state: BatteryState, name: str, now: float) -> str:
        """Return the index of a command that is about to be given."""
        index = str(state.next_index())
        self._commands[index] = _Command(name, self.serial, now + ANSWER_WAIT)
        if len(self._commands) > MOST_COMMANDS:
            del self._commands[next(iter(self._commands))]
        return index

    def _wait_on(self, now: float) -> None:
        """Note that stored records came: more may come, if some are still missing."""
        state, serial = self._watcher.state, self.serial
        if serial not in self._waiting:
            return
        if state is None or state.gap is None:
            del self._waiting[serial]
        else:
            self._waiting[serial] = self._waiting[serial]._replace(deadline=now + PATIENCE)

    # What is due

    @property
    def due(self) -> float:
        """When to poll next; infinity if nothing is waited for."""
        waits = [command.deadline for command in self._commands.values()]
        waits += [waiting.deadline for waiting in self._waiting.values()]
        if self._exchange is not None:
            waits.append(self._exchange.deadline)
        return min(waits, default=inf)

    def poll(self, now: float) -> list[Action]:
        """Give up what did not come in time."""
        actions: list[Action] = []
        for index, command in [*self._commands.items()]:
            if now >= command.deadline:
                del self._commands[index]
                text = f"{command.name}: not acknowledged within {ANSWER_WAIT:.0f} s"
                actions.append(Note("unanswered", text, command.serial))
        exchange = self._exchange
        if exchange is not None and now >= exchange.deadline:
            self._exchange = None
            what = ("acknowledgement", "configuration request", "own configuration")[exchange.done]
            text = f"SetConfig: the battery's {what} did not come within {ANSWER_WAIT:.0f} s"
            actions.append(Note("configuration-not-set", text, exchange.serial))
        for serial, waiting in [*self._waiting.items()]:
            if now >= waiting.deadline:
                del self._waiting[serial]
                actions += self._give_up(serial, waiting.until)
        return actions

    def _give_up(self, serial: str | None, until: float) -> list[Action]:
        """Take it that a battery does not have what it did not give."""
        state = self._watcher.state_of(serial)
        if state is None or state.gap is None or state.gap.until != until:
            return []
        text = f"{state.gap.minutes} minutes were asked for and did not come"
        state.close_gap()
        return [Note("not-resumed", text, serial)]


@cache
def _success(command: int) -> Send:
    """Return the answer that says Success."""
    return Send(reply(Frame(VERSION, REQUEST, command, b"")).build())
