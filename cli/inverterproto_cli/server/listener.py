"""Devices' connections: sockets in, sessions behind them.

Theory of operation
-------------------
`DeviceConnection` is one connection: what comes in goes through a `StreamDecoder` of both families,
each item to the session of its family, and what the session asks for to the `Keeper`; answers leave
once the records before them are safe (`Store.when_safe`), in the order in which they were given.

*One buffer for all.* A chunk is decoded before the loop reads the next, so all connections read
into the same memory, and an idle one holds almost none.

*Bounds.* 64 KiB without a frame end a connection, so does silence, a peer that does not read its
answers, and a store that takes no more (the device comes again with what was not acknowledged).
`Listener.sweep` looks at all connections once a second; there is no timer for each.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import time
from typing import Any

from inverterproto.families import FAMILIES, framings
from inverterproto.session import Close, Record, Send, Session
from inverterproto.stream import Framed, Item, Reason, StreamDecoder
from inverterproto_cli.server.access import Access
from inverterproto_cli.server.keeper import Keeper
from inverterproto_cli.server.logs import Log

BUFFER = 16 << 10
FIRST_BYTE, IDLE, STALLED = 60.0, 900.0, 60.0
"""Seconds until a connection is ended that says nothing at first, later, or takes no answer."""
NO_FRAME = 64 << 10
"""Bytes without a frame that end a connection."""
BACKLOG = 4096
_TLS = (
    "this device encrypts (TLS): nothing can be read. Its firmware is a newer one; see the "
    "documentation for what can be done"
)

Open = Callable[[str], Session]
"""Makes the session of a family for a connection."""
Capture = Callable[[float, str, str, Item | bytes], object]


class Listener:
    """What the connections of a server share.

    Args:
        keeper: takes the records.
        access: who may connect.
        log: is told of connections.
        open_session: makes a family's session for a connection.
        capture: is given every item, and every answer.
    """

    def __init__(
        self,
        keeper: Keeper,
        access: Access,
        log: Log,
        open_session: Open,
        capture: Capture | None = None,
    ) -> None:
        self.keeper = keeper
        self.access = access
        self.log = log
        self.open_session = open_session
        self.capture = capture
        self.connections: set[DeviceConnection] = set()
        self.buffer = bytearray(BUFFER)
        self.view = memoryview(self.buffer)
        self.framings = framings(FAMILIES.values())
        self.number = 0
        self.heard = 0.0
        self._servers: list[asyncio.Server] = []

    async def listen(self, host: str, port: int) -> int:
        """Listen at an address; return the port.

        Raises:
            OSError: it cannot be.
        """
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: DeviceConnection(self), host, port, backlog=BACKLOG
        )
        self._servers.append(server)
        bound: int = server.sockets[0].getsockname()[1]
        return bound

    def sweep(self, now: float) -> None:
        """Do what is due, and end what has been silent or stalled for too long."""
        for connection in tuple(self.connections):
            connection.look(now)

    async def close(self, patience: float = 5.0) -> None:
        """Accept no more, let what is in hand be answered, end all connections."""
        for server in self._servers:
            server.close()
        for connection in tuple(self.connections):
            connection.stop_reading()
        answered = asyncio.Event()
        self.keeper.store.when_safe(answered.set)
        with suppress(TimeoutError):
            await asyncio.wait_for(answered.wait(), patience)
        for connection in tuple(self.connections):
            connection.end("the server stops")
        await asyncio.sleep(0)


class DeviceConnection(asyncio.BufferedProtocol):
    """A device's connection."""

    __slots__ = (
        "_decoder", "_ended", "_eof", "_last", "_listener", "_paused_at", "_peer", "_quiet_bytes",
        "_refused", "_session", "_sessions", "_transport", "number", "unsent",
    )  # fmt: skip

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._decoder = StreamDecoder(*listener.framings)
        self._sessions: dict[str, Session] = {}
        self._session: Session | None = None
        self._quiet_bytes = 0
        self._paused_at: float | None = None
        self._ended = self._eof = False
        self._last = time() - IDLE + FIRST_BYTE
        self.unsent = 0  # answers that wait for the store

    # asyncio's side

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - of asyncio or uvloop
        """Take a connection, or refuse it."""
        listener = self._listener
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if peer else "?"
        listener.number += 1
        self.number = listener.number
        refusal = listener.access.refusal(self._peer) if peer else "it is gone"
        self._refused = refusal is not None
        if refusal is not None:
            listener.keeper.counts["connection refused"] += 1
            listener.log.complain("refused", f"refused: {refusal}", time(), about=refusal)
            transport.abort()
            return
        listener.keeper.counts["connection"] += 1
        listener.connections.add(self)
        listener.log.detail("connected", f"connected from {self._peer}", connection=self.number)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go."""
        del sizehint
        return self._listener.view

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes."""
        chunk = bytes(self._listener.view[:nbytes])
        now = self._last = self._listener.heard = time()
        self._quiet_bytes += nbytes
        try:
            self._take(self._decoder.feed(chunk), now)
        except Exception:
            # A fault of ours costs this connection, and is told with all that helps to mend it.
            logging.getLogger("inverterproto").exception("fault in connection %d", self.number)
            self.end("a fault of this program", level=logging.ERROR)
        if self._quiet_bytes > NO_FRAME:
            self.end(f"{NO_FRAME:,} bytes without a frame")

    def eof_received(self) -> bool:
        """Answer what is in hand, then end."""
        self._take(self._decoder.flush(), time())
        self._eof = True
        if not self.unsent:
            self.end("the device closed", level=logging.DEBUG)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._refused:
            return
        listener = self._listener
        listener.connections.discard(self)
        listener.access.leave(self._peer)
        if not self._ended:
            self._ended = True
            self._take(self._decoder.flush(), time())
            reason = "closed" if exc is None else f"lost: {exc}"
            listener.log.detail("disconnected", reason, connection=self.number)
        self._sessions.clear()
        self._session = None

    def pause_writing(self) -> None:
        """Hear no more of a peer that does not read its answers."""
        self._paused_at = time()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Hear it again."""
        self._paused_at = None
        if not self._ended:
            self._transport.resume_reading()

    # ours

    def _take(self, items: list[Item], now: float) -> None:
        """Let the sessions say what to do about some items, and do it."""
        answers: list[bytes] = []
        kept = False
        capture = self._listener.capture
        for item in items:
            if capture is not None:
                capture(now, f"{self.number}", "device", item)
            if isinstance(item, Framed):
                self._quiet_bytes = 0
            elif item.reason is Reason.TLS:
                log = self._listener.log
                log.complain("tls", _TLS, now, about=self._peer, connection=self.number)
                self.end("TLS")
                return
            kept |= self._do(self._session_of(item).receive(item, now), answers, now)
        self._send(answers, now, kept=kept)

    def _session_of(self, item: Item) -> Session:
        """Return the session of an item's family; of bytes of none, the one of the last frame."""
        if isinstance(item, Framed):
            name = item.framing.family
        elif self._session is not None:
            return self._session
        else:
            name = next(iter(FAMILIES)) if item.framing is None else item.framing.family
        session = self._sessions.get(name)
        if session is None:
            session = self._sessions[name] = self._listener.open_session(name)
        self._session = session
        return session

    def _do(self, actions: list[Any], answers: list[bytes], now: float) -> bool:
        """Carry out actions; collect what is to be sent; return whether something was kept."""
        kept = False
        for action in actions:
            if type(action) is Send:
                answers.append(action.data)
            elif type(action) is Record:
                kept = True
            elif type(action) is Close:
                self.end(action.reason)
        if not self._listener.keeper.carry_out(actions, now, connection=self.number):
            answers.clear()
            self.end("the store takes no more", level=logging.WARNING)
        return kept

    def _send(self, answers: list[bytes], now: float, *, kept: bool) -> None:
        """Send answers, once what was kept before them is safe."""
        if not answers or self._ended:
            return
        capture = self._listener.capture
        if capture is not None:
            for answer in answers:
                capture(now, f"{self.number}", "cloud", answer)
        data = b"".join(answers)
        if kept or self.unsent:
            self.unsent += 1
            self._listener.keeper.store.when_safe(partial(self._send_safe, data))
        else:
            self._transport.write(data)

    def _send_safe(self, data: bytes) -> None:
        self.unsent -= 1
        if self._ended:
            return
        self._transport.write(data)
        if self._eof and not self.unsent:
            self.end("the device closed", level=logging.DEBUG)

    def look(self, now: float) -> None:
        """Do what is due, and end what has been silent or stalled for too long."""
        for session in self._sessions.values():
            if session.due <= now:
                answers: list[bytes] = []
                kept = self._do(session.poll(now), answers, now)
                self._send(answers, now, kept=kept)
        if self._paused_at is not None and now - self._paused_at > STALLED:
            self.end("it does not read its answers")
            self._transport.abort()
        elif now - self._last > IDLE:
            self.end("silent for too long")

    def stop_reading(self) -> None:
        """Take no more; what is in hand is still answered."""
        if not self._ended and self._paused_at is None:
            self._transport.pause_reading()

    def end(self, reason: str, level: int = logging.INFO) -> None:
        """End the connection, after what is being sent."""
        if self._ended:
            return
        self._ended = True
        self._listener.keeper.counts[f"ended: {reason}"] += 1
        self._listener.log.tell("ended", f"ended: {reason}", level, connection=self.number)
        self._transport.close()
