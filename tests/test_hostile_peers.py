"""Peers that mean harm: honest devices are served meanwhile, and nothing grows without a bound."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from inverterproto.deye.layouts import layout_of
from inverterproto.deye.watching import MOST_INVERTERS
from inverterproto.families import FAMILIES
from inverterproto.reading import Dated, TimeSource
from inverterproto.session import Record
from inverterproto_cli.address import Address
from inverterproto_cli.server.access import Access
from inverterproto_cli.server.connection import STALLED
from inverterproto_cli.server.keeper import Keeper
from inverterproto_cli.server.listener import Listener
from inverterproto_cli.server.logs import MOST_COMPLAINTS, MOST_LINES, Log
from inverterproto_cli.server.unshown import MOST_BYTES, Unshown
from inverterproto_cli.store import NoStore, Reader, Store
from tests.attackers import ATTACKS, VICTIM, Attack
from tests.clients import LOGGER, PATIENCE, Stream, battery_status, data, v5

BATTERY = "AL2002000001234"
MOST_DEVICES = 256
ROUNDS = 30

pytestmark = pytest.mark.asyncio


def ignore(*_told: object) -> None:
    """Take what is told."""


def record(number: int, frame: bytes = b"x") -> Record:
    """Return a record that belongs to nobody."""
    key = number.to_bytes(16, "big")
    return Record(key, None, "data", None, None, historic=False, stamp=None, frame=frame)


@asynccontextmanager
async def server(
    path: Path, *, show: Callable[[Record, Dated], object] | None = None
) -> AsyncIterator[tuple[Any, int]]:
    """Run a fake server's parts in this process; yield them and the port."""
    log = Log()
    store = Store(path, ignore)
    keeper = Keeper(store, log, show, most_devices=MOST_DEVICES)
    store.open()
    keeper.open()

    def open_session(family: str) -> Any:  # noqa: ANN401 - of a family
        return FAMILIES[family].cloud_session(lambda serial: keeper.state(family, serial))

    listener = Listener(keeper, Access(most_per_address=5000), log, open_session)
    try:
        (address,) = await listener.listen(Address("127.0.0.1", 0))
        yield listener, address.port
    finally:
        await listener.close()
        keeper.settle(1e10)
        await store.close()


def is_heard(connection: Any) -> bool:  # noqa: ANN401 - a DeviceConnection
    """Return whether what a peer sends is read."""
    reading: bool = connection._transport.is_reading()
    return reading


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - nobody tells when
            await asyncio.sleep(0.01)


async def honest(port: int, attack: asyncio.Future[Any]) -> set[bytes]:
    """Be a logger and a battery for as long as the attack goes on; return what was acknowledged."""
    acknowledged = set()
    number = 0
    async with await Stream.to(port) as logger, await Stream.to(port) as battery:
        while number < ROUNDS or not attack.done():
            number += 1
            live, status = data(number), battery_status(number, BATTERY)
            reply = await logger.ask(live)
            assert (reply[4], reply[6]) == (0x12, live[6])
            assert (await battery.ask(status))[:3] == b"\x01\x02\x10"
            acknowledged |= {live, status}
    return acknowledged


def kept(path: Path) -> list[bytes]:
    """Return the frames of the honest devices in the store."""
    with Reader(path) as reader:
        return [
            one.frame
            for device in (f"{2301234567}", BATTERY)
            for one in reader.newest(device)
            if one.via in (None, f"{LOGGER}")
        ]


def sizes(listener: Listener) -> dict[str, int]:
    """Return how large all is that peers can make grow."""
    keeper, store = listener.keeper, listener.keeper.store
    assert isinstance(store, Store)
    return {
        "states": len(keeper._states),
        "written": len(keeper._written),
        "remembered": len(keeper._remembered),
        "counts": len(keeper.counts),
        "unshown": keeper._unshown.size,
        "complaints": len(listener.log._said),
        "devices": len(store._devices),
        "connections": len(listener.connections),
        "counted connections": listener.access.count,
        "addresses": len(listener.access._by_address),
        "layouts": layout_of.cache_info().currsize,
    }


