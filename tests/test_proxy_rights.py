"""What the cloud may do through the proxy, end to end: a hostile cloud, and what a household needs.

The device's end takes every byte that comes; in each turn it asks something, and the cloud's good
answer comes behind the hostile bytes, so that all that passed would be seen before it.
"""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import time
from typing import Any

import pytest

from inverterproto.deye.bodies import AT_KIND, MODBUS_KIND
from inverterproto.deye.frame import Frame as V5Frame
from inverterproto.deye.modbus import Request
from inverterproto.gate import Rights
from inverterproto.session import MOST_UNFRAMED
from inverterproto_cli.address import Address
from inverterproto_cli.fakes.driving import Bench as BatteryBench
from inverterproto_cli.fakes.driving import Clock as FastClock
from inverterproto_cli.fakes.driving import Life
from inverterproto_cli.fakes.exchange import Tally
from inverterproto_cli.fakes.loggers import Bench as LoggerBench
from inverterproto_cli.fakes.loggers import live
from inverterproto_cli.fakes.serials import battery_serial
from inverterproto_cli.fakes.simulated import simulated_battery
from tests.alphaess_vectors import CONFIGURATION, RAW, SN, START, raw_frame, status
from tests.conftest import invoke
from tests.filtering import Line, Proxied, proxied
from tests.serving import PATIENCE, Clock, serving, until
from tests.test_alphaess_gate import SUCCESS, command, configuration
from tests.test_deye_gate import LOGGER, WRITES, answer, asks, modbus
from tests.test_deye_logger_session import logger
from tests.vectors import AT_TEXT, BARE_MODBUS_REQUEST, CLIENT_HELLO, frame

pytestmark = pytest.mark.asyncio
ALL = pytest.mark.parametrize("rights", list(Rights))
FILTERS = pytest.mark.parametrize("rights", [Rights.READ_ONLY, Rights.BLOCK])
HEARTBEAT = frame("heartbeat")
WRITE = asks(MODBUS_KIND, Request(1, 6, 0x28, registers=(100,)))
BARE_WRITE = V5Frame.parse(modbus(6, "00280064")).payload[15:]
SET_CONFIG = command(Command="SetConfig", CmdIndex="1")


def heartbeat(number: int) -> bytes:
    """Return a heartbeat, each number another."""
    return replace(HEARTBEAT, sequence=(number & 0xFF, number & 0xFF)).build()


def odd(**changes: Any) -> bytes:  # noqa: ANN401 - of a frame
    """Return a reply to the first heartbeat that is not as it should be."""
    return answer(heartbeat(1), **changes)


GOOD = V5Frame.parse(answer(heartbeat(1)))
V5_ATTACKS = {
    **WRITES,
    "a bare Modbus write": BARE_WRITE,
    "a bare Modbus read": BARE_MODBUS_REQUEST,
    "AT text": AT_TEXT + b"AT+Z\r",
    "TLS": CLIENT_HELLO,
    "a bad checksum": WRITE[:-2] + bytes((WRITE[-2] ^ 1,)) + WRITE[-1:],
    "a bad end marker": WRITE[:-1] + b"\x16",
    "a frame of which the end is missing": WRITE[:-3],
    "a frame within a damaged one": WRITE[:11] + WRITE + WRITE[11:],
    "a command for batteries": SET_CONFIG,
    "a reply to nothing": answer(heartbeat(77)),
    "a reply of another logger": odd(logger_serial=LOGGER + 1),
    "a reply with another counter": odd(sequence=(2, 99)),
    "a reply of another type": odd(control_code=0x1210),
    "a reply with more in it": odd(payload=GOOD.payload + b"\0"),
    "a reply with less in it": odd(payload=GOOD.payload[:-1]),
    "a reply with another status": odd(payload=GOOD.payload[:1] + b"\2" + GOOD.payload[2:]),
    "a write behind junk": b"\xff\xa5\x01" * 999 + WRITE,
    "a write behind what looks like a frame": b"\xa5\x17\x00\x10\x15" + WRITE,
}
BATTERY_ATTACKS = {
    "SetConfig": SET_CONFIG,
    "a command that nobody knows": command(Command="Restart", CmdIndex="1"),
    "a command to write": command(Command="WriteReg", CmdIndex="1", Parameter1="1"),
    "two commands in one": raw_frame(
        1, 8, b'{"Command":"Resume","Command":"SetConfig","CmdIndex":"1"}'
    ),
    "a configuration that was not asked for": configuration(),
    "a bad CRC": SET_CONFIG[:-1] + b"!",
    "a frame of which the end is missing": SET_CONFIG[:-3],
    "bare JSON": SET_CONFIG[7:-2],
    "a reply to nothing": raw_frame(2, 5, SUCCESS),
    "a reply that says more": raw_frame(2, 16, b'{"Status":"Success","Command":"SetConfig"}'),
    "a reply that says it twice": raw_frame(2, 16, b'{"Status":"Success","Status":"Success"}'),
    "a reply of a type that nobody knows": raw_frame(2, 77, SUCCESS),
    "a request": RAW["login"],
    "a command for loggers": WRITE,
    "AT text": b"AT+Z\r",
    "TLS": CLIENT_HELLO,
    "a command behind junk": b"\x01\x01\x08" * 999 + SET_CONFIG,
}


