"""What the tests of sinks that POST share: entries, surroundings, settings, a server, certificates.

`served` runs a server of aiohttp on loopback; `Answering` is one whose answers a test lays out in
advance, which notes what it was sent.
"""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import web

from inverterproto.quantity import Number
from inverterproto.reading import Reading, TimeSource
from inverterproto_cli.sinks.sink import Entry, Identity, SinkType
from tests.counterparts import run

TIME = 1_712_596_443.25
SERIAL = "2301234567"


def entry(
    number: int = 1,
    values: Mapping[str, Number | str] | None = None,
    *,
    time: float | None = TIME,
    device: str | None = SERIAL,
    kind: str = "data",
    fields: Mapping[str, Number] | None = None,
) -> Entry:
    """Return an entry of a micro-inverter."""
    reading = Reading(
        "deye",
        device,
        time,
        TimeSource.UNKNOWN if time is None else TimeSource.DEVICE,
        historic=False,
        values={"active_power": 4, "energy_total": 177.5} if values is None else values,
        kind=kind,
        via="2712345678",
    )
    return Entry(number, reading, TIME + 7, "us", fields or {})


class Around:
    """What is around a sink."""

    name = "here"

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def identity(self, reading: Reading) -> Identity:
        serial = reading.device or ""
        return Identity("deye", serial, "inverter", "Deye", "SUN600", "V1.2.1.8", "2712345678")

    def logger(self, serial: str) -> Identity:
        return Identity("deye", serial, "logger", "Deye")

    def known(self) -> set[tuple[str, str]]:
        return {("deye", SERIAL), ("deye", "2712345678")}

    def newest(self, reading: Reading, before: int, until: float) -> float | None:  # noqa: ARG002
        return None

    def present(self, until: float) -> list[Entry]:  # noqa: ARG002
        return []

    def say(self, event: str, text: str) -> None:
        self.told.append((event, text))


def settings(kind: SinkType, **given: object) -> dict[str, Any]:
    """Return the values of all settings; `_` stands for a dash."""
    values: dict[str, Any] = {each.key: each.default for each in kind.settings}
    changed = {key.replace("_", "-"): value for key, value in given.items()}
    assert changed.keys() <= values.keys()
    return values | changed


@asynccontextmanager
async def opened(
    kind: SinkType, around: Around | None = None, **given: object
) -> AsyncIterator[Any]:
    """Open a sink, and close it."""
    sink = kind.open(settings(kind, **given), around or Around())
    try:
        yield sink
    finally:
        await sink.close()


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve on loopback; give host and port."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await handler(request)

    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"{host}:{port}"
    finally:
        await runner.cleanup()


class Sent(NamedTuple):
    """A request as it came."""

    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


async def cut(request: web.Request) -> web.StreamResponse:
    """Answer with the beginning of a success, and cut the connection."""
    assert request.transport is not None
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n"
    request.transport.write(head + b'{"text":"Succ')
    request.transport.close()
    return await never(request)


async def hang_up(request: web.Request) -> web.StreamResponse:
    """Close the connection without an answer."""
    assert request.transport is not None
    request.transport.close()
    return await never(request)


async def never(_request: web.Request) -> web.StreamResponse:
    """Answer never."""
    return await asyncio.Future()


class Answering:
    """Answers as it was told, then with `usual`."""

    def __init__(self, *turns: web.Response | Handler, usual: int = 200) -> None:
        self.turns = deque(turns)
        self.usual = usual
        self.sent: list[Sent] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.sent.append(Sent(request.path, request.query_string, request.headers, body))
        turn = self.turns.popleft() if self.turns else web.Response(status=self.usual)
        return turn if isinstance(turn, web.Response) else await turn(request)


class Trust(NamedTuple):
    """A server whose certificate, for localhost, is its own authority."""

    ca: Path
    context: ssl.SSLContext


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    folder = tmp_path_factory.mktemp("tls")
    run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-nodes", "-days", "2", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost",
        "-keyout", folder / "key", "-out", folder / "cert",
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    return Trust(folder / "cert", context)


def free_port() -> int:
    """Return a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
