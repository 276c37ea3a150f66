"""The proxy and its store: what is kept, what waits, and what no trouble of it may change."""

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from inverterproto.deye.watching import MOST_LOGGERS, Watcher
from inverterproto.gate import Rights
from tests.filtering import proxied
from tests.relaying import Relaying, VendorCloud, event_loop_policy, relaying  # noqa: F401 - a fixture
from tests.serving import until
from tests.test_fake_server import ANSWER, DATA, HANDSHAKE, HEARTBEAT, answer
from tests.test_fake_server_limits import of_logger
from tests.test_relay import converse, nothing_is_left, peace
from tests.test_store import no_room_beyond

pytestmark = pytest.mark.asyncio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


async def test_a_device_that_is_not_kept_is_passed_on_and_that_is_told(path: Path) -> None:
    async with (
        proxied(Rights.ALLOW, path, keeper={"most_devices": 1}) as proxy,
        await proxy.line("deye") as line,
    ):
        for request in (HEARTBEAT, of_logger(7)):
            await line.turn(request, answer(request), answer(request))
        assert proxy.lines.of("device-refused") == [
            "passed on, but not kept: at most 1 device (--max-devices)"
        ]


async def test_of_more_loggers_than_a_connection_may_carry_the_reason_is_told(path: Path) -> None:
    async with proxied(Rights.ALLOW, path) as proxy, await proxy.line("deye") as line:
        for serial in range(1, MOST_LOGGERS + 2):
            request = of_logger(serial)
            await line.turn(request, answer(request), answer(request))
        assert proxy.lines.of("refused") == ["logger 17 is refused: at most 16 on a connection"]


