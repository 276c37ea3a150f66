"""The MQTT sink and what happens to brokers and connections."""

import asyncio
import base64
import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from inverterproto_cli.sinks import mqtt_connection
from inverterproto_cli.sinks.sink import Entry, RefusedError, TroubleError
from tests.brokers import (
    PATIENCE,
    Listener,
    Server,
    Tls,
    certificates,
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
    Around,
    deliver_all,
    entry,
    made,
    settings,
    sink,
    state_of,
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


async def until(true: Callable[[], object]) -> None:
    """Let the event loop go on until something is so."""
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 - it may be anything
            await asyncio.sleep(0.01)


def numbers(listener: Listener) -> set[int]:
    """Return what entries came at all, by their one value."""
    states = [one.json() for one in listener.heard if one.topic.endswith("/data/state")]
    past = [one.json()["values"] for one in listener.heard if one.topic.endswith("/history")]
    return {one["active_power"] for one in (*states, *past)}


def many(count: int) -> list[Entry]:
    return [entry(n, NOW - 800 + n / 10, active_power=n) for n in range(count)]


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
    with Listener(broker.port, STATUS) as listener:
        async with cut(broker.port) as way, sink(way.port) as one:
            await one.deliver([entry(1)])
            way.cut()
            await asyncio.to_thread(listener.topic, STATUS, 3)
        await asyncio.to_thread(listener.topic, STATUS, 4)
    said = [each.payload for each in listener.heard]
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
    with Listener(broker.port, STATUS) as listener:
        async with sink(broker.port) as one:
            await one.deliver([entry(1)])
            async with sink(broker.port) as other:
                await other.deliver([entry(1)])
                await one.deliver([entry(2)])
            await asyncio.to_thread(listener.topic, STATUS, 4)
            assert listener.heard[-1].payload == b"online"
    assert "already connected" not in broker.log()


# Who is let in


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    if find("openssl") is None:
        pytest.skip("run: scripts/counterparts openssl")
    return certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Server]:
    """Yield a broker that lets only `solar` in, and write below `inverterproto/` alone."""
    passwords = tmp_path / "passwords"
    hashed = hashlib.pbkdf2_hmac("sha512", SECRET.encode(), b"twelve bytes", 101)
    parts = ("$7", "101", *(base64.b64encode(each).decode() for each in (b"twelve bytes", hashed)))
    passwords.write_text(f"solar:{'$'.join(parts)}\n")
    passwords.chmod(0o644)
    (tmp_path / "rights").write_text(
        "user solar\ntopic readwrite inverterproto/#\ntopic write homeassistant/sensor/#\n"
    )
    (tmp_path / "rights").chmod(0o644)
    lines = ("allow_anonymous false", f"password_file {passwords}", f"acl_file {tmp_path}/rights")
    with mosquitto(tmp_path, *lines) as server:
        yield server


@pytest.mark.asyncio
async def test_a_right_password_lets_us_in(guarded: Server) -> None:
    async with sink(guarded.port, user="solar", password=SECRET) as one:
        assert await one.deliver([entry(1)]) == 1


@pytest.mark.parametrize("user", ["solar", "nobody", None])
@pytest.mark.asyncio
async def test_a_wrong_password_is_told_and_not_shown(guarded: Server, user: str | None) -> None:
    wrong = f"not {SECRET}" if user else None
    one = made(guarded.port, user=user, password=wrong)
    for call in (one.deliver([entry(1)]), one.test(entry(1))):
        with pytest.raises(TroubleError) as error:
            await call
        assert str(error.value) == (
            f"the broker 127.0.0.1:{guarded.port} does not let us in (Not authorized): "
            "look at user and password"
        )
    await one.close()
    assert SECRET not in repr(one._options)


@pytest.mark.asyncio
async def test_who_may_not_write_is_told_where_and_nothing_is_set_aside(guarded: Server) -> None:
    one = made(guarded.port, user="solar", password=SECRET, prefix="elsewhere")
    with pytest.raises(TroubleError) as error:
        await one.deliver([entry(1)])
    assert str(error.value) == (
        f"the broker 127.0.0.1:{guarded.port} does not let the user solar write to "
        "elsewhere/status: let them write to elsewhere/#"
    )
    await one.close()


@pytest.mark.asyncio
async def test_discovery_that_is_refused_is_told_and_keeps_no_reading_back(guarded: Server) -> None:
    around = Around()
    changes = {"user": "solar", "password": SECRET, "discovery_prefix": "ha"}
    async with sink(guarded.port, around, **changes) as one:
        assert await one.deliver([entry(1, active_power=4)]) == 1
        await until(lambda: any(event == "mqtt-discovery" for event, _ in around.said))
    assert (
        "mqtt-discovery",
        (
            "sink mqtt: the broker does not take what is for Home Assistant (Not authorized): let us "
            "write to ha/#, or set discovery to false"
        ),
    ) in around.said


