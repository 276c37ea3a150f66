"""The proxy under load: one core, every frame that passes decoded, beside haproxy.

The load (`load.py`) talks through each relay to one small cloud (`cloud.py`), and all but the relay
keep to the other core. The relays run at once, and have their turns. What is compared is the
processor time for a request (a data frame up, its answer down), the system's part in it; haproxy
passes bytes in C and looks at none of them. Beside it: ours without uvloop, ours with the store,
and a relay with a thread for each direction of each connection, as such scripts are usually made;
with that the requests in a second are compared, as its threads wait for each other.
"""

import contextlib
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.connections import private_memory
from benchmarks.load import Load, Run
from benchmarks.measure import QUICK, Effort, Goal, Line, at_least, at_most
from benchmarks.server import Served, free_port
from benchmarks.startup import inverterproto

TITLE = (
    "Proxy, one core, micro-inverter frames (343 bytes) up and their answers down; the ratios are "
    "of processor time, and of added time at one connection"
)

HAPROXY = "haproxy, TCP, one thread, nothing decoded"
OURS = "ours: uvloop, --no-store"
PLAIN = "ours: asyncio, --no-store"
STORED = "ours: uvloop, with the store"
THREADS = "a thread for each direction"

CONNECTIONS = (100, 1000)
IDLE = 5000
_HAPROXY = """
global
    nbthread 1
    maxconn 9000
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend devices
    bind 127.0.0.1:{port}
    default_backend cloud
backend cloud
    server cloud 127.0.0.1:{cloud}
"""
_WITHOUT_UVLOOP = "import sys; sys.modules['uvloop'] = None; "
_MAIN = "from inverterproto_cli.main import main; main()"


def ours(cloud: int, *options: str, uvloop: bool = True) -> Served:
    """Start our proxy in front of a cloud."""
    port = free_port()
    _, environment = inverterproto()
    return Served(
        [
            sys.executable, "-c", ("" if uvloop else _WITHOUT_UVLOOP) + _MAIN, "proxy", "-q",
            "--listen", f"deye=127.0.0.1:{port}", "--listen", "alphaess=none",
            "--upstream", f"deye=127.0.0.1:{cloud}", "--max-devices", "20000",
            "--max-per-address", "20000", *options,
        ],
        port,
        **environment,
    )  # fmt: skip


def haproxy(cloud: int, folder: Path) -> Served | None:
    """Start haproxy in front of a cloud, if it is there (`scripts/counterparts haproxy`)."""
    command = find_haproxy()
    if command is None:
        return None
    port = free_port()
    config = folder / "haproxy.cfg"
    config.write_text(_HAPROXY.format(port=port, cloud=cloud))
    return Served([command, "-db", "-f", str(config)], port)


def find_haproxy() -> str | None:
    """Return where haproxy is."""
    fetched = Path(__file__).parent.parent / ".cache" / "counterparts" / "bin" / "haproxy"
    if fetched.exists():
        return str(fetched)
    from shutil import which

    return which("haproxy")


