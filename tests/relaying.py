"""A proxy in this process, with real sockets on loopback, and clouds that do what a test says.

`relaying()` gives a `Relaying`; its devices are those of `tests/serving.py`. A `VendorCloud` takes
connections and hands each to the test. The clock of ticks goes with the real one, and ahead of it
by as much as a test says: the wires look at the real one.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Self

import pytest
import uvloop

from inverterproto.families import framings
from inverterproto.gate import Gate, Rights
from inverterproto.reading import Dated
from inverterproto.session import Record
from inverterproto_cli.address import Address
from inverterproto_cli.relay.cloud import Cloud
from inverterproto_cli.relay.loops import Loops
from inverterproto_cli.relay.observing import Hearing
from inverterproto_cli.relay.relaying import Relay
from inverterproto_cli.relay.resolving import Resolve
from inverterproto_cli.server.access import Access
from inverterproto_cli.server.answering import Answers
from inverterproto_cli.server.capturing import Capture
from inverterproto_cli.server.keeper import Keeper
from inverterproto_cli.server.logs import Log
from inverterproto_cli.store import NoStore, Store
from tests.serving import FOR_EVER, NOW, PATIENCE, Clock, Device, Served, listened


@pytest.fixture(params=[asyncio.DefaultEventLoopPolicy, uvloop.EventLoopPolicy])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    """Run each test in each kind of loop."""
    policy: asyncio.AbstractEventLoopPolicy = request.param()
    return policy


class Ahead:
    """A clock that goes ahead of the one that nobody sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return monotonic() + self.now


class VendorCloud:
    """A cloud that takes connections, and leaves the rest to the test."""

    def __init__(self) -> None:
        self.port = 0
        self.count = 0
        self._server: asyncio.Server | None = None
        self._waiting: asyncio.Queue[Device] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        await self.come_back()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.go_away()

    async def come_back(self) -> None:
        """Take connections, at the same port as ever."""
        self._server = await asyncio.start_server(self._take, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def go_away(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.count += 1
        self._waiting.put_nowait(Device(reader, writer))

    async def accept(self) -> Device:
        """Wait for the next connection."""
        async with asyncio.timeout(PATIENCE):
            return await self._waiting.get()


class Relaying(Served):
    """A proxy that listens."""

    cloud: Cloud
    loops: Loops

    def look_again(self) -> bool:
        """Let the proxy look at its connections, as it does each second."""
        self.pass_time(0)
        return True

    async def line(self, vendor: VendorCloud) -> tuple[Device, Device]:
        """Connect; return both ends, the device's and the cloud's."""
        device = await self.device()
        return device, await vendor.accept()


async def at_home(_host: str) -> list[str]:
    """Find every name on loopback."""
    return ["127.0.0.1"]


@asynccontextmanager
async def relaying(
    port: int,
    path: Path | None = None,
    *,
    host: str = "cloud.example",
    resolve: Resolve = at_home,
    named: bool = True,
    refuses: bool = False,
    rights: Rights = Rights.ALLOW,
    durable: bool = False,
    copies_to: Address | None = None,
    access: Access | None = None,
    store: dict[str, Any] | None = None,
    capture: Path | None = None,
    idle: float = 900.0,
    now: float = NOW,
) -> AsyncIterator[Relaying]:
    """Pass devices on until the end of the block.

    Args:
        port: of the cloud.
        path: of the store; none without.
        host: the cloud's name.
        resolve: finds its addresses.
        named: whether the user named it.
        refuses: whether devices are turned away while it is away.
        rights: what it may do.
        durable: whether what it says waits for the store.
        copies_to: a second server.
        access: who may connect.
        store: options of the store.
        capture: the file of a capture.
        idle: the listener's.
        now: what the clock shows.
    """
    log = Log()
    shown: list[tuple[Record, Dated]] = []

    def show(record: Record, dated: Dated) -> None:
        shown.append((record, dated))

    def say(event: str, text: str) -> None:
        log.tell(event, text, logging.WARNING)

    keeping = NoStore() if path is None else Store(path, say, **{"keep": FOR_EVER, **(store or {})})
    clock, ticks, loops = Clock(now), Ahead(), Loops()
    keeper = Keeper(keeping, log, show, clock=clock)
    captured = None if capture is None else Capture(str(capture), log)
    answers = Answers(keeper)
    cloud = Cloud(
        "deye", Address(host, port), resolve, named=named, is_us=loops.is_us,
        tell=log.tell, meanwhile="what is done meanwhile", ticks=ticks,
    )  # fmt: skip
    hearing = Hearing(
        keeper=keeper,
        log=log,
        framings=framings(),
        states=answers.states,
        watcher_options={},
        gate=None if rights is Rights.ALLOW else lambda: Gate(*answers.allow_lists(rights)),
        durable=durable,
        capture=captured,
        clock=clock,
    )
    with listened() as lines:
        keeping.open()
        keeper.open()
        relay = Relay(
            keeper, access or Access(), log, answers.open, captured,
            idle=idle, clock=clock, ticks=ticks,
            clouds={"deye": cloud}, loops=loops, hearing=hearing, refuses=refuses,
            copies_to=copies_to,
        )  # fmt: skip
        made = Relaying(keeping, relay, lines)
        made.shown, made.cloud, made.loops = shown, cloud, loops
        [address] = await relay.listen(Address("127.0.0.1", 0), "deye")
        made.port = address.port
        try:
            yield made
        finally:
            await relay.close()
            await keeping.close()
            if captured is not None:
                captured.close()
