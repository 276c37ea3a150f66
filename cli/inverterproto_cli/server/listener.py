"""What the connections of a server share: where it listens, who is there, and the looking after.

`Listener.sweep` looks at all connections once a second; there is no timer for each. What comes and
goes on a connection is in `connection.py`.

*Fairness.* An ordinary chunk, a frame or a few, takes a fraction of a millisecond; one of junk, or
of a hundred frames, a hundred times as long. Whose chunk was such a *heavy* one is heard again when
its turn has come: one heavy connection in each turn of the loop. So floods wait for each other, and
all others for one piece of one of them.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, time
from typing import TYPE_CHECKING, Protocol

from inverterproto.families import framings
from inverterproto.session import CloudSession
from inverterproto_cli.address import Address
from inverterproto_cli.server.access import Access
from inverterproto_cli.server.connection import DeviceConnection
from inverterproto_cli.server.keeper import Keeper
from inverterproto_cli.server.logs import Log

if TYPE_CHECKING:
    from inverterproto_cli.server.capturing import Capture

BUFFER = 16 << 10
IDLE = 900.0
"""Seconds without a frame after which a connection is ended."""
BACKLOG = 4096
PIECE = 4096
"""Bytes that are read at once from a heavy connection."""
PATIENCE = 5.0
"""Seconds for the last answers, when the server stops."""

Open = Callable[[str], CloudSession]
"""Makes the session of a family for a connection."""


class Waiting(Protocol):
    """What waits for its turn."""

    def go_on(self) -> None:
        """Hear again: the turn has come."""
        ...


class Connection(Protocol):
    """What a listener looks after."""

    def look(self, now: float, ticks: float) -> None:
        """Do what is due by some unix time, or by a clock that nobody sets."""
        ...

    def stop(self) -> None:
        """Take no more; what is in hand is still passed on or answered."""
        ...

    def abort(self) -> None:
        """Wait for nothing."""
        ...

    def heard(self, serial: str) -> bool:
        """Return whether a device spoke here."""
        ...

    def begin_anew(self) -> None:
        """Know nothing any more of the devices' states."""
        ...

    def end(self, event: str, text: str) -> None:
        """End it in peace; the event's name and the text tell why."""
        ...


