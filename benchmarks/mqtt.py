"""The MQTT sink beside paho's own loop: one mosquitto, QoS 1, each message acknowledged.

Ours makes the JSON of each reading and keeps account of what has arrived. The loop beside it
publishes the same bytes, made before, as fast as paho's own thread takes them, and then waits for
all of them. Both have one connection, and one core with the broker.
"""

import asyncio
import contextlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter, time
from typing import Self

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.frames import frame
from benchmarks.measure import Effort, Line, Timer, at_least, compare
from benchmarks.sinks import broker
from inverterproto.deye.frame import Frame
from inverterproto.deye.messages import Message
from inverterproto.reading import Reading
from inverterproto_cli.sinks.mqtt import MQTT
from inverterproto_cli.sinks.sink import Entry, Identity, Sink

TITLE = "MQTT at QoS 1, readings of a micro-inverter; one core, the broker's work in it"
PAHO = "paho: publish() in a loop, JSON made before"
HISTORY = "ours: history"
STATES = "ours: states of 500 devices"
_BATCH = 500
_GOAL = at_least(0.5)


class _Around:
    """A program around the sink that knows nothing of its devices."""

    name = "mqtt"

    def identity(self, reading: Reading) -> Identity:
        return Identity(reading.family, reading.device or "", "inverter", "Deye", via=reading.via)

    def logger(self, serial: str) -> Identity:
        return Identity("deye", serial, "logger", "Solarman")

    def known(self) -> set[tuple[str, str]]:
        return set()

    def newest(self, reading: Reading, before: int, until: float) -> float | None:  # noqa: ARG002
        return None

    def present(self, until: float) -> list[Entry]:  # noqa: ARG002
        return []

    def say(self, event: str, text: str) -> None:
        raise AssertionError(f"{event}: {text}")


class _Ours:
    """Our sink in an event loop of its own. Use it in a `with` statement."""

    def __init__(self, port: int, reading: Reading) -> None:
        values = {setting.key: setting.default for setting in MQTT.settings}
        self._runner = asyncio.Runner()
        self._sink: Sink = MQTT.open(values | {"broker": f"127.0.0.1:{port}"}, _Around())
        self._reading = replace(reading, historic=True, time=time())
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._runner.run(self._sink.close())
        self._runner.close()

    def history(self, count: int) -> float:
        """Deliver so many that are no states; return the seconds."""
        return self._deliver([Entry(0, self._reading, time())] * min(count, _BATCH), count)

    def states(self, count: int) -> float:
        """Deliver so many that are the newest of their devices; return the seconds."""
        now = time()
        fresh = [
            Entry(0, replace(self._reading, device=f"23{n}", historic=False, time=now), now)
            for n in range(min(count, _BATCH))
        ]
        return self._deliver(fresh, count)

    def _deliver(self, entries: Sequence[Entry], count: int) -> float:
        before = perf_counter()
        self._runner.run(self._turn(entries, count))
        return perf_counter() - before

    async def _turn(self, entries: Sequence[Entry], count: int) -> None:
        while count:
            self._number += 1  # what has the number of what was published is published again
            count -= await self._sink.deliver(entries[:count])


class _Paho:
    """paho as its documentation shows it. Use it in a `with` statement."""

    def __init__(self, port: int, payload: bytes) -> None:
        self._payload = payload
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, count: int) -> float:
        """Publish so many messages, and wait for all acknowledgements; return the seconds."""
        before = perf_counter()
        sent = [self._client.publish("paho/history", self._payload, 1) for _ in range(count)]
        for each in sent:
            each.wait_for_publish()
        return perf_counter() - before


def run(effort: Effort) -> Iterator[Line]:
    """Yield the lines of this group."""
    [reading] = Message.parse(Frame.parse(frame("deye", "micro-5408-realtime"))).readings()
    payload = json.dumps(Entry(1, reading, time()).to_json()).encode()
    with contextlib.ExitStack() as stack:
        server = broker(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        if server is None:
            yield Line(HISTORY, None, "messages/s", goal=_GOAL, note="mosquitto: not found")
            return
        stack.enter_context(server)
        ours = stack.enter_context(_Ours(server.port, reading))
        peer = stack.enter_context(_Paho(server.port, payload))
        contenders: dict[str, Timer] = {
            PAHO: peer.publish, HISTORY: ours.history, STATES: ours.states
        }  # fmt: skip
        samples = compare(contenders, effort._replace(seconds=effort.seconds * 10))
    note = f"{len(payload)} bytes each"
    yield Line(PAHO, 1e6 / samples.micros(PAHO), "messages/s", note=note)
    for name in (HISTORY, STATES):
        rate = 1e6 / samples.micros(name)
        yield Line(name, rate, "messages/s", samples.ratio(PAHO, name), _GOAL)
