"""Commands that the cloud's side gives, and what comes of them.

A battery acknowledges a command by its index. After SetConfig more must follow: it asks for its
configuration, and sends its own (source: D). So a command is a list of *steps*, and each is told as
an `Answer`, the last of them as the final one; a step that does not come within a minute ends it.
What is sent in reply is no matter of commands: requests are answered whoever caused them.
"""

from dataclasses import dataclass
from math import inf

from inverterproto.alphaess.commands import SUCCESS
from inverterproto.alphaess.frame import REPLY, REQUEST, Frame
from inverterproto.alphaess.messages import COMMAND, CONFIGURE, OWN_CONFIGURATION, Message
from inverterproto.session import Action, Answer, Note

STEP_WITHIN = 60.0
"""Seconds."""
MOST_WAITING = 16
"""Commands of which something is waited for."""

Steps = tuple[tuple[int, int], ...]
ACKNOWLEDGED: Steps = ((REPLY, COMMAND),)
"""Direction and command of what a battery sends when it is told Resume or SyncTime."""
CONFIGURED: Steps = (*ACKNOWLEDGED, (REQUEST, CONFIGURE), (REQUEST, OWN_CONFIGURATION))
"""The same for SetConfig."""


@dataclass(slots=True, eq=False)
class _Command:
    """A command that was given."""

    key: object
    index: str
    serial: str | None
    asked: float
    steps: Steps  # those that are still to come
    deadline: float

    def answer(self, message: Message | None, now: float, problem: str = "") -> Answer:
        final = bool(problem) or not self.steps
        return Answer(self.key, message, now - self.asked, final, problem)


class Commands:
    """The commands of one connection."""

    __slots__ = ("_given",)

    def __init__(self) -> None:
        self._given: list[_Command] = []

    @property
    def full(self) -> bool:
        """Whether so much is waited for that no more commands may be given."""
        return len(self._given) >= MOST_WAITING

    @property
    def due(self) -> float:
        """When `poll` has something to do."""
        return min((command.deadline for command in self._given), default=inf)

    def give(self, key: object, index: int, serial: str | None, steps: Steps, now: float) -> None:
        """Take notice of a command that is sent.

        Args:
            key: the asker's name for it.
            index: its CmdIndex.
            serial: the battery's.
            steps: what is to come of it.
            now: unix time in seconds.
        """
        self._given.append(_Command(key, str(index), serial, now, steps, now + STEP_WITHIN))

    def receive(self, frame: Frame, serial: str | None, now: float) -> list[Action]:
        """Take a frame of the battery that may be a step of a command."""
        step = frame.direction, frame.command
        waiting = [c for c in self._given if c.steps[0] == step and c.serial == serial]
        message = Message.parse(frame)
        if step != ACKNOWLEDGED[0]:
            return [self._advance(command, message, now) for command in waiting]
        index = message.fields.get("CmdIndex")
        acknowledged = next((command for command in waiting if command.index == index), None)
        if acknowledged is None:
            return [Note("unasked", "an acknowledgement of no command of ours", serial)]
        return [self._advance(acknowledged, message, now)]

    def _advance(self, command: _Command, message: Message, now: float) -> Answer:
        problem = ""
        if command.steps[0] == ACKNOWLEDGED[0] and message.fields.get("Status") != SUCCESS:
            problem = f"the battery does not say {SUCCESS}"
        command.steps = command.steps[1:]
        command.deadline = now + STEP_WITHIN
        answer = command.answer(message, now, problem)
        if answer.final:
            self._given.remove(command)
        return answer

    def poll(self, now: float) -> list[Action]:
        """Give up commands of which the next step did not come in time."""
        return self._end([c for c in self._given if now >= c.deadline], now, "not in time")

    def end(self, now: float) -> list[Action]:
        """Give up all commands: the connection has ended."""
        return self._end([*self._given], now, "the connection has ended")

    def _end(self, commands: list[_Command], now: float, why: str) -> list[Action]:
        answers: list[Action] = []
        for command in commands:
            self._given.remove(command)
            direction, code = command.steps[0]
            missing = Message.parse(Frame(1, direction, code, b"")).name
            answers.append(command.answer(None, now, f"no {missing}: {why}"))
        return answers
