"""A way between two: connections that come at a port are passed on, faithfully or not.

Theory of operation
-------------------
A `Path` takes connections and passes each on by one of its own. Each direction's end passes as just
that, a reset as a reset, so that what is behind it sees what stands before it. An `Ear` hears what
both say, before it is passed on.

*Faults* (`disturb`) are those that a way to a cloud has: some connections are reset; some are told
that the other side says no more; for some seconds nothing passes at all, in either direction, and
who calls meanwhile is not heard (a black hole); for some seconds nobody is taken. They come one
after the other at random, and end with the disturbance.

What passes is little, as each device waits for its answers: so nothing here holds a sender back but
a black hole.
"""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random
from time import monotonic
from typing import Any

from inverterproto_cli.address import Address

RESET, HALF_CLOSE, BLACK_HOLE, REFUSAL = "reset", "half-close", "black hole", "refusal"
FAULTS = (RESET, HALF_CLOSE, BLACK_HOLE, REFUSAL)
_BETWEEN_FAULTS = (0.5, 3.0)
"""Seconds, from and to."""
_LASTING = (1.0, 12.0)
"""Seconds that a black hole or a refusal lasts, from and to."""
_ONE_IN = 10
"""One connection in so many is met by a fault of single connections."""
_LINGER_NOT = struct.pack("ii", 1, 0)


class Ear:
    """Hears what is said on a connection; this one heeds nothing of it."""

    def said(self, data: bytes) -> None:
        """Hear bytes of the caller."""

    def answered(self, data: bytes) -> None:
        """Hear bytes that go back to the caller."""

    def ended(self) -> None:
        """Hear that no more will come, in peace."""

    def over(self) -> None:
        """Hear that the connection is gone."""


