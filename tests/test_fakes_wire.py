"""What leaves a simulated device: cut, coalesced, damaged; seen from the other end."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import cast

import pytest

from inverterproto.deye.frame import FRAMING
from inverterproto.stream import Framed, Reason, StreamDecoder
from inverterproto_cli.fakes.wire import FAULTS, Faults, Wire
from tests.vectors import raw

FRAME = raw("micro-5408-realtime")
PATIENCE = 30.0


class End:
    """The server's end: what came, in which pieces, and how it ended."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ended = asyncio.Event()
        self.reset = False
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while piece := await reader.read(65536):
                self.pieces.append(piece)
        except ConnectionResetError:
            self.reset = True
        self.ended.set()
        writer.close()

    @property
    def data(self) -> bytes:
        return b"".join(self.pieces)


def played(act: Callable[[Wire], Awaitable[None]], seed: int = 1, *, fragment: bool = False) -> End:
    """Return what comes of what a device does with its wire."""

    async def run() -> End:
        end = End()
        server = await asyncio.start_server(end.serve, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        wire = Wire(writer, Random(seed), fragment=fragment, silence=0.2)
        await act(wire)
        wire.close()
        async with asyncio.timeout(PATIENCE):
            await end.ended.wait()
        server.close()
        return end

    return asyncio.run(run())


def once(fault: str) -> Callable[[Wire], Awaitable[None]]:
    async def act(wire: Wire) -> None:
        wire.send(FRAME, fault)
        wire.send(FRAME)

    return act


def test_a_frame_leaves_as_it_is() -> None:
    assert played(once("")).data == FRAME * 2


class Recorder:
    """A writer that notes what is written, and when all is."""

    def __init__(self, awaited: int) -> None:
        self.pieces: list[bytes] = []
        self.complete = asyncio.Event()
        self._awaited = awaited

    def write(self, piece: bytes) -> None:
        self.pieces.append(piece)
        self._awaited -= len(piece)
        if not self._awaited:
            self.complete.set()

    def is_closing(self) -> bool:
        return False


def test_fragments_put_together_are_what_was_sent() -> None:
    async def run() -> list[bytes]:
        writer = Recorder(len(FRAME) * 20)
        wire = Wire(cast("asyncio.StreamWriter", writer), Random(3), fragment=True)
        for _ in range(20):
            wire.send(FRAME)
        async with asyncio.timeout(PATIENCE):
            await writer.complete.wait()
        return writer.pieces

    pieces = asyncio.run(run())
    assert b"".join(pieces) == FRAME * 20
    assert any(len(piece) % len(FRAME) for piece in pieces), "cut elsewhere than between frames"
    assert max(map(len, pieces)) > len(FRAME), "several at once"
    assert asyncio.run(run()) == pieces, "the same again by the same seed"


def test_what_waits_leaves_before_the_end() -> None:
    assert played(once(""), fragment=True).data == FRAME * 2


def test_junk_comes_before_a_whole_frame() -> None:
    data = played(once("junk")).data
    assert data.endswith(FRAME * 2)
    assert 0 < len(data) - 2 * len(FRAME) <= 60


@pytest.mark.parametrize("seed", range(5))
def test_a_bad_checksum_is_nothing_but_that(seed: int) -> None:
    data = played(once("bad checksum"), seed).data
    bad, good = StreamDecoder(FRAMING).feed(data)
    assert not isinstance(bad, Framed)
    assert bad.reason is Reason.CHECKSUM
    assert bad.raw[:-2] == FRAME[:-2]
    assert good.raw == FRAME


def test_after_a_reset_in_the_middle_of_a_frame_the_wire_takes_nothing_more() -> None:
    end = played(once("reset"))
    assert end.reset
    assert len(end.data) < len(FRAME)


def test_a_half_close_comes_behind_the_frame() -> None:
    async def act(wire: Wire) -> None:
        wire.send(FRAME, "half-close")
        assert wire.over
        wire.send(FRAME)

    end = played(act)
    assert end.data == FRAME
    assert not end.reset


def test_in_a_silence_all_waits_and_then_comes() -> None:
    async def act(wire: Wire) -> None:
        wire.send(FRAME, "silence")
        wire.send(FRAME)
        assert wire.delay > 0

    async def run() -> list[bytes]:
        writer = Recorder(len(FRAME) * 2)
        await act(wire := Wire(cast("asyncio.StreamWriter", writer), Random(1), silence=0.2))
        assert not writer.pieces
        async with asyncio.timeout(PATIENCE):
            await writer.complete.wait()
        assert not wire.delay
        return writer.pieces

    assert asyncio.run(run()) == [FRAME * 2]


@pytest.mark.parametrize("fault", ["", "silence"])
def test_what_a_server_does_not_take_ends_the_connection(fault: str) -> None:
    """Memory stays bounded, though the server asks and asks and never listens."""

    async def run() -> None:
        connected = asyncio.Event()

        async def ignore(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            connected.set()
            await asyncio.Event().wait()

        server = await asyncio.start_server(ignore, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await connected.wait()
        wire = Wire(writer, Random(1), silence=1000.0)
        wire.send(FRAME, fault)
        for _ in range(100):
            wire.send(bytes(1 << 20))
        with pytest.raises(ConnectionAbortedError, match="the server takes nothing"):
            await wire.drained(0.05)
        assert writer.is_closing()
        server.close()

    asyncio.run(run())


def test_faults_are_the_same_by_the_same_seed_and_all_of_them_come() -> None:
    def chosen(seed: int) -> list[str]:
        faults = Faults(Random(seed))
        return [faults.choose() for _ in range(5000)]

    assert chosen(3) == chosen(3) != chosen(4)
    counts = Counter(chosen(3))
    assert counts.keys() == {"", *FAULTS}
    assert 60 < 5000 - counts[""] < 140, "one in fifty"