def passed(rights: Rights, said: bytes) -> bytes:
    """Return what arrives of what a filter holds."""
    return said if rights is Rights.ALLOW else b""


async def byte_by_byte(line: Line, said: bytes) -> None:
    for byte in said:
        line.cloud.send(bytes((byte,)))
        await line.cloud.writer.drain()
        await asyncio.sleep(0)


async def ends_with_nothing_more(line: Line) -> None:
    """See that nothing more comes to the device until the end of the connection."""
    line.cloud.half_close()
    line.device.half_close()
    assert await line.device.rest() == b""


async def given_up(proxy: Proxied, condition: Callable[[], object]) -> None:
    """Let the time be over for which decoders wait, until something holds."""
    proxy.ticks.now = 31.0
    async with asyncio.timeout(PATIENCE):
        while not condition():
            proxy.listener.sweep()
            await asyncio.sleep(0.01)


# A hostile cloud


@ALL
async def test_nothing_that_writes_reaches_a_logger_unless_all_may(
    rights: Rights, tmp_path: Path
) -> None:
    async with proxied(rights, tmp_path / "s.db") as proxy, await proxy.line("deye") as line:
        for number, attack in enumerate(V5_ATTACKS.values(), start=1):
            good = answer(heartbeat(number))
            await line.turn(heartbeat(number), attack + good, passed(rights, attack) + good)
            again = attack + good  # the second reply to one request is held, too
            line.cloud.send(again)
            assert await line.device.receive(len(passed(rights, again))) == passed(rights, again)
        await ends_with_nothing_more(line)
        await proxy.safe()
        if rights is not Rights.ALLOW:
            assert proxy.counts["held from the cloud"] >= 2 * len(V5_ATTACKS)
            held = [one for one in proxy.kept() if one.kind == "held"]
            kept = {one.frame for one in held}
            plain = (
                each for each in WRITES.values() if b"secret" not in each and b"+ok=" not in each
            )
            assert kept >= {*plain}
            assert {one.sender for one in held} == {"cloud"}
            assert not [one for one in held if b"secret" in one.frame]
            told = "\n".join(proxy.lines.of("held"))
            assert (
                "held, the cloud may not do that: Modbus write 0x06 register 0x0028 = 100" in told
            )
            assert "secret" not in told


@ALL
async def test_nothing_that_writes_reaches_a_battery_unless_all_may(rights: Rights) -> None:
    good = RAW["status-reply"]
    async with proxied(rights) as proxy, await proxy.line("alphaess") as line:
        for number, attack in enumerate(BATTERY_ATTACKS.values()):
            asked = status(START + 10 * number)
            await line.turn(asked, attack + good, passed(rights, attack) + good)
            line.cloud.send(attack + good)
            again = passed(rights, attack + good)
            assert await line.device.receive(len(again)) == again
        await ends_with_nothing_more(line)


READS = {
    "deye": [
        asks(MODBUS_KIND, Request(1, 3, 0x3C, 2)),
        asks(MODBUS_KIND, Request(1, 4, 0, 1)),
        asks(AT_KIND, "AT+VER\r"),
    ],
    "alphaess": [RAW["resume"], RAW["sync-time"]],
}