class Path:
    """A way to somewhere.

    Args:
        ear: makes what hears a connection.
        calls_from: the address from which it calls.
        port: where it takes connections; 0 for any.
    """

    def __init__(
        self, ear: Callable[[], Ear], calls_from: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.calls_from = calls_from
        self.target = Address("127.0.0.1", 0)
        self.faults: Counter[str] = Counter()
        self.passages: set[Passage] = set()
        self.blocked = False
        self._ear = ear
        self._port = port
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> Address:
        """Where it takes connections, or will again."""
        return Address("127.0.0.1", self._port)

    async def open(self) -> None:
        """Take connections; again at the same port."""
        if self._server is not None:
            return
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Passage(self, self._ear()).caller, "127.0.0.1", self._port, backlog=4096
        )
        self._port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Take no connections; those that are there go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def block(self, *, blocked: bool) -> None:
        """Let nothing pass, or all again."""
        self.blocked = blocked
        for passage in self.passages:
            passage.read_or_not()

    def some(self, chance: Random) -> "list[Passage]":
        """Return some of the connections."""
        count = -(-len(self.passages) // _ONE_IN)
        return chance.sample(sorted(self.passages, key=lambda one: one.number), count)

    async def disturb(self, chance: Random, seconds: float) -> None:
        """Make faults for some time; then all is well again."""
        end = monotonic() + seconds
        try:
            while (pause := chance.uniform(*_BETWEEN_FAULTS)) < end - monotonic():
                await asyncio.sleep(pause)
                fault = chance.choice(FAULTS)
                self.faults[fault] += 1
                await self._make(fault, chance, end)
        finally:
            self.block(blocked=False)
            await self.open()

    async def _make(self, fault: str, chance: Random, end: float) -> None:
        lasting = min(chance.uniform(*_LASTING), max(0.0, end - monotonic()))
        if fault == BLACK_HOLE:
            self.block(blocked=True)
            await asyncio.sleep(lasting)
            if chance.randrange(2):
                self._reset(self.some(chance))
            self.block(blocked=False)
        elif fault == REFUSAL:
            self.refuse()
            self._reset(self.passages if chance.randrange(2) else ())
            await asyncio.sleep(lasting)
            await self.open()
        elif fault == RESET:
            self._reset(self.some(chance))
        else:
            for passage in self.some(chance):
                passage.half_close()

    @staticmethod
    def _reset(passages: "set[Passage] | list[Passage] | tuple[()]") -> None:
        for passage in tuple(passages):
            passage.reset()

    async def close(self) -> None:
        """Take no more, and end all that there is."""
        self.refuse()
        self._reset(self.passages)


class Side(asyncio.Protocol):
    """One of the two sockets of a connection."""

    transport: Any = None  # asyncio's or uvloop's, None before there is one

    def __init__(self, passage: "Passage") -> None:
        self.ended = False  # says no more
        self.told = False  # was told that the other says no more
        self._passage = passage

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket."""
        self.transport = transport
        self._passage.came(self)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on."""
        self._passage.said(self, data)

    def eof_received(self) -> bool:
        """Pass on that no more will come."""
        self.ended = True
        self._passage.ended(self)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass a failure on."""
        del exc
        self._passage.lost()

    def tell_end(self) -> None:
        """Tell it that the other says no more."""
        if not self.told and self.transport is not None and not self.transport.is_closing():
            self.told = True
            with suppress(OSError, RuntimeError):  # it may be gone, which is told next
                self.transport.write_eof()

    def reset(self) -> None:
        """End it in a way that tells the peer that not all may have arrived."""
        if self.transport is None:
            return
        with suppress(OSError, ValueError):  # it may be gone already
            found = self.transport.get_extra_info("socket")
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self.transport.abort()


class Passage:
    """A connection, and the one by which it is passed on."""

    _count = 0

    def __init__(self, path: Path, ear: Ear) -> None:
        Passage._count += 1
        self.number = Passage._count
        self.ear = ear
        self._path = path
        self.caller, self.called = Side(self), Side(self)
        self._early = b""  # of the caller, before there is the other
        self._open = 0
        self._ending = False
        self._task: asyncio.Task[None] | None = None

    def came(self, side: Side) -> None:
        """Take notice that a socket is there."""
        self._open += 1
        if side is self.caller:
            self._path.passages.add(self)
            self._task = asyncio.create_task(self._call())
        else:
            side.transport.write(self._early)
            if self.caller.ended:
                side.tell_end()
            self._early = b""
        self.read_or_not()

    async def _call(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(
                lambda: self.called, *self._path.target, local_addr=(self._path.calls_from, 0)
            )
        except OSError:
            self.reset()
        if self._ending:
            self.called.reset()
        self._task = None

    def read_or_not(self) -> None:
        """Read from both, if something may pass."""
        for side, other in ((self.caller, self.called), (self.called, self.caller)):
            transport = side.transport
            if transport is None or side.ended or transport.is_closing():
                continue
            if self._path.blocked or other.transport is None:
                transport.pause_reading()
            else:
                transport.resume_reading()

    def said(self, side: Side, data: bytes) -> None:
        """Pass bytes on."""
        hear = self.ear.said if side is self.caller else self.ear.answered
        hear(data)
        other = self.called if side is self.caller else self.caller
        if other.transport is None:
            self._early += data
        elif not other.told and not other.transport.is_closing():
            other.transport.write(data)

    def ended(self, side: Side) -> None:
        """Pass on that one says no more; when both have said so, it is over."""
        if side is self.caller:
            self.ear.ended()
        other = self.called if side is self.caller else self.caller
        other.tell_end()
        if other.ended:
            self._ending = True
            self.caller.transport.close()
            self.called.transport.close()

    def half_close(self) -> None:
        """Tell the caller that the called says no more, though it may."""
        self.caller.tell_end()

    def lost(self) -> None:
        """Take notice that a socket is gone: so the other is to be, too."""
        self._open -= 1
        self.reset()
        if not self._open:
            self._path.passages.discard(self)
            self.ear.over()

    def reset(self) -> None:
        """End both in a way that tells the peers so."""
        if self._ending:
            return
        self._ending = True
        self.caller.reset()
        self.called.reset()
