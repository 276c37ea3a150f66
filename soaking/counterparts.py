"""What sinks deliver to: a real broker and a real database, and two that take what is POSTed.

*The broker* (mosquitto) keeps nothing on disk; it is killed, or told to end, and started again at
the same port. *The database* (influxd) stays.

*A `Receiver`* is a server of HTTP in this process. While it is `unwell` some requests go wrong: it
is busy (503, and nothing is taken), hangs up without having taken anything, or takes what came and
then says so too late, or cuts its answer in the middle. What it took so comes again: a duplicate.
"""

import asyncio
import json
import socket
import subprocess
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from signal import SIGKILL, SIGTERM, Signals
from time import monotonic
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from inverterproto_cli.address import Address
from soaking.server import PATIENCE, ServerError
from tests.counterparts import find

PROGRAMS = ("mosquitto", "influxd")
DATABASE, MEASUREMENT = "readings", "inverter"
_BETWEEN_ENDS, _AWAY = (4.0, 15.0), (0.2, 4.0)
"""Seconds, from and to: between two ends of the broker, and until it is there again."""
_ONE_IN = 8
"""One request in so many goes wrong while a receiver is unwell."""
_TOO_LATE = 7.0
"""Seconds after which an answer is too late."""
_LOOK = 0.05
_QUIET = (20_000, 32_000)
"""Ports below those that systems give to callers."""
_INFLUXD = """
reporting-disabled = true
bind-address = "127.0.0.1:{backup}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  max-values-per-tag = 0
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
"""


class Program:
    """A program that listens, on loopback.

    Args:
        command: it, with its arguments.
        port: where it listens.
        log: where its words go.
    """

    def __init__(self, command: list[str], port: int, log: Path) -> None:
        self.address = Address("127.0.0.1", port)
        self.ends: Counter[str] = Counter()
        self._command = command
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it listens.

        Raises:
            ServerError: it does not.
        """
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        end = monotonic() + PATIENCE
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(*self.address)
                writer.close()
                return
            if self._process.returncode is not None or monotonic() > end:
                raise ServerError(f"{self._command[0]} does not come up: {self._log.read_text()}")
            await asyncio.sleep(_LOOK)  # nothing tells when it listens

    async def end(self, number: Signals = SIGKILL) -> None:
        """End it, if it runs."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(number)
        try:
            await asyncio.wait_for(process.wait(), PATIENCE)
        except TimeoutError:
            process.kill()
            raise ServerError(f"{self._command[0]} does not end") from None

    async def disturb(self, chance: Random, seconds: float) -> None:
        """End it again and again for some time; then it is there."""
        end = monotonic() + seconds
        while (pause := chance.uniform(*_BETWEEN_ENDS)) < end - monotonic():
            await asyncio.sleep(pause)
            number = chance.choice((SIGKILL, SIGTERM))
            self.ends[number.name] += 1
            await self.end(number)
            await asyncio.sleep(chance.uniform(*_AWAY))
            await self.start()


def _path_of(program: str) -> str:
    path = find(program)
    if path is None:
        raise ServerError(f"{program} is not there; run: scripts/counterparts {program}")
    return path


def quiet_port(chance: Random) -> int:
    """Return a port at which nobody listens, and which no caller is given by the system.

    A caller who has got it would keep a line closed that was to be opened again.
    """
    while True:
        port = chance.randrange(*_QUIET)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def broker(folder: Path, port: int) -> Program:
    """Return a broker.

    Raises:
        ServerError: it is not on this machine.
    """
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    return Program([_path_of("mosquitto"), "-c", str(config)], port, folder / "mosquitto.log")


def database(folder: Path, port: int, other: int) -> Program:
    """Return a database.

    Raises:
        ServerError: it is not on this machine.
    """
    config = folder / "influxdb.conf"
    config.write_text(_INFLUXD.format(folder=folder, port=port, backup=other))
    return Program([_path_of("influxd"), "-config", str(config)], port, folder / "influxd.log")


class Points:
    """What a database has in the end. Use it in an `async with` statement."""

    def __init__(self, address: Address) -> None:
        self._url = f"http://{address}/query"

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE))
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._session.close()

    async def _query(self, text: str) -> list[dict[str, Any]]:
        query = urlencode({"q": text, "db": DATABASE, "epoch": "ms"})
        async with self._session.get(f"{self._url}?{query}") as answer:
            found = json.loads(await answer.read())["results"][0]
        if "error" in found:
            raise ServerError(f"the database says: {found['error']}")
        series: list[dict[str, Any]] = found.get("series", [])
        return series

    async def devices(self) -> set[str]:
        """Return of which devices there are points."""
        found = await self._query(f'SHOW TAG VALUES FROM "{MEASUREMENT}" WITH KEY = device')
        return {device for series in found for _, device in series["values"]}

    async def of(self, device: str) -> dict[int, dict[str, object]]:
        """Return the points of a device by their time in milliseconds, what is in them by name.

        Raises:
            ServerError: there are two of one time.
        """
        points: dict[int, dict[str, object]] = {}
        where = device.replace("\\", "\\\\").replace("'", "\\'")
        for series in await self._query(
            f'SELECT * FROM "{MEASUREMENT}" WHERE "device" = \'{where}\''  # noqa: S608 - ours
        ):
            for row in series["values"]:
                named = dict(zip(series["columns"], row, strict=True))
                time = named.pop("time")
                if time in points:
                    raise ServerError(f"the database has two points of {device} at {time}")
                points[time] = {name: value for name, value in named.items() if value is not None}
        return points


class Request(NamedTuple):
    """What was taken.

    Attributes:
        at: when, in seconds of a clock that nobody sets.
        body: of it.
    """

    at: float
    body: bytes


Take = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Receiver:
    """Takes what is POSTed.

    Args:
        take: takes a request, and answers it.
        chance: says which ones go wrong.

    Attributes:
        taken: in the order in which it came.
        moods: how often something went wrong, by what that was.
        unwell: whether some requests go wrong now.
    """

    def __init__(self, take: Take, chance: Random) -> None:
        self.taken: list[Request] = []
        self.moods: Counter[str] = Counter()
        self.unwell = False
        self._take = take
        self._chance = chance

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        try:
            body = await request.read()
        except OSError:  # the line has torn it in two
            self.moods["torn"] += 1
            return web.Response()
        mood = ""
        if self.unwell and not self._chance.randrange(_ONE_IN):
            mood = self._chance.choice(("busy", "hung up", "too late", "cut off"))
            self.moods[mood] += 1
        if mood == "busy":
            asked = {"Retry-After": "1"} if self._chance.randrange(2) else {}
            return web.Response(status=503, headers=asked)
        if mood == "hung up":
            return _cut(request, b"")
        answer = await self._take(request)
        self.taken.append(Request(monotonic(), body))
        if mood == "too late":
            await asyncio.sleep(_TOO_LATE)
        elif mood == "cut off":
            return _cut(request, b'HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n{"text":"Succ')
        return answer


def _cut(request: web.Request, answer: bytes) -> web.Response:
    """Cut a connection, in the middle of an answer or before."""
    if request.transport is not None:
        request.transport.write(answer)
        request.transport.close()
    return web.Response()  # which goes nowhere


async def ok(_request: web.Request) -> web.StreamResponse:
    """Take whatever it is."""
    return web.Response()
