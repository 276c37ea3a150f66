"""The cloud's side of a V5 connection.

A `Watcher` that also answers: every request of a logger, known or not (0x4x but 0x45), gets one
reply with its own type, counters and frame type, the time, and the seconds until the next
heartbeat. A reply is never answered. Commands to the logger, and what comes of them, are in
`commanding.py`.

The reply comes behind the records of its request in the list of actions, so it leaves when they are
safe. The time in it sets the logger's clock: a program whose own clock cannot be trusted sets
`answering` to False. The logger keeps what was not answered and sends it again; it is the same
record then.
"""

from typing import Any

from inverterproto.deye.bodies import AT_KIND, COMMAND_REPLY, INTERIM_REPLY
from inverterproto.deye.commanding import Commands
from inverterproto.deye.commands import command, reply_bytes
from inverterproto.deye.messages import is_request
from inverterproto.deye.watching import FAMILY, MOST_LOGGERS, Logger, Watcher
from inverterproto.session import MOST_UNFRAMED, Action, Answer, Send, States, UnframedLimit
from inverterproto.stream import Framed, Item

_REQUESTS = frozenset(filter(is_request, range(256)))


class CloudSession:
    """The cloud's side of one connection, without a socket (see `inverterproto.session`).

    Args:
        states: gives what is known of a logger.
        next_heartbeat: seconds until a logger's next heartbeat.
        most_loggers: so many loggers may speak on the connection.
        most_unframed: so many bytes without a frame end it.

    Attributes:
        answering: whether requests are answered; what is said is kept in any case.
        next_heartbeat: seconds until a logger's next heartbeat.
    """

    __slots__ = ("_commands", "_limit", "_watcher", "answering", "next_heartbeat")

    def __init__(
        self,
        states: States,
        *,
        next_heartbeat: int = 60,
        most_loggers: int = MOST_LOGGERS,
        most_unframed: int = MOST_UNFRAMED,
    ) -> None:
        self.answering = True
        self.next_heartbeat = next_heartbeat
        self._watcher = Watcher(states, most_loggers=most_loggers)
        self._commands = Commands()
        self._limit = UnframedLimit(most_unframed)

    @property
    def due(self) -> float:
        """When to poll next, in unix seconds; infinity if there is nothing to wait for."""
        return self._commands.due

    @property
    def serials(self) -> tuple[str, ...]:
        """The serials of the loggers that spoke on the connection."""
        return self._watcher.serials

    def receive(self, item: Item, now: float) -> list[Action]:
        """Take a frame or a run of unframed bytes; return what to do about it."""
        if self._limit.reached:
            return []
        actions = self._watcher.watch(item, now)
        if not isinstance(item, Framed) or item.framing.family != FAMILY:
            return actions + self._limit.unframed(len(item.raw))
        self._limit.framed()
        message_type = item.raw[4]
        if message_type in _REQUESTS:
            logger = self._watcher.logger
            if logger is not None and self.answering:
                answer = reply_bytes(item.raw, int(now), self.next_heartbeat)
                logger.sequence = answer[5], answer[6]
                actions.append(Send(answer))
        elif message_type in (COMMAND_REPLY, INTERIM_REPLY):
            actions += self._commands.receive(item.frame, now)
        return actions

    def poll(self, now: float) -> list[Action]:
        """Return what is to be done by now."""
        return self._commands.poll(now)

    def command(
        self,
        key: object,
        kind: int,
        value: Any,  # noqa: ANN401 - by kind
        now: float,
        *,
        logger: str | None = None,
        sensor_type: int | None = None,
        attempts: int = 2,
    ) -> list[Action]:
        """Give a logger a command; what comes of it will be an `Answer` with this key.

        Args:
            key: the caller's own name for it.
            kind: `MODBUS_KIND`, `AT_KIND` or `POWER_KIND`.
            value: what the command says (see `commands.command`).
            now: unix time in seconds.
            logger: the serial of the logger; None for the only one that spoke here.
            sensor_type: None for the usual: 2 for AT text, else 0.
            attempts: how many times to send it; 1 for what must not happen twice.

        Raises:
            FieldError: a value is out of range.
        """
        found = self._addressed(logger)
        if found is None:
            here = len(self.serials)
            problem = f"{here} loggers are here" if logger is None else f"{logger} is not here"
            return [Answer(key, None, 0.0, problem=problem)]
        if sensor_type is None:
            sensor_type = 2 if kind == AT_KIND else 0
        frame = command(kind, value, int(found.name), sensor_type=sensor_type)
        return self._commands.ask(key, frame, found, now, attempts)

    def end(self, now: float) -> list[Action]:
        """Take notice that the connection has ended; return what will have no answer."""
        return self._commands.end(now)

    def _addressed(self, name: str | None) -> Logger | None:
        """Return the logger with a serial, or the only one there is."""
        found = [each for each in self._watcher.loggers.values() if name in (None, each.name)]
        return found[0] if len(found) == 1 else None
