"""Clouds that take connections and say nothing: when they count as away, and who is evidence."""

from dataclasses import replace
from pathlib import Path

import pytest

from inverterproto.deye import Frame
from inverterproto_cli.relay import cloud as clouds
from inverterproto_cli.relay.cloud import Cloud
from tests.relaying import VendorCloud, event_loop_policy, relaying  # noqa: F401 - a fixture
from tests.serving import Clock, until
from tests.test_cloud import cloud_at
from tests.test_fake_server import ANSWER, DATA, HEARTBEAT, answer
from tests.test_relay import converse, nothing_is_left


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


class TestSilence:
    """Who is evidence of it, and for how long."""

    @staticmethod
    def cloud() -> tuple[Cloud, Clock]:
        clock = Clock(1000.0)
        return cloud_at(1, "127.0.0.1", ticks=clock), clock

    def left_for_a_minute(self, cloud: Cloud, clock: Clock, device: str | None) -> bool:
        """Let a device ask twice, and be cut off each time."""
        assert not cloud.unanswered(device, clock.now)
        clock.now += clouds.SILENT_AFTER + 1
        return cloud.unanswered(device, clock.now)

    def test_where_nobody_was_ever_answered_anybody_is_evidence(self) -> None:
        assert self.left_for_a_minute(*self.cloud(), None)

    def test_a_stranger_is_none_where_others_are_answered_but_who_was_answered_is(self) -> None:
        cloud, clock = self.cloud()
        cloud.answered("mine")
        cloud.spoke_at = clock.now
        clock.now += 1
        assert not self.left_for_a_minute(cloud, clock, "stranger")
        assert not self.left_for_a_minute(cloud, clock, None)
        assert self.left_for_a_minute(cloud, clock, "mine")

    def test_after_a_day_without_a_frame_for_anybody_a_stranger_is_evidence(self) -> None:
        cloud, clock = self.cloud()
        cloud.answered("mine")
        cloud.spoke_at = clock.now
        clock.now += clouds.STRANGE_FOR
        assert not self.left_for_a_minute(cloud, clock, "stranger")
        assert self.left_for_a_minute(cloud, clock, "stranger")

    def test_a_frame_for_anybody_ends_what_has_been_counted(self) -> None:
        cloud, clock = self.cloud()
        assert not cloud.unanswered(None, clock.now)
        clock.now += clouds.SILENT_AFTER
        cloud.spoke_at = clock.now
        assert not cloud.unanswered(None, clock.now - 1)
        cloud.answered("mine")
        clock.now += 1
        assert self.left_for_a_minute(cloud, clock, "mine")

    def test_once_it_has_been_away_a_new_minute_begins(self) -> None:
        cloud, clock = self.cloud()
        assert self.left_for_a_minute(cloud, clock, None)
        cloud._back()
        assert self.left_for_a_minute(cloud, clock, None)

    def test_of_many_answered_devices_the_last_are_known(self) -> None:
        cloud, clock = self.cloud()
        cloud.answered("first")
        cloud.answered("second")
        for number in range(clouds.MOST_KNOWN - 1):
            cloud.answered("first")
            cloud.answered(f"another {number}")
        cloud.spoke_at = clock.now
        clock.now += 1
        assert not self.left_for_a_minute(cloud, clock, "second")
        assert self.left_for_a_minute(cloud, clock, "first")


