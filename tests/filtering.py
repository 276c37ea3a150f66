"""A proxy in this process, between a device and a cloud that a test plays, on loopback.

`proxied()` gives a `Proxied`; its `line` connects a device, and gives both ends of the wire. The
unix clock stands still; the other one goes on, and can be set forward.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta, timezone
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any, NamedTuple, Self

from inverterproto.gate import Rights
from inverterproto_cli import proxy
from inverterproto_cli.address import Address
from inverterproto_cli.relay.cloud import Cloud
from inverterproto_cli.relay.loops import Loops
from inverterproto_cli.relay.relaying import Relay
from inverterproto_cli.relay.resolving import by_system
from inverterproto_cli.server.access import Access
from inverterproto_cli.server.answering import Answers
from inverterproto_cli.server.capturing import Capture
from inverterproto_cli.server.keeper import Keeper
from inverterproto_cli.server.logs import Log
from inverterproto_cli.store import NoStore, Store
from tests.alphaess_vectors import OFFSET, START
from tests.serving import FOR_EVER, PATIENCE, Clock, Device, Lines, Served, listened

ZONE = timezone(timedelta(seconds=OFFSET))
"""That of the battery of the fixtures."""


class Ticks(Clock):
    """The clock that nobody sets; a test lets it jump."""

    def __call__(self) -> float:
        return monotonic() + self.now


class Line(NamedTuple):
    """The two ends of a wire, one in a device's hands and one in a cloud's."""

    device: Device
    cloud: Device

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.device.writer.close()
        self.cloud.writer.close()

    async def turn(self, asked: bytes, said: bytes, expected: bytes) -> None:
        """Let the device ask and the cloud say something; see that just what is expected comes."""
        self.device.send(asked)
        assert await self.cloud.receive(len(asked)) == asked
        self.cloud.send(said)
        assert await self.device.receive(len(expected)) == expected


class Proxied(Served):
    """A proxy that listens for both families."""

    def __init__(
        self, store: Store | NoStore, relay: Relay, lines: Lines, answers: Answers
    ) -> None:
        super().__init__(store, relay, lines)
        self.answers = answers
        self.ports: dict[str, int] = {}
        self.called: asyncio.Queue[Device] = asyncio.Queue()

    async def line(self, family: str) -> Line:
        """Connect a device."""
        async with asyncio.timeout(PATIENCE):
            streams = await asyncio.open_connection("127.0.0.1", self.ports[family])
            return Line(Device(*streams), await self.called.get())


@asynccontextmanager
async def proxied(
    rights: Rights,
    path: Path | None = None,
    *,
    upstream: int | None = None,
    now: Clock | None = None,
    keeper: Mapping[str, Any] | None = None,
    durable: bool = False,
    capture: Path | None = None,
    **options: Any,  # noqa: ANN401 - of the answers
) -> AsyncIterator[Proxied]:
    """Run a proxy until the end of the block.

    Args:
        rights: of the cloud.
        path: of the store; none without.
        upstream: the port of another cloud than the one that the test plays.
        now: the unix clock; one that stands at `START` if there is none.
        keeper: options of the keeper.
        durable: whether the cloud waits for the store.
        capture: the file of a capture.
        options: those of what answers in the cloud's place.
    """
    log = Log()

    def say(event: str, text: str) -> None:
        log.tell(event, text, logging.WARNING)

    store = NoStore() if path is None else Store(path, say, keep=FOR_EVER)
    clock = now or Clock(START)
    kept = Keeper(store, log, **{"clock": clock, **(keeper or {})})
    answers = Answers(kept, **{"zone": ZONE, **options})
    captured = None if capture is None else Capture(str(capture), log)
    serving: Any = SimpleNamespace(keeper=kept, log=log, capture=captured)
    hearing = proxy._hearing(serving, answers, {"cloud_commands": rights.value, "durable": durable})
    called: asyncio.Queue[Device] = asyncio.Queue()

    def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.put_nowait(Device(reader, writer))

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    port = upstream or server.sockets[0].getsockname()[1]
    loops = Loops()
    clouds = {
        family: Cloud(
            family,
            Address("127.0.0.1", port),
            by_system,
            named=True,
            is_us=loops.is_us,
            tell=log.tell,
            meanwhile="what is done meanwhile",
        )
        for family in ("deye", "alphaess")
    }
    with listened() as lines:
        store.open()
        kept.open()
        relay = Relay(
            kept, Access(), log, answers.open, clock=clock, ticks=Ticks(0.0),
            clouds=clouds, loops=loops, hearing=hearing._replace(clock=clock),
        )  # fmt: skip
        found = Proxied(store, relay, lines, answers)
        found.called = called
        for family in clouds:
            [address] = await relay.listen(Address("127.0.0.1", 0), family)
            found.ports[family] = address.port
        try:
            yield found
        finally:
            await relay.close(patience=1)
            kept.settle(clock())
            await store.close()
            if captured is not None:
                captured.close()
            server.close()
