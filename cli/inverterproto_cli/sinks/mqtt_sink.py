"""The MQTT sink: the present of each device retained, everything else as history.

Theory of operation
-------------------
*A batch* is put on the connection as a whole, and then the broker's answers are taken in the order
of its entries: how far they reach is how far it has arrived. Which entry is the present of its
device and kind says `states.py`; it goes to the state topic, and every other to the history topic.

*The connection* is made when the program starts, and kept from then on, at night, too, by a task of
its own (`_keep`). Each begins with availability, discovery and states, since a broker may have
forgotten everything. Home Assistant says when it has started, and is told all of it again.

*Our availability* is one topic for whoever publishes below our prefix. When another says there that
it goes, or the broker says it of a connection that we lost long ago, we say again that we are here.

*What a broker refuses.* What it says of a message (too large, no such topic, a payload that it does
not like) holds for that message; that we have no right or have used up a quota is trouble of ours,
and nothing is set aside for it. With MQTT 3.1.1 a broker cannot say it, and may hang up; but a line
breaks, too, and so does it for who is called as we are. So an entry at which some connections ended
is tried alone, on a connection that was greeted and then was quiet for a while; if it ends at that
one several times in a row (`mqtt_suspicion.py`), at the last of which the broker has just taken
another entry, it is refused. If there is no other to be compared with, it is trouble.
"""

import asyncio
from collections.abc import Callable, Sequence
from random import choice, random, uniform
from secrets import token_hex
from time import monotonic, time
from typing import NamedTuple

from inverterproto_cli.sinks import payloads
from inverterproto_cli.sinks.mqtt_broker import Answer, Message
from inverterproto_cli.sinks.mqtt_connection import Connection, open_connection
from inverterproto_cli.sinks.mqtt_options import Options
from inverterproto_cli.sinks.mqtt_retained import Becoming, Retained
from inverterproto_cli.sinks.mqtt_suspicion import Suspicion
from inverterproto_cli.sinks.mqtt_telling import Telling
from inverterproto_cli.sinks.sink import Entry, RefusedError, Surroundings, TroubleError
from inverterproto_cli.sinks.topics import OFFLINE, ONLINE

FIRST_RETRY, LAST_RETRY = 1.0, 60.0
"""Seconds until a connection that is gone is made again: at first, and at the most."""
QUIET = 0.2, 1.0
"""Seconds, at least and at most, that a connection lives before an entry is tried alone: never the
same, so that what ends connections at certain times is not taken for the entry."""
AT_ONCE = 2.0
"""Seconds within which a connection ends for what it was given."""
_OF_THIS_MESSAGE = {
    "Unspecified error",
    "Implementation specific error",
    "Topic name invalid",
    "Packet too large",
    "Payload format invalid",
}
"""Answers that hold for one message; all others are trouble of ours."""


class _Put(NamedTuple):
    """A message on its way.

    Attributes:
        place: of its entry in the batch.
        message: which.
        answer: the broker's.
    """

    place: int
    message: Message
    answer: "asyncio.Future[Answer | None]"


