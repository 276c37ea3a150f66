"""The wire, between real sockets: what comes in goes out, and each end passes as what it is."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import Any

import pytest
import uvloop

from inverterproto_cli.relay import wire as wiring
from inverterproto_cli.relay.wire import End, Wire

PATIENCE = 30.0
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
Run = Callable[[Callable[[], Awaitable[None]]], None]


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Run a test's coroutine in each kind of loop."""

    def run(test: Callable[[], Awaitable[None]]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(PATIENCE):
                await test()

        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(bounded())

    return run


async def until(is_so: Callable[[], bool]) -> None:
    """Let the loop go on until something is so."""
    while not is_so():  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(0)


class Ear:
    """Writes down what it hears."""

    def __init__(self, *, holds: bool = False, fails: bool = False) -> None:
        self.holds = holds
        self.foreign = True
        self.heard: dict[str, bytes] = {"device": b"", "cloud": b""}
        self.ends: list[str] = []
        self.work: Callable[[], None] | None = None
        self._fails = fails

    def device_said(self, chunk: bytes) -> None:
        self._hear("device", chunk)
        if self.work is not None:
            self.work()

    def cloud_said(self, chunk: bytes) -> None:
        self._hear("cloud", chunk)

    def _hear(self, who: str, chunk: bytes) -> None:
        self.heard[who] += chunk
        if self._fails:
            raise RuntimeError("a fault of the ear")

    def ended(self, sender: str) -> None:
        self.ends.append(sender)


class Turns:
    """Gives everybody its turn when the test says so."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(16 << 10))
        self.piece = self.view[:4096]
        self.waiting: list[End] = []

    def wait_for_turn(self, waiting: End) -> None:
        self.waiting.append(waiting)


class Peer:
    """One who talks over a wire."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(0)
        self.sock = sock

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            chunk = await asyncio.get_running_loop().sock_recv(self.sock, count - len(data))
            if not chunk:
                break
            data += chunk
        return data

    def finish(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Line:
    """A device and a cloud, with a wire between them."""

    def __init__(self, wire: Wire, device: Peer, cloud: Peer, over: asyncio.Event) -> None:
        self.wire = wire
        self.device = device
        self.cloud = cloud
        self.faults = 0
        self._over = over

    async def over(self) -> str:
        await self._over.wait()
        return self.wire.reason or ""

    async def look_until_over(self) -> str:
        """Let the wire be looked at again and again, as the program does, until it is over."""
        while not self._over.is_set():
            self.wire.look(self.wire.heard_at)
            await asyncio.sleep(0.01)
        return self.wire.reason or ""


@asynccontextmanager
async def line(ear: Any = None) -> AsyncIterator[Line]:  # noqa: ANN401 - any ear
    """Give a line whose wire is heard by `ear`."""
    loop = asyncio.get_running_loop()
    over, connected = asyncio.Event(), asyncio.Event()
    turns = Turns()
    wires: list[Wire] = []
    faults: list[Wire] = []

    def accept() -> Any:  # noqa: ANN401 - an End
        wire = Wire(turns, lambda _wire, _reason: over.set(), faults.append)
        wire.ear = ear
        wires.append(wire)
        connected.set()
        return wire.device

    with socket.create_server(("127.0.0.1", 0)) as cloud_server:
        cloud_server.settimeout(0)
        server = await loop.create_server(accept, "127.0.0.1", 0)
        device = Peer(socket.create_connection(server.sockets[0].getsockname()))
        await connected.wait()
        wire = wires[0]
        await loop.create_connection(lambda: wire.cloud, *cloud_server.getsockname())
        cloud = Peer((await loop.sock_accept(cloud_server))[0])
    made = Line(wire, device, cloud, over)
    try:
        yield made
    finally:
        made.faults = len(faults)
        wire.fail("the test is over")
        server.close()
        device.sock.close()
        cloud.sock.close()
        await asyncio.sleep(0)


class TestPassing:
    def test_bytes_pass_in_both_directions(self, run: Run) -> None:
        async def test() -> None:
            ear = Ear()
            async with line(ear) as it:
                await it.device.send(b"\xa5hello")
                assert await it.cloud.read(6) == b"\xa5hello"
                await it.cloud.send(b"answer")
                assert await it.device.read(6) == b"answer"
            assert ear.heard == {"device": b"\xa5hello", "cloud": b"answer"}

        run(test)

    def test_the_cloud_may_speak_first(self, run: Run) -> None:
        async def test() -> None:
            async with line() as it:
                await it.cloud.send(b"220 ready")
                assert await it.device.read(9) == b"220 ready"

        run(test)

    def test_megabytes_pass_unchanged_both_ways_at_once(self, run: Run) -> None:
        async def test() -> None:
            up, down = Random(1).randbytes(3 << 20), Random(2).randbytes(3 << 20)
            async with line(Ear()) as it:
                _, _, at_cloud, at_device = await asyncio.gather(
                    it.device.send(up),
                    it.cloud.send(down),
                    it.cloud.read(len(up)),
                    it.device.read(len(down)),
                )
            assert at_cloud == up
            assert at_device == down

        run(test)

    def test_a_fault_of_the_ear_costs_the_listening_and_not_the_wire(self, run: Run) -> None:
        async def test() -> None:
            async with line(Ear(fails=True)) as it:
                await it.device.send(b"first")
                assert await it.cloud.read(5) == b"first"
                await it.device.send(b"second")
                assert await it.cloud.read(6) == b"second"
                assert it.wire.ear is None
            assert it.faults == 1

        run(test)

    def test_a_fault_while_bytes_are_held_passes_none_of_them(self, run: Run) -> None:
        async def test() -> None:
            async with line(Ear(holds=True, fails=True)) as it:
                await it.cloud.send(b"command")
                assert "fault" in await it.over()
                with pytest.raises(ConnectionResetError):
                    await it.device.read(1)

        run(test)

    def test_what_is_held_passes_only_when_it_is_released(self, run: Run) -> None:
        async def test() -> None:
            ear = Ear(holds=True)
            async with line(ear) as it:
                await it.cloud.send(b"held")
                await it.device.send(b"up")
                assert await it.cloud.read(2) == b"up"
                await until(lambda: ear.heard["cloud"] == b"held")
                it.wire.release(b"other")
                assert await it.device.read(5) == b"other"

        run(test)


class TestTurns:
    def test_after_a_heavy_chunk_an_end_is_read_in_pieces_each_in_its_turn(self, run: Run) -> None:
        async def test() -> None:
            ear = Ear()
            async with line(ear) as it:
                end, turns = it.wire.device, it.wire.turns
                assert isinstance(turns, Turns)
                ear.work = partial(end.weigh, heavy=True)
                end.weigh(heavy=True)
                assert (turns.waiting, end.transport.is_reading()) == ([end], False)
                await it.device.send(bytes(20_000))
                await it.cloud.send(b"the other way waits for nothing")
                assert len(await it.device.read(31)) == 31
                assert end.count == 0
                end.go_on()
                await until(lambda: end.count > 0)
                assert end.count <= len(turns.piece)
                assert (turns.waiting, end.transport.is_reading()) == ([end, end], False)
                ear.work = partial(end.weigh, heavy=False)
                end.go_on()
                assert len(await it.cloud.read(20_000)) == 20_000
                assert end.view is turns.view

        run(test)

    def test_neither_a_turn_nor_a_release_undoes_the_other(self, run: Run) -> None:
        async def test() -> None:
            async with line(Ear()) as it:
                end, turns = it.wire.cloud, it.wire.turns
                assert isinstance(turns, Turns)
                end.weigh(heavy=True)
                end.hold(held=True)
                end.go_on()
                assert not end.transport.is_reading()  # the turn came while it was held
                turns.waiting.clear()
                end.hold(held=False)
                assert (turns.waiting, end.transport.is_reading()) == ([end], False)
                end.go_on()
                assert end.transport.is_reading()
                turns.waiting.clear()
                end.hold(held=True)
                end.weigh(heavy=True)
                assert turns.waiting == []  # for a turn that would be of no use
                end.hold(held=False)
                assert (turns.waiting, end.transport.is_reading()) == ([end], False)

        run(test)

    def test_a_fault_of_the_ear_ends_the_pieces(self, run: Run) -> None:
        async def test() -> None:
            async with line(Ear(fails=True)) as it:
                it.wire.device.view = it.wire.cloud.view = it.wire.turns.piece
                await it.device.send(b"said")
                assert await it.cloud.read(4) == b"said"
                assert it.wire.device.view is it.wire.cloud.view is it.wire.turns.view

        run(test)


class TestSlowPeers:
    def test_of_a_slow_peer_little_is_waiting_and_nothing_is_lost(self, run: Run) -> None:
        async def test() -> None:
            data = Random(3).randbytes(16 << 20)
            async with line() as it:
                sending = asyncio.ensure_future(it.device.send(data))
                await until(lambda: it.wire.cloud.paused_at is not None)
                waiting = it.wire.cloud.transport.get_write_buffer_size()
                assert waiting <= wiring.HIGH + (16 << 10)
                assert await it.cloud.read(len(data)) == data
                await sending
                assert it.wire.cloud.paused_at is None

        run(test)

    def test_who_takes_nothing_for_too_long_is_reset(self, run: Run) -> None:
        async def test() -> None:
            async with line() as it:
                sending = asyncio.ensure_future(it.device.send(bytes(16 << 20)))
                await until(lambda: it.wire.cloud.paused_at is not None)
                since = it.wire.cloud.paused_at
                assert since is not None
                it.wire.look(since + wiring.STALLED - 1)
                assert it.wire.reason is None
                # What the kernels still held is taken meanwhile, perhaps.
                while it.wire.reason is None:
                    since += wiring.STALLED + 1
                    it.wire.look(since)
                    await asyncio.sleep(0)
                assert await it.over() == "the cloud takes nothing"
                with pytest.raises(ConnectionResetError):
                    await sending

        run(test)

    def test_a_reset_while_the_other_side_is_stalled_is_seen_and_passed_on(self, run: Run) -> None:
        async def test() -> None:
            async with line() as it:
                sending = asyncio.ensure_future(it.device.send(bytes(16 << 20)))
                await until(lambda: it.wire.cloud.paused_at is not None)
                sending.cancel()
                it.device.reset()
                assert "device" in await it.look_until_over()
                with pytest.raises(ConnectionResetError):
                    await it.cloud.read(16 << 20)

        run(test)


class TestEnds:
    def test_a_half_close_passes_and_the_other_direction_goes_on(self, run: Run) -> None:
        async def test() -> None:
            ear = Ear()
            async with line(ear) as it:
                await it.device.send(b"last words")
                it.device.finish()
                assert await it.cloud.read(100) == b"last words"
                await it.cloud.send(b"still here")
                assert await it.device.read(10) == b"still here"
                it.cloud.finish()
                assert await it.device.read(1) == b""
                assert await it.over() == "both sides ended it"
            assert ear.ends == ["device", "cloud"]

        run(test)

    def test_a_half_close_of_the_cloud_passes_too(self, run: Run) -> None:
        async def test() -> None:
            async with line() as it:
                it.cloud.finish()
                assert await it.device.read(1) == b""
                await it.device.send(b"more")
                assert await it.cloud.read(4) == b"more"

        run(test)

    def test_a_half_close_behind_back_pressure_comes_after_all_bytes(self, run: Run) -> None:
        async def test() -> None:
            data = Random(4).randbytes(8 << 20)
            async with line() as it:

                async def speak() -> None:
                    await it.device.send(data)
                    it.device.finish()

                speaking = asyncio.ensure_future(speak())
                await until(lambda: it.wire.cloud.paused_at is not None)
                assert await it.cloud.read(len(data) + 1) == data
                await speaking

        run(test)

    @pytest.mark.parametrize("who", ["device", "cloud"])
    def test_a_reset_passes_as_a_reset(self, run: Run, who: str) -> None:
        async def test() -> None:
            async with line() as it:
                peer, other = (it.device, it.cloud) if who == "device" else (it.cloud, it.device)
                await peer.send(b"x")
                assert await other.read(1) == b"x"
                peer.reset()
                assert (await it.over()).startswith(f"the {who}: ")
                with pytest.raises(ConnectionResetError):
                    await other.read(1)

        run(test)

    def test_a_reset_after_a_half_close_is_seen_and_passed_on(self, run: Run) -> None:
        async def test() -> None:
            async with line() as it:
                it.device.finish()
                assert await it.cloud.read(1) == b""
                it.device.reset()
                assert (await it.look_until_over()).startswith("the device: ")
                # The end was read already: now it shows when one writes.
                with pytest.raises((BrokenPipeError, ConnectionResetError)):
                    await it.cloud.send(b"more")

        run(test)

    def test_a_held_end_passes_when_it_is_let_go(self, run: Run) -> None:
        async def test() -> None:
            ear = Ear(holds=True)
            async with line(ear) as it:
                await it.cloud.send(b"last")
                it.cloud.finish()
                await until(lambda: ear.ends == ["cloud"])
                it.wire.release(b"last")
                it.wire.pass_end(it.wire.cloud)
                assert await it.device.read(10) == b"last"

        run(test)


class TestTimeouts:
    def test_nothing_at_all_ends_it(self, run: Run) -> None:
        async def test() -> None:
            async with line() as it:
                it.wire.look(it.wire.begun_at + wiring.FIRST_BYTE - 1)
                assert it.wire.reason is None
                it.wire.look(it.wire.begun_at + wiring.FIRST_BYTE + 1)
                assert it.wire.reason == "nothing came"

        run(test)

    @pytest.mark.parametrize(
        ("foreign", "silence"), [(True, wiring.IDLE_FOREIGN), (False, wiring.IDLE)]
    )
    def test_silence_ends_it_later_where_nothing_of_ours_is_spoken(
        self, run: Run, *, foreign: bool, silence: float
    ) -> None:
        async def test() -> None:
            ear = Ear()
            ear.foreign = foreign
            async with line(ear) as it:
                await it.device.send(b"x")
                assert await it.cloud.read(1) == b"x"
                it.wire.look(it.wire.heard_at + silence - 1)
                assert it.wire.reason is None
                it.wire.look(it.wire.heard_at + silence + 1)
                assert it.wire.reason == "silent for too long"

        run(test)

    def test_the_kernel_is_told_to_look_for_vanished_peers(self, run: Run) -> None:
        async def test() -> None:
            async with line() as it:
                for end in (it.wire.device, it.wire.cloud):
                    sock = end.transport.get_extra_info("socket")
                    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

        run(test)

    def test_peace_sends_what_waits_first(self, run: Run) -> None:
        async def test() -> None:
            async with line() as it:
                await it.device.send(b"word")
                assert await it.cloud.read(4) == b"word"
                it.wire.close("the program stops")
                assert await it.cloud.read(1) == b""
                assert await it.over() == "the program stops"

        run(test)
