"""The fake server under load: one core, every frame checked and answered, beside Node.

The servers run at once, and have their turns; the load (`load.py`) keeps to the other core. Ours
with the store answers after the commit; what stands beside it keeps nothing. What is compared is
the processor time for a frame, all threads and the system's part in it: frames in a second depend
on what else the machine does, and are shown beside it. Goals are against Node in the manner of
dummycloud, which also makes texts of all that comes for a log of traces; bare Node, without these,
stands beside it.
"""

import contextlib
import os
import socket
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Self

from benchmarks import node
from benchmarks.load import Load, Run
from benchmarks.measure import QUICK, Effort, Goal, Line, at_least
from benchmarks.startup import inverterproto

TITLE = (
    "Fake server, one core, micro-inverter frames (343 bytes), each validated and answered; "
    "the ratios are of processor time"
)

NODE = "Node, keeping nothing, as dummycloud"
BARE = "Node, keeping nothing, bare"
PLAIN = "ours: --no-store"
STORED = "ours: answered after the commit"
SHOWN = "ours: --no-store, with readings on stdout"

CONNECTIONS = (100, 1000)
_PATIENCE = 30.0


class Served:
    """A process that listens.

    Args:
        command: what runs.
        port: where it will listen.
        environment: of the process, beside ours.

    Attributes:
        port: where it listens.
        pid: the process's number.
    """

    def __init__(self, command: list[str], port: int, **environment: str) -> None:
        self.port = port
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.pid = self._process.pid
        _await_port(port, self._process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(_PATIENCE)


class NodeServer:
    """The server under Node (`server.js`).

    Attributes:
        port: where it listens.
        pid: the process's number.
    """

    def __init__(self, command: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [command, str(Path(__file__).with_name("server.js")), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate(timeout=_PATIENCE)


def fake_server(*options: str | Path) -> Served:
    """Start our server."""
    command, environment = inverterproto()
    port = free_port()
    return Served(
        [
            *command, "fake-server", "--listen", f"127.0.0.1:{port}", *map(str, options),
            "--max-devices", "20000", "--max-per-address", "20000",
        ],
        port,
        **environment,
    )  # fmt: skip


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server listens."""
    end = monotonic() + _PATIENCE
    while monotonic() < end and process.poll() is None:
        with (
            contextlib.suppress(ConnectionRefusedError),
            socket.create_connection(("127.0.0.1", port)),
        ):
            return
        sleep(0.05)
    raise RuntimeError("the server does not come up")


def run(effort: Effort) -> Iterator[Line]:
    """Yield the lines of this group."""
    command = node.find()
    turns, seconds = max(2, effort.turns // 5), effort.seconds * 20
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        servers: dict[str, Served | NodeServer] = {}
        if command is not None:
            servers[NODE] = stack.enter_context(NodeServer(command, "trace"))
            servers[BARE] = stack.enter_context(NodeServer(command))
        servers[PLAIN] = stack.enter_context(fake_server("--no-store", "-q"))
        stored = fake_server("--store", Path(folder) / "benchmark.db", "-q")
        servers[STORED] = stack.enter_context(stored)
        servers[SHOWN] = stack.enter_context(fake_server("--no-store"))
        load = stack.enter_context(Load())
        for most in CONNECTIONS:
            # To open them takes time, too: a tenth will do where hardly anything is measured.
            connections = most if effort.stream_bytes >= QUICK.stream_bytes else most // 10
            runs: dict[str, list[Run]] = {name: [] for name in servers}
            for _ in range(turns):
                for name, server in servers.items():
                    runs[name].append(load.run(server.port, server.pid, connections, seconds))
            yield from _lines(runs, connections)


def _lines(runs: dict[str, list[Run]], connections: int) -> Iterator[Line]:
    goals = {PLAIN: at_least(1.2), STORED: at_least(0.8)}
    for name in (NODE, BARE, PLAIN, STORED, SHOWN):
        what = f"{name}, {connections} connections"
        if name not in runs:
            yield Line(what, None, "frames/s", note="Node: not found")
            continue
        yield _line(what, runs[name], runs.get(NODE), goals.get(name))


def _line(what: str, runs: list[Run], peers: list[Run] | None, goal: Goal | None) -> Line:
    rate = statistics.median(run.rate for run in runs)
    p50, p99 = (statistics.median(times) for times in list(zip(*runs, strict=True))[1:3])
    note = f"p50 {p50:.2f} ms, p99 {p99:.2f} ms"
    works = [run.work for run in runs if run.work is not None]
    if works:
        note = f"{statistics.median(works):.1f} µs of processor time a frame, {note}"
    if peers is None:
        return Line(what, rate, "frames/s", goal=goal, note=f"{note}; Node: not found")
    ratio = None
    if peers is not runs:
        pairs = zip(runs, peers, strict=True)
        ratio = statistics.median(_ratio(ours, peer) for ours, peer in pairs)
    return Line(what, rate, "frames/s", ratio, goal, note)


def _ratio(ours: Run, peer: Run) -> float:
    """Return how many times as many frames ours answers for the same work."""
    if ours.work and peer.work:
        return peer.work / ours.work
    return ours.rate / peer.rate
