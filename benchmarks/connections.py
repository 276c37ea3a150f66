"""What an idle connection costs the fake server: memory of the process, before and after.

Every connection has said what a device says first (a handshake and data; a login and a status), so
its session and the device's state are there. Counted is the memory that the process has for itself
(its anonymous pages), not the kernel's part of a socket, which is the same for every server.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.load import Load
from benchmarks.measure import Effort, Line, at_most
from benchmarks.server import fake_server

TITLE = "An idle connection to the fake server, with session and device state"

GOAL_BYTES = 4096
"""What a connection should take at most; the ratio is to this."""
_MOST, _LEAST = 3000, 50
_WARM_UP = 50
"""Connections before the first look: the first ones load what all share."""


def run(effort: Effort) -> Iterator[Line]:
    """Yield the lines of this group."""
    count = min(_MOST, max(_LEAST, effort.stream_bytes // 13))
    for family, said in (("deye", "handshake and data"), ("alphaess", "login and status")):
        what = f"{family}, after {said}"
        if sys.platform != "linux":
            yield Line(what, None, "bytes", goal=at_most(1), note="needs Linux's /proc")
            continue
        each = _memory_of_one(family, count)
        note = f"{count:,} connections; the ratio is to {GOAL_BYTES:,} bytes"
        yield Line(what, each, "bytes", each / GOAL_BYTES, at_most(1), note)


def _memory_of_one(family: str, count: int) -> float:
    with fake_server("--no-store", "-q") as server, Load() as load:
        load.hold(server.port, _WARM_UP, family)
        before = private_memory(server.pid)
        load.hold(server.port, count, family)
        return max(1.0, (private_memory(server.pid) - before) / count)


def private_memory(pid: int) -> int:
    """Return the bytes of a process's anonymous pages."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the kernel does not tell RssAnon")
