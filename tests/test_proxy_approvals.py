"""Which configurations reach a battery through the proxy, and that no approval is lost."""

import asyncio
import json
from pathlib import Path
from time import time
from typing import Any

import pytest

from inverterproto.gate import Rights
from inverterproto_cli.store import Reader
from tests.alphaess_vectors import RAW, SN, START, changed, raw_frame, status
from tests.conftest import decode
from tests.filtering import proxied
from tests.serving import PATIENCE, Clock, until
from tests.test_alphaess_gate import ASK, configuration, edited, shown
from tests.test_proxy_rights import SET_CONFIG, ends_with_nothing_more

pytestmark = pytest.mark.asyncio
FILTERS = pytest.mark.parametrize("rights", [Rights.READ_ONLY, Rights.BLOCK])


@FILTERS
async def test_a_changed_configuration_never_reaches_the_battery_but_the_approved_one_does(
    rights: Rights,
) -> None:
    first = configuration()
    attacks = {
        "changed": configuration(GridCharge=True),
        "stale": configuration(START - 3600),
        "early": configuration(START + 601),
        "doubled keys": edited(b'"Fan":false', b'"Fan":false,"Fan":true'),
        "another battery's": edited(SN.encode(), b"AL2002000009999"),
        "bytes behind it": raw_frame(2, 3, first[7:-2] + b"{}"),
    }
    async with proxied(rights) as proxy, await proxy.line("alphaess") as line:
        await line.turn(status(START), RAW["status-reply"], RAW["status-reply"])
        await line.turn(ASK, first, first)
        assert proxy.lines.of("configuration-approved") == [
            f"the first configuration of {SN} that the cloud sends is taken as approved"
        ]
        [line_said] = [
            each for each in proxy.lines.records
            if getattr(each, "event", "") == "configuration-approved"
        ]  # fmt: skip
        assert line_said.levelname == "WARNING"
        for attack in attacks.values():
            await line.turn(ASK, attack, first)
            line.cloud.send(attack)  # a second time: it answers nothing
        resumes = RAW["resume"] + attacks["changed"]  # the battery asks after a Resume
        await line.turn(ASK, resumes, passed_reads(rights, RAW["resume"]) + first)
        await ends_with_nothing_more(line)
        assert any("GridCharge false -> true" in each for each in proxy.lines.of("held"))
        assert proxy.keeper.state("alphaess", SN).configuration == first[7:-2]


def passed_reads(rights: Rights, said: bytes) -> bytes:
    return said if rights is Rights.READ_ONLY else b""


async def test_in_allow_the_last_configuration_that_passed_is_what_the_stand_in_serves() -> None:
    changed_one = configuration(GridCharge=True)
    async with proxied(Rights.ALLOW) as proxy:
        async with await proxy.line("alphaess") as line:
            await line.turn(ASK, configuration(), configuration())
            await line.turn(ASK, changed_one, changed_one)
            await line.turn(ASK, edited(SN.encode(), b"AL2002000009999"),
                            edited(SN.encode(), b"AL2002000009999"))  # fmt: skip
        assert proxy.keeper.state("alphaess", SN).configuration == changed_one[7:-2]
        proxy.listener.clouds["alphaess"].away = "gone"
        proxy.listener.clouds["alphaess"]._probe_at = float("inf")
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.ports["alphaess"])
        writer.write(ASK)
        async with asyncio.timeout(PATIENCE):
            assert await reader.readexactly(len(changed_one)) == changed_one
        writer.close()


@FILTERS
async def test_a_capture_tells_what_the_battery_got_and_marks_what_it_did_not(
    rights: Rights, tmp_path: Path
) -> None:
    capture, first, other = tmp_path / "raw.jsonl", configuration(), configuration(GridCharge=True)
    async with proxied(rights, capture=capture) as proxy, await proxy.line("alphaess") as line:
        await line.turn(ASK, first, first)
        await line.turn(ASK, SET_CONFIG + other, first)
    lines = [json.loads(each) for each in capture.read_text().splitlines()]
    assert [(each["from"], each.get("held"), each["data"]) for each in lines] == [
        ("device", None, ASK.hex()), ("cloud", None, first.hex()),
        ("device", None, ASK.hex()), ("cloud", True, SET_CONFIG.hex()),
        ("cloud", True, other.hex()), ("cloud", None, first.hex()),
    ]  # fmt: skip
    shown = [json.loads(each) for each in decode("--json", capture).out.splitlines()]
    assert [each.get("held") for each in shown if each["from"] == "cloud"] == [
        None, True, True, None,
    ]  # fmt: skip
    assert decode(capture).out.count("from cloud, held)") == 2
    kept = decode("--redact", "--json", capture).out.splitlines()
    assert sum(json.loads(each).get("held", False) for each in kept) == 2


@FILTERS
async def test_the_stand_in_serves_what_is_approved_not_what_was_held(rights: Rights) -> None:
    async with proxied(rights) as proxy:
        async with await proxy.line("alphaess") as line:
            await line.turn(ASK, configuration(), configuration())
            await line.turn(ASK, configuration(GridCharge=True), configuration())
        proxy.listener.clouds["alphaess"].away = "gone"
        proxy.listener.clouds["alphaess"]._probe_at = float("inf")
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.ports["alphaess"])
        writer.write(ASK)
        async with asyncio.timeout(PATIENCE):
            assert await reader.readexactly(len(configuration())) == configuration()
        writer.close()