def check_bounds(found: dict[str, int]) -> None:
    assert found["states"] == found["written"] <= MOST_DEVICES
    assert found["remembered"] == 0
    assert found["counts"] <= 50
    assert found["unshown"] <= MOST_BYTES
    assert found["complaints"] <= MOST_COMPLAINTS
    # Bytes of no family are of their logger, too; one logger carries more than an inverter.
    assert found["devices"] <= 3 * MOST_DEVICES + MOST_INVERTERS
    assert found["connections"] == found["counted connections"] == found["addresses"] == 0
    assert found["layouts"] <= 256


async def attacked(listener: Listener, port: int, attacks: tuple[Attack, ...], seed: int) -> None:
    """Attack, and serve honest devices meanwhile; wait until all connections are gone."""
    async with await Stream.to(port) as first:
        await first.ask(data(0))
        await first.ask(battery_status(0, BATTERY))
        await first.ask(v5(0x4710, bytes(10), VICTIM))
    attack = asyncio.gather(*(each(port, Random(seed)) for each in attacks))
    store = listener.keeper.store
    acknowledged = await honest(port, attack)
    await attack
    await until(lambda: not listener.connections)
    assert isinstance(store, Store)
    frames = kept(store.path)
    assert acknowledged <= set(frames)
    assert len(set(frames)) == len(frames)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_honest_devices_are_served_during(attack: Attack, tmp_path: Path) -> None:
    async with server(tmp_path / "store.db") as (listener, port):
        await attacked(listener, port, (attack,), 1)
        check_bounds(sizes(listener))
        assert listener.keeper.counts["ended: a fault of this program"] == 0