@pytest.mark.asyncio
class TestSilentClouds:
    async def test_one_that_gives_no_frame_is_away_and_its_device_answered_when_it_comes_again(
        self, path: Path
    ) -> None:
        async with VendorCloud() as vendor, relaying(vendor.port, path) as made:
            device, cloud = await made.line(vendor)
            device.send(DATA)
            await cloud.receive(len(DATA))
            made.pass_time(clouds.SILENT_AFTER - 1)
            assert made.cloud.away is None
            made.pass_time(2)
            assert await device.rest() == b""
            assert "takes connections and says nothing" in made.lines.of("cloud-away")[0]
            assert made.counts["ended: the cloud says nothing"] == 1
            async with await made.device() as again:
                assert await again.ask(DATA, ANSWER) == answer(DATA, made.clock.now)
            made.pass_time(clouds.SILENT_FOR - 5)
            assert not made.cloud.is_to_be_probed
            made.pass_time(5)
            await until(lambda: made.lines.of("cloud-back"))
            cloud.writer.close()

    async def test_bytes_that_are_no_frame_are_no_life(self) -> None:
        async with VendorCloud() as vendor, relaying(vendor.port) as made:
            device, cloud = await made.line(vendor)
            device.send(DATA)
            await cloud.receive(len(DATA))
            cloud.send(b"502 Bad Gateway")
            await device.receive(15)
            made.pass_time(clouds.SILENT_AFTER + 1)
            assert made.cloud.away is not None
            cloud.writer.close()
            device.writer.close()

    async def test_one_that_answers_others_is_there(self) -> None:
        """Or anybody could send it what it does not answer, and have the household cut off."""
        async with VendorCloud() as vendor, relaying(vendor.port) as made:
            unwanted, mute = await made.line(vendor)
            unwanted.send(DATA)
            await mute.receive(len(DATA))
            device, cloud = await made.line(vendor)
            await converse(device, cloud, HEARTBEAT)
            made.pass_time(clouds.SILENT_AFTER + 1)
            assert made.cloud.away is None
            assert len(made.listener.connections) == 2
            for each in (unwanted, mute, device, cloud):
                each.writer.close()

    async def test_one_that_is_asked_nothing_may_be_silent(self) -> None:
        async with VendorCloud() as vendor, relaying(vendor.port) as made:
            device, cloud = await made.line(vendor)
            device.send(b"\xa5")
            await cloud.receive(1)
            made.pass_time(clouds.SILENT_AFTER + 1)
            assert made.cloud.away is None
            device.writer.close()
            cloud.writer.close()

    @pytest.mark.parametrize("how", ["ends", "resets"])
    async def test_one_that_drops_each_connection_for_a_minute_is_away(
        self, path: Path, how: str
    ) -> None:
        async with VendorCloud() as vendor, relaying(vendor.port, path) as made:
            for _ in range(3):
                assert made.cloud.away is None
                device, cloud = await made.line(vendor)
                device.send(DATA)
                await cloud.receive(len(DATA))
                cloud.half_close() if how == "ends" else cloud.reset()
                assert await device.rest() == b""
                device.writer.close()
                cloud.writer.close()
                await until(lambda: nothing_is_left(made))
                made.pass_time(clouds.SILENT_AFTER / 2 + 1)
            [line] = made.lines.of("cloud-away")
            assert "takes connections and says nothing" in line
            async with await made.device() as device:
                assert await device.ask(DATA, ANSWER) == answer(DATA, made.clock.now)
            if how == "resets":
                assert made.counts["ended: the cloud: reset"] == 3

    async def test_one_whose_devices_leave_by_themselves_is_there(self) -> None:
        async with VendorCloud() as vendor, relaying(vendor.port) as made:
            for _ in range(3):
                device, cloud = await made.line(vendor)
                device.send(DATA)
                device.half_close()
                assert await cloud.rest() == DATA
                cloud.half_close()
                await until(lambda: nothing_is_left(made))
                made.pass_time(clouds.SILENT_AFTER)
                for each in (device, cloud):
                    each.writer.close()
            assert made.cloud.away is None

    async def test_a_stranger_whom_it_ignores_does_not_make_it_away(self) -> None:
        """Even while the household's own devices have nothing to say."""
        stranger = replace(Frame.parse(DATA), logger_serial=4_111_111_111).build()
        async with VendorCloud() as vendor, relaying(vendor.port) as made:
            device, cloud = await made.line(vendor)
            await converse(device, cloud, HEARTBEAT)
            for _ in range(3):
                made.pass_time(1)
                unwanted, mute = await made.line(vendor)
                unwanted.send(stranger)
                await mute.receive(len(stranger))
                made.pass_time(clouds.SILENT_AFTER + 1)
                unwanted.writer.close()
                mute.writer.close()
            assert made.cloud.away is None
            again, mute = await made.line(vendor)
            again.send(HEARTBEAT)  # whom it has answered before
            await mute.receive(len(HEARTBEAT))
            made.pass_time(clouds.SILENT_AFTER + 1)
            assert made.cloud.away is not None
            for each in (device, cloud, again, mute):
                each.writer.close()
