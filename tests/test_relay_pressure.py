"""The proxy between peers of which one takes little or nothing, with real sockets.

The device's socket is read by hand here and has a small buffer, so that nothing is taken but by the
test. All clocks are set ahead; that somebody stalls is seen at the wire, and never waited for.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from inverterproto.gate import Rights
from inverterproto_cli.relay.wire import HIGH, STALLED, End, Wire
from inverterproto_cli.server.listener import BUFFER
from tests.relaying import Relaying, VendorCloud, event_loop_policy, relaying  # noqa: F401 - a fixture
from tests.serving import PATIENCE, Device, until
from tests.test_deye_gate import answer
from tests.test_proxy_rights import heartbeat
from tests.test_relay import nothing_is_left
from tests.test_wire import Peer

pytestmark = pytest.mark.asyncio
BODY = Random(6).randbytes((12 << 20) + 5)
"""More than two kernels hold."""
SMALL = 8 << 10
PIECE = 16 << 10


class Line(NamedTuple):
    """Two ends, and the proxy between them."""

    made: Relaying
    device: Peer
    cloud: Device
    wire: Wire

    async def read(self, count: int) -> bytes:
        """Take some bytes, as the device."""
        async with asyncio.timeout(PATIENCE):
            return await self.device.read(count)

    async def read_on(self, count: int) -> bytes:
        """Take some bytes as fast as they come, as the device."""
        self.device.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, len(BODY))
        return await self.read(count)

    async def take_piece(self) -> bytes:
        """Take a piece, as the device; see that the proxy's kernel knows of it."""
        before = self.wire.device._acknowledged()
        piece = await self.read(PIECE)
        await until(lambda: self.wire.device._acknowledged() > before)
        return piece

    async def still_there(self) -> bool:
        self.made.pass_time(STALLED - 10)
        for _ in range(5):  # turns in which the loop would take notice of an end
            await asyncio.sleep(0)
        return bool(self.made.listener.connections)

    def is_given_up(self) -> bool:
        """Let more time pass than anybody is waited for."""
        self.made.pass_time(STALLED + 1)
        return not self.made.listener.connections


@asynccontextmanager
async def line(**options: Any) -> AsyncIterator[Line]:  # noqa: ANN401 - of relaying
    """Connect a device that takes only what the test takes."""
    async with VendorCloud() as vendor, relaying(vendor.port, **options) as made:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
            sock.connect(("127.0.0.1", made.port))
            cloud = await vendor.accept()
            [relayed] = made.listener.connections
            await until(lambda: relayed.is_wire)
            yield Line(made, Peer(sock), cloud, relayed._wire)
            cloud.writer.close()


def little_waits(end: End) -> bool:
    waiting: int = end.transport.get_write_buffer_size()
    return 0 < waiting <= HIGH + BUFFER


async def ended(made: Relaying) -> str:
    """Let the proxy look until nothing is left; return the reason that it counted."""
    await until(lambda: made.look_again() and nothing_is_left(made))
    [reason] = [name for name in made.counts if name.startswith("ended: ")]
    return reason.removeprefix("ended: ")


