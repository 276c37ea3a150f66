"""A simulated stick's life over sockets: what it tells of what the server has accepted."""

import asyncio
import socket
import threading
from itertools import islice
from time import time

import pytest

from inverterproto.deye.commands import reply
from inverterproto.deye.messages import DATA
from inverterproto_cli.address import Address
from inverterproto_cli.fakes.day import Day, sticks
from inverterproto_cli.fakes.exchange import Tally
from inverterproto_cli.fakes.inverters import MODELS
from inverterproto_cli.fakes.loggers import Bench, live
from tests.peers import NOW, Peer, requests, right

NOON = 20_600 * 86_400 + 43_200


def lived(peer: Peer, lasting: float, **options: object) -> tuple[list[bytes], Tally]:
    """Let three sticks live; return the data that they were told is accepted."""
    accepted: list[bytes] = []
    tally = Tally()

    async def run() -> None:
        begin = time()
        day = Day(begin, NOON, speed=6000)
        bench = Bench(
            Address("127.0.0.1", peer.port),
            tally,
            begin + lasting,
            speed=day.speed,
            accepted=lambda frame: accepted.append(frame) if frame[4] == DATA else None,
            **options,  # type: ignore[arg-type]
        )
        sessions = sticks(MODELS["string"], 3, day, bench.until, wait=bench.wait, historic=5)
        await asyncio.gather(*(live(session, bench) for session in sessions))

    asyncio.run(run())
    return accepted, tally


@pytest.mark.parametrize("unruly", [False, True])
def test_what_it_tells_is_accepted_is_each_data_frame_that_was_answered(unruly: bool) -> None:  # noqa: FBT001
    answered: list[bytes] = []
    lock = threading.Lock()

    def serve(connection: socket.socket) -> None:
        for request in requests(connection):
            if request.message_type == DATA:
                with lock:
                    answered.append(request.build())
            connection.sendall(right(request))

    with Peer(serve) as peer:
        accepted, tally = lived(
            peer, 0.8, wait=1.0 if unruly else 30.0, fragment=unruly, faults=unruly
        )
    assert tally.is_fine
    assert len(accepted) >= 3 * 6
    assert set(accepted) <= set(answered)
    if not unruly:
        assert sorted(accepted) == sorted(answered)


def test_what_is_refused_is_not_accepted() -> None:
    def refuse_data(connection: socket.socket) -> None:
        for request in requests(connection):
            status = 0 if request.message_type == DATA else 1
            connection.sendall(reply(request, NOW, status=status).build())

    with Peer(refuse_data) as peer:
        accepted, tally = lived(peer, 0.2, wait=0.1)
    assert not accepted
    assert tally.wrong["no reply to data"] >= 3 * 6
    assert tally.wrong["reply to data: status 0, expected 1"]


def test_a_late_reply_accepts_too_and_nothing_is_wrong_with_it() -> None:
    held: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        """Answer a data frame when the next one comes, which is when it was sent again."""
        late = b""
        for request in requests(connection):
            if request.message_type != DATA:
                connection.sendall(right(request))
                continue
            if late:
                held.append(late)
                connection.sendall(late)
            late = right(request)

    with Peer(serve) as peer:
        accepted, tally = lived(peer, 1.0, wait=0.3)
    assert held
    assert accepted
    assert not [text for text in tally.wrong if "answers nothing" in text]


def test_the_stop_ends_it_soon_though_nobody_answers() -> None:
    async def run() -> Tally:
        begin, tally = time(), Tally()
        day = Day(begin, NOON)
        loop, asked = asyncio.get_running_loop(), asyncio.Event()

        def serve(connection: socket.socket) -> None:
            for _ in requests(connection):
                loop.call_soon_threadsafe(asked.set)

        with Peer(serve) as peer:
            bench = Bench(Address("127.0.0.1", peer.port), tally, day.end, wait=1000.0)
            (session,) = sticks(MODELS["string"], 1, day, bench.until, wait=bench.wait)
            life = asyncio.ensure_future(live(session, bench))
            async with asyncio.timeout(60):
                await asked.wait()
                bench.stop.set()
                await life
        return tally

    tally = asyncio.run(run())
    assert tally.sent - tally.answered == 2
    assert set(tally.wrong) == {"no reply to data", "no reply to what was sent last"}


@pytest.mark.parametrize("answering", [True, False])
def test_the_time_that_is_given_ends_it_though_a_reply_is_awaited_for_long(answering: bool) -> None:  # noqa: FBT001
    """With the patience of a request, 1000 s, the end would take an hour."""

    def answer_once(connection: socket.socket) -> None:
        for request in islice(requests(connection), 1):
            connection.sendall(right(request))

    def be_silent(connection: socket.socket) -> None:
        list(requests(connection))

    treat = (answer_once, be_silent) if answering else (be_silent,)

    async def run() -> Tally:
        begin, tally = time(), Tally()
        day = Day(begin, NOON)
        with Peer(*treat) as peer:
            bench = Bench(Address("127.0.0.1", peer.port), tally, begin + 0.1, wait=1000.0)
            (session,) = sticks(MODELS["string"], 1, day, bench.until, wait=bench.wait)
            async with asyncio.timeout(60):
                await live(session, bench)
        return tally

    tally = asyncio.run(run())
    assert tally.wrong["no reply to data"] == 1
