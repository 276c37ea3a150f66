"""The fake server and well-behaved devices: what is answered, when, and in which order."""

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from inverterproto.alphaess.frame import Frame as BatteryFrame
from inverterproto.alphaess.messages import Message as BatteryMessage
from inverterproto.deye.commands import reply_bytes
from inverterproto.deye.frame import Frame
from inverterproto_cli.server.connection import MOST_UNSENT, DeviceConnection
from inverterproto_cli.store import Reader, Store
from tests.alphaess_vectors import CONFIGURATION, RAW, SN, START, changed, status
from tests.serving import NOW, Served, serving, until
from tests.test_store import no_room_beyond
from tests.vectors import raw

pytestmark = pytest.mark.asyncio

DATA, HEARTBEAT, HANDSHAKE = raw("micro-5408-realtime"), raw("heartbeat"), raw("handshake-130")
ANSWER = 23
"""Bytes of every answer to a logger."""
SUCCESS = len(b'\x01\x02\x10\0\0\0\0{"Status":"Success"}..')
"""Bytes of the ordinary answer to a battery."""


def answer(request: bytes, now: float = NOW, heartbeat: int = 60) -> bytes:
    return reply_bytes(request, int(now), heartbeat)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


async def test_every_request_of_a_logger_is_answered_and_kept(path: Path) -> None:
    names = ["handshake-130", "micro-5408-realtime", "heartbeat"]
    async with serving(path, heartbeat=90) as served, await served.device() as stick:
        for name in names:
            assert await stick.ask(raw(name), ANSWER) == answer(raw(name), heartbeat=90)
        kinds = {kept.kind for kept in served.kept()}
    assert kinds == {"handshake", "data"}


async def test_what_a_battery_says_is_answered_and_kept(path: Path) -> None:
    async with serving(path, now=START) as served, await served.device() as battery:
        for name in ("login", "status-1"):
            said = BatteryFrame.parse(await battery.ask(RAW[name], SUCCESS))
            assert (said.direction, said.command) == (2, BatteryFrame.parse(RAW[name]).command)
            assert BatteryMessage.parse(said).fields == {"Status": "Success"}
        kept = {each.kind: each for each in served.kept()}
    assert set(kept) == {"login", "status"}
    assert kept["status"].device == SN


async def test_the_answer_to_a_record_comes_when_another_process_can_read_it(path: Path) -> None:
    async with serving(path) as served, await served.device() as stick:
        for number in range(20):
            frame = Frame.parse(DATA)
            working = (1_000_000 + number).to_bytes(4, "little")
            payload = frame.payload[:3] + working + frame.payload[7:]
            data = replace(frame, payload=payload).build()
            await stick.ask(data, ANSWER)
            with Reader(path) as reader:
                assert reader.count() == number + 1


async def test_both_families_are_served_at_one_port_and_even_on_one_connection(path: Path) -> None:
    async with serving(path) as served, await served.device() as device:
        assert await device.ask(HEARTBEAT, ANSWER) == answer(HEARTBEAT)
        assert (await device.ask(RAW["status-1"], SUCCESS))[:3] == b"\x01\x02\x10"
        assert await device.ask(DATA, ANSWER) == answer(DATA)
    assert served.counts["connections"] == 1


async def test_frames_cut_and_joined_at_any_place_are_answered_alike(path: Path) -> None:
    stream = DATA + b"AT+YZCMPVER=1\r\n\n" + HEARTBEAT + HANDSHAKE
    expected = answer(DATA) + answer(HEARTBEAT) + answer(HANDSHAKE)
    async with serving(path) as served:
        for size in (1, 100, len(stream)):
            async with await served.device() as stick:
                for start in range(0, len(stream), size):
                    stick.send(stream[start : start + size])
                    await asyncio.sleep(0)
                assert await stick.receive(len(expected)) == expected


