"""Commands that the cloud's side gives, and their answers.

Theory of operation
-------------------
A stick carries out one command at a time (there is one serial line behind it), so `Commands` has
one *current* command, and a bounded queue behind it. The answer (0x15) echoes the first counter of
the command, and a command that is sent again bears a new one; both may be answered. So an answer
belongs to the current command if it comes from its logger, echoes one of its counters, is of its
kind, and, for Modbus, fits what was asked (slave, function, number of registers: a reply does not
say where its registers begin, so a late one to another question must never be taken for this
one's). An interim answer (0x05) says that the stick is at it: from then on nothing is sent again.

A command without an answer within 8 s is sent once more (source: T), then given up. Whoever asks
for what must not happen twice (a restart, a write) gives it one attempt.
"""

from dataclasses import dataclass, field, replace
from math import inf

from inverterproto.deye.bodies import AT_INTERIM_KIND, AT_KIND, COMMAND_REPLY
from inverterproto.deye.frame import Frame
from inverterproto.deye.messages import Message
from inverterproto.deye.watching import Logger
from inverterproto.session import Action, Answer, Note, Send

ANSWER_WITHIN = 8.0
"""Seconds (source: T)."""
MOST_WAITING = 16
"""Commands that wait for their turn."""


@dataclass(slots=True, eq=False)
class _Command:
    """A command that was asked for."""

    key: object
    frame: Frame
    logger: Logger
    asked: float
    attempts: int
    deadline: float = inf
    firsts: set[int] = field(default_factory=set)  # the first counters that it was sent with

    def fits(self, reply: Frame) -> bool:
        """Return whether a frame of type 0x15 or 0x05 answers this."""
        kind = self.frame.payload[0]
        kinds = (kind, AT_INTERIM_KIND) if kind == AT_KIND else (kind,)
        return (
            reply.logger_serial == self.frame.logger_serial
            and reply.sequence[0] in self.firsts
            and reply.payload[:1] in [bytes((each,)) for each in kinds]
            and self._fits_modbus(Message.parse(reply))
        )

    def _fits_modbus(self, reply: Message) -> bool:
        asked = Message.parse(self.frame).fields.get("modbus")
        found = reply.fields.get("modbus")
        if asked is None or found is None or "stick_error" in found:
            return True
        if found["slave"] != asked["slave"] or (found["function"] ^ asked["function"]) & 0x7F:
            return False
        registers = found.get("registers")
        return registers is None or "quantity" not in asked or len(registers) == asked["quantity"]


class Commands:
    """The commands of one connection."""

    __slots__ = ("_current", "_waiting")

    def __init__(self) -> None:
        self._current: _Command | None = None
        self._waiting: list[_Command] = []

    @property
    def due(self) -> float:
        """When `poll` has something to do."""
        return inf if self._current is None else self._current.deadline

    def ask(
        self, key: object, frame: Frame, logger: Logger, now: float, attempts: int
    ) -> list[Action]:
        """Take a command; its counters are set when it is sent."""
        if len(self._waiting) >= MOST_WAITING:
            return [Answer(key, None, 0.0, problem=f"{MOST_WAITING} commands are waiting already")]
        self._waiting.append(_Command(key, frame, logger, now, attempts))
        return self._next(now)

    def receive(self, reply: Frame, now: float) -> list[Action]:
        """Take a frame of type 0x15 or 0x05."""
        command = self._current
        if command is None or not command.fits(reply):
            text = f"an answer of type {reply.message_type:#04x} to no command of ours"
            return [Note("unasked", text, str(reply.logger_serial))]
        final = reply.message_type == COMMAND_REPLY
        answer = Answer(command.key, Message.parse(reply), now - command.asked, final)
        if final:
            self._current = None
            return [answer, *self._next(now)]
        command.attempts, command.deadline = 0, now + ANSWER_WITHIN
        return [answer]

    def poll(self, now: float) -> list[Action]:
        """Send again or give up what has had no answer in time."""
        command = self._current
        if command is None or now < command.deadline:
            return []
        if command.attempts > 0:
            return [self._send(command, now)]
        self._current = None
        return [_unanswered(command, now, "no answer in time"), *self._next(now)]

    def end(self, now: float) -> list[Action]:
        """Give up all commands: the connection has ended."""
        left = [self._current] if self._current else []
        left += self._waiting
        self._current, self._waiting = None, []
        return [_unanswered(command, now, "the connection has ended") for command in left]

    def _next(self, now: float) -> list[Action]:
        if self._current is not None or not self._waiting:
            return []
        self._current = self._waiting.pop(0)
        return [self._send(self._current, now)]

    def _send(self, command: _Command, now: float) -> Send:
        first, second = command.logger.next_command()
        command.firsts.add(first)
        command.attempts -= 1
        command.deadline = now + ANSWER_WITHIN
        return Send(replace(command.frame, sequence=(first, second)).build())


def _unanswered(command: _Command, now: float, problem: str) -> Answer:
    return Answer(command.key, None, now - command.asked, problem=problem)