class TestWhoReadsOnAfterLong:
    async def test_a_device_loses_nothing_and_is_heard_meanwhile(self, tmp_path: Path) -> None:
        async with line(path=tmp_path / "store.db") as it:
            it.cloud.send(BODY)
            await until(lambda: it.wire.device.paused_at is not None)
            assert await it.still_there()
            assert little_waits(it.wire.device)
            assert it.wire.cloud.count < len(BODY) - (4 << 20)
            await it.device.send(b"last words")
            it.device.finish()
            assert await it.cloud.rest() == b"last words"
            it.cloud.half_close()
            assert await it.read_on(len(BODY) + 1) == BODY
            assert await ended(it.made) == "both sides ended it"

    async def test_a_cloud_loses_nothing_and_is_heard_meanwhile(self, tmp_path: Path) -> None:
        async with line(path=tmp_path / "store.db") as it:
            it.cloud.writer.transport.pause_reading()  # type: ignore[attr-defined]
            sending = asyncio.create_task(it.device.send(BODY))
            await until(lambda: it.wire.cloud.paused_at is not None)
            assert await it.still_there()
            assert little_waits(it.wire.cloud)
            it.cloud.send(b"last words")
            it.cloud.half_close()
            assert await it.read(100) == b"last words"
            it.cloud.writer.transport.resume_reading()  # type: ignore[attr-defined]
            assert await it.cloud.receive(len(BODY)) == BODY
            await sending
            it.device.finish()
            assert await it.cloud.rest() == b""
            assert await ended(it.made) == "both sides ended it"

    @pytest.mark.parametrize("rights", list(Rights))
    async def test_answers_of_a_cloud_wait_at_the_cloud_whatever_it_may(
        self, tmp_path: Path, rights: Rights
    ) -> None:
        async with line(path=tmp_path / "store.db", rights=rights, durable=True) as it:
            sock = it.wire.device.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
            answers = bytearray()

            def settled() -> bool:
                return it.wire.device.paused_at is not None or it.wire.cloud.count == len(answers)

            number = left = 0
            while left < 2:  # so many turns after it is stalled
                left += it.wire.device.paused_at is not None
                asked = [heartbeat(number + more) for more in range(100)]
                number += len(asked)
                await it.device.send(b"".join(asked))
                assert await it.cloud.receive(len(b"".join(asked))) == b"".join(asked)
                said = b"".join(answer(each) for each in asked)
                answers += said
                it.cloud.send(said)
                await until(settled)
            assert little_waits(it.wire.device)
            assert await it.read(len(answers)) == answers
            it.device.finish()
            it.cloud.half_close()
            assert await it.read(1) == b""
            assert await ended(it.made) == "both sides ended it"


class TestWhoTakesLittle:
    async def test_it_is_waited_for_as_long_as_it_takes_something(self) -> None:
        async with line() as it:
            it.cloud.send(BODY)
            await until(lambda: it.wire.device.paused_at is not None)
            assert await it.still_there()
            taken = 0
            for _ in range(6):
                taken += len(await it.take_piece())
                assert await it.still_there()
                assert it.wire.reason is None
            assert await it.read_on(len(BODY) - taken) == BODY[taken:]

    async def test_so_it_is_after_the_end_of_all(self) -> None:
        async with line() as it:
            it.device.finish()
            it.cloud.send(BODY)
            await until(lambda: it.wire.device.paused_at is not None)
            it.wire.close("the test ends it")
            assert await it.still_there()
            for _ in range(6):
                await it.take_piece()
                assert await it.still_there()
            await until(it.is_given_up)
            assert await ended(it.made) == "the test ends it"

    async def test_who_takes_nothing_any_more_is_reset_and_so_is_the_other(self) -> None:
        async with line() as it:
            it.cloud.send(BODY)
            await until(lambda: it.wire.device.paused_at is not None)
            assert await it.still_there()
            await it.take_piece()
            assert await it.still_there()
            await until(it.is_given_up)
            assert await ended(it.made) == "the device takes nothing"
            with pytest.raises(ConnectionResetError):
                await it.read(len(BODY))
            assert await it.cloud.rest() == b""


class TestResetsWhileStalled:
    async def test_one_of_the_device_reaches_the_cloud_that_takes_nothing(self) -> None:
        async with line() as it:
            it.cloud.writer.transport.pause_reading()  # type: ignore[attr-defined]
            sending = asyncio.create_task(it.device.send(BODY))
            await until(lambda: it.wire.cloud.paused_at is not None)
            sending.cancel()
            it.device.reset()
            assert await ended(it.made) == "the device: reset"
            it.cloud.writer.transport.resume_reading()  # type: ignore[attr-defined]
            with pytest.raises(ConnectionResetError):
                await it.cloud.receive(len(BODY))

    async def test_one_of_the_cloud_reaches_the_device_that_takes_nothing(self) -> None:
        async with line() as it:
            it.cloud.send(BODY)
            await until(lambda: it.wire.device.paused_at is not None)
            it.cloud.reset()
            assert await ended(it.made) == "the cloud: reset"
            with pytest.raises(ConnectionResetError):
                await it.read(len(BODY))
