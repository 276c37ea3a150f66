"""Devices of the load: a process that sends real frames to a server and waits for each answer.

Each connection is a logger of its own that sends the micro-inverter's data frame, its counters one
second on each time, so that every frame is a new record; it sends the next one when the answer is
there. It keeps to a core of its own where there are two, and does as little as it can beside the
calls of the system, so that the server is what is measured.

It takes orders from standard input, a line of JSON each, and answers each with one: `Load` is what
gives them.
"""

import json
import re
import select
import socket
import subprocess
import sys
from pathlib import Path
from struct import Struct
from time import perf_counter
from types import TracebackType
from typing import Any, NamedTuple, Self

from benchmarks.frames import frame, micro_inverter
from benchmarks.measure import keep_off
from inverterproto.checksum import crc16_modbus
from inverterproto.deye.frame import PAYLOAD_AT
from inverterproto.deye.messages import DATA

PATIENCE = 30.0
"""Seconds after which an answer that has not come will not come."""
_SERIALS = 2_700_000_000
_WORKING_AT = 14
_counters = Struct("<II")
_REPLY_SIZE = 23
_REPLY_TYPE = 0x12


class Load:
    """A process that plays devices."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            cwd=Path(__file__).parent.parent,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._process.stdout.close()

    def _ask(self, **order: object) -> Any:  # noqa: ANN401 - JSON
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the load ended at: {order}")
        return json.loads(answer)

    def run(self, port: int, pid: int, connections: int, seconds: float) -> "Run":
        """Send to a server, which is a process of this machine, for so long; return how it was."""
        order = {"port": port, "pid": pid, "connections": connections, "seconds": seconds}
        return Run(*self._ask(what="run", **order))

    def hold(self, port: int, connections: int, family: str) -> None:
        """Open connections, say what a device says first on each, and keep them open."""
        self._ask(what="hold", port=port, connections=connections, family=family)


class Run(NamedTuple):
    """How a server answered.

    Attributes:
        rate: frames in a second.
        p50: the median time until an answer, in ms.
        p99: the time within which 99 of 100 answers came, in ms.
        work: the server's processor time for a frame, its own and the system's, in µs; None where
            the system does not tell.
    """

    rate: float
    p50: float
    p99: float
    work: float | None


class _Logger:
    """A connection that sends data frames."""

    __slots__ = ("_base", "_frame", "begun", "now", "socket")

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.socket = sock
        raw = bytearray(micro_inverter())
        raw[7:11] = (_SERIALS + number).to_bytes(4, "little")
        self.now: tuple[int, int] = _counters.unpack_from(raw, _WORKING_AT)
        raw[_WORKING_AT : _WORKING_AT + 8] = bytes(8)
        self._base = sum(raw[1:-2])
        self._frame = raw
        self.begun = 0.0

    def send(self) -> None:
        """Send the frame of the next second."""
        working, power_on = self.now
        self.now = working + 1, power_on + 1
        raw = self._frame
        counters = _counters.pack(working + 1, power_on + 1)
        raw[_WORKING_AT : _WORKING_AT + 8] = counters
        raw[-2] = (self._base + sum(counters)) & 0xFF
        self.begun = perf_counter()
        self.socket.send(raw)


class _Devices:
    """What the process holds."""

    def __init__(self) -> None:
        self._now: dict[int, tuple[int, int]] = {}
        self._held: list[socket.socket] = []

    def run(
        self, port: int, pid: int, connections: int, seconds: float
    ) -> tuple[float, float, float, float | None]:
        """Send to a server for so long; return what `Run` says."""
        loggers: dict[int, _Logger] = {}
        with select.epoll() as poll:
            for number in range(connections):
                sock = _connect(port)
                sock.settimeout(0)
                logger = loggers[sock.fileno()] = _Logger(sock, number)
                logger.now = self._now.get(number, logger.now)
                poll.register(sock, select.EPOLLIN)
            for logger in loggers.values():
                logger.send()
            _exchange(poll, loggers, seconds / 4)  # until all is warm and in step
            before = _processor_time(pid)
            times, taken = _exchange(poll, loggers, seconds)
            after = _processor_time(pid)
            _finish(poll, loggers)
        for number, logger in enumerate(loggers.values()):
            self._now[number] = logger.now
            logger.socket.close()
        ordered = sorted(times)
        return (
            len(times) / taken,
            1e3 * ordered[len(times) // 2],
            1e3 * ordered[len(times) * 99 // 100],
            None if before is None or after is None else 1e6 * (after - before) / len(times),
        )

    def hold(self, port: int, connections: int, family: str) -> bool:
        """Open connections that say what a device says first, and then nothing."""
        for number in range(connections):
            sock = _connect(port)
            for raw in FIRST[family](number):
                sock.sendall(raw)
                _reply(sock)
            self._held.append(sock)
        return True


def _connect(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _processor_time(pid: int) -> float | None:
    """Return the seconds of processor time that a process has taken, all its threads together."""
    tasks = Path(f"/proc/{pid}/task")
    try:
        return (
            sum(int((each / "schedstat").read_text().split()[0]) for each in tasks.iterdir()) / 1e9
        )
    except OSError:
        return None


def _take(logger: _Logger) -> None:
    """Read an answer, and see that it is one."""
    answer = logger.socket.recv(256)
    if len(answer) != _REPLY_SIZE or answer[4] != _REPLY_TYPE:
        raise RuntimeError(f"no answer: {answer.hex() or 'the end'}")


def _exchange(
    poll: select.epoll, loggers: dict[int, _Logger], seconds: float
) -> tuple[list[float], float]:
    """Answer each answer with the next frame for so long; return how long each took."""
    times: list[float] = []
    begin = perf_counter()
    while (now := perf_counter()) < begin + seconds or not times:
        ready = poll.poll(PATIENCE)
        if not ready:
            raise RuntimeError("the server does not answer")
        for number, _ in ready:
            logger = loggers[number]
            _take(logger)
            times.append(perf_counter() - logger.begun)
            logger.send()
    return times, now - begin


def _finish(poll: select.epoll, loggers: dict[int, _Logger]) -> None:
    """Wait for the answers that are still to come."""
    left = len(loggers)
    while left and (ready := poll.poll(PATIENCE)):
        for number, _ in ready:
            _take(loggers[number])
            poll.unregister(number)
            left -= 1
    if left:
        raise RuntimeError(f"{left} answers are missing")


def _reply(sock: socket.socket) -> None:
    if not sock.recv(4096):
        raise RuntimeError("the server closed")


def _logger_begins(number: int) -> list[bytes]:
    """Return a logger's handshake and data, of one moment."""
    times = micro_inverter()[_WORKING_AT : _WORKING_AT + 12]
    frames = []
    for name in ("handshake-130", "micro-5408-realtime"):
        raw = bytearray(frame("deye", name))
        raw[7:11] = (_SERIALS + number).to_bytes(4, "little")
        at = _WORKING_AT if raw[4] == DATA else PAYLOAD_AT + 1
        raw[at : at + 12] = times
        raw[-2] = sum(raw[1:-2]) & 0xFF
        frames.append(bytes(raw))
    return frames


def _battery_begins(number: int) -> list[bytes]:
    """Return a battery's login and a status."""
    frames = []
    for name in ("login", "status-1"):
        raw = frame("alphaess", name)
        body = re.sub(rb"AL[0-9]{13}", b"AL%013d" % number, raw[:-2])
        frames.append(body + crc16_modbus(body).to_bytes(2, "big"))
    return frames


FIRST = {"deye": _logger_begins, "alphaess": _battery_begins}
"""What a device of a family says first."""


def main() -> None:
    """Do what standard input says."""
    keep_off()
    devices = _Devices()
    for line in sys.stdin:
        order = json.loads(line)
        answer = getattr(devices, order.pop("what"))(**order)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
