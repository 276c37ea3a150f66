"""The proxy while its cloud is there: what passes, what is kept, and what no trouble may change."""

import asyncio
import json
import os
import socket
import sqlite3
from pathlib import Path

import pytest

from inverterproto.deye.layouts import (
    add_layout,
    layout_of,
    maker_of,
    remove_layout,
    sensor_types,
)
from inverterproto.gate import Rights
from inverterproto.session import MOST_UNFRAMED
from inverterproto_cli.address import Address
from inverterproto_cli.relay import wire as wiring
from inverterproto_cli.relay.relaying import Relayed
from inverterproto_cli.relay.wire import Wire
from inverterproto_cli.server.access import Access
from inverterproto_cli.server.listener import BUFFER
from tests.alphaess_vectors import RAW
from tests.conftest import decode
from tests.relaying import Relaying, VendorCloud, event_loop_policy, relaying  # noqa: F401 - a fixture
from tests.serving import Device, until
from tests.test_fake_server import ANSWER, DATA, HANDSHAKE, HEARTBEAT, answer
from tests.test_fake_server_limits import of_logger
from tests.vectors import CLIENT_HELLO, raw

pytestmark = pytest.mark.asyncio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


async def converse(device: Device, cloud: Device, request: bytes) -> None:
    """Let a device ask, and the cloud answer."""
    device.send(request)
    assert await cloud.receive(len(request)) == request
    cloud.send(answer(request))
    assert await device.receive(ANSWER) == answer(request)


async def peace(made: Relaying, device: Device, cloud: Device) -> None:
    """End a conversation in peace."""
    device.half_close()
    assert await cloud.rest() == b""
    cloud.half_close()
    assert await device.rest() == b""
    await until(lambda: not made.listener.connections)


def nothing_is_left(made: Relaying) -> bool:
    return not made.listener.connections and not made.loops.count and not made.listener.access.count


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


