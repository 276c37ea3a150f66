"""A simulated battery's life over sockets: what it tells of what the server has accepted."""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle

import pytest

from inverterproto.alphaess.frame import FRAMING, Frame
from inverterproto.stream import Framed, StreamDecoder
from inverterproto_cli.address import Address
from inverterproto_cli.fakes.connecting import calling
from inverterproto_cli.fakes.driving import Bench, Clock, Life
from inverterproto_cli.fakes.exchange import Tally
from inverterproto_cli.fakes.simulated import simulated_battery
from inverterproto_cli.fakes.wire import FAULTS, Faults
from tests.peers import Peer
from tests.test_cli_fake_battery import serve, success

STATUS = 16
Answer = Callable[[bytes], bytes]


def lived(answer: Answer, lasting: float, **options: object) -> tuple[list[bytes], Tally]:
    """Let a battery live for so many seconds of its time; return what it was told is accepted."""
    accepted: list[bytes] = []
    tally = Tally()

    def treat(connection: socket.socket) -> None:
        decoder = StreamDecoder(FRAMING)
        with suppress(ConnectionResetError):
            while chunk := connection.recv(65536):
                for item in decoder.feed(chunk):
                    if isinstance(item, Framed):
                        connection.sendall(answer(item.raw))

    async def run(port: int) -> None:
        clock = Clock(1e9)
        begin = clock.now()
        bench = Bench(
            clock, begin + lasting, tally=tally, show=lambda _: None, accepted=accepted.append,
            **{"wait": 30.0, **options},  # type: ignore[arg-type]
        )  # fmt: skip
        life = Life(1, simulated_battery(1, begin), begin, bench)
        await life.live(calling(Address("127.0.0.1", port)))

    with Peer(treat) as peer:
        asyncio.run(run(peer.port))
    return accepted, tally


def test_what_it_tells_is_accepted_is_what_was_answered() -> None:
    answered: list[bytes] = []

    def answer(request: bytes) -> bytes:
        answered.append(request)
        return success(request)

    accepted, tally = lived(answer, 6000.0)
    assert tally.is_fine
    assert sum(frame[2] == STATUS for frame in accepted) == 600
    assert accepted == answered


def test_with_faults_nothing_is_accepted_that_did_not_arrive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered: set[bytes] = set()
    lock = threading.Lock()
    wanted = cycle(["", "", "", "", "", *FAULTS])
    monkeypatch.setattr(Faults, "choose", lambda _self: next(wanted))

    def answer(request: bytes) -> bytes:
        with lock:
            answered.add(request)
        return success(request)

    accepted, tally = lived(answer, 400.0, wait=0.3, fragment=True, faults=True)
    assert tally.is_fine
    assert min(tally.noted[f"made on purpose: {fault}"] for fault in FAULTS) >= 2
    assert sum(frame[2] == STATUS for frame in accepted) > 5
    assert {*accepted} <= answered


def test_what_is_refused_is_not_accepted() -> None:
    def answer(request: bytes) -> bytes:
        return Frame(1, 2, request[2], b'{"Status":"Fail"}').build()

    accepted, tally = lived(answer, 100.0)
    assert not accepted
    assert tally.wrong["status: the cloud does not say Success"] == 10


def test_a_late_reply_accepts_what_was_asked_first() -> None:
    statuses: list[bytes] = []

    def answer(request: bytes) -> bytes:
        """Answer a status when the next one comes, which is when the battery has given up."""
        if request[2] != STATUS:
            return success(request)
        statuses.append(request)
        return success(request) if len(statuses) > 1 else b""

    accepted, tally = lived(answer, 100.0, wait=0.3)
    assert len(statuses) == 10
    assert [frame for frame in accepted if frame[2] == STATUS] == statuses[:-1]
    assert tally.wrong == {"status: not answered": 1}


def test_a_half_closed_connection_that_the_server_holds_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = iter(["half-close"])
    monkeypatch.setattr(Faults, "choose", lambda _self: next(wanted, ""))
    over = threading.Event()

    def hold(connection: socket.socket) -> None:
        assert connection.recv(65536)
        over.wait(60)

    tally = Tally()

    async def run(port: int) -> None:
        clock = Clock(1e9)
        begin = clock.now()
        bench = Bench(clock, begin + 1000, 0.2, tally, lambda _: over.set(), faults=True)
        life = Life(1, simulated_battery(1, begin), begin, bench)
        await life.live(calling(Address("127.0.0.1", port)))

    with Peer(hold, serve) as peer:
        asyncio.run(run(peer.port))
    assert tally.noted["the connection ended: it was to end, and the server held it"] == 1
    assert tally.is_fine
