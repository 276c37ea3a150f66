"""The proxy while its cloud is away: who answers, when it is looked for, and how it comes back."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from inverterproto_cli.address import Address
from inverterproto_cli.relay import cloud as clouds
from inverterproto_cli.relay import standing_in
from inverterproto_cli.relay.resolving import UnresolvedError
from tests.alphaess_vectors import RAW
from tests.conftest import decode
from tests.relaying import Relaying, VendorCloud, event_loop_policy, relaying  # noqa: F401 - a fixture
from tests.serving import until
from tests.test_fake_server import ANSWER, DATA, HANDSHAKE, HEARTBEAT, answer
from tests.test_relay import converse, nothing_is_left, open_descriptors
from tests.test_store import no_room_beyond

pytestmark = pytest.mark.asyncio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def nobody() -> int:
    """Return a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@contextmanager
def black_hole() -> Iterator[int]:
    """Give a port that answers nothing: Linux drops what a full backlog cannot take."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        fill = [socket.socket() for _ in range(4)]
        for each in fill:
            each.setblocking(False)  # noqa: FBT003 - socket's way
            each.connect_ex(deaf.getsockname())
        yield deaf.getsockname()[1]
        for each in fill:
            each.close()


async def calling(made: Relaying) -> None:
    """Wait until a connection calls the cloud."""
    await until(lambda: any(getattr(one, "_task", None) for one in made.listener.connections))


class TestAnswering:
    async def test_we_answer_and_mark_it_so_and_say_once_that_the_cloud_is_away(
        self, path: Path, nobody: int
    ) -> None:
        async with relaying(nobody, path) as made:
            for request in (HANDSHAKE, DATA):
                async with await made.device() as device:
                    assert await device.ask(request, ANSWER) == answer(request)
            assert {each.kind: each.answered for each in made.kept()} == {
                "handshake": "us", "data": "us",
            }  # fmt: skip
            [line] = made.lines.of("cloud-away")
            assert line == (
                f"the cloud of deye is away: cloud.example:{nobody} refuses the connection; "
                "what is done meanwhile"
            )
            assert made.counts["answered in the cloud's place"] == 2
            await until(lambda: nothing_is_left(made))

    async def test_known_to_be_away_it_is_not_called_again_for_each_device(
        self, path: Path, nobody: int
    ) -> None:
        asked = 0

        async def resolve(host: str) -> list[str]:
            nonlocal asked
            asked += 1
            raise UnresolvedError(f"{host} does not resolve")

        async with relaying(nobody, path, resolve=resolve) as made:
            for _ in range(5):
                async with await made.device() as device:
                    await device.ask(HEARTBEAT, ANSWER)
            assert asked == 1
            assert "--resolver 9.9.9.9" in made.lines.of("cloud-away")[0]

    async def test_a_cloud_that_takes_no_connection_is_given_up_in_time(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(clouds, "CONNECT_WITHIN", 0.05)
        with black_hole() as port:
            async with relaying(port, path) as made, await made.device() as device:
                assert await device.ask(DATA, ANSWER) == answer(DATA)
                assert "does not answer within 0.05 s" in made.lines.of("cloud-away")[0]

    async def test_what_we_say_in_its_place_is_captured_too(
        self, tmp_path: Path, nobody: int
    ) -> None:
        capture = tmp_path / "raw.jsonl"
        async with relaying(nobody, capture=capture) as made, await made.device() as device:
            await device.ask(DATA, ANSWER)
        lines = decode("--json", capture).out.splitlines()
        assert [json.loads(line)["from"] for line in lines] == ["device", "cloud"]

    async def test_the_second_server_gets_its_copy(self, path: Path, nobody: int) -> None:
        async with VendorCloud() as second:
            copies_to = Address("127.0.0.1", second.port)
            async with relaying(nobody, path, copies_to=copies_to) as made:
                async with await made.device() as device:
                    await device.ask(DATA, ANSWER)
                copy = await second.accept()
                assert await copy.rest() == DATA
                copy.writer.close()

    async def test_on_a_full_disk_nothing_is_acknowledged_in_its_place(
        self, path: Path, nobody: int
    ) -> None:
        async with relaying(nobody, path) as made, await made.device() as device:
            with no_room_beyond(0):
                device.send(DATA)
                await until(lambda: made.lines.of("store-trouble"))
                assert not device.reader._buffer  # type: ignore[attr-defined]
            assert await device.receive(ANSWER) == answer(DATA)

    async def test_a_device_that_went_away_while_the_cloud_was_called_leaves_nothing(self) -> None:
        with black_hole() as port:
            async with relaying(port) as made:
                devices = [await made.device() for _ in range(5)]
                await until(lambda: len(made.listener.connections) == 5)
                for device in devices:
                    device.reset()
                for one in tuple(made.listener.connections):
                    one.end("forgotten", "the device is forgotten")
                await until(lambda: nothing_is_left(made))
                assert made.counts["ended: the device is forgotten"] == 5

    async def test_one_that_went_away_meanwhile_is_passed_on_with_its_end(self) -> None:
        go_on = asyncio.Event()

        async def slowly(_host: str) -> list[str]:
            await go_on.wait()
            return ["127.0.0.1"]

        async with VendorCloud() as vendor, relaying(vendor.port, resolve=slowly) as made:
            device = await made.device()
            device.send(HEARTBEAT)
            device.half_close()
            await calling(made)
            go_on.set()
            cloud = await vendor.accept()
            assert await cloud.rest() == HEARTBEAT
            cloud.send(answer(HEARTBEAT))
            cloud.half_close()
            assert await device.rest() == answer(HEARTBEAT)
            await until(lambda: nothing_is_left(made))

    async def test_the_shutdown_waits_for_no_cloud(self) -> None:
        with black_hole() as port:
            async with relaying(port) as made:
                device = await made.device()
                device.send(DATA)
                await calling(made)
                await made.listener.close()
                assert nothing_is_left(made)
                assert await device.rest() == b""
                assert made.lines.of("cut-off") == []


class TestMany:
    async def test_after_many_failures_nothing_is_left(self, nobody: int) -> None:
        async with relaying(nobody, refuses=True) as made:
            for number in range(24):
                if number == 4:  # what is opened once is open
                    await until(lambda: nothing_is_left(made))
                    descriptors, tasks = open_descriptors(), len(asyncio.all_tasks())
                made.cloud.away = None  # it is called each time
                async with await made.device() as device:
                    device.send(DATA)
                    assert await device.rest() == b""
            await until(lambda: nothing_is_left(made))
            await until(lambda: open_descriptors() <= descriptors)
            await until(lambda: len(asyncio.all_tasks()) <= tasks)


class TestRefusing:
    async def test_devices_are_turned_away_unanswered(self, path: Path, nobody: int) -> None:
        async with relaying(nobody, path, refuses=True) as made:
            for _ in range(2):
                async with await made.device() as device:
                    device.send(DATA)
                    assert await device.rest() == b""
            await until(lambda: nothing_is_left(made))
            await made.safe()
            assert made.kept() == []
            assert made.counts[
                "ended: turned away, as its cloud is: it keeps its records for that"
            ] == 2  # fmt: skip


class TestComingBack:
    async def test_a_device_is_let_go_at_a_quiet_moment_and_passed_on_when_it_comes_again(
        self, path: Path
    ) -> None:
        async with VendorCloud() as vendor, relaying(vendor.port, path) as made:
            vendor.go_away()
            device = await made.device()
            assert await device.ask(DATA, ANSWER) == answer(DATA)
            device.send(DATA[:20])  # a frame is begun
            made.pass_time(59)
            assert not made.listener._probes
            await vendor.come_back()
            made.pass_time(2)
            await until(lambda: made.lines.of("cloud-back"))
            await until(lambda: [one._decoder.held for one in made.listener.connections] == [20])
            made.pass_time(standing_in._QUIET + 1)
            [stand_in] = made.listener.connections
            assert stand_in._closing_since is None
            assert await device.ask(DATA[20:], ANSWER) == answer(DATA, made.clock.now)
            made.pass_time(0)
            assert stand_in._closing_since is None  # it has just spoken
            made.pass_time(standing_in._QUIET + 1)
            assert await device.rest() == b""
            await vendor.accept()  # the probe
            device, cloud = await made.line(vendor)
            await converse(device, cloud, HEARTBEAT)
            assert made.counts["ended: cloud back"] == 1
            device.writer.close()
            cloud.writer.close()
            await until(lambda: nothing_is_left(made))

    async def test_the_look_whether_it_is_back_goes_on_after_one_that_failed(
        self, nobody: int
    ) -> None:
        async with relaying(nobody) as made:
            async with await made.device() as device:
                await device.ask(HEARTBEAT, ANSWER)
            for _ in range(3):
                assert not made.cloud.is_to_be_probed
                made.pass_time(clouds.PROBE_EVERY)
                assert made.listener._probes
                await until(lambda: not made.listener._probes)
            assert made.cloud.away is not None

    async def test_the_shutdown_waits_for_no_look(self, nobody: int) -> None:
        waits = asyncio.Event()

        async def resolve(_host: str) -> list[str]:
            if made.cloud.away is not None:
                await waits.wait()
            raise UnresolvedError("no")

        async with relaying(nobody, resolve=resolve) as made:
            async with await made.device() as device:
                await device.ask(HEARTBEAT, ANSWER)
            made.pass_time(clouds.PROBE_EVERY)
            assert made.listener._probes
            await made.listener.close()
            await until(lambda: not made.listener._probes)


class TestLoops:
    async def test_our_own_connection_is_recognised_when_it_comes_in(self) -> None:
        """The cloud's address is no one of ours as far as we know, and yet it leads here."""
        async with relaying(1) as made:
            made.cloud.address = Address("cloud.example", made.port)
            made.loops._listening.clear()
            device = await made.device()
            await until(made.listener.stopping.is_set)
            assert "leads to this program itself" in (made.listener.failure or "")
            assert "--resolver 9.9.9.9" in (made.listener.failure or "")
            assert made.lines.of("cloud-away") == []
            device.writer.close()

    async def test_a_name_that_leads_here_after_the_start_is_found_before_the_call(self) -> None:
        async with relaying(1) as made:
            made.cloud.address = Address("cloud.example", made.port)
            device = await made.device()
            assert await device.rest() == b""
            assert made.listener.stopping.is_set()
            assert made.listener.accepted == 1
            assert made.counts["ended: the cloud is this program"] == 1

    async def test_a_look_whether_it_is_back_finds_one_too(self, nobody: int) -> None:
        async with relaying(nobody) as made:
            async with await made.device() as device:
                await device.ask(HEARTBEAT, ANSWER)
            made.cloud.address = Address("cloud.example", made.port)
            made.pass_time(clouds.PROBE_EVERY)
            await until(made.listener.stopping.is_set)


async def test_a_battery_is_answered_in_its_clouds_place(path: Path, nobody: int) -> None:
    async with relaying(nobody, path) as made, await made.device() as battery:
        battery.send(RAW["status-1"])
        assert b"Success" in await battery.receive(29)
        assert [(each.kind, each.answered) for each in made.kept()] == [("status", "us")]