class MqttSink:
    """Publishes readings at a broker.

    Args:
        options: what the user wants.
        around: the program.
        clock: tells unix time in seconds.
    """

    def __init__(
        self, options: Options, around: Surroundings, clock: Callable[[], float] = time
    ) -> None:
        self._options = options
        self._around = around
        self._clock = clock
        # No session is kept at the broker, so nothing hangs on the name; two that are called alike
        # would throw each other out for ever. 23 letters and digits are allowed everywhere.
        self._client_id = options.client_id or f"inverterproto{token_hex(5)}"
        self._retained = Retained(options, around, clock)
        self._telling = Telling(options, self._say)
        self._last_history: Message | None = None  # that the broker acknowledged
        self._connecting = asyncio.Lock()
        self._connection: Connection | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._born = False
        self._suspicion = Suspicion()

    # What the program calls

    async def begin(self, number: int) -> None:
        """Keep a connection from now on, though nothing may be measured until the morning.

        What the store has of each device is told there, for the broker may have forgotten it: what
        was delivered before as its state, and of what will be delivered, that there is such.
        """
        if self._keeper is not None:
            return
        try:
            self._retained.recall(number)
        except TroubleError as error:  # then it is told as it comes
            self._say("mqtt-recall", str(error))
        self._keeper = asyncio.create_task(self._keep())

    async def deliver(self, entries: Sequence[Entry]) -> int:
        """Publish entries; return how many the broker has acknowledged, from the first on."""
        connection = await self._connected()
        try:
            if self._suspicion.is_against(entries[0]):
                count = await self._try_alone(connection, entries)
            else:
                count = await self._publish(connection, entries)
        except RefusedError as error:
            self._retained.states.take_back(entries[error.at or 0])
            raise
        except TroubleError:
            raise
        except BaseException:
            # Nobody waits for the answers any more; what was not acknowledged comes again.
            connection.drop("given up")
            raise
        if not count:
            raise TroubleError(connection.ended.result())
        self._retained.taken = entries[count - 1].number
        self._suspicion.drop_until(self._retained.taken)
        return count

    async def test(self, entry: Entry) -> str:
        """Publish an entry as a test; return what came back."""
        topic = self._options.topics.test
        message = Message(topic, payloads.encoded({"test": True, **entry.to_json()}))
        # A connection of its own, without a last will: it says nothing of who is there.
        connection = await open_connection(self._options.broker, f"inverterproto{token_hex(5)}")
        try:
            answer = await connection.answer(connection.put(message))
        finally:
            await connection.close()
        if answer is None:
            raise TroubleError(connection.ended.result())
        if not answer.taken:
            raise self._refusal(connection, message, answer)
        version = f"MQTT {connection.version}"
        return f"the broker {connection.address} acknowledged it at {topic} ({version})"

    async def close(self) -> None:
        """Say that we go, and go."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        connection, self._connection = self._connection, None  # what we say is no news to us
        if connection is not None:
            await connection.close(self._availability(OFFLINE))

    # A batch

    async def _publish(self, connection: Connection, entries: Sequence[Entry]) -> int:
        """Publish entries; return how many have arrived.

        Raises:
            TroubleError: the broker does not take the first one now.
            RefusedError: it does not take one of them ever.
        """
        present = self._retained.states.present(entries)
        answers: list[_Put] = []
        for place, entry in enumerate(entries):
            await connection.room()
            news, messages = self._messages(entry, is_present=place in present)
            for message in news:
                self._telling.put(connection, message)
            if any(map(connection.too_large, messages)):
                break
            if place in present:
                self._retained.states.put(entry)
            answers += (_Put(place, message, connection.put(message)) for message in messages)
        else:
            place = len(entries)
        if not self._suspicion.is_against(entries[0]):  # who is suspected is alone
            for message in self._retained.heard():
                self._telling.put(connection, message)
        arrived = await self._arrived(connection, answers, entries)
        if arrived is not None:
            return arrived
        if place < len(entries):
            largest = f"the broker takes no more than {connection.largest} bytes at once"
            raise RefusedError(largest, at=place)
        return place

    async def _arrived(
        self, connection: Connection, puts: Sequence[_Put], entries: Sequence[Entry]
    ) -> int | None:
        """Return how many entries have arrived, None if all that were put have.

        Raises:
            TroubleError, RefusedError: see `_publish`.
        """
        for put in puts:
            answer = await connection.answer(put.answer)
            if answer is None:
                if connection.hung_up:
                    self._suspicion.note_end(entries[put.place])
                return put.place
            if not answer.taken:
                refusal = self._refusal(connection, put.message, answer, put.place)
                if put.place and isinstance(refusal, TroubleError):
                    return put.place
                raise refusal
            if not put.message.retain:
                self._last_history = put.message
        return None

    async def _try_alone(self, connection: Connection, entries: Sequence[Entry]) -> int:
        """Publish the first entry, at which a connection has ended; return 1, or 0 if it did again.

        Raises:
            TroubleError: the broker does not take it now, or the line broke by itself.
            RefusedError: it does not take it ever.
        """
        await asyncio.wait((connection.ended,), timeout=uniform(*QUIET))  # noqa: S311 - no secret
        if connection.ended.done():
            self._suspicion.drop()  # it was not sent at all
            raise TroubleError(connection.ended.result())
        if self._suspicion.is_last_trial and not await self._takes_another(connection, entries):
            raise TroubleError(
                f"the broker {connection.address} hangs up at a reading; "
                "whether it takes others is not known yet"
            )
        begun = monotonic()
        if await self._publish(connection, entries[:1]):
            return 1
        why = connection.ended.result()
        at_once = monotonic() - begun < AT_ONCE
        if not (at_once and connection.hung_up and self._telling.settled):
            raise TroubleError(why)
        self._suspicion.note_end_alone()
        if self._suspicion.is_certain:
            raise RefusedError(f"{why}, whenever this reading comes, and only then", at=0)
        return 0

    async def _takes_another(self, connection: Connection, entries: Sequence[Entry]) -> bool:
        """Return whether the broker takes another entry than the first, here and now.

        It comes twice, then; as what follows may, whenever a connection ends.
        """
        others = [entry for entry in entries[1:] if entry.number != entries[0].number]
        other = self._last_history
        if self._retained.states.present(entries[:1]):
            other = self._retained.other_state(entries[0]) or other
        if other is None and others:
            other = self._history(choice(others))  # noqa: S311 - no secret
        if other is None or connection.too_large(other):
            return False
        answer = await connection.answer(connection.put(other))
        if answer is None:
            self._suspicion.drop()
        return answer is not None and answer.taken

    def _refusal(
        self, connection: Connection, message: Message, answer: Answer, place: int = 0
    ) -> TroubleError | RefusedError:
        """Return what an answer means that is no acknowledgement."""
        if answer.text in _OF_THIS_MESSAGE:
            return RefusedError(f"the broker says: {answer.text}", at=place)
        if answer.text == "Not authorized":
            who = self._options.broker.user or "without a name"
            return TroubleError(
                f"the broker {connection.address} does not let the user {who} write to "
                f"{message.topic}: let them write to {self._options.topics.prefix}/#"
            )
        return TroubleError(f"the broker {connection.address} says: {answer.text}")

    # What is published

    def _availability(self, payload: bytes) -> Message:
        return Message(self._options.topics.availability, payload, retain=True)

    def _history(self, entry: Entry) -> Message:
        reading = entry.reading
        topic = self._options.topics.history(reading.family, reading.device)
        return Message(topic, payloads.encoded(entry.to_json()))

    def _messages(self, entry: Entry, *, is_present: bool) -> Becoming:
        """Return what is said of an entry."""
        if is_present:
            return self._retained.become(entry)
        return Becoming([], [self._history(entry)])

    def _say(self, event: str, text: str) -> None:
        self._around.say(event, f"sink {self._around.name}: {text}")

    # The connection

    async def _connected(self) -> Connection:
        """Return a connection that has been greeted, perhaps a new one."""
        async with self._connecting:
            if self._connection is not None and not self._connection.ended.done():
                return self._connection
            will = self._availability(OFFLINE)
            connection = await open_connection(
                self._options.broker, self._client_id, will, self._hear
            )
            try:
                await self._greet(connection)
            except BaseException:
                connection.drop("given up")
                raise
            connection.ended.add_done_callback(lambda _: self._news.set())
            self._connection = connection
            if self._keeper is None:
                self._keeper = asyncio.create_task(self._keep())
            return connection

    async def _greet(self, connection: Connection) -> None:
        """Say that we are here, and all that was said before."""
        online = self._availability(ONLINE)
        answer = await connection.answer(connection.put(online))
        if answer is None:
            raise TroubleError(connection.ended.result())
        if not answer.taken:
            raise TroubleError(str(self._refusal(connection, online, answer)))
        await self._listen(connection)
        self._telling.begin(connection)
        self._retained.drop_unknown()
        await self._telling.greet(connection, self._retained.all())

    async def _listen(self, connection: Connection) -> None:
        wanted = [self._options.topics.availability]
        if self._options.discovery:
            wanted.append(self._options.wishes.birth)
        for topic in wanted:
            try:
                await connection.subscribe(topic)
            except TroubleError as error:
                if connection.ended.done():
                    raise
                self._say("mqtt-listen", str(error))

    def _hear(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001 - of a callback
        """Take note of what others say; what is retained they said before we came."""
        if retained:
            return
        if topic == self._options.wishes.birth and payload == ONLINE:
            self._born = True
            self._news.set()
        elif topic == self._options.topics.availability and payload != ONLINE:
            connection = self._connection
            if connection is not None:
                self._telling.put(connection, self._availability(ONLINE))

    async def _keep(self) -> None:
        """Keep the connection, and answer Home Assistant, until it is cancelled."""
        delay = FIRST_RETRY
        while True:
            connection = self._connection
            if connection is not None and not connection.ended.done():
                delay = FIRST_RETRY
                await self._news.wait()
                self._news.clear()
                born, self._born = self._born, False
                if born:
                    self._retained.drop_unknown()
                    await self._telling.again(connection, self._retained.all())
                continue
            await asyncio.sleep(delay * (0.5 + random() / 2))  # noqa: S311 - no secret
            delay = min(2 * delay, LAST_RETRY)
            try:
                await self._connected()
            except TroubleError as error:
                self._say("mqtt-away", str(error))
