"""Telling a broker what belongs to no entry on its way: a greeting, discovery, who was heard.

None of it keeps a reading back. What the broker refuses, or is too large for it, is said to people
once, and left out. A broker that hangs up says nothing; so what was on its way then is *doubted*,
and told one by one by the next greeting. A message at which connections end though it is alone, so
often as `MOST_ENDS`, is left out from then on, until it says something else.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from inverterproto_cli.sinks.mqtt_broker import Answer, Message
from inverterproto_cli.sinks.mqtt_connection import Connection
from inverterproto_cli.sinks.mqtt_options import Options
from inverterproto_cli.sinks.sink import TroubleError

if TYPE_CHECKING:
    from asyncio import Future

MOST_ENDS = 3
"""Connections in a row that a message may end."""


class Telling:
    """Tells on one connection after the other.

    Args:
        options: what the user wants.
        say: tells people something.
    """

    def __init__(self, options: Options, say: Callable[[str, str], object]) -> None:
        self._discovery = f"{options.wishes.prefix}/sensor/"
        self._prefix = options.wishes.prefix
        self._say = say
        self._said: set[str] = set()
        self._connection: Connection | None = None
        self._on_way: dict[Future[Answer | None], Message] = {}
        self._doubted: dict[str, int] = {}
        self._left_out: dict[str, bytes] = {}

    def begin(self, connection: Connection) -> None:
        """Go on with a new connection."""
        if self._connection is not None and self._connection.hung_up:
            for answer, message in self._on_way.items():
                if answer.result() is None:
                    self._doubted.setdefault(message.topic, 0)
        self._on_way = {}
        self._connection = connection

    @property
    def settled(self) -> bool:
        """Whether the broker has answered all that was told."""
        return all(one.done() and one.result() is not None for one in self._on_way)

    def put(self, connection: Connection, message: Message) -> "Future[Answer | None]":
        """Tell something."""
        answer = connection.put(message)
        if connection is self._connection and not connection.ended.done():
            self._on_way[answer] = message
        answer.add_done_callback(lambda done: self._look_at(done, message, connection))
        return answer

    async def greet(self, connection: Connection, messages: Iterable[Message]) -> None:
        """Tell all that a new connection begins with, and wait until the broker has it.

        Raises:
            TroubleError: the connection ended.
        """
        for message in messages:
            await connection.room()
            if message.topic in self._doubted:
                await self._settle(connection)
                await self._try_alone(connection, message)
            elif self._left_out.get(message.topic) != message.payload:
                self.put(connection, message)
            if connection.ended.done():
                break
        await self._settle(connection)
        self._doubted.clear()

    async def again(self, connection: Connection, messages: Iterable[Message]) -> None:
        """Tell it once more, to whoever listens."""
        for message in messages:
            await connection.room()
            if self._left_out.get(message.topic) != message.payload:
                self.put(connection, message)

    async def _settle(self, connection: Connection) -> None:
        for answer in list(self._on_way):
            if await connection.answer(answer) is None:
                raise TroubleError(connection.ended.result())

    async def _try_alone(self, connection: Connection, message: Message) -> None:
        """Tell what may have ended a connection."""
        if await connection.answer(self.put(connection, message)) is not None:
            del self._doubted[message.topic]
            return
        if connection.hung_up:
            self._doubted[message.topic] += 1
            if self._doubted[message.topic] >= MOST_ENDS:
                self._leave_out(message)
        raise TroubleError(connection.ended.result())

    def _leave_out(self, message: Message) -> None:
        del self._doubted[message.topic]
        self._left_out[message.topic] = message.payload
        self._on_way.clear()  # nothing else was
        self._say_once(
            "mqtt-left-out",
            f"the broker hangs up at {message.topic}, which is left out: is it too large for it?",
        )

    def _look_at(
        self, done: "Future[Answer | None]", message: Message, connection: Connection
    ) -> None:
        answer = None if done.cancelled() else done.result()
        if answer is None:
            return
        self._on_way.pop(done, None)
        if answer.taken:
            return
        if connection.too_large(message):
            self._say_once(
                "mqtt-too-large",
                f"the broker {connection.address} takes no more than {connection.largest} bytes "
                f"at once: what is larger is left out, {message.topic} for one; let it take more",
            )
        elif message.topic.startswith(self._discovery):
            self._say_once(
                "mqtt-discovery",
                f"the broker does not take what is for Home Assistant ({answer.text}): let us "
                f"write to {self._prefix}/#, or set discovery to false",
            )
        else:
            self._say_once(
                "mqtt-untold", f"the broker does not take {message.topic} again: {answer.text}"
            )

    def _say_once(self, event: str, text: str) -> None:
        if event not in self._said:
            self._said.add(event)
            self._say(event, text)
