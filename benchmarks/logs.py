"""A large log decoded to JSON by the command: frames in every form of dump, among other lines."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

from benchmarks.bulk import run_command
from benchmarks.frames import frame
from benchmarks.measure import Effort, Line
from benchmarks.startup import inverterproto
from tests.dumps import WRITERS

TITLE = "A large log, frames in every form of dump: inverterproto decode --json FILE"

_FRAMES = (
    ("deye", "micro-5408-realtime"),
    ("deye", "handshake-130"),
    ("deye", "heartbeat"),
    ("alphaess", "status-1"),
)
_KINDS = 500  # pieces of log of which the file is made
_OTHER = (
    "{time} INFO [{number}] connection from 192.168.1.{byte}:{number} accepted\n",
    "{time} DEBUG mqtt: publish solar/inverter/power {number} W, retain=True, qos=1\n",
    "{time} WARNING no answer for {byte} s; retrying (attempt {byte})\n",
    "\n",
)


def run(effort: Effort) -> Iterator[Line]:
    """Yield the lines of this group."""
    command, environment = inverterproto()
    size = effort.bulk_bytes
    with tempfile.TemporaryDirectory() as folder:
        few, many = (_write(Path(folder), number) for number in (size // 10, size))
        _, less = run_command([*command, "decode", "--json", str(few)], environment)
        seconds, more = run_command([*command, "decode", "--json", str(many)], environment)
    yield Line(f"ours: {size / 1e6:.0f} MB of log", seconds, "s")
    yield Line("ours: of the log in a second", size / 1e6 / seconds, "MB")
    yield Line("ours: peak memory", more / 2**20, "MiB", note=f"a tenth of it: {less / 2**20:.1f}")


def _write(folder: Path, size: int) -> Path:
    path = folder / f"{size}.log"
    random = Random(1)
    frames = [frame(family, name) for family, name in _FRAMES]
    kinds = sorted(WRITERS)
    pieces = [_piece(random, frames, kinds) for _ in range(_KINDS)]
    with path.open("w", encoding="utf-8") as file:
        written = 0
        while written < size:
            written += file.write(random.choice(pieces))
    return path


def _piece(random: Random, frames: list[bytes], kinds: list[str]) -> str:
    """Return some lines of a log and a frame in some form."""
    lines = []
    for _ in range(random.randrange(12)):
        hour, minute, second = (random.randrange(most) for most in (24, 60, 60))
        time = f"2024-04-08 {hour:02}:{minute:02}:{second:02},{random.randrange(1000):03}"
        number, byte = random.randrange(65536), random.randrange(256)
        lines.append(random.choice(_OTHER).format(time=time, number=number, byte=byte))
    return "".join(lines) + WRITERS[random.choice(kinds)](random.choice(frames))
