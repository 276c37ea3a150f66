"""The MQTT sink and what happens to brokers and connections."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from inverterproto_cli.sinks import mqtt_connection
from inverterproto_cli.sinks.sink import TroubleError
from tests.brokers import (
    PATIENCE,
    Listener,
    Server,
    free_port,
    mosquitto,
    needs_mosquitto,
    retained,
)
from tests.counterparts import find, needs
from tests.mqtt_sinks import (
    INVERTER,
    LOGGER,
    NOW,
    deliver_all,
    entry,
    made,
    many,
    settings,
    sink,
    state_of,
    until,
)

if TYPE_CHECKING:
    from inverterproto_cli.sinks.mqtt_sink import MqttSink

pytestmark = needs_mosquitto

STATUS = "inverterproto/status"
STATE = f"inverterproto/deye/{INVERTER}/data/state"
SECRET = "correct horse"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Server]:
    with mosquitto(tmp_path) as server:
        yield server


def numbers(listener: Listener) -> set[int]:
    """Return what entries came at all, by their one value."""
    states = [one.json() for one in listener.heard if one.topic.endswith("/data/state")]
    past = [one.json()["values"] for one in listener.heard if one.topic.endswith("/history")]
    return {one["active_power"] for one in (*states, *past)}


# Brokers and connections that go


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.asyncio
async def test_nothing_is_lost_when_the_broker_goes_in_the_middle_of_a_batch(
    broker: Server, end: str
) -> None:
    entries = many(1500)
    with Listener(broker.port) as listener:
        async with sink(broker.port, discovery=False) as one:
            left, times = entries, 1
            async with asyncio.timeout(60):
                while left:
                    task = asyncio.create_task(one.deliver(left[:500]))
                    if times < 3:
                        before = len(listener.heard)
                        await until(lambda: len(listener.heard) > before + 30)  # noqa: B023
                        getattr(broker, end)()
                        times += 1
                        with contextlib.suppress(TroubleError):
                            left = left[await task :]
                        broker.start()
                        await asyncio.to_thread(listener.subscribed, times)
                    else:
                        left = left[await task :]
            await asyncio.to_thread(listener.all)
    assert numbers(listener) == set(range(1500))


class Cut:
    """A way to a broker that can be cut while something is on it."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0
        self.passed = 0
        self.connections = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers += [writer, to]
        self.connections += 1
        with contextlib.suppress(OSError):
            await asyncio.gather(self._pass(reader, to), self._pass(there, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(4096):
            writer.write(chunk)
            self.passed += len(chunk)
            await writer.drain()
        writer.close()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def close(self) -> None:
        self.cut()
        if self._server is not None:
            self._server.close()


@asynccontextmanager
async def cut(port: int) -> AsyncIterator[Cut]:
    way = Cut(port)
    await way.open()
    try:
        yield way
    finally:
        await way.close()


@pytest.mark.asyncio
async def test_each_entry_arrives_over_a_connection_that_is_cut_again_and_again(
    broker: Server,
) -> None:
    async def cutting(way: Cut) -> None:
        for times in range(1, 8):
            await until(lambda: way.passed > times * 60_000)  # noqa: B023
            way.cut()

    with Listener(broker.port) as listener:
        async with cut(broker.port) as way, sink(way.port, discovery=False) as one:
            task = asyncio.create_task(cutting(way))
            await deliver_all(one, many(3000))
            await task
        await asyncio.to_thread(listener.all)
    assert way.connections > 7
    assert numbers(listener) == set(range(3000))


@pytest.mark.asyncio
async def test_a_broker_that_forgot_everything_is_told_it_again_with_nothing_to_deliver(
    broker: Server,
) -> None:
    present = entry(1, NOW - 20, active_power=4)
    alias = {INVERTER: {"active_power": {"topic": "old/power"}}}
    async with sink(broker.port, alias=alias) as one:
        await one.deliver([present])
        before = retained(broker.port)
        broker.kill()
        broker.start()
        with Listener(broker.port) as listener:
            await asyncio.to_thread(listener.topic, f"inverterproto/deye/{LOGGER}/seen/state")
            after = retained(broker.port)
    assert after == before
    assert set(after) == {
        STATUS,
        STATE,
        f"inverterproto/deye/{LOGGER}/seen/state",
        "old/power",
        f"homeassistant/sensor/inverterproto_deye_{LOGGER}_last_seen/config",
        f"homeassistant/sensor/inverterproto_deye_{INVERTER}_active_power/config",
        f"homeassistant/sensor/inverterproto_deye_{INVERTER}_last_seen/config",
    }


@pytest.mark.asyncio
async def test_the_last_will_says_that_we_are_gone_and_the_keeper_that_we_are_back(
    broker: Server,
) -> None:
    with Listener(broker.port) as listener:
        async with cut(broker.port) as way, sink(way.port) as one:
            await one.deliver([entry(1)])
            way.cut()
            await asyncio.to_thread(listener.topic, STATUS, 3)
        await asyncio.to_thread(listener.topic, STATUS, 4)
        said = [each.payload for each in listener.all() if each.topic == STATUS]
    assert said == [b"online", b"offline", b"online", b"offline"]


def test_the_broker_says_it_when_our_process_is_killed(broker: Server) -> None:
    code = (
        "import asyncio, sys\n"
        "from tests.mqtt_sinks import *\n"
        "async def main():\n"
        "    one = made(int(sys.argv[1]))\n"
        "    await one.deliver([entry(1)])\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    with Listener(broker.port, STATUS) as listener:
        process = subprocess.Popen([sys.executable, "-c", code, str(broker.port)])  # noqa: S603 - ours
        try:
            listener.topic(STATUS)
            os.kill(process.pid, signal.SIGKILL)
            heard = listener.topic(STATUS, 2)
        finally:
            process.kill()
            process.wait(PATIENCE)
    assert [each.payload for each in heard] == [b"online", b"offline"]


@pytest.mark.asyncio
async def test_two_at_one_prefix_do_not_throw_each_other_out_nor_say_that_the_other_is_gone(
    broker: Server,
) -> None:
    with Listener(broker.port) as listener:
        async with sink(broker.port) as one:
            await one.deliver([entry(1)])
            async with sink(broker.port) as other:
                await other.deliver([entry(1)])
                await one.deliver([entry(2)])
            await asyncio.to_thread(listener.topic, STATUS, 4)
        await asyncio.to_thread(listener.topic, STATUS, 5)
        said = [each.payload for each in listener.all() if each.topic == STATUS]
    assert said == [b"online", b"online", b"offline", b"online", b"offline"]
    assert "already connected" not in broker.log()


# Other brokers

_NATS = """
listen: 127.0.0.1:%(port)d
server_name: test
jetstream { store_dir: "%(folder)s" }
mqtt { listen: 127.0.0.1:%(mqtt)d }
"""


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Server]:
    path = find("nats-server")
    assert path is not None
    port = free_port()
    config = tmp_path / "nats.conf"
    config.write_text(_NATS % {"port": free_port(), "folder": tmp_path / "store", "mqtt": port})
    server = Server([path, "-c", str(config)], port, tmp_path / "nats.log")
    try:
        yield server.start()
    finally:
        server.kill()


@needs("nats-server")
@pytest.mark.asyncio
async def test_a_broker_of_mqtt_3_1_1_is_spoken_to_in_that(nats: Server) -> None:
    async with sink(nats.port) as one:
        line = await one.test(entry(0))
        entries = many(100)
        assert await one.deliver(entries) == 100
        with Listener(nats.port) as listener:
            state = await asyncio.to_thread(listener.topic, STATE)
    assert line.endswith("(MQTT 3.1.1)")
    assert state[0].json() == state_of(entries[-1])


# Bounds


@pytest.mark.asyncio
async def test_a_broker_that_stops_answering_is_given_up(
    broker: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_connection, "PATIENCE", 0.5)
    one = made(broker.port, discovery=False)
    assert await one.deliver([entry(1)]) == 1
    assert broker._process is not None
    broker._process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(2):
            with pytest.raises(TroubleError, match=r"does not answer|says nothing"):
                await one.deliver(many(500))
    finally:
        broker._process.send_signal(signal.SIGCONT)
    assert await deliver_all(one, many(500)) >= 0
    await one.close()


@pytest.mark.asyncio
async def test_nothing_is_left_behind_of_a_delivery_that_was_cancelled(broker: Server) -> None:
    async with sink(broker.port) as one:
        await one.deliver([entry(1)])
        task = asyncio.create_task(one.deliver(many(500)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await deliver_all(one, many(500)) == 0
        connection = one._connection
        assert connection is not None
        assert not connection._answers
    assert connection.ended.done()


@pytest.mark.asyncio
async def test_closing_ends_the_keeper_and_twice_does_no_harm(broker: Server) -> None:
    one: MqttSink = made(broker.port)
    await one.close()
    await one.deliver([entry(1)])
    await one.close()
    await one.close()
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


def test_settings_hold_no_secret_in_sight() -> None:
    assert SECRET in str(settings(1, password=SECRET))
    assert SECRET not in repr(made(1, user="solar", password=SECRET)._options)