def tls_lines(files: Tls, *more: str) -> tuple[str, ...]:
    return (f"certfile {files.certificate}", f"keyfile {files.key}", *more)


@pytest.mark.asyncio
async def test_a_broker_whose_ca_is_named_is_trusted(tmp_path: Path, tls: Tls) -> None:
    with mosquitto(tmp_path, *tls_lines(tls)) as server:
        url = f"mqtts://127.0.0.1:{server.port}"
        async with sink(server.port, broker=url, ca=str(tls.ca), discovery=False) as one:
            assert await one.deliver(many(500)) == 500


@pytest.mark.asyncio
async def test_a_client_certificate_is_shown_to_a_broker_that_asks_for_it(
    tmp_path: Path, tls: Tls
) -> None:
    lines = tls_lines(tls, f"cafile {tls.ca}", "require_certificate true")
    with mosquitto(tmp_path, *lines) as server:
        url = f"mqtts://127.0.0.1:{server.port}"
        own: dict[str, Any] = {"certificate": str(tls.certificate), "key": str(tls.key)}
        async with sink(server.port, broker=url, ca=str(tls.ca), **own) as one:
            assert await one.deliver([entry(1)]) == 1
        async with sink(server.port, broker=url, ca=str(tls.ca)) as one:
            with pytest.raises(TroubleError):
                await one.deliver([entry(1)])


@pytest.mark.parametrize("ca", ["other", None])
@pytest.mark.asyncio
async def test_a_broker_whom_nobody_vouches_for_gets_nothing(
    tmp_path: Path, tls: Tls, ca: str | None
) -> None:
    named = str(tls.other_ca) if ca else None
    with mosquitto(tmp_path, *tls_lines(tls)) as server:
        one = made(server.port, broker=f"mqtts://127.0.0.1:{server.port}", ca=named)
        with pytest.raises(TroubleError, match="is not trusted .*: name its CA with ca"):
            await one.deliver([entry(1)])
        await one.close()


@pytest.mark.asyncio
async def test_a_port_without_tls_is_told(broker: Server, tls: Tls) -> None:
    url = f"mqtts://127.0.0.1:{broker.port}"
    one = made(broker.port, broker=url, ca=str(tls.ca))
    with pytest.raises(TroubleError, match=r"no TLS with the broker|cannot be reached"):
        await one.deliver([entry(1)])
    await one.close()


@pytest.mark.asyncio
async def test_a_port_with_tls_alone_is_told(tmp_path: Path, tls: Tls) -> None:
    with mosquitto(tmp_path, *tls_lines(tls)) as server:
        one = made(server.port)
        with pytest.raises(TroubleError, match="hangs up: is it an MQTT broker, and has it TLS"):
            await one.deliver([entry(1)])
        await one.close()


@pytest.mark.asyncio
async def test_where_nobody_listens_is_told() -> None:
    port = free_port()
    one = made(port)
    with pytest.raises(TroubleError, match=f"no broker listens at 127.0.0.1:{port}"):
        await one.deliver([entry(1)])
    await one.close()


@pytest.mark.asyncio
async def test_who_says_nothing_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_connection, "CONNECTING", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        one = made(silent.getsockname()[1])
        with pytest.raises(TroubleError, match="says nothing: is it an MQTT broker"):
            await one.deliver([entry(1)])
        await one.close()


@pytest.mark.asyncio
async def test_who_speaks_something_else_is_told() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 100)
        writer.close()

    web = await asyncio.start_server(answer, "127.0.0.1", 0)
    one = made(web.sockets[0].getsockname()[1])
    with pytest.raises(TroubleError):
        await one.deliver([entry(1)])
    await one.close()
    web.close()


# What brokers refuse


@pytest.mark.asyncio
async def test_what_is_too_large_for_the_broker_is_refused_alone(tmp_path: Path) -> None:
    entries = [*many(3), entry(3, NOW - 9, historic=True, status="x" * 3000), *many(5)[4:]]
    with mosquitto(tmp_path, "max_packet_size 2000") as server:
        async with sink(server.port, discovery=False) as one:
            with pytest.raises(RefusedError) as error:
                await one.deliver(entries)
            assert error.value.at == 3
            assert str(error.value) == "the broker takes no more than 2000 bytes at once"
            assert await one.deliver(entries[4:]) == 1