@ALL
@pytest.mark.parametrize("family", READS)
async def test_what_only_reads_is_held_by_block_alone(rights: Rights, family: str) -> None:
    async with proxied(rights) as proxy, await proxy.line(family) as line:
        for number, read in enumerate(READS[family]):
            asked = heartbeat(number) if family == "deye" else status(START + 10 * number)
            good = answer(asked) if family == "deye" else RAW["status-reply"]
            await line.turn(asked, read + good, (b"" if rights is Rights.BLOCK else read) + good)
        await ends_with_nothing_more(line)
        if family == "alphaess" and rights is Rights.READ_ONLY:
            assert len(proxy.lines.of("cloud-command")) == len(READS[family])


@ALL
async def test_commands_cut_into_single_bytes_fare_no_better(rights: Rights) -> None:
    async with proxied(rights) as proxy, await proxy.line("deye") as line:
        good = answer(heartbeat(1))
        await line.turn(heartbeat(1), b"", b"")
        await byte_by_byte(line, WRITE + BARE_WRITE + b"AT+Z\r" + good)
        expected = passed(rights, WRITE + BARE_WRITE + b"AT+Z\r") + good
        assert await line.device.receive(len(expected)) == expected
        await ends_with_nothing_more(line)


@ALL
@pytest.mark.parametrize("junk", [b"\xff", b"\xa5", b"\x01\x01\x08\x00\x00\xf0\x00", b"AT+"])
async def test_a_write_hidden_behind_60_kb_of_junk_is_held(rights: Rights, junk: bytes) -> None:
    good, said = answer(heartbeat(1)), (junk * 60_000)[:60_000] + WRITE
    async with proxied(rights) as proxy, await proxy.line("deye") as line:
        held = passed(rights, said)
        await line.turn(heartbeat(1), said, held)
        if rights is not Rights.ALLOW:
            await given_up(proxy, lambda: proxy.counts["held from the cloud"])
        line.cloud.send(good)
        arrived = asyncio.ensure_future(line.device.receive(len(good)))
        await given_up(proxy, arrived.done)
        assert await arrived == good
        await ends_with_nothing_more(line)


@FILTERS
async def test_more_than_64_kib_of_junk_ends_the_connection_and_nothing_passes(
    rights: Rights,
) -> None:
    async with proxied(rights) as proxy, await proxy.line("deye") as line:
        line.device.send(heartbeat(1))
        await line.cloud.receive(len(heartbeat(1)))
        line.cloud.send(b"\xff" * (MOST_UNFRAMED + 1) + WRITE + answer(heartbeat(1)))
        assert await line.device.rest() == b""
        await until(lambda: not proxy.listener.connections)
        assert any("without a frame" in reason for reason in proxy.counts)


async def test_in_allow_all_the_junk_arrives(tmp_path: Path) -> None:
    said = b"\xff" * (3 * MOST_UNFRAMED) + WRITE
    async with (
        proxied(Rights.ALLOW, tmp_path / "s.db") as proxy,
        await proxy.line("deye") as line,
    ):
        await line.turn(heartbeat(1), said, said)
        await ends_with_nothing_more(line)


@FILTERS
async def test_what_was_held_is_shown_with_what_it_would_have_done(
    rights: Rights, tmp_path: Path
) -> None:
    store = tmp_path / "store.db"
    async with proxied(rights, store) as proxy, await proxy.line("deye") as line:
        await line.turn(heartbeat(1), WRITE + answer(heartbeat(1)), answer(heartbeat(1)))
    for options in ((), ("--each",)):
        shown = invoke("unknown", "--store", store, *options).out
        assert "held  Modbus write 0x06 register 0x0028 = 100  " in shown
    [entry] = invoke("unknown", "--store", store, "--json").out.splitlines()
    assert json.loads(entry)["held"] is True