class TestAnswersWaitForTheStore:
    async def test_none_leaves_before_the_commit_and_none_overtakes(self, path: Path) -> None:
        async with (
            serving(path) as served,
            await served.device() as stick,
            await served.device() as other,
        ):
            with served.commits_held():
                stick.send(DATA + HEARTBEAT)
                stick.send(HANDSHAKE)
                early = asyncio.ensure_future(stick.receive(1))
                await until(lambda: served.counts["record: handshake"])
                # Who has nothing in the store is answered at once, again and again.
                for _ in range(5):
                    assert await other.ask(HEARTBEAT, ANSWER) == answer(HEARTBEAT)
                assert not early.done()
            expected = answer(DATA) + answer(HEARTBEAT) + answer(HANDSHAKE)
            assert await early + await stick.receive(len(expected) - 1) == expected

    async def test_on_a_full_disk_nothing_is_acknowledged_until_there_is_room(
        self, path: Path
    ) -> None:
        async with (
            serving(path) as served,
            await served.device() as stick,
            await served.device() as other,
        ):
            with no_room_beyond(0):
                stick.send(DATA)
                early = asyncio.ensure_future(stick.receive(ANSWER))
                await until(lambda: served.lines.of("store-trouble"))
                assert await other.ask(HEARTBEAT, ANSWER) == answer(HEARTBEAT)
                assert not early.done()
            assert await early == answer(DATA)
            assert len(served.lines.of("store-trouble")) == 1
            assert len(served.lines.of("store-recovered")) == 1
            assert await stick.ask(HANDSHAKE, ANSWER) == answer(HANDSHAKE)
            assert len(served.kept()) == 2

    async def test_a_device_that_closes_its_half_gets_its_answer(self, path: Path) -> None:
        async with serving(path) as served, await served.device() as stick:
            with served.commits_held():
                stick.send(DATA + HEARTBEAT)
                stick.half_close()
                await until(lambda: served.counts["ended: closed"])
            assert await stick.rest() == answer(DATA) + answer(HEARTBEAT)
            await until(lambda: not served.listener.connections)

    async def test_a_device_that_resets_meanwhile_harms_nobody(self, path: Path) -> None:
        async with (
            serving(path) as served,
            await served.device() as gone,
            await served.device() as stick,
        ):
            with served.commits_held():
                gone.send(DATA)
                stick.send(HANDSHAKE)
                await until(
                    lambda: served.counts["record: data"] and served.counts["record: handshake"]
                )
                gone.reset()
                await until(lambda: len(served.listener.connections) == 1)
            assert await stick.receive(ANSWER) == answer(HANDSHAKE)
            assert served.lines.of("fault") == []
            assert {kept.kind for kept in served.kept()} == {"data", "handshake"}

    async def test_what_was_kept_before_the_end_is_still_acknowledged(self, path: Path) -> None:
        async with serving(path, most_unframed=2048) as served, await served.device() as stick:
            with served.commits_held():
                stick.send(DATA + b"x" * 8192)
                await until(lambda: served.counts["ended: no frame"])
            assert await stick.rest() == answer(DATA)

    async def test_a_connection_is_not_read_while_too_many_answers_wait(self, path: Path) -> None:
        async with serving(path) as served, await served.device() as stick:
            with served.commits_held():
                stick.send(DATA)
                await until(lambda: served.counts["record: data"])
                [connection] = served.listener.connections
                for number in range(1, MOST_UNSENT):
                    stick.send(HEARTBEAT)
                    await until(lambda number=number: connection._unsent > number)  # type: ignore[misc]
                assert not connection._transport.is_reading()
                stick.send(HEARTBEAT)
            expected = answer(DATA) + answer(HEARTBEAT) * MOST_UNSENT
            assert await stick.receive(len(expected)) == expected

    async def test_a_server_that_stops_answers_what_is_in_hand(self, path: Path) -> None:
        async with serving(path) as served, await served.device() as stick:
            with served.commits_held():
                stick.send(DATA)
                await until(lambda: served.counts["record: data"])
                stopping = asyncio.ensure_future(served.listener.close())
                await until(lambda: served.counts["ended: stopped"])
            await stopping
            assert await stick.rest() == answer(DATA)
            assert not served.listener.connections

    async def test_a_server_that_cannot_write_stops_all_the_same(self, path: Path) -> None:
        async with serving(path) as served, await served.device() as stick:
            with served.commits_held():
                stick.send(DATA)
                await until(lambda: served.counts["record: data"])
                await served.listener.close(patience=0.01)
                assert await stick.rest() == b""
                assert "1 connections were cut off" in served.lines.of("cut-off")[0]
            assert not served.listener.connections


