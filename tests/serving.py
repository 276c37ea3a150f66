"""A fake server in this process, with real sockets on loopback and clocks that stand still.

`serving()` gives a `Served`; `Device` is a connection to it. All waiting is for events, bounded.
"""

import asyncio
import logging
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Self

from inverterproto.reading import Dated
from inverterproto.session import Record
from inverterproto_cli.address import Address
from inverterproto_cli.server.access import Access
from inverterproto_cli.server.answering import Answers
from inverterproto_cli.server.capturing import MOST, Capture
from inverterproto_cli.server.keeper import Keeper
from inverterproto_cli.server.listener import Listener
from inverterproto_cli.server.logs import Log
from inverterproto_cli.store import NoStore, Reader, Store
from inverterproto_cli.store.reader import Kept
from inverterproto_cli.store.retention import Keep

NOW = 1_790_000_000.0
PATIENCE = 30.0
"""Seconds after which what has not come will not come."""


FOR_EVER = Keep(days=1e6)
"""The clocks of these tests show times long ago."""


class Clock:
    """A clock that goes only when told."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Lines(logging.Handler):
    """What the log says."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def of(self, event: str) -> list[str]:
        return [each.getMessage() for each in self.records if getattr(each, "event", "") == event]

    def where(self, event: str) -> tuple[object, ...]:
        """Return connection, family and device of the last line of an event."""
        last = [each for each in self.records if getattr(each, "event", "") == event][-1]
        return tuple(getattr(last, name, None) for name in ("connection", "family", "device"))


@contextmanager
def listened() -> Iterator[Lines]:
    """Take what the program's log says."""
    log, lines = logging.getLogger("inverterproto"), Lines()
    before = log.handlers[:], log.level, log.propagate
    log.handlers[:], log.propagate = [lines], False
    log.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        log.handlers[:], _, log.propagate = before
        log.setLevel(before[1])


async def until(condition: Callable[[], object]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - of many kinds, and none has an event
            await asyncio.sleep(0.001)


class Served:
    """A server that listens."""

    def __init__(self, store: Store | NoStore, listener: Listener, lines: Lines) -> None:
        self.store = store
        self.listener: Any = listener  # tests look into its connections
        self.keeper = listener.keeper
        self.counts = listener.keeper.counts
        self.lines = lines
        self.shown: list[tuple[Record, Dated]] = []
        self.clock: Any = listener.clock
        self.ticks: Any = listener.ticks
        self.port = 0

    async def device(self) -> "Device":
        """Connect."""
        return Device(*await asyncio.open_connection("127.0.0.1", self.port))

    def pass_time(self, seconds: float) -> None:
        """Let both clocks go on, and the server look at its connections."""
        self.clock.now += seconds
        self.ticks.now += seconds
        self.listener.sweep()
        self.keeper.settle(self.clock.now)

    @contextmanager
    def commits_held(self) -> Iterator[None]:
        """Let the writer thread come to no end of its next commit."""
        assert isinstance(self.store, Store)
        go_on = threading.Event()
        self.store.do(lambda _: go_on.wait(PATIENCE))
        try:
            yield
        finally:
            go_on.set()

    def kept(self) -> list[Kept]:
        """Return what is in the store, known or not."""
        assert isinstance(self.store, Store)
        with Reader(self.store.path) as reader:
            return [*reader.newest(), *reader.unknown()]

    async def safe(self) -> None:
        """Wait until all that was put into the store is on disk."""
        done = asyncio.Event()
        self.store.when_safe(done.set)
        async with asyncio.timeout(PATIENCE):
            await done.wait()


class Device:
    """A device's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.writer.close()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def receive(self, count: int) -> bytes:
        """Wait for so many bytes."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readexactly(count)

    async def ask(self, data: bytes, count: int) -> bytes:
        """Send something, and wait for so many bytes."""
        self.send(data)
        return await self.receive(count)

    async def rest(self) -> bytes:
        """Wait for the end; return what came until then."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    def half_close(self) -> None:
        self.writer.write_eof()

    def reset(self) -> None:
        """End it with a reset."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


@asynccontextmanager
async def serving(
    path: Path | None = None,
    *,
    access: Access | None = None,
    store: dict[str, Any] | None = None,
    keeper: dict[str, Any] | None = None,
    capture: Path | None = None,
    capture_size: int = MOST,
    idle: float = 900.0,
    now: float = NOW,
    **options: Any,  # noqa: ANN401 - by session
) -> AsyncIterator[Served]:
    """Serve devices until the end of the block.

    Args:
        path: of the store; none without.
        access: who may connect.
        store: options of the store.
        keeper: options of the keeper.
        capture: the file of a capture.
        capture_size: bytes that it may have.
        idle: the listener's.
        now: what the clock shows.
        options: those of the sessions.
    """
    log = Log()
    shown: list[tuple[Record, Dated]] = []

    def show(record: Record, dated: Dated) -> None:
        shown.append((record, dated))

    def say(event: str, text: str) -> None:
        log.tell(event, text, logging.WARNING)

    keeping = NoStore() if path is None else Store(path, say, **{"keep": FOR_EVER, **(store or {})})
    clock, ticks = Clock(now), Clock(1000.0)
    held = Keeper(keeping, log, **{"show": show, "clock": clock, **(keeper or {})})
    captured = None if capture is None else Capture(str(capture), log, capture_size)
    with listened() as lines:
        keeping.open()
        held.open()
        listener = Listener(
            held, access or Access(), log, Answers(held, **options).open, captured,
            idle=idle, clock=clock, ticks=ticks,
        )  # fmt: skip
        served = Served(keeping, listener, lines)
        served.shown = shown
        [address] = await listener.listen(Address("127.0.0.1", 0))
        served.port = address.port
        try:
            yield served
        finally:
            await listener.close()
            await keeping.close()
            if captured is not None:
                captured.close()