@FILTERS
async def test_what_is_approved_for_a_while_holds_for_batteries_heard_later_and_ends(
    rights: Rights,
) -> None:
    # The time begins by this machine's clock.
    began = time()
    clock = Clock(began)
    one, other, third = (
        changed("config-from-cloud", **setting) for setting in (
            {"GridCharge": True}, {"GridCharge": False}, {"GridCharge": True, "BatHighCap": "50"}
        )
    )  # fmt: skip
    async with (
        proxied(rights, now=clock, approving_seconds=600.0) as proxy,
        await proxy.line("alphaess") as line,
    ):
        for each in (one, other):
            line.device.send(ASK)
            await line.cloud.receive(len(ASK))
            line.cloud.send(SET_CONFIG + each)  # CheckTime is of 2021: ours is sent instead
            assert await line.device.receive(len(SET_CONFIG)) == SET_CONFIG
            sent = await line.device.receive(len(each))
            assert sent != each
            assert proxy.keeper.state("alphaess", SN).configuration == each[7:-2]
        assert len(proxy.lines.of("configuration-approved")) == 2
        clock.now = began + 700
        line.device.send(ASK)
        await line.cloud.receive(len(ASK))
        line.cloud.send(SET_CONFIG + third)
        await line.device.receive(len(other))
        assert proxy.keeper.state("alphaess", SN).configuration == other[7:-2]
        assert proxy.keeper.state("alphaess", SN).candidate == third[7:-2]
        await ends_with_nothing_more(line)


async def test_what_the_user_gave_is_given_once_and_what_is_held_later_stays_held() -> None:
    given = {SN: configuration()[7:-2]}
    async with (
        proxied(Rights.BLOCK, configurations=given) as proxy,
        await proxy.line("alphaess") as line,
    ):
        await line.turn(ASK, configuration(GridCharge=True), configuration())
        await line.turn(status(START), RAW["status-reply"], RAW["status-reply"])
        state = proxy.answers.states("alphaess")(SN)
        assert state.candidate == configuration(GridCharge=True)[7:-2]
        state.approve()
        await line.turn(ASK, configuration(), configuration(GridCharge=True))


# Nothing that was told is lost


async def test_an_approval_is_told_once_it_is_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    async with proxied(Rights.BLOCK, path) as proxy, await proxy.line("alphaess") as line:
        await line.turn(status(START), RAW["status-reply"], RAW["status-reply"])
        await proxy.safe()
        with proxy.commits_held():
            await line.turn(ASK, configuration(), configuration())
            assert proxy.lines.of("configuration-approved") == []
        await until(lambda: proxy.lines.of("configuration-approved"))
        assert saved(path)["configuration"] == configuration()[7:-2].decode()
        await line.turn(ASK, configuration(GridCharge=True), configuration())
        await proxy.safe()
        with Reader(path) as reader:
            assert [one.kind for one in reader.unknown()] == ["held"]
        assert saved(path)["candidate"] == configuration(GridCharge=True)[7:-2].decode()


def saved(path: Path) -> Any:  # noqa: ANN401 - JSON
    with Reader(path) as reader:
        [device] = [one for one in reader.devices() if one.serial == SN]
    return device.state


async def test_approved_and_held_ones_are_known_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    async with proxied(Rights.BLOCK, path) as proxy, await proxy.line("alphaess") as line:
        await line.turn(ASK, configuration(), configuration())
        await line.turn(ASK, configuration(GridCharge=True), configuration())
    async with proxied(Rights.BLOCK, path) as proxy, await proxy.line("alphaess") as line:
        assert proxy.keeper.state("alphaess", SN).candidate
        await line.turn(ASK, configuration(GridCharge=True), configuration())
        assert proxy.lines.of("configuration-approved") == []


async def test_what_is_approved_while_the_clock_is_behind_outlives_that_and_a_restart(
    tmp_path: Path,
) -> None:
    path, clock = tmp_path / "s.db", Clock(START)
    first, other = configuration(), configuration(GridCharge=True)
    untimed = edited(f'"CheckTime":"{shown(START)}",'.encode(), b"")
    async with proxied(Rights.BLOCK, path, now=clock) as proxy:
        async with await proxy.line("alphaess") as line:
            await line.turn(status(START), RAW["status-reply"], RAW["status-reply"])
        clock.now = START - 86_400
        proxy.pass_time(1)
        async with await proxy.line("alphaess") as line:
            await line.turn(ASK, first, untimed)
            await line.turn(ASK, other, untimed)
            assert not proxy.keeper.clock_right
            await proxy.safe()
            assert proxy.lines.of("configuration-approved")
            assert saved(path)["candidate"] == other[7:-2].decode()
            proxy.keeper.state("alphaess", SN).approve()
            await proxy.safe()
            assert saved(path)["configuration"] == other[7:-2].decode()
            assert saved(path)["candidate"] is None
        clock.now = START
        proxy.pass_time(1)
        assert proxy.keeper.clock_right
        assert proxy.keeper.state("alphaess", SN).configuration == other[7:-2]
    async with proxied(Rights.BLOCK, path) as proxy, await proxy.line("alphaess") as line:
        await line.turn(ASK, first, other)