@FILTERS
async def test_half_a_frame_does_not_hold_up_good_replies_for_ever(rights: Rights) -> None:
    half = b"\xa5\xff\x0f\x10\x15" + bytes(8)  # a frame of 4,096 bytes, the longest
    async with proxied(rights) as proxy, await proxy.line("deye") as line:
        good = answer(heartbeat(1))
        await line.turn(heartbeat(1), half, b"")
        line.cloud.send(good)
        arrived = asyncio.ensure_future(line.device.receive(len(good)))
        await given_up(proxy, arrived.done)
        assert await arrived == good
        await ends_with_nothing_more(line)


@FILTERS
async def test_nothing_passes_before_the_device_has_said_what_it_is(rights: Rights) -> None:
    async with proxied(rights) as proxy, await proxy.line("deye") as line:
        line.cloud.send(WRITE + SET_CONFIG + b"hello" + answer(heartbeat(1)))
        await until(lambda: proxy.counts["held from the cloud"] >= 3)
        line.device.send(b"hello")
        await line.cloud.receive(5)
        line.cloud.send(WRITE)
        await ends_with_nothing_more(line)


@FILTERS
async def test_a_device_that_encrypts_gets_nothing(rights: Rights) -> None:
    async with proxied(rights) as proxy, await proxy.line("deye") as line:
        line.device.send(CLIENT_HELLO)
        assert await line.cloud.receive(len(CLIENT_HELLO)) == CLIENT_HELLO
        line.cloud.send(b"\x16\x03\x03\x00\x02\x02\x00")
        await ends_with_nothing_more(line)
        assert proxy.lines.of("tls")


async def test_a_flood_of_held_frames_costs_few_lines(tmp_path: Path) -> None:
    count = 2000
    flood = b"".join(
        asks(MODBUS_KIND, Request(1, 6, number, registers=(number,))) for number in range(count)
    )
    async with proxied(Rights.BLOCK, tmp_path / "s.db") as proxy, await proxy.line("deye") as line:
        good = answer(heartbeat(1))
        await line.turn(heartbeat(1), flood + good, good)
        assert proxy.counts["held from the cloud"] == count
        # They are told once they are on disk.
        await until(lambda: len(proxy.lines.of("held")) >= 50)
        assert len(proxy.lines.of("held")) == 50
        assert "no more of it is told" in proxy.lines.of("held")[-1]


# What a household needs


@ALL
@pytest.mark.parametrize("durable", [False, True])
async def test_a_simulated_logger_and_battery_have_all_they_need(
    rights: Rights,
    durable: bool,  # noqa: FBT001 - of the table
    tmp_path: Path,
) -> None:
    begin = time()
    serial = battery_serial(1)
    settings = CONFIGURATION.replace(SN.encode(), serial.encode())
    async with (
        serving(now=begin, configurations={serial: settings}) as cloud,
        proxied(
            rights, tmp_path / "s.db", upstream=cloud.port, now=Clock(begin), zone=None,
            durable=durable,
        ) as proxy,
    ):  # fmt: skip
        sticks, batteries = Tally(), Tally()
        stick = logger(powered_on=begin - 100, pause=0.0, interval=1.0)
        address = Address("127.0.0.1", proxy.ports["deye"])
        bench = LoggerBench(address, sticks, until=begin + 2)
        home = BatteryBench(FastClock(10), begin + 15, 10.0, batteries, lambda _exchange: None)
        battery = Life(1, simulated_battery(1, begin), begin, home)

        async def call() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_connection("127.0.0.1", proxy.ports["alphaess"])

        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            group.create_task(live(stick, bench))
            group.create_task(battery.live(call))
        assert (sticks.is_fine, batteries.is_fine) == (True, True), (sticks.wrong, batteries.wrong)
        assert sticks.answered >= 7
        assert batteries.answered >= 7
        assert abs(stick.offset_time + stick.times(begin).total_working_time - begin) < 5
        assert proxy.counts["held from the cloud"] == 0
        await proxy.safe()
        kinds = {one.kind for one in proxy.kept()}
        assert {"data", "handshake", "status", "record", "configuration", "login"} <= kinds
        trusted = proxy.keeper.state("alphaess", serial).configuration
        assert re.sub(rb'"CheckTime":"[^"]*"', b"", trusted) == re.sub(
            rb'"CheckTime":"[^"]*"', b"", settings
        )