@pytest.mark.parametrize(
    ("limit", "versions"),
    [("max_packet_size 2000", slice(1, 2)), ("message_size_limit 2000", slice(0, 2))],
    ids=["of MQTT 3.1.1", "that says what paho does not understand"],
)
@pytest.mark.asyncio
async def test_a_reading_at_which_a_broker_hangs_up_is_refused_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, versions: slice
) -> None:
    monkeypatch.setattr(mqtt_connection, "VERSIONS", mqtt_connection.VERSIONS[versions])
    large = entry(3, NOW - 9, historic=True, status="x" * 3000)
    with mosquitto(tmp_path, limit) as server:
        async with sink(server.port, discovery=False) as one:
            for _ in range(3):
                with pytest.raises(TroubleError):
                    await one.deliver([large, *many(2)])
            with pytest.raises(RefusedError, match="whenever this reading comes") as error:
                await one.deliver([large, *many(2)])
            assert error.value.at == 0
            assert await one.deliver(many(2)) == 2


@pytest.mark.asyncio
async def test_what_a_broker_says_of_a_message_holds_for_that_message() -> None:
    async with scripted({b"n3": 0x99}) as broker, sink(broker.port, discovery=False) as one:
        with pytest.raises(RefusedError) as error:
            await one.deliver(marked(5))
        assert error.value.at == 3
        assert str(error.value) == "the broker says: Payload format invalid"


@pytest.mark.parametrize(
    ("code", "said"),
    [(0x97, "says: Quota exceeded"), (0x87, "does not let the user without a name write to")],
)
@pytest.mark.asyncio
async def test_what_it_says_of_us_keeps_the_readings(code: int, said: str) -> None:
    async with scripted({b"n3": code}) as broker, sink(broker.port, discovery=False) as one:
        entries = marked(5)
        assert await one.deliver(entries) == 3
        with pytest.raises(TroubleError, match=said):
            await one.deliver(entries[3:])
        broker.codes.clear()
        assert await one.deliver(entries[3:]) == 2


@pytest.mark.asyncio
async def test_a_broker_gets_no_more_at_once_than_it_takes() -> None:
    receive_maximum = b"\x21\x00\x07"
    async with scripted({}, receive_maximum) as broker, sink(broker.port, discovery=False) as one:
        assert await one.deliver(marked(100)) == 100
    assert broker.most_at_once == 7


@pytest.mark.asyncio
async def test_a_broker_that_retains_nothing_is_none_for_us() -> None:
    async with scripted({}, properties=b"\x25\x00") as broker:  # Retain Available: no
        one = made(broker.port)
        with pytest.raises(TroubleError, match="or retains none"):
            await one.deliver(marked(1))
        await one.close()


def marked(count: int) -> list[Entry]:
    """Return entries of which a broker may refuse some, by a word in them."""
    return [entry(n, NOW - 9, historic=True, status=f"n{n}.") for n in range(count)]


class Scripted:
    """A broker of MQTT 5 that does as it is told.

    Args:
        codes: word in a payload → the code of the answer to it.
        properties: of its greeting.

    Attributes:
        most_at_once: messages that came before the first of them was answered.
    """

    def __init__(self, codes: dict[bytes, int], properties: bytes) -> None:
        self.codes = codes
        self.port = 0
        self.most_at_once = 0
        self._properties = properties

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting: list[bytes] = []
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                try:
                    async with asyncio.timeout(0.05):
                        kind = (await reader.readexactly(1))[0] >> 4
                except TimeoutError:
                    self.most_at_once = max(self.most_at_once, len(waiting))
                    writer.writelines(waiting)
                    waiting.clear()
                    continue
                body = await reader.readexactly(await self._length(reader))
                if kind == 1:
                    said = bytes((0, 0, len(self._properties))) + self._properties
                    writer.write(bytes((0x20, len(said))) + said)
                elif kind == 3:
                    end = 2 + int.from_bytes(body[:2], "big")
                    waiting.append(b"\x40\x04" + body[end : end + 2] + bytes((self._code(body), 0)))
                elif kind == 8:
                    writer.write(b"\x90\x04" + body[:2] + b"\x00\x00")
        writer.close()

    def _code(self, body: bytes) -> int:
        return next((code for word, code in self.codes.items() if word + b"." in body), 0)

    async def _length(self, reader: asyncio.StreamReader) -> int:
        length = shift = 0
        while True:
            digit = (await reader.readexactly(1))[0]
            length |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                return length


@asynccontextmanager
async def scripted(codes: dict[bytes, int], properties: bytes = b"") -> AsyncIterator[Scripted]:
    broker = Scripted(codes, properties)
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    try:
        yield broker
    finally:
        server.close()


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
            with pytest.raises(TroubleError, match="does not answer|says nothing"):
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