async def test_nothing_grows_without_a_bound(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """All attacks at once, twice: the second time there is nothing left that could grow."""
    caplog.set_level(logging.INFO, "inverterproto")
    shown: list[Record] = []
    async with server(tmp_path / "store.db", show=lambda one, _dated: shown.append(one)) as (
        listener,
        port,
    ):
        await attacked(listener, port, ATTACKS, 2)
        before = sizes(listener)
        check_bounds(before)
        counted = set(listener.keeper.counts)
        assert before["states"] == MOST_DEVICES, "the attack was none"
        await attacked(listener, port, ATTACKS, 3)
        after = sizes(listener)
        check_bounds(after)
        assert after["states"] == before["states"]
        # Which of the sessions' few events there are depends upon who was heard when.
        assert {name for name in listener.keeper.counts if "event: " not in name} <= counted
        assert listener.keeper.counts["ended: a fault of this program"] == 0
    assert shown
    events = {getattr(line, "event", None) for line in caplog.records}
    assert len(caplog.records) <= MOST_LINES * len(events)
    with Reader(tmp_path / "store.db") as reader:
        assert b"hunter2x" not in b"".join(one.frame for one in reader.unknown())


async def test_a_thousand_idle_connections_are_nothing(tmp_path: Path) -> None:
    async with server(tmp_path / "store.db") as (listener, port), AsyncExitStack() as idle:
        for _ in range(1000):
            await idle.enter_async_context(await Stream.to(port))
        await until(lambda: len(listener.connections) == 1000)
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        assert len(await honest(port, done)) == 2 * ROUNDS
        speaking = [connection for connection in listener.connections if connection._sessions]
        assert len(speaking) <= 2
        assert len(listener.keeper._states) == 2


async def test_a_peer_that_does_not_read_takes_little_memory(tmp_path: Path) -> None:
    """Its answers stop somewhere, and then its questions are not heard any more."""
    async with server(tmp_path / "store.db") as (listener, port), await Stream.to(port) as peer:
        await peer.ask(v5(0x4710, bytes(10)))
        (connection,) = listener.connections
        peer.writer.write(v5(0x4710, bytes(10)) * 400_000)
        await until(lambda: connection._stalled_since is not None)
        assert connection._transport.get_write_buffer_size() < 1 << 20
        assert connection._stalled_since is not None
        connection.look(0.0, connection._stalled_since + STALLED + 1)
        await until(lambda: not listener.connections)
        peer.writer.transport.abort()


async def test_an_end_that_the_peer_does_not_take_is_an_end(tmp_path: Path) -> None:
    """Closing waits until all is sent; a peer that does not read could make it wait for ever."""
    async with server(tmp_path / "store.db") as (listener, port), await Stream.to(port) as peer:
        await peer.ask(v5(0x4710, bytes(10)))
        (connection,) = listener.connections
        peer.writer.write(v5(0x4710, bytes(10)) * 400_000)
        await until(lambda: connection._stalled_since is not None)
        connection.end("test", "a test says so")
        since = connection._closing_since
        assert since is not None
        connection.look(0.0, since + STALLED - 1)
        await asyncio.sleep(0)
        assert listener.connections, "it has its time to take what is left"
        connection.look(0.0, since + STALLED + 1)
        await until(lambda: not listener.connections)
        peer.writer.transport.abort()


async def test_who_sends_faster_than_the_store_writes_is_not_heard(tmp_path: Path) -> None:
    """So what waits for the store is bounded, for each connection and for all."""
    async with server(tmp_path / "store.db") as (listener, port):
        store = listener.keeper.store
        assert isinstance(store, Store)
        begun = asyncio.Event()
        store.when_safe(begun.set)
        await begun.wait()
        hold = store._at_work = store._batch  # the writer thread is busy, as it seems
        store._batch = type(hold)()
        async with await Stream.to(port) as peer:
            sent = 0

            def is_held_back() -> bool:
                nonlocal sent
                sent += 1
                peer.writer.write(data(sent))
                return not all(is_heard(connection) for connection in listener.connections)

            await until(is_held_back)
            store._at_work = None
            store._hand_over_soon()
            for _ in range(sent):
                assert (await peer.answer())[4] == 0x12
            assert all(is_heard(connection) for connection in listener.connections)


async def test_after_a_restart_known_devices_have_their_places(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    for first in (1, 1000):
        async with server(path) as (listener, port):
            for begin in range(first, first + 300, 15):
                async with await Stream.to(port) as peer:
                    for serial in range(begin, begin + 15):
                        await peer.send(v5(0x4910, b"\x01\x02", serial))
                    peer.writer.write_eof()
                    await peer.read_to_end()
            assert len(listener.keeper._states) == (MOST_DEVICES if first == 1 else 0)
            assert listener.keeper.state("deye", "1") is not None
            assert listener.keeper.state("deye", "1001") is None
    with Reader(path) as reader:
        assert len(reader.devices()) == MOST_DEVICES


async def test_a_flood_of_short_junk_does_not_take_the_room_of_readings(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db", ignore, most_pending=1 << 20)
    store.open()

    junk = (record(number)._replace(known=False) for number in range(10_000))
    assert sum(store.keep(each, 1.0) for each in junk) < 1000
    assert store.keep(record(10_001), 1.0)
    await store.close()


async def test_what_waits_to_be_shown_is_bounded() -> None:
    unshown = Unshown()
    for number in range(3000):
        unshown.put(record(number, bytes(16_000)))
    assert unshown.size <= MOST_BYTES
    assert 0 < len(unshown) < 3000
    assert unshown.take(record(0).key) is None
    assert unshown.take(record(2999).key) is not None
    for _ in range(2):
        unshown.put(record(3000))
    assert unshown.take(record(3000).key) is not None
    assert unshown.take(record(3000).key) is None


async def test_what_is_never_shown_does_not_wait() -> None:
    keeper = Keeper(NoStore(), Log())
    keeper.carry_out([record(1)], 1.0)
    assert len(keeper._unshown) == 0
    keeper.carry_out([Dated(record(1).key, 1.0, TimeSource.ARRIVAL)], 1.0)
