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

*Time.* `local_time` tells what a clock in the household shows, and None while the host's own clock
is not to be trusted. Then no CheckTime is sent, and no SyncTime.

*Bounds.* What the watcher and `Commands` hold. 64 KiB without a frame end the connection.
"""

from collections.abc import Callable
from functools import cache, partial
from math import inf
from typing import NamedTuple

from inverterproto.alphaess.clock import NEAR
from inverterproto.alphaess.commanding import ACKNOWLEDGED, CONFIGURED, Commands, Steps
from inverterproto.alphaess.commands import reply, resume, set_config, sync_time
from inverterproto.alphaess.configuration import answer_configuration
from inverterproto.alphaess.frame import REPLY, REQUEST, VERSION, Frame
from inverterproto.alphaess.messages import (
    COMMAND,
    CONFIGURE,
    FULL_RECORD,
    KEEP_ALIVE,
    LIVE_STATUS,
    STORED_RECORDS,
)
from inverterproto.alphaess.state import BatteryState
from inverterproto.alphaess.watching import FAMILY, Watcher
from inverterproto.session import MOST_UNFRAMED, Action, Answer, Note, Send, States, UnframedLimit
from inverterproto.stream import Framed, Item

PATIENCE = 300.0
"""Seconds within which the next stored record comes, or none does."""


class _Waiting(NamedTuple):
    """Stored records that were asked for: those up to `until`, the next of them by `deadline`."""

    state: BatteryState
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
        most_unframed: so many bytes without a frame end the connection.
        nameless: whether what comes before a battery is named is kept and answered.
    """

    __slots__ = (
        "_asked",
        "_commands",
        "_limit",
        "_local_time",
        "_resume",
        "_synchronise",
        "_waiting",
        "_watcher",
    )

    def __init__(
        self,
        states: States,
        *,
        local_time: Callable[[float], float | None] = _no_time,
        resume: bool = True,
        synchronise: bool = False,
        most_unframed: int = MOST_UNFRAMED,
        nameless: bool = True,
    ) -> None:
        self._watcher = Watcher(states, nameless=nameless)
        self._local_time = local_time
        self._resume = resume
        self._synchronise = synchronise
        self._commands = Commands()
        self._limit = UnframedLimit(most_unframed)
        self._asked: tuple[tuple[str, str | None], ...] = ()  # what of which serial, once
        self._waiting: dict[str | None, _Waiting] = {}  # what may still come, by serial

    @property
    def serial(self) -> str | None:
        """The serial that the connection named last."""
        return self._watcher.serial

    @property
    def serials(self) -> tuple[str, ...]:
        """The serials that the connection named and that are not refused."""
        return self._watcher.serials

    def receive(self, item: Item, now: float) -> list[Action]:
        """Take what came from the battery; return what to keep, and the answer."""
        if self._limit.reached:
            return []
        actions = self._watcher.watch(item, now)
        if not isinstance(item, Framed) or item.family != FAMILY:
            return actions + self._limit.unframed(len(item.raw))
        self._limit.framed()
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
            return [_success(KEEP_ALIVE), *self._commands.receive(frame, self.serial, now)]
        if command == COMMAND:
            return []
        if command == CONFIGURE:
            answer: Action = Send(self._configuration(frame, now).build())
        else:
            answer = _success(command)
        if command == STORED_RECORDS:
            self._wait_on(now)
        return [answer, *self._commands.receive(frame, self.serial, now)]

    def _configuration(self, request: Frame, now: float) -> Frame:
        state = self._watcher.state
        trusted = None if state is None else state.configuration
        return answer_configuration(request, self.serial, trusted, self._local_time(now))

    # What is asked of the battery

    def set_config(
        self, key: object, now: float, configuration: bytes | None = None
    ) -> list[Action]:
        """Make the battery fetch its trusted configuration; an `Answer` tells each step.

        Args:
            key: the caller's own name for this.
            now: unix time in seconds.
            configuration: the payload of the one to trust from now on.

        Raises:
            ProtocolError: `configuration` is none of this battery.
        """
        serial, state = self.serial, self._watcher.state
        if serial is None or state is None:
            return [Answer(key, None, 0.0, problem="no battery has told its serial here")]
        if configuration is not None:
            state.trust(configuration, serial)
        if state.configuration is None:
            return [Answer(key, None, 0.0, problem="no configuration of it is trusted")]
        return self._give(key, set_config, state, CONFIGURED, now)

    def sync_time(self, key: object, now: float) -> list[Action]:
        """Make the battery set its clock; an `Answer` tells whether it will."""
        state = self._watcher.state
        if state is None:
            return [Answer(key, None, 0.0, problem="no battery has told its serial here")]
        if self._local_time(now) is None:
            return [Answer(key, None, 0.0, problem="nobody knows what time it is")]
        return self._give(key, sync_time, state, ACKNOWLEDGED, now)

    def _give(
        self,
        key: object,
        make: Callable[[int], Frame],
        state: BatteryState,
        steps: Steps,
        now: float,
    ) -> list[Action]:
        """Send the command that `make` gives for its index."""
        if self._commands.full:
            return [Answer(key, None, 0.0, problem="too many commands are waited for")]
        index = state.next_index()
        self._commands.give(key, index, self.serial, steps, now)
        return [Send(make(index).build())]

    def _ask(self, state: BatteryState, now: float) -> list[Action]:
        """Ask for what is missing, and for the clock to be set; each once a connection."""
        actions: list[Action] = []
        gap, serial = state.gap, self.serial
        if gap is not None and self._resume and ("Resume", serial) not in self._asked:
            self._asked += (("Resume", serial),)
            self._waiting[serial] = _Waiting(state, gap.until, now + PATIENCE)
            actions.append(Note("resume", f"{gap.minutes} minutes are missing: asked for", serial))
            make = partial(resume, since=gap.since, minutes=gap.minutes)
            actions += self._give("Resume", make, state, ACKNOWLEDGED, now)
        due = self._synchronise and ("SyncTime", serial) not in self._asked
        if due and self._is_wrong(state, now):
            self._asked += (("SyncTime", serial),)
            actions += self.sync_time("SyncTime", now)
        return actions

    def _is_wrong(self, state: BatteryState, now: float) -> bool:
        """Return whether a battery's clock is known to show another time than the household's."""
        offset, shown = state.clock.offset, self._local_time(now)
        return offset is not None and shown is not None and abs(now + offset - shown) > NEAR

    def _wait_on(self, now: float) -> None:
        """Note that stored records came: more may come, if some are still missing."""
        waiting = self._waiting.get(self.serial)
        if waiting is None:
            return
        if waiting.state.gap is None:
            del self._waiting[self.serial]
        else:
            self._waiting[self.serial] = waiting._replace(deadline=now + PATIENCE)

    # What is due

    @property
    def due(self) -> float:
        """When to poll next; infinity if nothing is waited for."""
        patience = min((waiting.deadline for waiting in self._waiting.values()), default=inf)
        return min(patience, self._commands.due)

    def poll(self, now: float) -> list[Action]:
        """Give up what did not come in time."""
        actions = self._commands.poll(now)
        for serial, waiting in [*self._waiting.items()]:
            if now >= waiting.deadline:
                del self._waiting[serial]
                actions += _give_up(serial, waiting)
        return actions

    def end(self, now: float) -> list[Action]:
        """Take notice that the connection has ended; return what will have no answer."""
        return self._commands.end(now)


def _give_up(serial: str | None, waiting: _Waiting) -> list[Action]:
    """Take it that a battery does not have what it did not give."""
    gap = waiting.state.gap
    if gap is None or gap.until != waiting.until:
        return []
    waiting.state.close_gap()
    text = f"{gap.minutes} minutes were asked for and did not come"
    return [Note("not-resumed", text, serial)]


@cache
def _success(command: int) -> Send:
    """Return the answer that says Success."""
    return Send(reply(Frame(VERSION, REQUEST, command, b"")).build())
