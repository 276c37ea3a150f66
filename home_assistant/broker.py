"""A real broker, and somebody who listens to all that is said there.

The broker keeps nothing on disk: after each end it knows nothing any more, as the add-on of a Home
Assistant that was put up anew.
"""

import asyncio
import json
import shutil
from contextlib import suppress
from pathlib import Path
from signal import SIGTERM, Signals
from typing import Any, NamedTuple

import aiomqtt

from home_assistant.programs import Program, ProgramError, free_port

_PATIENCE = 15.0
_CONFIGURATION = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
log_type error
"""


class Said(NamedTuple):
    """A message that came from the broker."""

    topic: str
    payload: bytes
    retained: bool

    def json(self) -> Any:  # noqa: ANN401 - whatever was said
        """Return what the payload says."""
        return json.loads(self.payload)


class Broker:
    """A mosquitto.

    Args:
        folder: for its files.

    Attributes:
        port: where it listens.
        said: all that was said there while it was there, since the beginning.
    """

    def __init__(self, folder: Path) -> None:
        found = shutil.which("mosquitto")
        if found is None:
            raise ProgramError("mosquitto is missing: scripts/counterparts mosquitto fetches it")
        self.port = free_port()
        self.said: list[Said] = []
        configuration = folder / "mosquitto.conf"
        configuration.write_text(_CONFIGURATION.format(port=self.port))
        command = [found, "-c", str(configuration)]
        self._program = Program("mosquitto", command, folder / "mosquitto.log")
        self._listening: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it, and listen to all.

        Raises:
            ProgramError: it does not come up.
        """
        await self._program.start(self.port)
        listens = asyncio.Event()
        self._listening = asyncio.create_task(self._listen(listens))
        async with asyncio.timeout(_PATIENCE):
            await listens.wait()

    async def _listen(self, listens: asyncio.Event) -> None:
        async with aiomqtt.Client("127.0.0.1", self.port, identifier="listens-to-all") as client:
            await client.subscribe("#", qos=1)
            listens.set()
            async for message in client.messages:
                payload = message.payload if isinstance(message.payload, bytes) else b""
                self.said.append(Said(str(message.topic), payload, message.retain))

    async def stop(self, number: Signals = SIGTERM) -> None:
        """End it.

        Raises:
            ProgramError: it does not end.
        """
        await self._listen_no_more()
        await self._program.stop(number)

    async def abandon(self) -> None:
        """End it whatever happened."""
        await self._listen_no_more()
        await self._program.abandon()

    async def _listen_no_more(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            with suppress(asyncio.CancelledError, aiomqtt.MqttError):
                await self._listening
            self._listening = None

    async def publish(self, topic: str, payload: str, *, retain: bool = True) -> None:
        """Say something there, as another tool; it has arrived when this returns."""
        async with aiomqtt.Client("127.0.0.1", self.port) as client:
            await client.publish(topic, payload, qos=1, retain=retain)

    def newest(self, topic: str) -> Said | None:
        """Return what was said last at a topic."""
        return next((one for one in reversed(self.said) if one.topic == topic), None)