class TestFaultsOfOurs:
    """They cost the connection that met them, and are told without what the device said."""

    async def test_one_in_a_session_ends_its_connection_only(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with (
            serving(path) as served,
            await served.device() as unlucky,
            await served.device() as stick,
        ):
            monkeypatch.setattr(
                "inverterproto.alphaess.cloud.CloudSession.receive", _raise_a_secret
            )
            unlucky.send(RAW["status-1"])
            assert await unlucky.rest() == b""
            assert await stick.ask(DATA, ANSWER) == answer(DATA)
            assert len(served.lines.of("fault")) == 1
            assert served.lines.where("fault")[0] == 1

    async def test_one_in_sending_stops_nobody_elses_answer(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with (
            serving(path) as served,
            await served.device() as unlucky,
            await served.device() as stick,
        ):
            with served.commits_held():
                unlucky.send(DATA)
                await until(lambda: served.counts["record: data"])
                [connection] = [c for c in served.listener.connections if c._unsent]
                write = DeviceConnection._write

                def write_or_fail(self: DeviceConnection, data: bytes) -> None:
                    (_raise_a_secret if self is connection else write)(self, data)

                monkeypatch.setattr(DeviceConnection, "_write", write_or_fail)
                stick.send(HANDSHAKE)
                await until(lambda: served.counts["record: handshake"])
            assert await stick.receive(ANSWER) == answer(HANDSHAKE)
            assert await unlucky.rest() == b""

    async def test_one_in_what_is_due_leaves_the_others_looked_after(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with (
            serving(path) as served,
            await served.device() as unlucky,
            await served.device() as stick,
        ):
            await unlucky.ask(RAW["status-1"], SUCCESS)
            monkeypatch.setattr("inverterproto.alphaess.cloud.CloudSession.due", -1.0)
            monkeypatch.setattr("inverterproto.alphaess.cloud.CloudSession.poll", _raise_a_secret)
            served.pass_time(1)
            assert await unlucky.rest() == b""
            assert await stick.ask(HEARTBEAT, ANSWER) == answer(HEARTBEAT, NOW + 1)

    async def test_one_in_showing_costs_the_line_and_no_answer(self, path: Path) -> None:
        def show(*_: object) -> None:
            _raise_a_secret()

        async with serving(path, keeper={"show": show}) as served:
            async with await served.device() as stick:
                assert await stick.ask(DATA, ANSWER) == answer(DATA)
            assert "cannot be shown" in served.lines.of("fault")[0]

    async def test_one_in_a_devices_dating_is_told_and_nobody_elses(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with serving(path) as served, await served.device() as device:
            await device.ask(DATA, ANSWER)
            await device.ask(RAW["status-1"], SUCCESS)
            monkeypatch.setattr("inverterproto.deye.watching.LoggerState.settle", _raise_a_secret)
            served.pass_time(1)
            await served.safe()
            assert served.lines.where("fault") == (None, "deye", "2712345678")
            with Reader(path) as reader:
                remembered = {each.serial for each in reader.devices() if each.state}
        assert SN in remembered


def _raise_a_secret(*_: object, **__: object) -> None:
    raise RuntimeError("hunter2")


class TestTheClock:
    async def test_no_logger_is_answered_while_it_is_behind_and_all_again_when_it_is_right(
        self, path: Path
    ) -> None:
        async with serving(path) as served, await served.device() as stick:
            await stick.ask(DATA, ANSWER)
        async with (
            serving(path, now=NOW - 86400) as served,
            await served.device() as stick,
            await served.device() as battery,
        ):
            stick.send(HANDSHAKE)
            await until(lambda: served.counts["record: handshake"])
            early = asyncio.ensure_future(stick.receive(ANSWER))
            assert (await battery.ask(RAW["status-1"], SUCCESS))[:3] == b"\x01\x02\x10"
            await served.safe()
            assert not early.done()
            [line] = served.lines.of("clock")
            assert "2026-09-20" in line
            assert "2026-09-21" in line
            served.clock.now = NOW + 1
            stick.send(HEARTBEAT)
            assert await early == answer(HEARTBEAT, NOW + 1)
            assert "right again" in served.lines.of("clock")[1]
            served.clock.now = NOW - 3600  # set back while all are connected
            stick.send(HEARTBEAT * 3)
            await until(lambda: len(served.lines.of("clock")) == 3)
            served.clock.now = NOW + 2
            assert await stick.ask(HANDSHAKE, ANSWER) == answer(HANDSHAKE, NOW + 2)

    async def test_it_is_looked_at_without_any_device(self, path: Path) -> None:
        async with serving(path) as served, await served.device() as stick:
            await stick.ask(DATA, ANSWER)
        async with serving(path, now=NOW - 60) as served:
            served.pass_time(1)
            assert len(served.lines.of("clock")) == 1

    async def test_a_clock_that_is_set_back_by_seconds_is_no_matter(self, path: Path) -> None:
        async with serving(path) as served, await served.device() as stick:
            await stick.ask(DATA, ANSWER)
            served.clock.now -= 4
            assert await stick.ask(HEARTBEAT, ANSWER) == answer(HEARTBEAT, NOW - 4)


async def _configuration(served: Served, request: bytes) -> dict[str, Any]:
    async with await served.device() as battery:
        battery.send(status(served.clock.now + 39600) + request)
        battery.half_close()
        frames = await battery.rest()
    return BatteryMessage.parse(BatteryFrame.parse(frames[SUCCESS:])).fields


class TestConfigurations:
    async def test_one_that_the_user_gives_is_served_to_its_battery_only(self, path: Path) -> None:
        async with serving(path, now=START, configurations={SN: CONFIGURATION}) as served:
            fields = await _configuration(served, RAW["config-request"])
            assert fields["SN"] == SN
            assert len(fields) == 132
            async with await served.device() as other:
                other.send(changed("config-request", SN="AL0000000000000"))
                other.half_close()
                told = BatteryMessage.parse(BatteryFrame.parse(await other.rest())).fields
            assert told == {"Status": "Success", "SN": "AL0000000000000"}

    async def test_no_time_is_told_while_the_clock_is_behind(self, path: Path) -> None:
        async with serving(path, now=START) as served, await served.device() as battery:
            await battery.ask(RAW["status-1"], SUCCESS)
        options: dict[str, Any] = {"configurations": {SN: CONFIGURATION}, "resume": False}
        async with serving(path, now=START - 86400, **options) as served:
            assert "CheckTime" not in await _configuration(served, RAW["config-request"])
            served.clock.now = START + 60
            assert "CheckTime" in await _configuration(served, RAW["config-request"])

    @pytest.mark.parametrize(
        ("zone", "shown"),
        [("Australia/Sydney", "2021-03-24 10:00:00"), ("America/New_York", "2021-03-23 19:00:00")],
    )
    async def test_the_time_in_it_is_the_households(
        self, path: Path, zone: str, shown: str
    ) -> None:
        options: dict[str, Any] = {"configurations": {SN: CONFIGURATION}, "zone": ZoneInfo(zone)}
        async with serving(path, now=START, **options) as served:
            fields = await _configuration(served, RAW["config-request"])
        assert fields["CheckTime"] == shown

    async def test_a_battery_that_was_never_heard_is_no_device(self, path: Path) -> None:
        async with serving(path, configurations={SN: CONFIGURATION}) as served:
            served.pass_time(1)
            await served.safe()
            with Reader(path) as reader:
                assert reader.devices() == []


async def remembered(path: Path, serial: str) -> Any:  # noqa: ANN401 - by family
    with Reader(path) as reader:
        return {each.serial: each.state for each in reader.devices()}[serial]


class TestWhatIsRemembered:
    async def test_what_cannot_be_learned_again_is_on_disk_before_the_answer(
        self, path: Path
    ) -> None:
        async with (
            serving(path, now=START, configurations={SN: CONFIGURATION}) as served,
            await served.device() as battery,
        ):
            await battery.ask(status(START + 39600), SUCCESS)
            assert (await remembered(path, SN))["configuration"] == CONFIGURATION.decode()
            served.clock.now = START + 1200
            await battery.ask(status(START + 1200 + 39600), SUCCESS + 1)  # and it is asked
            state = await remembered(path, SN)
            assert state["index"] == 1
            assert state["gap"] == [START + 39600, START + 1200 + 39600]

    async def test_all_is_written_again_to_a_new_file(self, path: Path) -> None:
        async with serving(path) as served, await served.device() as stick:
            await stick.ask(DATA, ANSWER)
            served.pass_time(1)
        async with serving(path) as served, await served.device() as battery:
            await battery.ask(status(NOW + 39600), SUCCESS)
            served.pass_time(1)
            await served.safe()
            before = [await remembered(path, serial) for serial in (SN, "2712345678")]
            assert isinstance(served.store, Store)
            served.store.do(_damage_once())
            await served.safe()
            assert served.lines.of("store-damaged")
            served.pass_time(1)
            await served.safe()
            assert [await remembered(path, serial) for serial in (SN, "2712345678")] == before


def _damage_once() -> Callable[[sqlite3.Connection], None]:
    """Return what finds the store's file damaged, the first time."""
    fault = sqlite3.DatabaseError("database disk image is malformed")
    fault.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    faults = [fault]

    def damage(_: sqlite3.Connection) -> None:
        if faults:
            raise faults.pop()

    return damage


class TestAskingBatteries:
    @pytest.mark.parametrize("resume", [True, False])
    async def test_for_missing_records_unless_told_not_to(
        self, path: Path, *, resume: bool
    ) -> None:
        async with serving(path, now=START, resume=resume) as served:
            async with await served.device() as battery:
                await battery.ask(status(START + 39600), SUCCESS)
            served.clock.now = START + 1200
            async with await served.device() as battery:
                battery.send(status(START + 1200 + 39600))
                battery.half_close()
                asked = (await battery.rest())[SUCCESS:]
            assert bool(asked) is resume
            if resume:
                fields = BatteryMessage.parse(BatteryFrame.parse(asked)).fields
                assert (fields["Command"], fields["Parameter2"]) == ("Resume", 21)
                assert served.lines.where("resume") == (2, "alphaess", SN)

    @pytest.mark.parametrize("synchronise", [True, False])
    async def test_to_set_a_wrong_clock_only_if_told_to(
        self, path: Path, *, synchronise: bool
    ) -> None:
        async with (
            serving(path, now=START, synchronise=synchronise) as served,
            await served.device() as battery,
        ):
            battery.send(status(START - 86400))
            battery.half_close()
            asked = (await battery.rest())[SUCCESS:]
        assert (b"SyncTime" in asked) is synchronise


async def test_without_a_store_all_is_answered() -> None:
    async with serving() as served, await served.device() as stick:
        assert await stick.ask(DATA + HEARTBEAT, 2 * ANSWER) == answer(DATA) + answer(HEARTBEAT)
        [(record, _)] = served.shown
        assert record.device == "2301234567"


async def test_a_device_of_before_is_known_again(path: Path) -> None:
    async with serving(path, keeper={"most_devices": 1}) as served:
        async with await served.device() as stick:
            await stick.ask(DATA, ANSWER)
        served.pass_time(1)
    async with (
        serving(path, keeper={"most_devices": 0}) as served,
        await served.device() as stick,
    ):
        assert await stick.ask(HEARTBEAT, ANSWER) == answer(HEARTBEAT)


async def test_replies_are_not_answered() -> None:
    async with serving() as served, await served.device() as device:
        device.send(answer(DATA) + raw("modbus-read-reply"))
        assert await device.ask(HEARTBEAT, ANSWER) == answer(HEARTBEAT)


async def test_the_log_tells_of_whom_it_speaks() -> None:
    async with serving() as served, await served.device() as stick:
        await stick.ask(DATA, ANSWER)
        stick.half_close()
        await stick.rest()
        assert served.lines.where("ended: closed") == (1, "deye", "2712345678")
