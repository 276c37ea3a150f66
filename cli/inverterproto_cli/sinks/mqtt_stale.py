"""What a broker still retains of devices that we do not know any more.

A broker sends what it retains to who subscribes, and does not say when that was all. What we
publish after subscribing comes back behind it; brokers of several machines may mix that up, so a
while of silence is waited for, too.
"""

import asyncio
import json
from collections.abc import Collection
from secrets import token_hex

from inverterproto_cli.sinks.discovery import ORIGIN, config_topic
from inverterproto_cli.sinks.mqtt_broker import Message
from inverterproto_cli.sinks.mqtt_connection import Connection, open_connection
from inverterproto_cli.sinks.mqtt_options import Options
from inverterproto_cli.sinks.sink import TroubleError
from inverterproto_cli.sinks.topics import spelled

QUIET = 0.5
"""Seconds without a retained message after which there are no more."""
LONGEST = 60.0
"""Seconds for all of them."""
MOST = 200_000
"""Topics that are looked at."""

Known = Collection[tuple[str, str]]
"""Family and spelled serial of each device that is known."""


class _Retained:
    """What a broker retains, as it comes in.

    Attributes:
        found: topic → payload.
        mark: a topic of which a message comes behind them.
    """

    def __init__(self, mark: str) -> None:
        self.found: dict[str, bytes] = {}
        self.mark = mark
        self.marked = asyncio.Event()
        self.more = asyncio.Event()

    def hear(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001 - a callback
        if topic == self.mark:
            self.marked.set()
        elif retained and payload and len(self.found) < MOST:
            self.found[topic] = payload
        self.more.set()

    async def all(self) -> dict[str, bytes]:
        """Wait until it is all there."""
        await self.marked.wait()
        while True:
            self.more.clear()
            try:
                await asyncio.wait_for(self.more.wait(), QUIET)
            except TimeoutError:
                return self.found


async def stale_topics(options: Options, known: Known, *, clear: bool) -> list[str]:
    """Return the retained topics of ours that belong to no device that is known.

    Args:
        options: which broker, and which topics are ours.
        known: the devices.
        clear: whether they are emptied, too.

    Raises:
        TroubleError: the broker is not there, or does not let us.
    """
    retained = _Retained(f"{options.topics.test}/{token_hex(8)}")
    name = options.client_id or f"{ORIGIN}{token_hex(5)}"
    connection = await open_connection(options.broker, name, hear=retained.hear)
    try:
        aliases = _alias_topics(options, known)
        states = f"{options.topics.prefix}/+/+/+/state"
        configs = config_topic(options.wishes.prefix, "+")
        await connection.subscribe(states, configs, retained.mark, *aliases)
        connection.put(Message(retained.mark, b"1"))
        async with asyncio.timeout(LONGEST):
            found = await retained.all()
        stale = [topic for topic in found if _is_stale(topic, found[topic], options, known)]
        stale += [topic for topic in aliases if topic in found]
        # Entities go before their states: none is shown without one.
        stale.sort(key=lambda topic: (topic.endswith("/state"), topic))
        if clear:
            await _clear(connection, stale)
    except TimeoutError:
        raise TroubleError(f"the broker {connection.address} does not answer") from None
    finally:
        await connection.close()
    return stale


async def _clear(connection: Connection, topics: list[str]) -> None:
    for topic in topics:
        answer = await connection.answer(connection.put(Message(topic, b"", retain=True)))
        if answer is None:
            raise TroubleError(connection.ended.result())
        if not answer.taken:
            raise TroubleError(f"the broker does not let us empty {topic}: {answer.text}")


def _is_stale(topic: str, payload: bytes, options: Options, known: Known) -> bool:
    whose = _whose(topic, options)
    if whose is None and topic.startswith(config_topic(options.wishes.prefix, f"{ORIGIN}_")[:-7]):
        whose = _whose(_state_topic(payload), options)
    return whose is not None and whose not in known


def _whose(state: str, options: Options) -> tuple[str, str] | None:
    """Return family and spelled serial of the device whose state a topic is."""
    prefix = f"{options.topics.prefix}/"
    levels = state.removeprefix(prefix).split("/")
    if not state.startswith(prefix) or len(levels) != 4 or levels[-1] != "state":
        return None
    return levels[0], levels[1]


def _state_topic(payload: bytes) -> str:
    """Return the state topic that an entity listens to; another tool may have made it."""
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):
        return ""
    topic = said.get("state_topic") if isinstance(said, dict) else None
    return topic if isinstance(topic, str) else ""


def _alias_topics(options: Options, known: Known) -> list[str]:
    """Return the topics of aliases of devices that are not known."""
    serials = {serial for _, serial in known}
    return [
        alias.topic
        for serial, aliases in options.wishes.aliases.items()
        for alias in aliases.values()
        if alias.topic and spelled(serial) not in serials
    ]
