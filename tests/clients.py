"""Devices for tests of a server: frames that count on, and sockets that speak them.

`Peer` is a plain blocking connection for tests of a server that is a process of its own, and
`Stream` the same within an event loop. Each wait is bounded.
"""

import asyncio
import socket
from contextlib import suppress
from dataclasses import replace
from struct import pack
from types import TracebackType
from typing import Self

from inverterproto.alphaess.clock import format_stamp
from inverterproto.deye.frame import Frame
from inverterproto.families import FAMILIES, framings
from inverterproto.stream import Framed, StreamDecoder
from tests.alphaess_vectors import START, changed, status
from tests.vectors import frame

PATIENCE = 60.0
"""Seconds after which what has not come will not come."""
LOGGER, INVERTER = 2712345678, "2301234567"
_DATA = frame("micro-5408-realtime")
_WORKING_AT = 3
"""Where the total working time stands in a payload of data; the power-on time follows."""


def data(number: int, logger: int = LOGGER, inverter: str = INVERTER) -> bytes:
    """Return live data of a logger, each number another record of the same boot."""
    payload = _DATA.payload.replace(INVERTER.encode(), inverter.encode())
    head = pack("<II", 1_000_000 + 300 * number, 1000 + 300 * number)
    payload = payload[:_WORKING_AT] + head + payload[_WORKING_AT + 8 :]
    sequence = number & 0xFF, number >> 8 & 0xFF
    return replace(_DATA, logger_serial=logger, sequence=sequence, payload=payload).build()


def battery_status(number: int, serial: str) -> bytes:
    """Return a status of a battery, each number another."""
    return status(START + 10 * number, serial)


def battery_record(number: int, serial: str) -> bytes:
    """Return a record of a battery, each number another."""
    return changed("record", Time=format_stamp(START + 300 * number), SN=serial)


def v5(control_code: int, payload: bytes = b"", logger: int = LOGGER) -> bytes:
    """Return a V5 frame."""
    return Frame(control_code, (1, 1), logger, payload).build()


def decoder() -> StreamDecoder:
    """Return a decoder of both families."""
    return StreamDecoder(*framings(FAMILIES.values()))


class Peer:
    """A device's connection to a server, waiting for answers without an event loop.

    Raises:
        OSError: on any use, once the server is gone.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._decoder = decoder()
        self._frames: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def send(self, raw: bytes) -> None:
        """Send bytes."""
        self._socket.sendall(raw)

    def answer(self) -> bytes:
        """Wait for a frame; `ConnectionError` tells that the server closed."""
        while not self._frames:
            chunk = self._socket.recv(1 << 16)
            if not chunk:
                raise ConnectionError("the server closed")
            self._frames += [i.raw for i in self._decoder.feed(chunk) if isinstance(i, Framed)]
        return self._frames.pop(0)

    def ask(self, raw: bytes) -> bytes:
        """Send a frame and wait for the next that comes."""
        self.send(raw)
        return self.answer()

    def half_close(self) -> None:
        """Say that no more will come."""
        self._socket.shutdown(socket.SHUT_WR)

    def read_to_end(self) -> bytes:
        """Return all that comes until the server closes or resets."""
        parts = []
        with suppress(ConnectionError):
            while chunk := self._socket.recv(1 << 16):
                parts.append(chunk)
        return b"".join(parts)


class Stream:
    """A device's connection within an event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._decoder = decoder()
        self._frames: list[bytes] = []

    @classmethod
    async def to(cls, port: int) -> Self:
        """Connect to a port of loopback."""
        async with asyncio.timeout(PATIENCE):
            return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()

    async def send(self, raw: bytes) -> None:
        """Send bytes; that the server has closed is no matter."""
        with suppress(OSError):
            self.writer.write(raw)
            async with asyncio.timeout(PATIENCE):
                await self.writer.drain()

    async def answer(self) -> bytes:
        """Wait for a frame; `ConnectionError` tells that the server closed."""
        async with asyncio.timeout(PATIENCE):
            while not self._frames:
                chunk = await self.reader.read(1 << 16)
                if not chunk:
                    raise ConnectionError("the server closed")
                found = self._decoder.feed(chunk)
                self._frames += [item.raw for item in found if isinstance(item, Framed)]
        return self._frames.pop(0)

    async def ask(self, raw: bytes) -> bytes:
        """Send a frame and wait for the next that comes."""
        await self.send(raw)
        return await self.answer()

    async def read_to_end(self) -> bytes:
        """Return all that comes until the server closes or resets."""
        parts = []
        with suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE):
                while chunk := await self.reader.read(1 << 16):
                    parts.append(chunk)
        return b"".join(parts)

    def reset(self) -> None:
        """End the connection by a reset."""
        inner = self.writer.get_extra_info("socket")
        inner.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
        self.writer.transport.abort()