class TestPassing:
    async def test_what_was_acknowledged_by_the_cloud_is_kept_as_answered_by_it(
        self, path: Path
    ) -> None:
        async with VendorCloud() as vendor, relaying(vendor.port, path) as made:
            device, cloud = await made.line(vendor)
            for request in (HANDSHAKE, DATA, HEARTBEAT):
                await converse(device, cloud, request)
            await made.safe()
            kept = made.kept()
            assert {each.kind: each.answered for each in kept} == dict.fromkeys(
                ("data", "handshake"), "cloud"
            )
            [shown] = [dated for record, dated in made.shown if record.kind == "data"]
            assert shown.time is not None
            await peace(made, device, cloud)
            assert made.counts["ended: both sides ended it"] == 1
            said = len(HANDSHAKE + DATA + HEARTBEAT)
            assert made.counts["relayed bytes of devices"] == said
            assert made.counts["relayed bytes of clouds"] == 3 * ANSWER
            assert made.lines.where("ended") == (1, "deye", "2712345678")
            assert nothing_is_left(made)

    async def test_a_battery_is_passed_on_by_the_port_it_came_to_and_kept(self, path: Path) -> None:
        async with VendorCloud() as vendor, relaying(vendor.port, path) as made:
            device, cloud = await made.line(vendor)
            device.send(RAW["status-1"])
            assert await cloud.receive(len(RAW["status-1"])) == RAW["status-1"]
            await made.safe()
            assert [(each.kind, each.answered) for each in made.kept()] == [("status", "cloud")]
            await peace(made, device, cloud)

    async def test_open_wires_are_in_the_counters(self) -> None:
        async with VendorCloud() as vendor, relaying(vendor.port) as made:
            device, cloud = await made.line(vendor)
            await converse(device, cloud, HEARTBEAT)
            assert made.listener.counters() == {
                "relayed connections now": 1,
                "relayed bytes of devices": len(HEARTBEAT),
                "relayed bytes of clouds": ANSWER,
            }
            await peace(made, device, cloud)

    async def test_after_many_ends_of_all_kinds_nothing_is_left_and_reasons_are_few(self) -> None:
        async with VendorCloud() as vendor, relaying(vendor.port) as made:
            for number in range(44):
                if number == 4:  # what is opened once is open
                    await until(lambda: nothing_is_left(made))
                    descriptors, tasks = open_descriptors(), len(asyncio.all_tasks())
                device, cloud = await made.line(vendor)
                await converse(device, cloud, HEARTBEAT)
                [device.reset, cloud.reset, device.writer.close, cloud.writer.close][number % 4]()
                other = device if number % 2 else cloud
                await other.rest()
                device.writer.close()
                cloud.writer.close()
                await until(lambda: not made.listener.connections)
            assert nothing_is_left(made)
            ends = {key for key in made.counts if key.startswith("ended: ")}
            assert ends <= {
                "ended: both sides ended it", "ended: the device: reset", "ended: the cloud: reset",
            }  # fmt: skip
            assert sum(made.counts[key] for key in ends) == 44
            await until(lambda: open_descriptors() <= descriptors)
            await until(lambda: len(asyncio.all_tasks()) <= tasks)

    async def test_a_fault_of_ours_at_its_begin_ends_a_connection_and_is_told(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fault(_relayed: Relayed, _wire: Wire) -> None:
            raise RuntimeError

        monkeypatch.setattr(Relayed, "_begin", fault)
        async with VendorCloud() as vendor, relaying(vendor.port) as made:
            device, cloud = await made.line(vendor)
            assert await device.rest() == await cloud.rest() == b""
            assert made.lines.of("fault")
            await until(lambda: nothing_is_left(made))
            assert made.counts["ended: a fault of this program"] == 1

    async def test_limits_hold_for_those_that_are_passed_on(self) -> None:
        async with (
            VendorCloud() as vendor,
            relaying(vendor.port, access=Access(most_per_address=1)) as made,
        ):
            device, cloud = await made.line(vendor)
            async with await made.device() as other:
                assert await other.rest() == b""
            assert "--max-per-address" in made.lines.of("refused")[0]
            assert vendor.count == 1
            await peace(made, device, cloud)
            assert nothing_is_left(made)

    async def test_a_device_that_is_forgotten_is_let_go_and_comes_as_a_new_one(
        self, path: Path
    ) -> None:
        async with VendorCloud() as vendor, relaying(vendor.port, path) as made:
            device, cloud = await made.line(vendor)
            await converse(device, cloud, DATA)
            made.keeper.forget("2712345678")
            made.listener.end_of("2712345678")
            assert await device.rest() == b""
            assert await cloud.rest() == b""
            await until(lambda: not made.listener.connections)
            assert made.lines.of("ended") == ["connection ended: the device is forgotten"]

    async def test_silence_ends_it_after_the_time_that_the_user_chose(self) -> None:
        async with VendorCloud() as vendor, relaying(vendor.port, idle=100) as made:
            device, cloud = await made.line(vendor)
            await converse(device, cloud, HEARTBEAT)
            made.pass_time(90)
            assert made.listener.connections
            made.pass_time(20)
            assert await device.rest() == b""
            assert made.lines.of("ended") == ["connection ended: silent for too long"]

    async def test_one_that_takes_nothing_after_the_end_is_cut_off(self) -> None:
        """Both have said all, and the device reads none of it: its socket would stay for ever."""
        async with VendorCloud() as vendor, relaying(vendor.port) as made:
            device, cloud = await made.line(vendor)
            await converse(device, cloud, HEARTBEAT)
            device.writer.transport.pause_reading()  # type: ignore[attr-defined]
            [relayed] = made.listener.connections
            wire = relayed._wire
            while wire.device.paused_at is None:
                cloud.send(bytes(1 << 16))
                await asyncio.sleep(0)
            wire.close("the test ends it")
            await asyncio.sleep(0)
            assert made.listener.connections
            made.pass_time(wiring.STALLED + 1)
            await until(lambda: nothing_is_left(made))
            device.writer.close()
            cloud.writer.close()

    async def test_shutdown_under_load_keeps_what_was_acknowledged(self, path: Path) -> None:
        told: set[int] = set()
        async with VendorCloud() as vendor, relaying(vendor.port, path) as made:

            async def talk(serial: int) -> None:
                device, cloud = await made.line(vendor)
                request = of_logger(serial, DATA)
                device.send(request)
                await cloud.receive(len(request))
                cloud.send(answer(request))
                if await device.receive(ANSWER) == answer(request):
                    told.add(serial)

            await asyncio.gather(*(talk(100 + number) for number in range(30)))
            more = [await made.line(vendor) for _ in range(5)]
            for device, _ in more:
                device.send(DATA)
            await made.listener.close()
            assert nothing_is_left(made)
        with sqlite3.connect(path) as store:
            rows = store.execute("SELECT serial FROM device WHERE via IS NULL").fetchall()
        assert len(told) == 30
        assert told <= {int(serial) for (serial,) in rows}


class TestSecondServer:
    async def test_it_gets_a_copy_and_its_answers_and_its_fate_harm_nothing(
        self, path: Path
    ) -> None:
        async with VendorCloud() as vendor, VendorCloud() as second:
            copies_to = Address("127.0.0.1", second.port)
            async with relaying(vendor.port, path, copies_to=copies_to) as made:
                device, cloud = await made.line(vendor)
                copy = await second.accept()
                await converse(device, cloud, DATA)
                assert await copy.receive(len(DATA)) == DATA
                copy.send(b"an answer that nobody wants")
                copy.reset()
                await until(lambda: made.lines.of("copy"))
                await converse(device, cloud, HEARTBEAT)
                await peace(made, device, cloud)
                assert made.counts["copies given up"] == 1

    async def test_it_hears_the_end(self) -> None:
        async with VendorCloud() as vendor, VendorCloud() as second:
            copies_to = Address("127.0.0.1", second.port)
            async with relaying(vendor.port, copies_to=copies_to) as made:
                device, cloud = await made.line(vendor)
                copy = await second.accept()
                await converse(device, cloud, DATA)
                await peace(made, device, cloud)
                assert await copy.rest() == DATA
                copy.writer.close()

    async def test_one_that_is_not_there_harms_nothing(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            nobody = Address("127.0.0.1", server.getsockname()[1])
        async with VendorCloud() as vendor, relaying(vendor.port, copies_to=nobody) as made:
            device, cloud = await made.line(vendor)
            await converse(device, cloud, DATA)
            await until(lambda: made.lines.of("copy"))
            await peace(made, device, cloud)


class TestWhatIsNotOurs:
    async def test_tls_passes_as_it_is_and_is_said_in_a_line(self, path: Path) -> None:
        async with VendorCloud() as vendor, relaying(vendor.port, path) as made:
            device, cloud = await made.line(vendor)
            device.send(CLIENT_HELLO)
            assert await cloud.receive(len(CLIENT_HELLO)) == CLIENT_HELLO
            sealed = b"\x16\x03\x03\0\x7a" + bytes(122)
            for sender, other in ((cloud, device), (device, cloud)) * 3:
                sender.send(sealed)
                assert await other.receive(len(sealed)) == sealed
            [line] = made.lines.of("tls")
            assert "passed on as it is" in line
            await made.safe()
            assert [each.frame for each in made.kept()] == [CLIENT_HELLO]
            made.pass_time(3600)
            assert made.listener.connections
            made.pass_time(4000)
            assert await device.rest() == b""
            cloud.writer.close()

    async def test_tls_under_a_filter_gets_nothing_and_the_line_says_why(self) -> None:
        async with VendorCloud() as vendor, relaying(vendor.port, rights=Rights.BLOCK) as made:
            device, cloud = await made.line(vendor)
            device.send(CLIENT_HELLO)
            await cloud.receive(len(CLIENT_HELLO))
            [line] = made.lines.of("tls")
            assert "--cloud-commands allow" in line
            device.writer.close()
            cloud.writer.close()

    async def test_after_so_many_bytes_without_a_frame_it_is_passed_on_and_decoded_no_more(
        self, path: Path
    ) -> None:
        junk = b"".join(b"GET /%6d HTTP/1.1\r\n" % number for number in range(4096))
        async with VendorCloud() as vendor, relaying(vendor.port, path) as made:
            device, cloud = await made.line(vendor)
            device.send(junk)
            assert await cloud.receive(len(junk)) == junk
            device.send(DATA)
            assert await cloud.receive(len(DATA)) == DATA
            await made.safe()
            assert {each.kind for each in made.kept()} == {"unframed"}
            kept = sum(len(each.frame) for each in made.kept())
            assert MOST_UNFRAMED // 2 <= kept <= MOST_UNFRAMED + BUFFER
            await peace(made, device, cloud)


class TestOtherMakers:
    async def test_all_known_sensor_types_have_a_maker(self) -> None:
        makers = {sensor_type: maker_of(sensor_type) for sensor_type in sensor_types()}
        assert set(makers.values()) == {"Deye", "TSUN", "Solis", "Sofar"}
        assert makers[0x5408] == "Deye"
        assert makers[0x02B0] == "TSUN"
        assert maker_of(0xDD01) is None

    async def test_of_what_the_user_added_nobody_knows_the_maker(self) -> None:
        known = layout_of(0x02B0)
        assert known is not None
        add_layout(known)
        try:
            assert maker_of(0x02B0) is None
        finally:
            remove_layout(known)
        assert maker_of(0x02B0) == "TSUN"

    async def test_a_device_of_another_is_told_of_once(self) -> None:
        solis = raw("solis-0504")
        async with (
            VendorCloud() as vendor,
            relaying(vendor.port, host="127.0.0.1", named=False) as made,
        ):
            for _ in range(2):
                device, cloud = await made.line(vendor)
                for request in (solis, solis):
                    device.send(request)
                    await cloud.receive(len(request))
                device.writer.close()
                cloud.writer.close()
            [line] = made.lines.of("other-maker")
            assert "a device of Solis (sensor type 0x0504)" in line
            assert "--upstream deye=HOST:PORT" in line
            assert made.lines.where("other-maker")[1] == "deye"

    @pytest.mark.parametrize(
        ("named", "name"), [(True, "solis-0504"), (False, "micro-5408-realtime")]
    )
    async def test_where_the_cloud_was_named_or_the_maker_is_the_default_nothing_is_said(
        self, *, named: bool, name: str
    ) -> None:
        request = raw(name)
        async with (
            VendorCloud() as vendor,
            relaying(vendor.port, host="127.0.0.1", named=named) as made,
        ):
            device, cloud = await made.line(vendor)
            device.send(request)
            await cloud.receive(len(request))
            assert made.lines.of("other-maker") == []
            device.writer.close()
            cloud.writer.close()


class TestCapture:
    async def test_both_directions_are_captured_passwords_masked_and_can_be_decoded(
        self, tmp_path: Path
    ) -> None:
        capture = tmp_path / "raw.jsonl"
        login = RAW["login"]
        async with VendorCloud() as vendor, relaying(vendor.port, capture=capture) as made:
            device, cloud = await made.line(vendor)
            await converse(device, cloud, DATA)
            device.send(login)
            assert await cloud.receive(len(login)) == login
            device.writer.close()
            cloud.writer.close()
            await until(lambda: not made.listener.connections)
        lines = [json.loads(line) for line in decode("--json", capture).out.splitlines()]
        assert [(line["connection"], line["from"], line["name"]) for line in lines] == [
            ("1", "device", "data"), ("1", "cloud", "data_reply"), ("1", "device", "login"),
        ]  # fmt: skip
        assert lines[2]["fields"]["Password"].strip("*") == ""
