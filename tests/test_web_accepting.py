"""Connections over HTTP are bounded: how many, how long, how large."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest
from aiohttp import web

from inverterproto_cli.web import accepting
from inverterproto_cli.web.accepting import SPARE, Accepting
from inverterproto_cli.web.answers import told
from tests.serving import Clock, until

pytestmark = pytest.mark.asyncio
PATIENCE = 30.0
ASK = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE = 64 << 20
"""Bytes that no socket's buffers hold."""


class Ticks(Clock):
    """A clock that counts how often it is looked at."""

    looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return super().__call__()


class Open(NamedTuple):
    accepting: Accepting
    port: int
    ticks: Ticks
    held: asyncio.Event

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)


@asynccontextmanager
async def opened(
    monkeypatch: pytest.MonkeyPatch, most: int = 10, of_one: int = 10
) -> AsyncIterator[Open]:
    monkeypatch.setattr(accepting, "_EVERY", 0.01)
    held, ticks = asyncio.Event(), Ticks(1000.0)

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.path in ("/slow", "/readyz"):
            await held.wait()
        if request.path == "/large":
            response = web.StreamResponse()
            await response.prepare(request)
            for _ in range(LARGE >> 20):
                await response.write(bytes(1 << 20))
            return response
        return told("fine")

    one = socket.create_server(("127.0.0.1", 0))
    always = ("/healthz", "/readyz")
    made = Accepting(
        answer, always=always, most=most, of_one=of_one, longest=120.0, silent=30.0, ticks=ticks
    )
    await made.open([one])
    try:
        yield Open(made, one.getsockname()[1], ticks, held)
    finally:
        held.set()
        await made.close()


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Return what comes until the end, or until the connection is reset."""
    parts = []
    async with asyncio.timeout(PATIENCE):
        try:
            while part := await reader.read(1 << 16):
                parts.append(part)
        except ConnectionError:
            pass
    return b"".join(parts)


async def head(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(PATIENCE):
        return await reader.readuntil(b"\r\n\r\n")


def asking(path: bytes) -> bytes:
    return ASK.replace(b"/ ", path + b" ")


async def answered(made: Open, host: str, path: bytes = b"/") -> bytes:
    """Return the head of what somebody else is answered, at another address of this machine."""
    reader, writer = await asyncio.open_connection("127.0.0.1", made.port, local_addr=(host, 0))
    writer.write(asking(path))
    found = await head(reader)
    writer.close()
    return found


async def test_whoever_comes_takes_the_place_of_the_one_that_has_waited_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with opened(monkeypatch, most=2) as made:
        some = []
        for _ in range(2 + SPARE):
            some.append(await made.connect())
            some[-1][1].write(ASK)
            assert b"200 OK" in await head(some[-1][0])
            made.ticks.now += 1
        some[0][1].write(ASK)  # so the second has waited longest
        await some[0][0].readline()
        assert b"200 OK" in await head(some[0][0])
        reader, writer = await made.connect()
        writer.write(ASK)
        assert b"200 OK" in await head(reader)
        await rest(some[1][0])
        for other in (some[0], *some[2:], (reader, writer)):
            assert not other[0].at_eof()
            other[1].close()
        some[1][1].close()


@pytest.mark.parametrize("path", [b"/", b"/healthz"])
async def test_who_only_holds_places_holds_up_nobody(
    path: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(monkeypatch) as made:
        some = [await made.connect() for _ in range(100)]
        for host in ("127.0.0.1", "127.0.0.2"):
            assert b"200 OK" in await answered(made, host, path)
        assert len(made.accepting._http.connections) <= 10 + SPARE
        for _, writer in some:
            writer.close()


async def test_among_those_who_hold_places_the_one_that_holds_most_gives_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with opened(monkeypatch) as made:
        own = await asyncio.open_connection("127.0.0.1", made.port, local_addr=("127.0.0.2", 0))
        await until(lambda: made.accepting._http.connections)
        made.ticks.now += 1
        some = [await made.connect() for _ in range(100)]
        assert b"200 OK" in await answered(made, "127.0.0.3")
        own[1].write(ASK)
        assert b"200 OK" in await head(own[0]), "though it has waited longest"
        for _, writer in (*some, own):
            writer.close()


async def test_while_all_that_may_be_asked_is_answered_health_is_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with opened(monkeypatch, most=4) as made:
        some = [await made.connect() for _ in range(4)]
        for _, writer in some:
            writer.write(asking(b"/slow"))
        await until(lambda: made.accepting._http.requests_count == 4)
        assert b"503 " in await answered(made, "127.0.0.1")
        for host in ("127.0.0.1", "127.0.0.2"):
            assert b"200 OK" in await answered(made, host, b"/healthz")
        idle = [await made.connect() for _ in range(3 * SPARE)]
        assert b"200 OK" in await answered(made, "127.0.0.1", b"/healthz")
        made.held.set()
        for reader, writer in some:
            assert b"200 OK" in await head(reader), "none of them gave way"
            writer.close()
        for _, writer in idle:
            writer.close()


async def test_one_address_has_no_more_than_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(monkeypatch, of_one=3) as made:
        some = [await made.connect() for _ in range(3)]
        for _, writer in some:
            writer.write(asking(b"/slow"))
        await until(lambda: made.accepting._http.requests_count == 3)
        assert b"503 " in await answered(made, "127.0.0.1")
        assert b"200 OK" in await answered(made, "127.0.0.2")
        for _, writer in some:
            writer.close()


async def test_one_too_many_where_none_can_give_way_is_told_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with opened(monkeypatch, most=1) as made:
        some = [await made.connect() for _ in range(1 + SPARE)]
        for _, writer in some:
            writer.write(asking(b"/readyz"))  # held, and always answered
        await until(lambda: made.accepting._http.requests_count == len(some))
        reader, writer = await made.connect()
        assert (await rest(reader)).startswith(b"HTTP/1.1 503 ")
        for _, one in (*some, (reader, writer)):
            one.close()


@pytest.mark.parametrize(
    ("peer", "whose"),
    [
        (("192.0.2.7", 4711), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 1, 0, 0), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 1, 0, 2), "fe80::/64"),
        (("::ffff:192.0.2.7", 1, 0, 0), "192.0.2.7"),
        (None, ""),
    ],
)
async def test_a_network_of_one_person_counts_as_one_address(
    peer: tuple[object, ...] | None, whose: str
) -> None:
    assert accepting._neighbourhood(peer) == whose


async def test_the_first_request_must_come_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(monkeypatch) as made:
        reader, writer = await made.connect()
        await until(lambda: made.accepting._http.connections)
        made.ticks.now += accepting.FIRST + 1
        assert await rest(reader) == b""
        writer.close()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: local"])
async def test_one_that_brings_no_request_in_time_is_ended(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(monkeypatch) as made:
        reader, writer = await made.connect()
        writer.write(sent)
        await until(lambda: made.accepting._http.connections)
        made.ticks.now += 31
        assert await rest(reader) == b""
        writer.close()


async def test_bytes_that_trickle_in_gain_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(monkeypatch) as made:
        reader, writer = await made.connect()
        for byte in b"GET / HT":
            writer.write(bytes([byte]))
            await writer.drain()
            made.ticks.now += 5
        assert await rest(reader) == b""
        writer.close()


async def test_one_that_was_answered_may_ask_again_and_is_ended_when_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with opened(monkeypatch) as made:
        reader, writer = await made.connect()
        for _ in range(3):
            writer.write(ASK)
            assert b"200 OK" in await head(reader)
            await asyncio.wait_for(reader.readline(), PATIENCE)
            made.ticks.now += 20
        made.ticks.now += 11
        assert await rest(reader) == b""
        writer.close()


async def test_an_answer_that_takes_long_is_waited_for_and_one_that_takes_longer_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with opened(monkeypatch) as made:
        reader, writer = await made.connect()
        writer.write(ASK.replace(b"/ ", b"/slow "))
        await until(lambda: made.accepting._http.requests_count == 1)
        made.ticks.now += 100
        looks = made.ticks.looks
        await until(lambda: made.ticks.looks > looks + 2)
        assert not reader.at_eof()
        made.ticks.now += 21
        assert await rest(reader) == b""
        writer.close()


async def test_one_that_does_not_read_its_answer_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(monkeypatch) as made:
        reader, writer = await made.connect()
        writer.write(ASK.replace(b"/ ", b"/large "))
        assert b"200 OK" in await head(reader)
        made.ticks.now += 121
        await until(lambda: not made.accepting._http.connections)
        assert len(await rest(reader)) < LARGE
        writer.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * 1000 + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ],
)
async def test_what_is_too_long_or_no_request_is_refused_and_not_quoted(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(monkeypatch) as made:
        reader, writer = await made.connect()
        writer.write(sent)
        answer = await rest(reader)
        assert answer.startswith(b"HTTP/1.0 400 ")
        assert b"Server: inverterproto\r\n" in answer
        assert b"xxx" not in answer
        writer.close()


async def test_a_body_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(monkeypatch) as made:
        reader, writer = await made.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\nx")
        answer = await rest(reader)
        assert b"200 OK" in answer
        writer.close()
