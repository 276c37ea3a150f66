"""What a server keeps, and when it says that it was measured, while its own clock is wrong."""

from pathlib import Path

import pytest

from inverterproto_cli.store import Reader
from inverterproto_cli.store.reader import Kept
from tests.alphaess_vectors import CONFIGURATION, RAW, SN, START, status
from tests.serving import NOW, Served, serving, until
from tests.stores import FIRST
from tests.test_fake_server import ANSWER, DATA, HANDSHAKE, HEARTBEAT, SUCCESS, answer

pytestmark = pytest.mark.asyncio

MONTH = 30 * 86400.0
AHEAD = 39600.0
"""Seconds by which the battery's clock is ahead."""
OTHER = "AL2002000009999"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


async def seen_at(path: Path, now: float) -> None:
    """Let a server take a record at some time, so that its store knows of it."""
    async with serving(path, now=now) as served, await served.device() as battery:
        await battery.ask(status(now + AHEAD), SUCCESS)
        served.pass_time(1)


async def dated(served: Served, kind: str, device: str) -> list[Kept]:
    """Return all records of a kind of some device, once all have their date."""

    def of_device() -> list[Kept]:
        return [kept for kept in served.kept() if (kept.kind, kept.device) == (kind, device)]

    await until(lambda: all(kept.source for kept in of_device()))
    return sorted(of_device(), key=lambda kept: kept.id)


async def test_a_loggers_own_time_counts_however_long_the_clock_was_behind(path: Path) -> None:
    await seen_at(path, FIRST)
    async with serving(path, now=FIRST - MONTH) as served, await served.device() as stick:
        stick.send(DATA + HANDSHAKE)
        await until(lambda: served.counts["record: data"])
        served.pass_time(120)
        served.pass_time(120)
        await served.safe()
        assert {kept.source for kept in served.kept() if kept.family == "deye"} == {None}
        served.clock.now = FIRST + 60
        assert await stick.ask(DATA, ANSWER) == answer(DATA, FIRST + 60)
        [data] = await dated(served, "data", "2301234567")
        assert (data.time, data.source, data.repeated) == (1_712_596_443.0, "device", 1)
        served.pass_time(49 * 3600)
        [handshake] = await dated(served, "handshake", "2712345678")
        assert handshake.source == "estimated"  # by the boot of the data


async def test_it_counts_as_well_when_the_server_was_restarted_meanwhile(path: Path) -> None:
    await seen_at(path, FIRST)
    for _ in range(2):
        async with serving(path, now=FIRST - MONTH) as served, await served.device() as stick:
            stick.send(DATA)
            await until(lambda served=served: served.counts["record: data"])  # type: ignore[misc]
            await served.safe()
    async with serving(path, now=FIRST + 60) as served:
        [data] = await dated(served, "data", "2301234567")
        assert (data.time, data.source, data.repeated) == (1_712_596_443.0, "device", 1)
        assert data.arrival == FIRST + 60
        assert "clock" not in {getattr(each, "event", "") for each in served.lines.records}


async def test_a_battery_heard_first_while_it_is_behind_is_dated_by_a_later_status(
    path: Path,
) -> None:
    await seen_at(path, START)
    async with serving(path, now=START - MONTH) as served, await served.device() as battery:
        for number in range(3):
            await battery.ask(status(START + AHEAD + 10 * number, OTHER), SUCCESS)
            served.pass_time(10)
        served.clock.now = START + 30
        await battery.ask(status(START + AHEAD + 30, OTHER), SUCCESS)
        kept = await dated(served, "status", OTHER)
        assert [each.time for each in kept] == [START + 10 * number for number in range(4)]
        assert {each.source for each in kept} == {"device-corrected"}


async def test_what_was_known_of_a_battery_is_known_again(path: Path) -> None:
    await seen_at(path, START)
    async with (
        serving(path, now=START + 60, configurations={SN: CONFIGURATION}) as served,
        await served.device() as battery,
    ):
        await battery.ask(status(START + 60 + AHEAD), SUCCESS)
        served.clock.now = START - MONTH  # set back under way
        for number in range(50):
            await battery.ask(status(START + 70 + AHEAD + 10 * number), SUCCESS)
            served.pass_time(10)
        served.clock.now = START + 600
        await battery.ask(status(START + 600 + AHEAD), SUCCESS)
        kept = await dated(served, "status", SN)
        expected = [START, START + 60, *(START + 70 + 10 * n for n in range(50)), START + 600]
        assert [each.time for each in kept] == expected
        assert {each.source for each in kept} == {"device-corrected"}
        assert b"CheckTime" in await battery.ask(RAW["config-request"], len(CONFIGURATION))


async def test_arrivals_do_not_go_back_so_nothing_is_too_old_when_it_is_right_again(
    path: Path,
) -> None:
    await seen_at(path, START)
    async with serving(path, now=START - 60 * MONTH) as served, await served.device() as battery:
        for number in range(5):
            await battery.ask(status(START + AHEAD + number, OTHER), SUCCESS)
        assert {kept.arrival for kept in served.kept()} == {START}


async def test_it_is_still_behind_after_many_records_and_a_restart(path: Path) -> None:
    await seen_at(path, START)
    async with serving(path, now=START - MONTH) as served, await served.device() as battery:
        for first in range(0, 1100, 100):
            some = b"".join(status(START + AHEAD + number) for number in range(first, first + 100))
            await battery.ask(some, 100 * SUCCESS)
    async with serving(path, now=START - MONTH) as served, await served.device() as stick:
        assert not served.keeper.clock_right
        stick.send(HEARTBEAT)
        stick.half_close()
        assert await stick.rest() == b""


async def test_what_tells_no_time_of_its_own_has_none(path: Path) -> None:
    await seen_at(path, NOW)
    async with serving(path, now=NOW - MONTH) as served, await served.device() as device:
        device.send(b"hello there" + DATA[:-1] + b"\0" + HEARTBEAT + b"AT+OK\r\n\n" + HEARTBEAT)
        device.half_close()
        await device.rest()
        await served.safe()
        served.clock.now = NOW + 60
        served.pass_time(1)
        await until(lambda: all(kept.source for kept in served.kept()))
        assert {kept.source for kept in served.kept() if kept.kind == "unframed"} == {"unknown"}
        assert not served.lines.of("fault")


async def test_a_clock_that_was_ahead_once_is_believed_again_when_somebody_says_so(
    path: Path,
) -> None:
    await seen_at(path, NOW - 60)
    await seen_at(path, NOW + 16 * MONTH)
    async with serving(path) as served, await served.device() as stick:
        assert "--trust-clock" in served.lines.of("clock")[0]
        stick.send(HEARTBEAT)
        stick.half_close()
        assert await stick.rest() == b""
    async with serving(path, keeper={"trust_clock": True}) as served:
        async with await served.device() as stick:
            assert await stick.ask(HEARTBEAT, ANSWER) == answer(HEARTBEAT)
        await served.safe()
        assert [kept.arrival for kept in served.kept()] == [NOW, NOW - 60]
        with Reader(path) as reader:
            assert max(each.last for each in reader.devices()) == NOW
    async with serving(path, now=NOW + 1) as served, await served.device() as stick:
        assert await stick.ask(HEARTBEAT, ANSWER) == answer(HEARTBEAT, NOW + 1)
