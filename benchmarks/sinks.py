"""What sinks cost devices: the fake server and the proxy, with three sinks and without.

Both have a store, and are kept as busy as the load (`load.py`) can; what stands beside is the same
server without sinks. The sinks are files, a webhook and MQTT; the broker is mosquitto, if it is
there (`scripts/counterparts mosquitto`), else the third writes to standard output.

Compared are answers in a second. The sinks' own work takes processor time of the same core, and
while devices keep that busy, it is bounded to a share (`pace.py`); what they do not get done waits.
"""

import contextlib
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import which

from benchmarks.load import Load, Run
from benchmarks.measure import QUICK, Effort, Line, at_least, keep_off
from benchmarks.relay import ours as proxy
from benchmarks.server import Served, fake_server, free_port

TITLE = "Three sinks on, beside none: micro-inverter frames (343 bytes), stored and answered"

SERVER, RELAY = "fake server", "proxy"
_CONNECTIONS = 100
_BROKER = "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n"


def find(program: str) -> str | None:
    """Return where a real counterpart is, if it is anywhere."""
    fetched = Path(__file__).parent.parent / ".cache" / "counterparts" / "bin" / program
    return str(fetched) if fetched.exists() else which(program)


def broker(folder: Path) -> Served | None:
    """Start mosquitto, if it is there."""
    command = find("mosquitto")
    if command is None:
        return None
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(_BROKER.format(port=port))
    return Served([command, "-c", str(config)], port)


def _sinks(stack: contextlib.ExitStack, folder: Path) -> list[str]:
    """Start what the sinks lead to; return the options."""
    port = free_port()
    hook = Served([sys.executable, "-m", "benchmarks.hook", str(port)], port)
    found = broker(folder)
    third = ["--stdout"] if found is None else ["--mqtt", f"127.0.0.1:{found.port}"]
    for one in filter(None, (hook, found)):
        stack.enter_context(one)
        keep_off(one.pid)
    return ["--webhook", f"http://127.0.0.1:{hook.port}/", *third]


def run(effort: Effort) -> Iterator[Line]:
    """Yield the lines of this group."""
    turns, seconds = max(3, effort.turns // 5), effort.seconds * 40
    connections = _CONNECTIONS if effort.stream_bytes >= QUICK.stream_bytes else 10
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sinks = _sinks(stack, folder)
        cloud = free_port()
        behind = Served([sys.executable, "-m", "benchmarks.cloud", str(cloud)], cloud)
        keep_off(stack.enter_context(behind).pid)
        load = stack.enter_context(Load())
        runs: dict[tuple[str, bool], list[Run]] = {}
        for turn in range(turns):
            for name in (SERVER, RELAY):
                for on in (False, True):
                    place = folder / f"{name} {on} {turn}"
                    more = [*sinks, "--files", str(place)] if on else []
                    options = ["--store", f"{place}.db", *more]
                    served = (
                        fake_server("-q", *options) if name == SERVER else proxy(cloud, *options)
                    )
                    # Alone: what its sinks have left to do afterwards is no other's burden.
                    with served as server:
                        load.run(server.port, server.pid, connections, seconds / 2)
                        one = load.run(server.port, server.pid, connections, seconds)
                    runs.setdefault((name, on), []).append(one)
    for name in (SERVER, RELAY):
        yield from _lines(name, runs[name, False], runs[name, True])


def _lines(name: str, without: list[Run], with_: list[Run]) -> Iterator[Line]:
    for what, some in (("without sinks", without), ("with three", with_)):
        rate = statistics.median(one.rate for one in some)
        p50 = statistics.median(one.p50 for one in some)
        p99 = statistics.median(one.p99 for one in some)
        note = f"p50 {p50:.2f} ms, p99 {p99:.2f} ms"
        ratio = goal = None
        if some is with_:
            pairs = zip(with_, without, strict=True)
            ratio = statistics.median(on.rate / off.rate for on, off in pairs)
            goal = at_least(0.9)
        yield Line(
            f"{name} {what}, {_CONNECTIONS} connections", rate, "frames/s", ratio, goal, note
        )
