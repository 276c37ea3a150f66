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
and nothing is set aside for it. With MQTT 3.1.1 a broker cannot say it, and may hang up: so does an
entry count that has ended some connections, the last one when it was alone on it.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from random import random
from secrets import token_hex
from time import time
from typing import NamedTuple

from inverterproto_cli.sinks import payloads
from inverterproto_cli.sinks.discovery import Config
from inverterproto_cli.sinks.entities import Entities, carrier_of
from inverterproto_cli.sinks.mqtt_broker import Answer, Message
from inverterproto_cli.sinks.mqtt_connection import Connection, open_connection
from inverterproto_cli.sinks.mqtt_options import Options
from inverterproto_cli.sinks.sink import Entry, RefusedError, Surroundings, TroubleError
from inverterproto_cli.sinks.states import States
from inverterproto_cli.sinks.topics import OFFLINE, ONLINE, SEEN

FIRST_RETRY, LAST_RETRY = 1.0, 60.0
"""Seconds until a connection that is gone is made again: at first, and at the most."""
SUSPICIOUS = 3
"""Connections in a row that an entry has ended; then it is tried alone."""
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


class _Suspect(NamedTuple):
    """The entry at which connections ended, and how many in a row."""

    number: int
    times: int


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
        self._states = States(around.newest, clock)
        self._entities = Entities(options.wishes, around.logger)
        self._seen: dict[tuple[str, str], float] = {}
        self._heard: set[tuple[str, str]] = set()
        self._taken = 0  # the number of the last entry that the broker acknowledged
        self._connecting = asyncio.Lock()
        self._connection: Connection | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._born = False
        self._suspect = _Suspect(-1, 0)

    # What the program calls

    async def begin(self, number: int) -> None:
        """Keep a connection from now on, though nothing may be measured until the morning.

        What the store has of each device is told there, for the broker may have forgotten it: what
        was delivered before as its state, and of what will be delivered, that there is such.
        """
        if self._keeper is not None:
            return
        try:
            for entry in self._around.present():
                if entry.reading.device is not None:
                    self._see(entry)
                if entry.reading.device is not None and entry.number <= number:
                    self._states.put(entry)
        except TroubleError as error:  # then it is told as it comes
            self._around.say("mqtt-recall", f"sink {self._around.name}: {error}")
        self._taken = number
        self._keeper = asyncio.create_task(self._keep())

    async def deliver(self, entries: Sequence[Entry]) -> int:
        """Publish entries; return how many the broker has acknowledged, from the first on."""
        connection = await self._connected()
        alone = self._suspect == (entries[0].number, SUSPICIOUS)
        batch = entries[:1] if alone else entries
        try:
            count = await self._publish(connection, batch)
        except (TroubleError, RefusedError):
            raise
        except BaseException:
            # Nobody waits for the answers any more; what was not acknowledged comes again.
            connection.drop("given up")
            raise
        if count:
            self._taken = batch[count - 1].number
            return count
        why = connection.ended.result()
        if alone and connection.hung_up:
            raise RefusedError(f"{why}, whenever this reading comes", at=0)
        raise TroubleError(why)

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
        present = self._states.present(entries)
        answers: list[_Put] = []
        for place, entry in enumerate(entries):
            await connection.room()
            is_present = place in present
            messages = (
                self._become_present(connection, entry) if is_present else [self._history(entry)]
            )
            if any(map(connection.too_large, messages)):
                break
            if is_present:
                self._states.put(entry)
            answers += (_Put(place, message, connection.put(message)) for message in messages)
        else:
            place = len(entries)
        for carrier in self._heard:
            connection.put(self._seen_message(*carrier))
        self._heard.clear()
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
                    self._suspend(entries[put.place])
                return put.place
            if not answer.taken:
                refusal = self._refusal(connection, put.message, answer, put.place)
                if put.place and isinstance(refusal, TroubleError):
                    return put.place
                raise refusal
        return None

    def _suspend(self, entry: Entry) -> None:
        """Take note that a connection ended at an entry."""
        times = self._suspect.times + 1 if self._suspect.number == entry.number else 1
        self._suspect = _Suspect(entry.number, min(times, SUSPICIOUS))

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

    def _become_present(self, connection: Connection, entry: Entry) -> list[Message]:
        """Tell Home Assistant what is new of a device; return the messages of its state."""
        self._tell(connection, (Message(*config, retain=True) for config in self._see(entry)))
        return list(self._present(entry))

    def _see(self, entry: Entry) -> list[Config]:
        """Take note of what a device shows; return what Home Assistant has to know anew."""
        identity = self._around.identity(entry.reading)
        configs = self._entities.see(identity, entry.reading)
        carrier = carrier_of(identity)
        if carrier is not None:
            key = identity.family, carrier
            self._seen[key] = max(self._seen.get(key, 0.0), entry.arrival)
            self._heard.add(key)
        return configs

    def _present(self, entry: Entry) -> Iterator[Message]:
        """Yield the messages of which the state of a device and kind is made."""
        reading = entry.reading
        topic = self._options.topics.state(reading.family, reading.device, reading.kind)
        yield Message(topic, payloads.state(entry), retain=True)
        for key, alias in self._options.wishes.aliases.get(reading.device or "", {}).items():
            if alias.topic and key in reading.values and self._entities.listens(reading, key):
                yield Message(alias.topic, str(reading.values[key]).encode(), retain=True)

    def _seen_message(self, family: str, serial: str) -> Message:
        topic = self._options.topics.state(family, serial, SEEN)
        return Message(topic, payloads.seen(self._seen[family, serial]), retain=True)

    def _tell(self, connection: Connection, configs: Iterator[Message]) -> None:
        """Tell Home Assistant something, if it is wanted; a refusal keeps no reading back."""
        if self._options.discovery:
            for config in configs:
                connection.put(config).add_done_callback(self._look_at_config)

    def _look_at_config(self, answer: "asyncio.Future[Answer | None]") -> None:
        said = None if answer.cancelled() else answer.result()
        if said is not None and not said.taken:
            self._around.say(
                "mqtt-discovery",
                f"sink {self._around.name}: the broker does not take what is for Home Assistant "
                f"({said.text}): let us write to {self._options.wishes.prefix}/#, or set "
                "discovery to false",
            )

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
            raise self._refusal(connection, online, answer)
        await self._listen(connection)
        await self._publish_all(connection)

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
                self._around.say("mqtt-listen", f"sink {self._around.name}: {error}")

    async def _publish_all(self, connection: Connection) -> None:
        """Publish discovery and all states.

        Each is made when it is put: a newer state that is delivered meanwhile stays the newest. One
        that was not acknowledged comes with its batch, behind what is older in it.
        """
        if self._options.discovery:
            for config in self._entities.all():
                await connection.room()
                self._tell(connection, iter([Message(*config, retain=True)]))
        for key in self._states.keys():  # noqa: SIM118 - no mapping
            await connection.room()
            entry = self._states.entry(key)
            if entry is not None and entry.number <= self._taken:
                for message in self._present(entry):
                    connection.put(message)
        for family, serial in list(self._seen):
            await connection.room()
            connection.put(self._seen_message(family, serial))

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
                connection.put(self._availability(ONLINE))

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
                    await self._publish_all(connection)
                continue
            await asyncio.sleep(delay * (0.5 + random() / 2))  # noqa: S311 - no secret
            delay = min(2 * delay, LAST_RETRY)
            try:
                await self._connected()
            except TroubleError as error:
                self._around.say("mqtt-away", f"sink {self._around.name}: {error}")