class TestTroubleOfOurs:
    async def test_a_fault_in_a_watcher_costs_the_message_and_nothing_else(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        honest = Watcher.watch

        def faulty(self: Any, item: Any, now: float, sender: str = "device") -> Any:  # noqa: ANN401
            if item.raw == DATA:
                raise RuntimeError("hunter2")
            return honest(self, item, now, sender)

        monkeypatch.setattr(Watcher, "watch", faulty)
        async with VendorCloud() as vendor, relaying(vendor.port, path) as made:
            device, cloud = await made.line(vendor)
            for request in (HANDSHAKE, DATA, of_logger(7, DATA)):
                await converse(device, cloud, request)
            await made.safe()
            assert sorted(each.kind for each in made.kept()) == ["data", "handshake"]
            assert made.lines.of("fault") == [
                "a fault of this program: a message is passed on and not kept"
            ]
            assert made.counts["faults"] == 1
            await peace(made, device, cloud)

    async def test_a_fault_in_the_decoder_costs_the_hearing_and_nothing_else(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def faulty(*_arguments: object) -> None:
            raise RuntimeError

        monkeypatch.setattr("inverterproto.stream.StreamDecoder.feed", faulty)
        async with VendorCloud() as vendor, relaying(vendor.port, path) as made:
            device, cloud = await made.line(vendor)
            for request in (HANDSHAKE, DATA):
                await converse(device, cloud, request)
            assert len(made.lines.of("fault")) == 1
            await peace(made, device, cloud)
            assert made.counts["ended: both sides ended it"] == 1

    async def test_a_slow_store_delays_nobody(self, path: Path) -> None:
        async with VendorCloud() as vendor, relaying(vendor.port, path) as made:
            with made.commits_held():
                device, cloud = await made.line(vendor)
                for number in range(20):
                    await converse(device, cloud, of_logger(100 + number % 10, DATA))
                assert made.kept() == []
            await made.safe()
            assert len(made.kept()) == 10
            await peace(made, device, cloud)

    async def test_a_full_disk_delays_nobody_and_loses_nothing_that_finds_room_in_memory(
        self, path: Path
    ) -> None:
        async with VendorCloud() as vendor, relaying(vendor.port, path) as made:
            device, cloud = await made.line(vendor)
            with no_room_beyond(0):
                for request in (HANDSHAKE, DATA):
                    await converse(device, cloud, request)
                await until(lambda: made.lines.of("store-trouble"))
            await made.safe()
            assert sorted(each.kind for each in made.kept()) == ["data", "handshake"]
            assert len(made.lines.of("store-recovered")) == 1
            await peace(made, device, cloud)

    async def test_beyond_the_memory_records_are_lost_counted_and_said_and_devices_passed_on(
        self, path: Path
    ) -> None:
        async with (
            VendorCloud() as vendor,
            relaying(vendor.port, path, store={"most_pending": 2000}) as made,
        ):
            device, cloud = await made.line(vendor)
            with made.commits_held():
                for number in range(20):
                    await converse(device, cloud, of_logger(100 + number % 10, DATA))
                later, its_cloud = await made.line(vendor)  # is let in all the same
                await converse(later, its_cloud, HEARTBEAT)
                assert made.store.dropped > 0  # type: ignore[union-attr]
                [line] = made.lines.of("records-dropped")
                assert "devices are passed on, and records are lost" in line
            await made.safe()
            assert all(each.frame in [of_logger(100 + n, DATA) for n in range(10)] for each in
                       made.kept())  # fmt: skip
            later.writer.close()
            its_cloud.writer.close()
            device.writer.close()
            cloud.writer.close()
            await until(lambda: nothing_is_left(made))


class TestDurable:
    async def test_what_the_cloud_says_waits_for_the_record_before_it_and_keeps_its_order(
        self, path: Path
    ) -> None:
        async with VendorCloud() as vendor, relaying(vendor.port, path, durable=True) as made:
            device, cloud = await made.line(vendor)
            with made.commits_held():
                device.send(DATA)
                assert await cloud.receive(len(DATA)) == DATA
                cloud.send(answer(DATA) + b"more")
                [relayed] = made.listener.connections
                await until(lambda: relayed._wire.cloud.is_held)
                cloud.send(b"and more")
                device.send(HEARTBEAT)  # the other way waits for nothing
                assert await cloud.receive(len(HEARTBEAT)) == HEARTBEAT
                cloud.half_close()
                assert relayed._wire.device.transport.get_write_buffer_size() == 0
                assert made.kept() == []
                assert not device.reader._buffer  # type: ignore[attr-defined]
            assert await device.rest() == answer(DATA) + b"moreand more"
            assert [each.kind for each in made.kept()][:1] == ["data"]
            device.half_close()
            assert await cloud.rest() == b""
            await until(lambda: nothing_is_left(made))
            assert made.counts["ended: both sides ended it"] == 1

    async def test_what_comes_behind_nothing_new_waits_for_nothing(self, path: Path) -> None:
        async with VendorCloud() as vendor, relaying(vendor.port, path, durable=True) as made:
            device, cloud = await made.line(vendor)
            await converse(device, cloud, DATA)
            with made.commits_held():
                await converse(device, cloud, HEARTBEAT)
            await peace(made, device, cloud)

    async def test_while_the_store_fails_it_goes_on_waiting(self, path: Path) -> None:
        async with VendorCloud() as vendor, relaying(vendor.port, path, durable=True) as made:
            device, cloud = await made.line(vendor)
            with no_room_beyond(0):
                device.send(DATA)
                await cloud.receive(len(DATA))
                cloud.send(answer(DATA))
                await until(lambda: made.lines.of("store-trouble"))
                assert not device.reader._buffer  # type: ignore[attr-defined]
            assert await device.receive(ANSWER) == answer(DATA)
            assert [each.kind for each in made.kept()] == ["data"]
            await peace(made, device, cloud)

    async def test_a_reset_passes_at_once_and_what_waited_is_told_to_nobody(
        self, path: Path
    ) -> None:
        async with VendorCloud() as vendor, relaying(vendor.port, path, durable=True) as made:
            device, cloud = await made.line(vendor)
            with made.commits_held():
                device.send(DATA)
                await cloud.receive(len(DATA))
                cloud.send(answer(DATA))
                [relayed] = made.listener.connections
                await until(lambda: relayed._wire.cloud.is_held)
                cloud.reset()
                await until(lambda: made.look_again() and not made.listener.connections)
                assert await device.rest() == b""
            await made.safe()
            assert [each.kind for each in made.kept()] == ["data"]
            assert made.counts["ended: the cloud: reset"] == 1
            assert nothing_is_left(made)

    async def test_who_ends_in_peace_while_the_store_is_waited_for_is_not_taken_for_reset(
        self, path: Path
    ) -> None:
        async with VendorCloud() as vendor, relaying(vendor.port, path, durable=True) as made:
            device, cloud = await made.line(vendor)
            with made.commits_held():
                device.send(DATA)
                device.half_close()
                assert await cloud.rest() == DATA
                cloud.send(answer(DATA))
                cloud.half_close()
                [relayed] = made.listener.connections
                await until(lambda: relayed._wire.cloud.is_held)
                looks = count()
                await until(lambda: made.look_again() and next(looks) == 10)
                assert made.listener.connections
            assert await device.rest() == answer(DATA)
            await until(lambda: nothing_is_left(made))
            assert made.counts["ended: both sides ended it"] == 1

    async def test_where_records_find_no_room_the_device_is_told_nothing(self, path: Path) -> None:
        async with (
            VendorCloud() as vendor,
            relaying(vendor.port, path, durable=True, store={"most_pending": 3000}) as made,
        ):
            device, cloud = await made.line(vendor)
            with made.commits_held():
                await until(lambda: made.store._at_work is not None)  # type: ignore[union-attr]
                device.send(b"".join(of_logger(100 + number, DATA) for number in range(10)))
                assert await device.rest() == b""
                assert made.counts["ended: the store takes no more"] == 1
                async with await made.device() as other:
                    assert await other.rest() == b""
            cloud.writer.close()

    async def test_a_fault_of_ours_ends_it_as_the_record_may_be_missing(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def faulty(*_arguments: object) -> None:
            raise RuntimeError

        monkeypatch.setattr(Watcher, "watch", faulty)
        async with VendorCloud() as vendor, relaying(vendor.port, path, durable=True) as made:
            device, _ = await made.line(vendor)
            device.send(DATA)
            assert await device.rest() == b""
            assert made.lines.of("ended") == ["connection ended: a fault of this program"]
