"""Copies for a second server, whose fate harms nobody."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from inverterproto_cli.address import Address
from inverterproto_cli.relay import copying
from inverterproto_cli.relay.copying import MOST_WAITING, Copy


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await test()

    asyncio.run(bounded())


async def connected(copy: Copy) -> None:
    while copy._transport is None:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0)


class _Server:
    """A second server that reads all, and answers."""

    def __init__(self) -> None:
        self.heard = b""
        self.closed = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"an answer that nobody wants")
        while chunk := await reader.read(65536):
            self.heard += chunk
        writer.close()
        self.closed.set()


def test_all_that_is_said_arrives_also_what_came_before_the_connection() -> None:
    async def test() -> None:
        hear = _Server()
        server = await asyncio.start_server(hear, "127.0.0.1", 0)
        told: list[str] = []
        copy = Copy(Address(*server.sockets[0].getsockname()), told.append)
        copy.write(b"early ")
        await connected(copy)
        copy.write(b"late")
        copy.close()
        copy.write(b" too late")
        await hear.closed.wait()
        assert hear.heard == b"early late"
        assert told == []
        server.close()

    run(test)


def test_one_that_is_closed_before_it_is_connected_still_sends_what_it_has() -> None:
    async def test() -> None:
        hear = _Server()
        server = await asyncio.start_server(hear, "127.0.0.1", 0)
        copy = Copy(Address(*server.sockets[0].getsockname()), lambda _why: None)
        copy.write(b"all")
        copy.close()
        await hear.closed.wait()
        assert hear.heard == b"all"
        server.close()

    run(test)


def test_a_server_that_refuses_is_told_once_and_harms_nothing() -> None:
    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0)) as gone:
            address = Address(*gone.getsockname())
        given_up = asyncio.Event()
        told: list[str] = []

        def give_up(why: str) -> None:
            told.append(why)
            given_up.set()

        copy = Copy(address, give_up)
        await given_up.wait()
        copy.write(b"more")
        copy.close()
        assert len(told) == 1
        assert told[0] == f"the copy to {address} is given up: Connection refused"

    run(test)


def test_one_that_is_closed_before_it_could_be_delivered_is_told_too() -> None:
    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0)) as gone:
            address = Address(*gone.getsockname())
        told: list[str] = []
        copy = Copy(address, told.append)
        copy.write(b"all")
        copy.close()
        await copy._task
        assert len(told) == 1

    run(test)


def test_a_name_that_is_none_is_told() -> None:
    async def test() -> None:
        told: list[str] = []
        copy = Copy(Address("a" * 64 + ".example", 1), told.append)
        await copy._task
        assert len(told) == 1
        assert "cannot be found" in told[0]

    run(test)


def test_each_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        hear = _Server()
        server = await asyncio.start_server(hear, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        copy = Copy(Address("second.example", port), lambda _why: None)
        copy.write(b"all")
        copy.close()
        await hear.closed.wait()
        assert hear.heard == b"all"
        server.close()

    async def resolve(_host: str) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]  # at the first nobody listens

    monkeypatch.setattr(copying, "by_system", resolve)
    run(test)


def test_a_server_that_does_not_read_is_given_up() -> None:
    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            told: list[str] = []
            copy = Copy(Address(*deaf.getsockname()), told.append)
            await connected(copy)
            while not told:
                copy.write(bytes(MOST_WAITING))
                await asyncio.sleep(0)
            assert "does not read" in told[0]

    run(test)


def test_too_much_before_the_connection_gives_it_up() -> None:
    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            told: list[str] = []
            copy = Copy(Address(*server.getsockname()), told.append)
            copy.write(bytes(MOST_WAITING + 1))
            assert "too slow" in told[0]
            await copy._task
            assert len(told) == 1

    run(test)


def test_a_server_that_hangs_up_is_told() -> None:
    async def test() -> None:
        server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
        given_up = asyncio.Event()
        Copy(Address(*server.sockets[0].getsockname()), lambda _why: given_up.set())
        await given_up.wait()
        server.close()

    run(test)