class Listener:
    """Takes connections.

    Args:
        keeper: takes the records.
        access: who may connect.
        log: is told of connections.
        open_session: makes a family's session for a connection.
        capture: is given all that comes and goes.
        idle: seconds without a frame after which a connection is ended.
        clock: tells unix time in seconds.
        ticks: tells seconds of a clock that nobody sets.

    Attributes:
        connections: those that are open.
        accepted: how many there have been.
        heard: whether anybody has said anything yet.
        view: where all connections read into.
        piece: where heavy ones do.
        stopping: is set when the server is to stop.
        failure: why it has to, if it does not do so in peace.
        filters: whether what clouds send to devices needs approval.
    """

    filters = False

    def __init__(
        self,
        keeper: Keeper,
        access: Access,
        log: Log,
        open_session: Open,
        capture: "Capture | None" = None,
        *,
        idle: float = IDLE,
        clock: Callable[[], float] = time,
        ticks: Callable[[], float] = monotonic,
    ) -> None:
        self.keeper = keeper
        keeper.begin_anew = self.begin_anew
        self.access = access
        self.log = log
        self.open_session = open_session
        self.capture = capture
        self.idle = idle
        self.clock = clock
        self.ticks = ticks
        self.connections: set[Connection] = set()
        self.view = memoryview(bytearray(BUFFER))
        self.piece = self.view[:PIECE]
        self.framings = framings()
        self.accepted = 0
        self.heard = False
        self.stopping = asyncio.Event()
        self.failure: str | None = None
        self._servers: list[asyncio.Server] = []
        self._heavy: OrderedDict[Waiting, None] = OrderedDict()  # in order of their turns
        self._turns = False
        self._alone = asyncio.Event()

    async def listen(self, address: Address, port_of: str = "") -> list[Address]:
        """Listen at an address; return it with its port, or each that its name stands for.

        Args:
            address: where.
            port_of: whose port it is, as the options name it.

        Raises:
            OSError: it cannot be.
        """
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: self.take(port_of), address.host, address.port, backlog=BACKLOG
        )
        self._servers.append(server)
        return [Address(*socket.getsockname()[:2]) for socket in server.sockets]

    @property
    def listening(self) -> bool:
        """Whether devices can connect."""
        up = all(server.is_serving() for server in self._servers)
        return up and bool(self._servers) and not self.stopping.is_set()

    def begin_anew(self) -> None:
        """Let all connections open new sessions."""
        for connection in self.connections:
            connection.begin_anew()

    def take(self, port_of: str) -> asyncio.BufferedProtocol:
        """Return what takes a connection that came at somebody's port."""
        del port_of  # each port recognises all families
        return DeviceConnection(self)

    def fail(self, reason: str) -> None:
        """End the server: it cannot do what it is for."""
        self.failure = self.failure or reason
        self.stopping.set()

    def arrive(self, connection: Connection, peer: str | None, *, needs_room: bool = True) -> int:
        """Take note of a connection of a peer; return its number, or 0 of one that is refused.

        Args:
            connection: the connection.
            peer: its address; None if it is gone already.
            needs_room: whether it is refused while the store takes no more.
        """
        counts, log = self.keeper.counts, self.log
        if peer is None:  # it was gone before it was looked at
            return 0
        refusal = self.access.refusal(peer)
        if refusal is None and needs_room and self.keeper.store.full:
            self.access.leave(peer)
            refusal = "too much waits for the store (--max-waiting)"
        if refusal is not None:
            counts["connections refused"] += 1
            log.complain("refused", f"connection refused: {refusal}", self.clock(), about=refusal)
            return 0
        self.accepted += 1
        counts["connections"] += 1
        self.connections.add(connection)
        log.detail("connected", f"connected from {peer}", connection=self.accepted)
        return self.accepted

    def leave(self, connection: Connection, peer: str) -> bool:
        """Forget a connection; return whether it was known."""
        if connection not in self.connections:
            return False
        self.connections.remove(connection)
        self.access.leave(peer)
        if not self.connections:
            self._alone.set()
        return True

    def wait_for_turn(self, waiting: Waiting) -> None:
        """Let a heavy connection, or an end of a wire, go on when the others had their turn."""
        self._heavy[waiting] = None
        if not self._turns:
            self._turns = True
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._turns = bool(self._heavy)
        if self._turns:
            waiting, _ = self._heavy.popitem(last=False)
            waiting.go_on()
            asyncio.get_running_loop().call_soon(self._next_turn)

    def hand_over(self, connection: Connection, other: Connection) -> None:
        """Let another take a connection's place."""
        self.connections.remove(connection)
        self.connections.add(other)

    def counters(self) -> dict[str, int]:
        """Return how much there is of what only this kind of server has."""
        return {}

    def sweep(self) -> None:
        """Do what is due, and end what has been silent or stalled for too long."""
        now, ticks = self.clock(), self.ticks()
        for connection in tuple(self.connections):
            connection.look(now, ticks)

    def end_of(self, serial: str) -> None:
        """End the connections on which a device spoke; it comes again as a new one."""
        for connection in tuple(self.connections):
            if connection.heard(serial):
                connection.end("forgotten", "the device is forgotten")

    async def close(self, patience: float = PATIENCE) -> None:
        """Accept no more, take no more, let what is in hand be answered, end all connections."""
        for server in self._servers:
            server.close()
        self._alone.clear()
        for connection in tuple(self.connections):
            connection.stop()
        with suppress(TimeoutError):
            if self.connections:
                await asyncio.wait_for(self._alone.wait(), patience)
        if self.connections:
            count = len(self.connections)
            text = f"{count:,} connections were cut off: their last answers could not be sent"
            self.log.tell("cut-off", text, logging.WARNING)
        for connection in tuple(self.connections):
            connection.abort()
        await asyncio.sleep(0)