def run(effort: Effort) -> Iterator[Line]:
    """Yield the lines of this group."""
    turns, seconds = max(2, effort.turns // 5), effort.seconds * 20
    whole = effort.stream_bytes >= QUICK.stream_bytes
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cloud = stack.enter_context(_cloud())
        relays: dict[str, Served] = {}
        peer = haproxy(cloud.port, folder)
        if peer is not None:
            relays[HAPROXY] = stack.enter_context(peer)
        relays[OURS] = stack.enter_context(ours(cloud.port, "--no-store"))
        relays[PLAIN] = stack.enter_context(ours(cloud.port, "--no-store", uvloop=False))
        store = ("--store", str(folder / "benchmark.db"))
        relays[STORED] = stack.enter_context(ours(cloud.port, *store))
        relays[THREADS] = stack.enter_context(_threads(cloud.port))
        load = stack.enter_context(Load())
        yield from _latencies(load, cloud.port, relays, turns, seconds)
        for most in CONNECTIONS:
            connections = most if whole else most // 10
            runs: dict[str, list[Run]] = {name: [] for name in relays}
            for _ in range(turns):
                for name, relay in relays.items():
                    if name != THREADS or connections <= CONNECTIONS[0]:
                        runs[name].append(load.run(relay.port, relay.pid, connections, seconds))
            yield from _lines(runs, connections)
    yield from _memory(IDLE if whole else IDLE // 50)


def _cloud() -> Served:
    """Start the cloud that all relays lead to."""
    port = free_port()
    return Served([sys.executable, "-m", "benchmarks.cloud", str(port)], port)


def _threads(cloud: int) -> Served:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.threads", str(port), str(cloud)]
    return Served(command, port)


def _latencies(
    load: Load, cloud: int, relays: dict[str, Served], turns: int, seconds: float
) -> Iterator[Line]:
    """Yield what each relay adds to the median time until an answer, at one connection."""
    ways = {"": (cloud, os.getpid()), **{name: (r.port, r.pid) for name, r in relays.items()}}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, (port, pid) in ways.items():
            times[name].append(load.run(port, pid, 1, seconds).p50)
    straight = statistics.median(times.pop(""))
    added = {name: statistics.median(each) - straight for name, each in times.items()}
    goals = {OURS: at_most(1.3), PLAIN: at_most(1.6)}
    for name, each in added.items():
        ratio = None
        if HAPROXY in added and name != HAPROXY:
            ratio = each / max(added[HAPROXY], 0.001)
        note = f"the median answer takes {straight * 1000:.0f} µs without a relay"
        what = f"{name}, 1 connection: added"
        yield Line(what, max(1.0, each * 1000), "µs", ratio, goals.get(name), note)


def _lines(runs: dict[str, list[Run]], connections: int) -> Iterator[Line]:
    goals: dict[str, Goal] = {OURS: at_least(0.55), PLAIN: at_least(0.45)}
    for name, some in runs.items():
        if not some:
            continue
        rate = statistics.median(run.rate for run in some)
        works = [run.work for run in some if run.work is not None]
        note = f"p50 {statistics.median(run.p50 for run in some):.2f} ms"
        if works:
            note = f"{statistics.median(works):.1f} µs of processor time a request, {note}"
        ratio = None if name == HAPROXY else _ratio(some, runs.get(HAPROXY))
        what = f"{name}, {connections} connections"
        yield Line(what, rate, "requests/s", ratio, goals.get(name), note)
    what = f"with the store beside without, {connections} connections"
    ratio = _ratio(runs[STORED], runs[OURS])
    yield Line(what, ratio, "times", ratio, at_least(0.7))
    if runs[THREADS]:
        what = f"ours beside a thread for each direction, {connections} connections: in a second"
        pairs = zip(runs[OURS], runs[THREADS], strict=True)
        rates = statistics.median(own.rate / peer.rate for own, peer in pairs)
        yield Line(what, rates, "times", rates, at_least(2.0))


def _ratio(ours: list[Run], peers: list[Run] | None) -> float | None:
    """Return how many times as many requests ours passes for the same work."""
    if not peers:
        return None
    return statistics.median(
        peer.work / own.work if own.work and peer.work else own.rate / peer.rate
        for own, peer in zip(ours, peers, strict=True)
    )


def _memory(count: int) -> Iterator[Line]:
    """Yield what a relayed connection takes that said a handshake and data, and is idle now."""
    with _cloud() as cloud, ours(cloud.port, "--no-store") as relay, Load() as load:
        load.hold(relay.port, 50, "deye")
        before = private_memory(relay.pid)
        load.hold(relay.port, count, "deye")
        after = private_memory(relay.pid)
    each = max(1.0, (after - before) / count)
    note = f"{count:,} connections, {after / 2**20:.1f} MiB in all; the ratio is to 6 KiB"
    yield Line("an idle relayed connection", each, "bytes", each / 6144, at_most(1), note)
    if count == IDLE:
        goal = 80 * 2**20
        what = f"the process with {count:,} relayed connections"
        yield Line(what, after / 2**20, "MiB", after / goal, at_most(1), "the ratio is to 80 MiB")
