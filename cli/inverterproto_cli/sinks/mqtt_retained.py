"""What a broker retains of us: who we are, what each device is, how it is now, who was heard when.

It is made of entries as they are published, or as the store recalls them, and is told again as a
whole when a broker or Home Assistant may have forgotten it. What the store does not know any more
is dropped before: a device that was forgotten does not come back.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from inverterproto_cli.sinks import payloads
from inverterproto_cli.sinks.discovery import Config
from inverterproto_cli.sinks.entities import Entities, carrier_of
from inverterproto_cli.sinks.mqtt_broker import Message
from inverterproto_cli.sinks.mqtt_options import Options
from inverterproto_cli.sinks.sink import Entry, Surroundings, TroubleError
from inverterproto_cli.sinks.states import States
from inverterproto_cli.sinks.topics import SEEN


class Becoming(NamedTuple):
    """What is said when an entry becomes the present.

    Attributes:
        news: what Home Assistant has to know first.
        state: the messages of which the state is made.
    """

    news: list[Message]
    state: list[Message]


class Retained:
    """What the broker retains.

    Args:
        options: what the user wants.
        around: the program.
        clock: tells unix time in seconds.

    Attributes:
        states: which entries are the present.
        taken: the number of the last entry that the broker acknowledged.
    """

    def __init__(self, options: Options, around: Surroundings, clock: Callable[[], float]) -> None:
        self._options = options
        self._around = around
        self._entities = Entities(options.wishes, around.logger)
        self._seen: dict[tuple[str, str], float] = {}
        self._heard: set[tuple[str, str]] = set()
        self.states = States(around.newest, clock)
        self.taken = 0

    def recall(self, number: int) -> None:
        """Take from the store what may have been published before, up to a number.

        Raises:
            TroubleError: the store cannot be read.
        """
        self.taken = number
        for entry in self._around.present(self.states.future()):
            if entry.reading.device is not None:
                self._see(entry)
                if entry.number <= number:
                    self.states.put(entry)

    def drop_unknown(self) -> None:
        """Forget what the store does not know any more; nothing while it cannot be read."""
        try:
            known = self._around.known()
        except TroubleError:
            return
        self.states.keep_only(known)
        self._entities.keep_only(known)
        self._seen = {key: time for key, time in self._seen.items() if key in known}
        self._heard.intersection_update(known)

    def all(self) -> Iterator[Message]:
        """Yield discovery, states, and when loggers were heard.

        Each is made when it is asked for: a newer state that is delivered meanwhile stays the
        newest. One that was not acknowledged comes with its batch, behind what is older in it.
        """
        if self._options.discovery:
            for config in self._entities.all():
                yield Message(*config, retain=True)
        for key in self.states.keys():  # noqa: SIM118 - no mapping
            entry = self.states.entry(key)
            if entry is not None and entry.number <= self.taken:
                yield from self._state(entry)
        for family, serial in list(self._seen):
            if (family, serial) in self._seen:
                yield self._seen_message(family, serial)

    def other_state(self, entry: Entry) -> Message | None:
        """Return a state that the broker has acknowledged, of another entry."""
        for key in self.states.keys():  # noqa: SIM118 - no mapping
            other = self.states.entry(key)
            if other is not None and other.number <= self.taken and other.number != entry.number:
                return next(self._state(other))
        return None

    def become(self, entry: Entry) -> Becoming:
        """Return what is said when an entry becomes the present."""
        configs = self._see(entry)
        news = [Message(*config, retain=True) for config in configs]
        return Becoming(news if self._options.discovery else [], list(self._state(entry)))

    def heard(self) -> list[Message]:
        """Return what is to be said of loggers that were heard since it was asked."""
        messages = [self._seen_message(*key) for key in self._heard]
        self._heard.clear()
        return messages

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

    def _state(self, entry: Entry) -> Iterator[Message]:
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
