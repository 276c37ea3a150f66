"""A server as a process, seen from outside: its log, its counters, what it holds."""

import asyncio
import contextlib
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Coroutine, Mapping
from pathlib import Path
from signal import SIGKILL, SIGTERM, SIGUSR1, Signals
from typing import Any, NamedTuple, TypeVar

from inverterproto.families import FAMILIES
from inverterproto_cli.address import Address

PATIENCE = 60.0
"""Seconds after which what has not come will not come."""
_SETTLED = 2.5
"""Seconds after the last connection until all that is done once a second was done twice."""
MAIN = "from inverterproto_cli.main import main; main()"
_PORT = re.compile(r"127\.0\.0\.1:([0-9]+)")
_BAD = frozenset(
    {
        "store-trouble", "store-damaged", "store-lost", "few-descriptors", "cut-off",
        "records-dropped",
    }
)  # fmt: skip
"""Events that tell of harm, of which no device here can be the cause; so do all errors."""
_MOST_WRONG = 20
_LONGEST_LINE = 1 << 20
_Result = TypeVar("_Result")


class ServerError(Exception):
    """The server is not there, or does not do what it must for the soak to go on."""


class Figures(NamedTuple):
    """What a process holds.

    Attributes:
        descriptors: open files and sockets.
        threads: of it.
        memory: MiB that it has for itself (anonymous pages).
    """

    descriptors: int
    threads: int
    memory: float


def figures_of(pid: int | str) -> Figures:
    """Return what a process holds now."""
    process = Path("/proc") / str(pid)
    status = dict(
        line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line
    )
    memory = int(status["RssAnon"].split()[0]) / 1024
    return Figures(len([*(process / "fd").iterdir()]), int(status["Threads"]), memory)


class FakeServer:
    """A fake server on loopback; it can be killed and started again, at the same port.

    Args:
        store: the file of the store.
        devices: how many there will be.

    Attributes:
        store: the file of the store.
        events: how often each event was told in the log.
        wrong: what it told, or did, that must not be.
    """

    main = MAIN
    """What the process does."""

    def __init__(self, store: Path, devices: int) -> None:
        self.store = store
        self.events: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._most = str(4 * devices)  # a connection that is lost may still be there
        self._ports = [0]
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._told: asyncio.Queue[dict[str, int]] = asyncio.Queue()
        self._listens = asyncio.Event()
        self._may_end = False

    @property
    def addresses(self) -> Mapping[str, Address]:
        """Where the devices of each family call."""
        [port] = self._ports
        return dict.fromkeys(FAMILIES, Address("127.0.0.1", port))

    @property
    def runs(self) -> bool:
        """Whether it was started, and not ended since."""
        return self._process is not None

    def _command(self) -> list[str]:
        """Return the command and the options that only it has."""
        [port] = self._ports
        return ["fake-server", "--listen", f"127.0.0.1:{port}"]

    def _keeping(self) -> list[str]:
        """Return the options that say where records are kept."""
        return ["--store", str(self.store)]

    async def disturb(self, seconds: float) -> None:
        """Disturb what is behind it for some time: behind a fake server is nothing."""

    def report(self) -> dict[str, str]:
        """Return what else is to be told in the end, by what it is about."""
        return {}

    async def start(self) -> None:
        """Start it, and wait until it listens.

        Raises:
            ServerError: it does not come up.
        """
        self._listens.clear()
        self._may_end = False
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", self.main, *self._command(),
            *self._keeping(), "--json", "--log-format", "json",
            "--max-devices", self._most, "--max-connections", self._most,
            "--max-per-address", self._most,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            limit=_LONGEST_LINE,
        )  # fmt: skip
        assert self._process.stderr is not None
        self._reading = asyncio.create_task(self._read(self._process.stderr))
        await self._unless_it_ends(self._listens.wait(), "does not come up")

    async def _unless_it_ends(self, work: Coroutine[Any, Any, _Result], problem: str) -> _Result:
        """Return what comes of waiting for something that the server does."""
        assert self._reading is not None
        waiting = asyncio.ensure_future(work)
        try:
            await asyncio.wait(
                {waiting, self._reading}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED
            )
            if waiting.done():
                return waiting.result()
            raise ServerError(f"the server {problem}")
        finally:
            waiting.cancel()

    async def _read(self, log: asyncio.StreamReader) -> None:
        while line := await log.readline():
            self._take(line.decode("utf-8", "replace").rstrip())
        if not self._may_end:
            self._blame("the server has ended by itself")

    def _take(self, line: str) -> None:
        """Take a line of the log."""
        try:
            told = json.loads(line)
            event = told["event"]
        except (ValueError, TypeError, KeyError):
            self._blame(f"the server says: {line}")
            return
        self.events[event] += 1
        if event == "counters":
            self._told.put_nowait(told["counters"])
        elif event == "listening":
            self._ports = [int(port) for port in _PORT.findall(told["text"])]
            self._listens.set()
        elif told["level"] in ("error", "critical") or event in _BAD:
            self._blame(f"the server says: {line}")

    def _blame(self, text: str) -> None:
        if len(self.wrong) < _MOST_WRONG:
            self.wrong.append(text)

    async def counters(self) -> dict[str, int]:
        """Return its counters.

        Raises:
            ServerError: it does not tell them.
        """
        while not self._told.empty():
            self._told.get_nowait()
        self._signal(SIGUSR1)
        return await self._unless_it_ends(self._told.get(), "does not tell its counters")

    async def at_rest(self) -> Figures:
        """Wait until all connections are closed; return what it holds then.

        Raises:
            ServerError: it does not tell how many there are.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while (await self.counters())["connections now"]:  # noqa: ASYNC110
                    await asyncio.sleep(0.2)
        await asyncio.sleep(_SETTLED)
        count = (await self.counters())["connections now"]
        if count:
            self._blame(f"the server has {count:,} connections still, and no device is there")
        return self.figures()

    def figures(self) -> Figures:
        """Return what it holds now."""
        assert self._process is not None
        return figures_of(self._process.pid)

    async def kill(self) -> None:
        """Kill it."""
        self._signal(SIGKILL)
        await self._end()

    async def stop(self) -> None:
        """Let it end by itself."""
        self._signal(SIGTERM)
        code = await self._end()
        if code:
            self._blame(f"the server ended with {code}")

    def _signal(self, number: Signals) -> None:
        assert self._process is not None
        assert self._reading is not None
        if self._reading.done():
            return  # it has ended, which is told
        self._may_end = number != SIGUSR1
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def _end(self) -> int:
        assert self._process is not None
        assert self._reading is not None
        async with asyncio.timeout(PATIENCE):
            code = await self._process.wait()
            await self._reading
        self._process = None
        return code

    async def abandon(self) -> None:
        """Kill it if it runs, whatever happened."""
        if self._process is not None:
            await self.kill()
