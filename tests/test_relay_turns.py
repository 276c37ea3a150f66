"""Floods through the proxy wait for each other, and all others for a piece of one of them.

What is much work is decided by a clock, which no test can rely on: here every chunk is that is
looked at at all, or none.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from math import inf
from pathlib import Path
from unittest.mock import patch

import pytest

from inverterproto_cli.relay import observing
from inverterproto_cli.relay.wire import DeviceEnd
from inverterproto_cli.server.listener import BUFFER, PIECE
from tests.relaying import Relaying, VendorCloud, event_loop_policy, relaying  # noqa: F401 - a fixture
from tests.serving import Device, until
from tests.test_fake_server import DATA, answer
from tests.test_relay import nothing_is_left

pytestmark = pytest.mark.asyncio
FLOODS = 5
FLOOD = (bytes.fromhex("0101040000 0ff0") * 1000 + DATA) * 10
"""Starts of frames everywhere, and now and then a good one, so that it is heard on."""
LEAST = 8 * PIECE


@contextmanager
def heavy(seconds: float) -> Iterator[None]:
    """Let a chunk be much work from so many seconds on."""
    with patch.object(observing, "HEAVY", seconds):
        yield


@contextmanager
def taken() -> Iterator[list[tuple[DeviceEnd, int]]]:
    """Write down who was read, and how much, in order."""
    chunks: list[tuple[DeviceEnd, int]] = []
    take = DeviceEnd.take

    def note(end: DeviceEnd, chunk: bytes) -> None:
        chunks.append((end, len(chunk)))
        take(end, chunk)

    with patch.object(DeviceEnd, "take", note):
        yield chunks


@asynccontextmanager
async def floods(
    made: Relaying, vendor: VendorCloud, count: int
) -> AsyncIterator[list[socket.socket]]:
    """Connect so many devices that have sent a flood, and clouds that take it."""
    socks, clouds = [], []
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", made.port))
        sock.settimeout(0)
        assert sock.send(FLOOD) >= LEAST
        socks.append(sock)
    takers = []
    for _ in range(count):
        cloud = await vendor.accept()
        clouds.append(cloud)
        takers.append(asyncio.create_task(cloud.rest()))
    yield socks
    for sock in socks:
        sock.close()
    for cloud in clouds:
        cloud.writer.close()
    await asyncio.gather(*takers)
    await until(lambda: made.look_again() and nothing_is_left(made))


async def test_between_two_heavy_chunks_of_one_all_others_have_theirs(tmp_path: Path) -> None:
    async with (
        VendorCloud() as vendor,
        relaying(vendor.port, tmp_path / "s.db") as made,
    ):
        device, cloud = await made.line(vendor)
        [honest] = made.listener.connections
        with heavy(-inf), taken() as chunks:
            async with floods(made, vendor, FLOODS):
                for _ in range(10):
                    device.send(DATA)
                    assert await cloud.receive(len(DATA)) == DATA
                    assert await device_gets(device, cloud, answer(DATA))
                await until(lambda: len(chunks) > 10 * FLOODS)
                ends = {end for end, _ in chunks} - {honest._wire.device}
                heavy_ones = [end for end, _ in chunks if end in ends]
                assert max(size for end, size in chunks if end in ends) <= PIECE
                assert all(end.view is made.listener.piece for end in ends)
                begin = max(heavy_ones.index(end) for end in ends)  # all have begun
                rounds = heavy_ones[begin + 1 : begin + 1 + 4 * FLOODS]
                for at in range(len(rounds) - FLOODS):
                    assert set(rounds[at : at + FLOODS]) == ends
                device.writer.close()
                cloud.writer.close()


async def device_gets(device: Device, cloud: Device, data: bytes) -> bool:
    cloud.send(data)
    return await device.receive(len(data)) == data


async def test_who_is_little_work_is_read_as_much_as_there_is(tmp_path: Path) -> None:
    """The first piece shows it."""
    async with VendorCloud() as vendor, relaying(vendor.port, tmp_path / "s.db") as made:
        with heavy(inf), taken() as chunks:
            async with floods(made, vendor, 1):
                await until(lambda: sum(size for _, size in chunks) >= LEAST)
                assert chunks[0][1] <= PIECE < max(size for _, size in chunks) <= BUFFER
