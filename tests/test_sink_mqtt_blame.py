"""What the MQTT sink does not hold against a reading: greetings, discovery, lines that break."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from inverterproto_cli.sinks import mqtt_connection
from inverterproto_cli.sinks.mqtt_sink import MqttSink
from inverterproto_cli.sinks.sink import Entry, RefusedError, TroubleError
from tests.brokers import Server, mosquitto, needs_mosquitto, retained
from tests.mqtt_sinks import INVERTER, LOGGER, NOW, Around, entry, made, many, sink, until

pytestmark = needs_mosquitto
STATE = f"inverterproto/deye/{INVERTER}/data/state"
OTHER = "2309999999"


async def end_of(one: MqttSink, entries: list[Entry], tries: int = 60) -> list[int]:
    """Deliver as a `Delivery` does; return the numbers of what was refused."""
    left = list(entries)
    refused: list[int] = []
    for _ in range(tries):
        if not left:
            return refused
        try:
            left = left[await one.deliver(left) :]
        except TroubleError:
            await asyncio.sleep(0)
        except RefusedError as error:
            refused.append(left[error.at or 0].number)
            left = left[(error.at or 0) + 1 :]
    raise AssertionError(left)


@pytest.mark.asyncio
async def test_a_state_that_is_too_large_is_left_out_of_the_greeting_and_told(
    tmp_path: Path,
) -> None:
    around = Around()
    around.stands = [
        entry(5, NOW - 60, status="x" * 900),
        entry(6, NOW - 60, device=OTHER, active_power=1),
    ]
    with mosquitto(tmp_path, "max_packet_size 480") as server:
        async with sink(server.port, around, discovery=False) as one:
            await one.begin(9)
            assert await end_of(one, [entry(10, NOW - 5, active_power=4)]) == []
            assert STATE in retained(server.port)
            assert STATE.replace(INVERTER, OTHER) in retained(server.port)
    ((event, said),) = around.said
    assert event == "mqtt-too-large"
    assert "takes no more than 480 bytes at once" in said


@pytest.mark.asyncio
async def test_what_is_too_large_for_home_assistant_keeps_no_reading_back(tmp_path: Path) -> None:
    around = Around()
    with mosquitto(tmp_path, "max_packet_size 480") as server:
        async with sink(server.port, around) as one:
            entries = [entry(n, NOW - 90 + n, active_power=n, grid_power=n) for n in range(20)]
            assert await end_of(one, entries) == []
        assert STATE in retained(server.port)
    assert [event for event, _ in around.said] == ["mqtt-too-large"]


@pytest.mark.asyncio
async def test_what_was_refused_is_not_told_as_the_state(tmp_path: Path) -> None:
    with mosquitto(tmp_path, "max_packet_size 480") as server:
        async with sink(server.port, discovery=False) as one:
            good, large = entry(1, NOW - 60, active_power=4), entry(2, NOW - 9, status="x" * 900)
            later = entry(3, NOW - 5, device=OTHER, active_power=5)
            assert await end_of(one, [good, large, later]) == [2]
            server.kill()
            server.start()
            await until(lambda: STATE.replace(INVERTER, OTHER) in retained(server.port))
            # And what is older than the refused one, but newer than the last, is the present.
            assert await one.deliver([entry(4, NOW - 30, active_power=6)]) == 1
            assert b'"active_power":6' in retained(server.port)[STATE]


@pytest.mark.asyncio
async def test_a_greeting_at_which_a_broker_hangs_up_without_a_word_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_connection, "VERSIONS", mqtt_connection.VERSIONS[1:])
    around = Around()
    around.stands = [entry(5, NOW - 60, status="x" * 900)]
    with mosquitto(tmp_path, "max_packet_size 480") as server:
        async with sink(server.port, around, discovery=False) as one:
            await one.begin(9)
            assert await end_of(one, many(20)[10:]) == []
    assert "mqtt-left-out" in {event for event, _ in around.said}


class Line:
    """A way to a broker that breaks when it likes."""

    def __init__(self, server: Server, breaks: Callable[[bytes, int], bool]) -> None:
        self.port = 0
        self.connections = 0
        self._server = server
        self._breaks = breaks

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there, to = await asyncio.open_connection("127.0.0.1", self._server.port)
        back = asyncio.create_task(self._pass_back(there, writer))
        try:
            while data := await reader.read(65536):
                if self._breaks(data, self.connections):
                    break
                to.write(data)
        except OSError:
            pass
        writer.transport.abort()
        to.transport.abort()
        await asyncio.gather(back, return_exceptions=True)

    async def _pass_back(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await there.read(65536):
            writer.write(data)


@asynccontextmanager
async def line(server: Server, breaks: Callable[[bytes, int], bool]) -> AsyncIterator[Line]:
    one = Line(server, breaks)
    listening = await asyncio.start_server(one.connect, "127.0.0.1", 0)
    one.port = listening.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        listening.close()


@pytest.mark.asyncio
async def test_a_line_that_breaks_at_every_reading_sets_none_aside(tmp_path: Path) -> None:
    """As a broker does that hangs up for lack of rights."""

    def breaks(data: bytes, connections: int) -> bool:
        return connections <= 15 and b"/history" in data

    entries = [entry(n, NOW - 5000 + n, historic=True, active_power=n) for n in range(5)]
    with mosquitto(tmp_path) as server:
        async with line(server, breaks) as way, sink(way.port, discovery=False) as one:
            assert await end_of(one, entries) == []
    assert way.connections > 15


@pytest.mark.asyncio
async def test_a_reading_that_nothing_can_be_compared_with_is_not_set_aside(
    tmp_path: Path,
) -> None:
    with mosquitto(tmp_path) as server:
        breaks = lambda data, _: b"/history" in data  # noqa: E731
        async with line(server, breaks) as way:
            one = made(way.port, discovery=False)
            alone = entry(1, NOW - 5000, historic=True, active_power=1)
            for _ in range(8):
                with pytest.raises(TroubleError):
                    await one.deliver([alone])
            await one.close()


@pytest.mark.asyncio
async def test_another_of_the_same_name_sets_no_reading_aside(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as server:
        async with (
            sink(server.port, discovery=False, client_id="both") as one,
            sink(server.port, discovery=False, client_id="both", prefix="other") as rival,
        ):
            refused = await asyncio.gather(
                *(end_of(each, many(40)[start:], 1000) for each, start in ((one, 0), (rival, 20)))
            )
    assert refused == [[], []]


@pytest.mark.asyncio
async def test_a_time_that_is_yet_to_come_keeps_no_state_away(tmp_path: Path) -> None:
    month, around = 30 * 86400, Around()
    around.stands = [entry(3, NOW + month, active_power=1)]
    around.stored[INVERTER, "data"] = NOW + month
    with mosquitto(tmp_path) as server:
        async with sink(server.port, around) as one:
            await one.begin(9)
            assert await one.deliver([entry(10, NOW - 5, active_power=4)]) == 1
            assert b'"active_power":4' in retained(server.port)[STATE]


@pytest.mark.asyncio
async def test_a_forgotten_device_does_not_come_back_with_a_new_connection(
    tmp_path: Path,
) -> None:
    around = Around()
    with mosquitto(tmp_path) as server:
        async with sink(server.port, around) as one:
            both = [
                entry(n, NOW - 5, device=each, active_power=n)
                for n, each in enumerate((INVERTER, OTHER))
            ]
            assert await one.deliver(both) == 2
            around.gone = {OTHER}
            server.kill()
            server.start()
            await until(lambda: f"inverterproto/deye/{LOGGER}/seen/state" in retained(server.port))
            assert STATE in retained(server.port)
            assert not [topic for topic in retained(server.port) if OTHER in topic]
