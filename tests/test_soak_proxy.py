"""The soak of the proxy: what passes is the same, what is accepted is kept; else it is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path as File
from random import Random
from time import monotonic

import pytest

from inverterproto.families import DEYE
from tests.clients import data
from tests.stores import Came, filled

if not File("/proc/self/status").exists():
    pytest.skip("needs Linux's /proc", allow_module_level=True)

from soaking import matching
from soaking.ledger import Ledger
from soaking.matching import MOST_KEPT, TOLD_BY, Matching
from soaking.path import Ear, Path
from tests.test_soak import number, soaked

HEAD = bytes(range(256))
DATA = [data(count) for count in range(3)]
SMALL = ("--proxy", "--interval", "1", "--inverters", "60", "--batteries", "12")


# Whole soaks. They wait for most of their time, and keep no core busy.


@pytest.mark.timeout(400)
def test_through_a_proxy_all_passes_and_nothing_is_lost_or_left_behind() -> None:
    said = soaked("0.2", *SMALL)
    assert said.endswith("nothing wrong\n")
    assert number(r"accepted: ([\d,]+) records", said) > 60 * 10
    assert number(r"by cloud ([\d,]+)", said) > 100
    assert number(r"by us ([\d,]+)", said) > 50
    for family in ("deye", "alphaess"):
        connections = rf"{family} connections to the cloud: .*?"
        assert number(connections + r"([\d,]+) whole", said) > 0
        assert number(connections + r"([\d,]+) cut off", said) > 0
    assert sum(number(rf"{fault} ([\d,]+)", _line("faults of the way", said))
               for fault in ("reset", "half-close", "black hole", "refusal")) > 3  # fmt: skip


@pytest.mark.timeout(400)
def test_a_durable_proxy_that_is_killed_loses_nothing() -> None:
    said = soaked("0.2", *SMALL, "--kill", "--durable", "--seed", "3")
    assert said.endswith("nothing wrong\n")
    assert number(r"killed (\d+) times", said) > 0
    assert "lost by kills" not in said


def _line(begin: str, said: str) -> str:
    return next(line for line in said.splitlines() if line.startswith(begin))


# What kills cost


def test_what_was_accepted_just_before_a_kill_is_its_cost(tmp_path: File) -> None:
    ledger = Ledger()
    for frame in DATA:
        ledger.accept(DEYE, None, frame)
    store = filled(tmp_path / "s.db", [Came(DATA[0])])
    now = monotonic()
    found = ledger.compare(store, [now - 1000, now])
    assert found.lost is not None
    assert found.lost.records == 2
    assert 0 <= found.lost.newest <= found.lost.oldest < 60
    assert not found.wrong
    [wrong] = ledger.compare(store, [now - 1000]).wrong
    assert wrong.startswith("2 × was accepted and is not in the store: ")


# Holding what the cloud got against what was sent


def test_what_came_in_other_pieces_is_the_same() -> None:
    held = Matching()
    sent, got = held.sent(), held.got()
    sent.said(HEAD * 2)
    got.said(HEAD[:100])
    got.said(HEAD[100:] + HEAD)
    sent.said(b"more")
    sent.ended()
    got.said(b"mo")
    got.said(b"re")
    got.ended()
    got.over()
    assert (held.wrong, dict(held.counts)) == ([], {"whole": 1})
    assert held.compared == 2 * len(HEAD) + 4


def test_a_part_is_enough_where_the_end_was_no_peaceful_one() -> None:
    held = Matching()
    sent, got = held.sent(), held.got()
    sent.said(HEAD * 2)
    got.said(HEAD)
    got.over()
    assert (held.wrong, dict(held.counts)) == ([], {"cut off": 1})


@pytest.mark.parametrize("short", [False, True], ids=["known", "short"])
def test_missing_bytes_before_a_peaceful_end_are_told(short: bool) -> None:  # noqa: FBT001
    held = Matching()
    sent, got = held.sent(), held.got()
    sent.said(HEAD * 2)
    sent.ended()
    got.said(HEAD[:10] if short else HEAD)
    got.ended()
    [wrong] = held.wrong
    assert wrong.endswith("no more will come, and was sent 512 bytes in peace")


def test_a_peaceful_end_that_no_device_made_is_told_unless_the_way_was_killed() -> None:
    held = Matching()
    sent, got = held.sent(), held.got()
    sent.said(HEAD)
    got.said(HEAD)
    got.ended()
    [wrong] = held.wrong
    assert wrong.endswith("and was sent 256 bytes without its end")
    sent, got = held.sent(), held.got()
    sent.said(HEAD)
    held.excuse(later=True)
    got.said(HEAD)
    got.ended()
    got.over()
    sent, got = held.sent(), held.got()
    sent.said(HEAD)
    got.said(HEAD)
    got.ended()
    got.over()
    assert len(held.wrong) == 1
    assert held.counts["cut off"] == 2


@pytest.mark.parametrize("other", [b"x", b"more and"], ids=["another", "too many"])
def test_bytes_that_were_not_sent_are_told(other: bytes) -> None:
    held = Matching()
    sent, got = held.sent(), held.got()
    sent.said(HEAD + b"more")
    got.said(HEAD)
    got.said(other)
    [wrong] = held.wrong
    assert wrong == f"from byte 256 on the cloud got {other.hex()}, and {b'more'.hex()} was sent"


def test_a_connection_that_no_device_made_is_told() -> None:
    held = Matching()
    held.sent().said(HEAD)
    held.got().said(HEAD[1:] + b"x")
    [wrong] = held.wrong
    assert wrong.startswith("the cloud got 256 bytes that no device sent: 0102")


def test_too_few_bytes_to_know_whose_they_are_are_compared_with_all() -> None:
    held = Matching()
    for tail in (b"a", b"b"):
        sent, got = held.sent(), held.got()
        sent.said(HEAD[:10] + tail)
        sent.ended()
    got.said(HEAD[:10])
    got.over()
    assert (held.wrong, dict(held.counts)) == ([], {"too short to be told apart": 1})
    got = held.got()
    got.said(HEAD[:10])
    got.ended()
    [wrong] = held.wrong
    assert wrong.endswith("was sent 11 bytes in peace, 11 bytes in peace")
    held.got().over()
    assert held.counts["without a byte"] == 1


def test_what_nobody_gets_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Matching()
    held.sent().said(bytes(MOST_KEPT + 1))
    assert not held.unmatched
    sent = held.sent()
    sent.said(bytes(TOLD_BY))
    sent.over()
    monkeypatch.setattr(matching, "_FORGOTTEN", -1.0)
    other = held.sent()
    assert list(held.unmatched) == [other]


# The way


class Noting(Ear):
    """Hears all."""

    def __init__(self) -> None:
        self.heard = b""
        self.events: list[str] = []
        self.gone = asyncio.Event()

    def said(self, data: bytes) -> None:
        self.heard += data

    def ended(self) -> None:
        self.events.append("ended")

    def over(self) -> None:
        self.events.append("over")
        self.gone.set()


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def way() -> AsyncIterator[tuple[Path, Noting, asyncio.Queue[Streams]]]:
    """A path to a server, what hears it, and the connections that come there."""
    ear = Noting()
    came: asyncio.Queue[Streams] = asyncio.Queue()
    server = await asyncio.start_server(lambda *both: came.put_nowait(both), "127.0.0.1", 0)
    path = Path(lambda: ear)
    path.target = path.target._replace(port=server.sockets[0].getsockname()[1])
    await path.open()
    async with asyncio.timeout(60):
        try:
            yield path, ear, came
        finally:
            await path.close()
            server.close()
            while not came.empty():
                came.get_nowait()[1].close()


@pytest.mark.asyncio
async def test_a_way_passes_bytes_and_ends_in_both_directions() -> None:
    async with way() as (path, ear, came):
        reader, writer = await asyncio.open_connection(*path.address)
        writer.write(b"asked")
        writer.write_eof()
        other_reader, other = await came.get()
        assert await other_reader.read() == b"asked"
        other.write(b"answered")
        other.close()
        assert await reader.read() == b"answered"
        await ear.gone.wait()
        assert (ear.heard, ear.events) == (b"asked", ["ended", "over"])
        assert not path.passages
        writer.close()


@pytest.mark.asyncio
async def test_a_way_passes_a_reset() -> None:
    async with way() as (path, ear, came):
        reader, writer = await asyncio.open_connection(*path.address)
        writer.write(b"asked")
        other_reader, other = await came.get()
        assert await other_reader.readexactly(5) == b"asked"
        path.some(Random(1))[0].called.reset()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        await ear.gone.wait()
        assert ear.events == ["over"]
        writer.close()
        other.close()


@pytest.mark.asyncio
async def test_a_way_can_tell_an_end_that_is_none_and_hears_on() -> None:
    async with way() as (path, ear, came):
        reader, writer = await asyncio.open_connection(*path.address)
        writer.write(b"asked")
        other_reader, other = await came.get()
        assert await other_reader.readexactly(5) == b"asked"
        path.some(Random(1))[0].half_close()
        other.write(b"dropped")
        assert await reader.read() == b""
        writer.write(b"more")
        writer.write_eof()
        assert await other_reader.read() == b"more"
        assert ear.heard == b"askedmore"
        writer.close()
        other.close()


@pytest.mark.asyncio
async def test_a_blocked_way_takes_connections_and_passes_nothing_until_it_is_free() -> None:
    async with way() as (path, ear, came):
        path.block(blocked=True)
        _, writer = await asyncio.open_connection(*path.address)
        writer.write(b"asked")
        other_reader, other = await came.get()
        path.block(blocked=False)
        assert await other_reader.readexactly(5) == b"asked"
        assert ear.heard == b"asked"
        writer.close()
        other.close()


@pytest.mark.asyncio
async def test_a_way_that_refuses_is_there_again_at_the_same_port() -> None:
    async with way() as (path, _, came):
        address = path.address
        path.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)
        await path.open()
        _, writer = await asyncio.open_connection(*address)
        writer.write(b"asked")
        other_reader, other = await came.get()
        assert await other_reader.readexactly(5) == b"asked"
        writer.close()
        other.close()


@pytest.mark.asyncio
async def test_nobody_is_taken_whose_way_leads_nowhere() -> None:
    async with way() as (path, ear, _):
        path.target = path.target._replace(port=1)
        reader, writer = await asyncio.open_connection(*path.address)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        await ear.gone.wait()
        writer.close()
